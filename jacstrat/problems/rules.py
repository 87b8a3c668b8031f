"""The rules of a row-wise, differentiable function, checked once, before it is measured."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.errors import JacstratError, ShapeError, UsageError
from jacstrat.core.operator import Operator, parse_operator
from jacstrat.problems.arguments import taken
from jacstrat.problems.error_hints import Function, explained, takes
from jacstrat.problems.introspection import mixing, random

Args = tuple[Any, ...]
LOST = ".detach(), .item(), .numpy(), torch.no_grad(), autograd.grad without create_graph, or whole numbers"


def check(f: Function, x: Tensor, operator: str | Operator, args: Args = ()) -> None:
    """Check that f serves the operator at x: a tensor of the right shape, row by row, the same at every call, with
    derivatives, and nothing done to x.

    Args:
        f: Row-wise, called as f(x, *args): a field, (B, n) -> (B, n), or a scalar, (B, n) -> (B,) or (B, m).
        x: Points, (B, n) or (n,).
        operator: An Operator, or its spec; which says whether f is to be a field or a scalar.
        args: Further arguments of f.

    Raises:
        JacstratError: f breaks a rule; says which, where, and what to do about it.
        MemoryError, torch.OutOfMemoryError, RuntimeError: f needs more memory than there is.

    Cost: f(x) once, as torch tracks gradients now, and on two or three rows three times more, with derivatives.
    """
    operator = parse_operator(operator)
    y = _whole(f, x, operator, args)
    n = x.shape[-1]
    batch = x.numel() // n
    if batch == 0:
        return
    places, moved_places = _places(x.detach().reshape(batch, n)[:3])
    rows, other = _probes(x.detach().reshape(batch, n)[:3].clone())
    row_args, others = (taken(args, batch, some) if x.dim() > 1 else args for some in (places, moved_places))
    try:
        first = _Chain(f, rows, operator, row_args)
    except JacstratError as error:
        if not isinstance(error, ShapeError) and takes(lambda x: f(x, *row_args), rows.clone()):
            raise
        raise ShapeError(
            f"f takes {batch} row{'s' * (batch > 1)} and not {len(rows)}; it must take any number of them: {error}"
        ) from error
    again = _Chain(f, rows, operator, row_args)
    if not _alike(first.row(0), again.row(0)) or not _alike(first.row(1), again.row(1)):
        raise UsageError(f"two evaluations of f at the same x differ; {_random(f)}")
    # Row 1 may be outside the domain of f now, which is no fault.
    moved = None
    with suppress(JacstratError):
        moved = _Chain(f, other, operator, others)
    if moved:
        _compare(f, first, moved)
    if not _alike(y.reshape(batch, -1)[0], first.row(0), atol=1.0):
        raise UsageError(f"row 0 of f(x) is another with {batch} rows than with {len(rows)}; {_mixing(f)}")


class _Chain:
    """f at some rows, and for as many orders as the operator needs the derivative of its sum.

    Fields:
        values: f(x), complex numbers as two, then the gradients below the operator's order, as far as there is a way
            back to x.
        ends: Whether that way ends before the operator's order.
    """

    def __init__(self, f: Function, rows: Tensor, operator: Operator, args: Args) -> None:
        orders = operator.order
        with torch.enable_grad():
            x = rows.clone().requires_grad_()
            self.values = [_real(_result(f, x, operator, args))]
            self.ends = False
            for order in range(1, orders + 1):
                last = self.values[-1]
                try:
                    (g,) = (
                        torch.autograd.grad(last.sum(), x, create_graph=order < orders, allow_unused=True)
                        if last.requires_grad
                        else (None,)
                    )
                except RuntimeError as error:
                    if "inplace operation" in str(error):
                        raise explained(error, f, x) from error
                    # An operation without a derivative in reverse: the strategies say which of them need one.
                    break
                if g is None:
                    self.ends = True
                    break
                if order < orders:
                    self.values.append(g)
        self.values = [value.detach() for value in self.values]

    def row(self, row: int, order: int = 0) -> Tensor:
        """One row of the derivative of that order; of f itself unless it is given."""
        return self.values[order].reshape(len(self.values[order]), -1)[row]


def _compare(f: Function, first: _Chain, moved: _Chain) -> None:
    """Row 0 stays when row 1 moves; and what moves in row 1 has a way back to x: a constant has the derivative zero."""
    if not _alike(first.row(0), moved.row(0)):
        raise UsageError(f"row 0 of f(x) changes when row 1 of x does; {_mixing(f)}")
    last = len(first.values) - 1
    # Where f moved is constant, as on another side of an if, there is nothing to compare.
    if not first.ends or last >= len(moved.values) or _alike(first.row(1, last), moved.row(1, last)):
        return
    if last == 0:
        raise UsageError(f"f(x) changes with x, and no derivative leads back to x; look for {LOST}")
    words = "second derivative" if last == 1 else "derivative of it"
    what = "gradient" if last == 1 else f"derivative of order {last}"
    raise UsageError(
        f"the {what} of f changes with x, and no {words} leads back to x; "
        "look for @once_differentiable, and for .detach() or torch.no_grad() in a backward"
    )


def _whole(f: Function, x: Tensor, operator: Operator, args: Args) -> Tensor:
    """f(x), of the right kind, complex numbers as two."""
    version, before = x._version, x.detach()[:2].clone()
    y = _real(_result(f, x, operator, args))
    # The version alone misses what goes through .data or .numpy().
    if x._version != version or not torch.allclose(x.detach()[:2], before, rtol=0, atol=0, equal_nan=True):
        raise UsageError("f changes x in place; let it work on a copy, x = x.clone()")
    bad = y.isnan()
    if bad.any():
        rows = bad.reshape(x.shape[:-1].numel(), -1).any(-1)
        raise UsageError(
            f"f(x) is nan in {int(rows.sum())} of {len(rows)} rows, first in row {int(rows.int().argmax())}; "
            "is x in its domain? give points with @problem(points=...)"
        )
    return y.detach()


def _real(y: Tensor) -> Tensor:
    return torch.view_as_real(y) if y.is_complex() else y


def _result(f: Function, x: Tensor, operator: Operator, args: Args) -> Tensor:
    """f(x), checked to be one tensor like x, of the operator's shape."""
    try:
        y = f(x, *args)
    except Exception as error:
        fault = explained(error, f, x, args)
        if fault is error:
            raise
        raise fault from error
    _check_result(y, x, operator)
    return y


