"""Products with a Jacobian: linearise a field at x once, then apply to one probe after the other.

Each function takes (field, x) and returns `apply`: a probe, (n,) or shaped as x, to a product shaped as x. A single
probe (n,) stands at every point at once: rows are independent, so one product serves the whole batch, exactly.

For a scalar u the field is its gradient and J its Hessian H, which is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Field = Callable[[Tensor], Tensor]
Apply = Callable[[Tensor], Tensor]


def reverse(field: Field, x: Tensor) -> Apply:
    """v -> v^T J by torch.autograd.grad, the graph kept between probes; one evaluation of the field.

    Works on whatever autograd can differentiate, custom functions of the old style included; cannot be vmapped.
    """
    tracked = torch.is_grad_enabled()
    with torch.enable_grad():
        # A view of its own: were f to close over x itself, that path is no derivative with respect to the argument.
        x = x.view_as(x) if tracked and x.requires_grad else x.detach().requires_grad_()
        y = field(x)
    if not y.requires_grad:
        return lambda v: torch.zeros_like(x)

    def apply(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(
            y, x, v.expand_as(y), retain_graph=True, create_graph=tracked, materialize_grads=True
        )
        return product

    return apply


def reverse_gradient(scalar: Field) -> Field:
    """The gradient field of a scalar by torch.autograd.grad, itself differentiable by `reverse`."""

    def field(x: Tensor) -> Tensor:
        u = scalar(x)
        if not u.requires_grad:
            return torch.zeros_like(x)
        (g,) = torch.autograd.grad(u.sum(), x, create_graph=True, materialize_grads=True)
        return g

    return field


def vjp(field: Field, x: Tensor) -> Apply:
    """v -> v^T J by torch.func.vjp; one evaluation of the field; may be vmapped."""
    y, pull, *_ = torch.func.vjp(field, x)
    return lambda v: pull(v.expand_as(y))[0]


def jvp(field: Field, x: Tensor) -> Apply:
    """v -> J v by torch.func.jvp; evaluates the field with every product, or once where it is vmapped."""
    return lambda v: torch.func.jvp(field, (x,), (v.expand_as(x),))[1]


def functional_gradient(scalar: Field) -> Field:
    """The gradient field of a scalar by torch.func.grad, which composes with vmap, vjp and jvp."""
    return torch.func.grad(lambda x: scalar(x).sum())


def curvature(scalar: Field, x: Tensor) -> Apply:
    """v -> v^T H v, one number a point, by forward mode over forward mode: no gradient is ever formed."""

    def apply(v: Tensor) -> Tensor:
        tangent = v.expand_as(x)

        def slope(x: Tensor) -> Tensor:
            return torch.func.jvp(scalar, (x,), (tangent,))[1]

        # For a single point torch may give float64: a tangent without an axis takes the dtype of a number beside it.
        return torch.func.jvp(slope, (x,), (tangent,))[1].to(x.dtype)

    return apply
