"""Products with a Jacobian: linearise a field at x once, then apply to one probe after the other.

Each function takes (field, x, *args) and returns a `Linearised`, which takes a probe, (n,) or shaped as x, to a product
shaped as x. A single probe (n,) stands at every point at once: rows are independent, so one product serves the whole
batch, exactly.

For a scalar u the field is its gradient and J its Hessian H, which is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from jacstrat.strategies.cuts import has_other_leaf
from jacstrat.trace import forward_mode
from jacstrat.trace.arguments import Function
from jacstrat.trace.tracers import is_transformed

Apply = Callable[[Tensor], Tensor]


# Without a text of its own: torch.func.vmap asks for that of every callable without a name, and the numbers of a value
# take longer to write down than the products to compute.
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Linearised:
    """A field linearised at x.

    Fields:
        apply: From a probe to its product.
        value: The field at x, perhaps with a graph, where linearising gives it; None where each product would.
        is_tracked: Whether that graph leads to anything but x itself.
    """

    apply: Apply
    value: Tensor | None = None
    is_tracked: bool = True

    def __call__(self, v: Tensor) -> Tensor:
        return self.apply(v)

    @property
    def result(self) -> Tensor | None:
        """The value as it is handed out: without a graph where none is tracked."""
        is_tracked = self.is_tracked and torch.is_grad_enabled()
        return self.value if self.value is None or is_tracked else self.value.detach()


def reverse(field: Function, x: Tensor, *args: Any) -> Linearised:
    """v -> v^T J by torch.autograd.grad, the graph kept between probes; one evaluation of the field.

    Works on whatever autograd can differentiate, custom functions of the old style included; cannot be vmapped. Inside
    a transform of torch.func, which has leaves of its own, it is that library's.
    """
    if is_transformed():
        return vjp(field, x, *args)
    tracked, is_own = torch.is_grad_enabled(), not x.requires_grad
    with torch.enable_grad():
        # A view of its own: were f to close over x itself, that path is no derivative with respect to the argument.
        # And no detached one where that will do: the caller's forward mode may be at work on x.
        x = x.detach().requires_grad_() if x.requires_grad and not tracked else x.view_as(x)
        x = x.requires_grad_() if is_own else x
        y = field(x, *args)
    if not y.requires_grad:
        return Linearised(lambda v: torch.zeros_like(x), y)
    if tracked and is_own and not has_other_leaf(y, x):
        tracked = False

    def apply(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(
            y, x, v.expand_as(y), retain_graph=True, create_graph=tracked, materialize_grads=True
        )
        return product

    return Linearised(apply, y, tracked)


def reverse_gradient(scalar: Function) -> Function:
    """The gradient field of a scalar by torch.autograd.grad, itself differentiable by `reverse`."""

    def field(x: Tensor, *args: Any) -> Tensor:
        if is_transformed():
            return functional_gradient(scalar)(x, *args)
        u = scalar(x, *args)
        if not u.requires_grad:
            return torch.zeros_like(x)
        (g,) = torch.autograd.grad(u.sum(), x, create_graph=True, materialize_grads=True)
        return g

    return field


def vjp(field: Function, x: Tensor, *args: Any) -> Linearised:
    """v -> v^T J by torch.func.vjp; one evaluation of the field; may be vmapped."""
    y, pull, *_ = torch.func.vjp(lambda x: field(x, *args), x)
    return Linearised(lambda v: pull(v.expand_as(y))[0], y)


def pullback(field: Function, x: Tensor, *args: Any) -> Linearised:
    """v -> v^T J by torch.autograd.grad, or under a compiler, which cannot follow that, by torch.func.vjp."""
    return (vjp if torch.compiler.is_compiling() else reverse)(field, x, *args)


def jvp(field: Function, x: Tensor, *args: Any) -> Linearised:
    """v -> J v by torch.func.jvp; evaluates the field with every product, or once where it is vmapped."""
    return Linearised(lambda v: forward_mode.jvp(lambda x: field(x, *args), (x,), (v.expand_as(x),))[1])


def functional_gradient(scalar: Function) -> Function:
    """The gradient field of a scalar by torch.func.grad, which composes with vmap, vjp and jvp."""
    return lambda x, *args: torch.func.grad(lambda x: scalar(x, *args).sum())(x)


def gradient_of(scalar: Function, x: Tensor, args: tuple[Any, ...] = (), event_dim: int = 1) -> Tensor:
    """The gradient of a scalar, shaped as x, or of each of its outputs, (B, m, *event): a VJP each, for one output one.

    Args:
        scalar, x, args: A scalar of real or complex values at x.
        event_dim: Axes of a point.
    """
    linear, lead = pullback(scalar, x, *args), x.dim() - event_dim
    value = linear.value
    assert value is not None
    if value.is_complex():
        parts = [gradient_of(lambda x, *args, p=p: getattr(scalar(x, *args), p), x, args, event_dim) for p in _PARTS]
        return torch.complex(*parts)
    if value.dim() == lead or value.shape[-1] == 1:
        return linear(torch.ones_like(value))
    units = torch.eye(value.shape[-1], dtype=value.dtype, device=value.device)
    return torch.stack([linear(unit.expand_as(value)) for unit in units], lead)


_PARTS = ("real", "imag")


def curvature(scalar: Function, x: Tensor, *args: Any) -> Linearised:
    """v -> v^T H v, a number a point and output, by forward mode over forward mode: no gradient is ever formed."""

    def apply(v: Tensor) -> Tensor:
        tangent = v.expand_as(x)

        def slope(x: Tensor) -> Tensor:
            return forward_mode.jvp(lambda x: scalar(x, *args), (x,), (tangent,))[1]

        # For a single point torch may give float64: a tangent without an axis takes the dtype of a number beside it.
        return forward_mode.jvp(slope, (x,), (tangent,))[1].to(x.dtype)

    return Linearised(apply)


ProductMode = Literal["reverse", "forward"]
PRODUCTS: Mapping[str, Callable[..., Linearised]] = MappingProxyType({"reverse": vjp, "forward": jvp})
