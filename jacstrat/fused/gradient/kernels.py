"""Gradients in x, and through operands and seeds in what these are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from jacstrat.fused.gradient.launch import Cotangents, Gradients, gradients
from jacstrat.fused.gradient.sinks import Layout
from jacstrat.fused.gradient.source import generated
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.gradient.tiles import misfit, tiles
from jacstrat.fused.kernels import is_out_of_resources, kernel
from jacstrat.fused.operands import Operands, Ready
from jacstrat.fused.spec import Spec, is_chunked
from jacstrat.trace.arguments import Args


class GradientKernels:
    """Kernels of gradients of one network, made as they are asked for.

    Args:
        spec: From (with the value, with the gradient, strides) to what the kernel of results is generated for.
        operands: Of the network.
    """

    def __init__(self, spec: Callable[..., Spec], operands: Operands) -> None:
        self._spec, self.operands = spec, operands
        self._kernels: dict[GradientSpec, tuple[Any, Layout] | None] = {}

    def __call__(
        self, x: Tensor, args: Args, V: Tensor | None, at: Cotangents, wants_x: bool, tensors: Sequence[Tensor]
    ) -> tuple[Tensor | None, ...] | None:
        """Of x, (B, n), and of tensors that operands are made of; None where no kernel fits."""
        if at.gradient is not None and is_chunked(self.operands.read.network, 0):
            return None
        ready = self.operands.tracked(x, args, V)
        spec = self._wanted(ready, at, wants_x)
        if spec not in self._kernels and misfit(spec.forward):
            self._kernels[spec] = None
        if spec not in self._kernels:
            text, layout = generated(spec)
            self._kernels[spec] = kernel(text), layout
        made = self._kernels[spec]
        if made is None:
            return None
        tiling = tiles(spec.network, len(x), ready.directions, x)
        try:
            with torch.no_grad():
                found = gradients(*made, spec, x, ready.detached(), at, tiling)
        except Exception as error:
            if not is_out_of_resources(error):
                raise
            self._kernels[spec] = None  # nor will they fit another time
            return None
        in_x = None if not wants_x else x.new_zeros(x.shape) if found.x is None else found.x.to(x.dtype)
        return (in_x, *self._derivatives(ready, found, tensors))

    def _wanted(self, ready: Ready, at: Cotangents, wants_x: bool) -> GradientSpec:
        operands = (number for number, one in enumerate(ready.operands) if one.requires_grad)
        seeds = (number for number, one in zip(self.operands.seeded, ready.seeds, strict=True) if one.requires_grad)
        forward = self._spec(at.value is not None, at.gradient is not None, ready.strides)
        return GradientSpec(forward, frozenset(operands), frozenset(seeds), wants_x)

    def _derivatives(self, ready: Ready, found: Gradients, tensors: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """Through what torch made operands and seeds of."""
        pairs = [(one, found.operands.get(number)) for number, one in enumerate(ready.operands)]
        pairs += [(one, found.seeds.get(n)) for n, one in zip(self.operands.seeded, ready.seeds, strict=True)]
        known = [(one, g.reshape(one.shape).to(one.dtype)) for one, g in pairs if g is not None and one.requires_grad]
        if not known or not tensors:
            return (None,) * len(tensors)
        made, cotangents = zip(*known, strict=True)
        return torch.autograd.grad(made, tuple(tensors), cotangents, allow_unused=True)
