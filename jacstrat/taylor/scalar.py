"""A scalar prepared for its Laplacian: traced at each shape of x that it meets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.engine import propagate, ready
from jacstrat.taylor.jet import Jet
from jacstrat.taylor.tape import Tape
from jacstrat.taylor.trace import Untraceable, record

# Shapes whose tapes are kept; tapes are small, but shapes may be without end.
KEPT = 32


class Scalar:
    """A row-wise scalar and its tapes, by shape, dtype and device of x, made when they are first asked for."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        self.f = f
        self._tapes: OrderedDict[Any, Tape | Untraceable] = OrderedDict()

    def tape(self, x: Tensor) -> Tape | Untraceable:
        """The tape at points like x, or why there is none."""
        key = (x.shape, x.dtype, x.device)
        if (tape := self._tapes.get(key)) is not None:
            return tape
        try:
            tape = ready(record(self.f, x))
        except Untraceable as reason:
            tape = reason
        if not torch._C._are_functorch_transforms_active():
            self._tapes[key] = tape
            if len(self._tapes) > KEPT:
                self._tapes.popitem(last=False)
        return tape

    def laplacian(self, x: Tensor, compress: bool = True) -> Tensor:
        """The Laplacian at each point, (B,), or () for a single point."""
        tape = self.tape(x)
        if isinstance(tape, Untraceable):
            return _by_products(self.f, x)
        return propagate(tape, Jet(x, None, is_point=True), _is_tracked(tape, x), compress)


def _by_products(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The Laplacian by n JVPs of the gradient, for a function whose operations are not to be had."""
    gradient = torch.func.grad(lambda x: f(x).sum())

    def curvature(e: Tensor) -> Tensor:
        return (torch.func.jvp(gradient, (x,), (e.expand_as(x),))[1] * e).sum(-1)

    return torch.func.vmap(curvature)(torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)).sum(0)


def _is_tracked(tape: Tape, x: Tensor) -> bool:
    """Whether a graph may be recorded of what is done to x, so that no tensor may be written to again."""
    if torch._C._are_functorch_transforms_active():
        return True
    return torch.is_grad_enabled() and (x.requires_grad or any(constant.requires_grad for constant in tape.constants))
