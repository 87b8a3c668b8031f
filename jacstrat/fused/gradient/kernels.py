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
from jacstrat.fused.gradient.tiles import POINTS, misfit, tiles
from jacstrat.fused.gradient.wide import gradients_by_layers
from jacstrat.fused.kernels import Kernel, is_out_of_resources, kernel
from jacstrat.fused.narrow import NO_ROOM, tell_of_tile
from jacstrat.fused.operands import Operands, Ready
from jacstrat.fused.spec import Spec, is_chunked
from jacstrat.trace.arguments import Args


class GradientKernels:
    """Kernels of gradients of one network, made as they are asked for.

    Args:
        spec: From (with the value, with the gradient, strides) to what the kernel of results is generated for.
        operands: Of the network.
        points: Of a tile; by rule where not given.
    """

    def __init__(self, spec: Callable[..., Spec], operands: Operands, points: int | None = None) -> None:
        self._spec, self.operands, self.points = spec, operands, points
        self._made: dict[Any, tuple[GradientSpec, tuple[Any, Layout] | None]] = {}

    def __call__(
        self, x: Tensor, args: Args, V: Tensor | None, at: Cotangents, wants_x: bool, tensors: Sequence[Tensor]
    ) -> tuple[Tensor | None, ...]:
        """Of x, (B, n), and of tensors that operands are made of, in one kernel or layer by layer."""
        ready = self.operands.tracked(x, args, V)
        with torch.no_grad():
            found = self._found(x, ready, at, wants_x)
        in_x = None if not wants_x else x.new_zeros(x.shape) if found.x is None else found.x.to(x.dtype)
        return (in_x, *self._derivatives(ready, found, tensors))

    def _found(self, x: Tensor, ready: Ready, at: Cotangents, wants_x: bool) -> Gradients:
        key = (at.value is None, at.gradient is None, wants_x, ready.strides, ready.requires_grad)
        if key not in self._made:
            spec = self._wanted(ready, at, wants_x)
            fault = misfit(spec.forward, self._size)
            if not fault and at.gradient is not None and is_chunked(spec.network, 0):
                fault = f"its gradient of {spec.network.n} coordinates has a cotangent"
            self._made[key] = spec, None if fault else _kernel_of(spec)
            if fault:
                tell_of_tile(self.points, "gradients", fault)
        spec, made = self._made[key]
        ready = ready.detached()
        if made is None:
            return gradients_by_layers(spec, x, ready, at)
        try:
            return gradients(*made, spec, x, ready, at, tiles(spec.network, len(x), ready.directions, x, self._size))
        except Exception as error:
            if not is_out_of_resources(error):
                raise
        self._made[key] = spec, None  # the estimate in `misfit` was too low for this card
        tell_of_tile(self.points, "gradients", NO_ROOM)
        return gradients_by_layers(spec, x, ready, at)

    @property
    def _size(self) -> int:
        return self.points or POINTS

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


def _kernel_of(spec: GradientSpec) -> tuple[Kernel, Layout]:
    text, layout = generated(spec)
    return kernel(text), layout
