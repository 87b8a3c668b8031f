"""Derivatives of every order along directions: one pass of Taylor series, held against what needs no tape."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.core.errors import ShapeError, UnsupportedError, UsageError
from jacstrat.core.operator import OPERATORS
from jacstrat.series import TapedLine
from jacstrat.strategies.checked import eager, plain_attention, wrapping
from jacstrat.strategies.consistency import Consistency, by_nesting
from jacstrat.strategies.error_hints import hinted
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.points import check_args, check_function, check_points, outside_inference_mode, usable
from jacstrat.strategies.process_cache import ProcessCache, circumstances_of
from jacstrat.strategies.stages import real_and_imaginary
from jacstrat.trace import Untraceable
from jacstrat.trace.arguments import Args, Function, bind
from jacstrat.trace.tracers import outside_hooks

# Whether the tape serves, by what the function is; else nested reverse mode does.
SERVED: ProcessCache[bool] = ProcessCache()
_NAME = "derivatives_along"
_SCALAR = OPERATORS["laplacian"]


def derivatives(u: Function, x: Tensor, V: Tensor, order: int, args: Args = ()) -> Tensor:
    """d^k/ds^k u(x + s v) at s = 0 for k = 0 .. order, along many directions at once.

    Args:
        u: Row-wise, (B, n) -> (B,) or (B, m); complex ones too.
        x: Points, (B, n) or (n,).
        V: Directions, (D, n), or of each point its own, (D, B, n).
        order: At least 1.
        args: Further arguments of u.

    Returns:
        (D, order + 1, B) or (D, order + 1, B, m), without B for a single point. Differentiable in x, V, args and u's
        parameters.

    Raises:
        As `jacstrat.derivatives_along`.

    Cost: each operation on D (order + 1) tensors of its size where it is linear, on D order^2 / 2 where it is not; the
    function's value once. Directions are taken in parts where they are many.
    """
    check_order(order)
    check_function(u)
    check_points(x)
    check_args(args)
    check_directions(x, V)
    x, V = usable(x), V.to(x.dtype)
    try:
        return _of_real(_checked(eager(u)), x, V, order, args)
    except _ComplexError:
        parts = _of_real(_checked(_parts(eager(u))), x, V, order, args).unflatten(-1, (-1, 2))
        whole = torch.complex(*parts.unbind(-1))
        return whole if u(x.detach(), *args).dim() == x.dim() else whole.squeeze(-1)


def _of_real(f: Function, x: Tensor, V: Tensor, order: int, args: Args) -> Tensor:
    with outside_inference_mode(), hinted(_NAME, f, x, args), plain_attention():
        V = V.clone() if V.is_inference() else V
        line = TapedLine(f)
        with outside_hooks():
            is_traced = not (torch.compiler.is_compiling() or isinstance(line.tape(x, args), Untraceable))
            is_served = _is_served(f, x, args, V, order, line, is_traced)
        if is_served:
            try:
                return line.derivatives(x, V, order, args)
            except UnsupportedError:
                # An operation has no derivatives beyond the order that was looked at. Nested reverse mode serves it, or
                # says in turn why not.
                pass
        return by_nesting(bind(f, args))(x, V, order)


def _is_served(f: Function, x: Tensor, args: Args, V: Tensor, order: int, line: TapedLine, is_traced: bool) -> bool:
    """Whether the tape is to be used, as it was found right for this function, now or before."""
    if not has_numbers(x):
        return is_traced
    circumstances = (_NAME, order, is_traced, *circumstances_of(_SCALAR, x, args))
    served = SERVED.find(f, circumstances)
    if served is not None and served.is_own:
        return served.value

    def series(x: Tensor, V: Tensor, order: int) -> Tensor:
        return line.derivatives(x, V, order, args)

    is_right = Consistency(bind(f, args), x, V, order).is_right(series if is_traced else None)
    SERVED.keep(f, circumstances, is_right)
    return is_right


def _checked(u: Function) -> Function:
    """u, with the shape of each result checked."""

    def function(x: Tensor, *args: Any) -> Tensor:
        y = u(x, *args)
        _SCALAR.check_result(y, x.shape)
        if y.is_complex():
            raise _ComplexError(f"u returns {y.dtype}")
        if not y.is_floating_point():
            raise UsageError(f"u must return floating-point numbers, got {y.dtype}")
        return y

    return wrapping(function, u)


class _ComplexError(UsageError):
    """u has complex numbers, whose parts are outputs of their own."""


def _parts(u: Function) -> Function:
    """u with the real and the imaginary part of each number side by side, (B, 2) or (B, 2 m)."""
    return wrapping(lambda x, *args: real_and_imaginary(u(x, *args)).flatten(x.dim() - 1), u)


def check_order(order: object) -> None:
    """Refuse an order that is no whole number of at least 1."""
    if not isinstance(order, int) or isinstance(order, bool) or order < 1:
        raise UsageError(
            f"order must be a whole number of at least 1, got {order!r}; 2 gives u, v.grad u and v^T H v, "
            "and for u alone call it"
        )


def check_direction(x: Tensor, v: object) -> None:
    """Refuse what is no direction, (n,) or in the shape of the points."""
    if not isinstance(v, Tensor):
        raise UsageError(f"v must be a torch.Tensor, got {type(v).__name__}")
    if v.layout != torch.strided:
        raise UsageError(f"v must be dense, got layout {v.layout}; use v.to_dense()")
    if not v.is_floating_point():
        raise UsageError(f"v must be real and floating-point, got {v.dtype}; use v.to(x)")
    if v.shape not in (x.shape[-1:], x.shape):
        both = f"{tuple(x.shape[-1:])} or {tuple(x.shape)}" if x.dim() == 2 else f"{tuple(x.shape)}"
        raise ShapeError(f"v must be of shape {both} for x of shape {tuple(x.shape)}, got {tuple(v.shape)}")


def check_directions(x: Tensor, V: Tensor) -> None:
    """Refuse what are no directions, (D, n) or (D, B, n)."""
    if V.dim() < 2 or len(V) == 0:
        raise ShapeError(f"directions must be of shape (D, n) or (D, B, n) with D >= 1, got {tuple(V.shape)}")
    check_direction(x, V[0])