def _check_result(y: object, x: Tensor, operator: Operator) -> None:
    try:
        operator.check_result(y, x.shape)
    except ShapeError as error:
        if not isinstance(y, Tensor):
            raise
        raise ShapeError(str(error).partition(";")[0] + _reshape(y, x, operator)) from None
    assert isinstance(y, Tensor)
    if y.device != x.device:
        raise UsageError(f"f(x) is on {y.device}, and x on {x.device}; return it where x is")
    if y.dtype not in (x.dtype, x.dtype.to_complex()):
        raise UsageError(
            f"f(x) is {_text(y.dtype)}, and x {_text(x.dtype)}; make its constants in x.dtype, or give --dtype"
        )


def _reshape(y: Tensor, x: Tensor, operator: Operator) -> str:
    """What to do about a result of the wrong shape; "" where nothing is known."""
    points, S = x.shape[:-1], operator.coordinates
    if operator.kind == "scalar":
        return "; sum and squeeze over the last axis only, .sum(-1), .squeeze(-1)" if y.dim() == 0 else ""
    if y.shape in (points, (*points, 1)):
        return "; that is a scalar: give -o laplacian"
    if S is not None and y.shape[:-1] == points:
        return f"; it needs an output for each of the coordinates {'+'.join(map(str, S))}"
    if y.dim() == 2 and y.shape == x.shape[::-1]:
        return "; transpose it, .T"
    if y.shape[:-1] == points:
        return "; with more or fewer outputs give those to add up, -o divergence:coordinates=0+1"
    return "; give it the shape of x" if y.numel() == x.numel() else ""


def _places(some: Tensor) -> tuple[list[int], list[int]]:
    """The rows of the batch whose arguments go with those of `_probes`."""
    last = len(some) - 1
    tail = [0] if len(some) == 2 else []
    return [0, min(1, last), *tail], [0, last, *tail]


def _probes(some: Tensor) -> tuple[Tensor, Tensor]:
    """Two or three rows, another number of them than the batch has, and the same but for row 1.

    Row 1 becomes a row of the batch where it has another; else a point near the middle of things.
    """
    first, second = some[0], some[min(1, len(some) - 1)]
    other = some[2] if len(some) == 3 else first
    if torch.equal(second, other):
        other = second / 4 + 1 / 13
    tail = [first] if len(some) == 2 else []
    return torch.stack([first, second, *tail]), torch.stack([first, other, *tail])


def _alike(a: Tensor, b: Tensor, atol: float = 0.0) -> bool:
    """Whether two rows are the same but for rounding: to half the digits of their dtype, of numbers of size `floor` at
    least."""
    wide, other = a.cpu().double(), b.cpu().double()
    size = float(wide[wide.isfinite()].abs().amax()) if wide.isfinite().any() else 0.0
    tolerance = math.sqrt(torch.finfo(a.dtype).eps) * max(size, atol)
    return torch.allclose(wide, other, rtol=0, atol=tolerance, equal_nan=True)


def _random(f: Function) -> str:
    if layer := random(f):
        return f"{layer} is in training mode: call .eval() on it"
    return "draw no random numbers in it; functional.dropout has training=True unless told"


def _mixing(f: Function) -> str:
    if layer := mixing(f):
        return f"{layer} is in training mode, where it mixes the rows of x: call .eval() on it"
    return "each row must be f of that row alone: look for a sum, mean or softmax over dim 0, or for x.shape[0]"


def _text(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
