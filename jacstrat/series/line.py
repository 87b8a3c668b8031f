"""Derivatives along a line by reverse mode alone: right for whatever torch differentiates so often, at 2^k the cost.

Of tensors y(s) that were computed from s: with dummies g, <g, y> is differentiated in s again and again, and the k-th
derivative of y is the gradient in g of the k-th of <g, y>, which is linear in g.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jacstrat.series.norms import PlainNorms
from jacstrat.trace.arguments import Function
from jacstrat.trace.tracers import is_transformed


def in_line(ys: Sequence[Tensor], s: Tensor, order: int, tracked: bool) -> list[list[Tensor]]:
    """The derivatives 1 .. order in s of each tensor.

    Args:
        ys: Computed from s with a graph.
        s: A leaf; a number of its own for each point, or one for all.
        tracked: Whether a graph is to be left of what is given.
    """
    with torch.enable_grad():
        g = [torch.zeros_like(y, requires_grad=True) for y in ys]
        total = sum(((dummy * y).sum() for dummy, y in zip(g, ys, strict=True)), torch.zeros_like(s).sum())
        orders: list[list[Tensor]] = []
        for _ in range(order):
            (slope,) = torch.autograd.grad(total, s, create_graph=True, materialize_grads=True)
            total = slope.sum()
            if not total.requires_grad:  # nothing depends on s any more
                break
            orders.append(
                list(torch.autograd.grad(total, g, create_graph=tracked, retain_graph=True, materialize_grads=True))
            )
        orders += [[torch.zeros_like(y) for y in ys] for _ in range(order - len(orders))]
    return [list(each) for each in zip(*orders, strict=True)]


def nested(f: Function, x: Tensor, v: Tensor, order: int) -> Tensor:
    """f and its derivatives along v, (order + 1, ...), by differentiating f(x + s v) so often.

    Args:
        f: Row-wise, (B, n) -> (B, ...).
        x, v: (B, n) or (n,), alike.
    """
    if torch.compiler.is_compiling() or is_transformed():
        with PlainNorms():
            return _nested_within(f, x, v, order)
    # Only where somebody may ask: s makes a graph in any case.
    tracked = torch.is_grad_enabled() and (x.requires_grad or v.requires_grad or f(x).requires_grad)
    with torch.enable_grad(), PlainNorms():
        s = torch.zeros(*x.shape[:-1], 1, dtype=x.dtype, device=x.device, requires_grad=True)
        y = f((x if tracked else x.detach()) + s * v)
        (slopes,) = in_line([y], s, order, tracked)
    derivatives = torch.stack([y, *slopes])
    return derivatives if tracked else derivatives.detach()


def _nested_within(f: Function, x: Tensor, v: Tensor, order: int) -> Tensor:
    """The same by torch.func.grad, inside a transform of the caller's."""

    def weighted(s: Tensor, g: Tensor) -> Tensor:
        return (g * f(x + s * v)).sum()

    s = torch.zeros_like(x[..., :1])
    along: Callable[[Tensor, Tensor], Tensor] = weighted
    derivatives, g = [y := f(x)], torch.zeros_like(y)
    for _ in range(order):
        along = _slope(along)
        derivatives.append(torch.func.grad(along, argnums=1)(s, g))
    return torch.stack(derivatives)


def _slope(along: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    slope = torch.func.grad(along)
    return lambda s, g: slope(s, g).sum()
