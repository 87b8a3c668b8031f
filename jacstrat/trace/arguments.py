"""Further arguments of a row-wise function f(x, *args): which belong to the rows of x, and their parts.

A tensor whose first axis is as long as x has rows belongs to the rows, and goes with them where points are taken in
parts; everything else is passed as it is. For a single point all is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Tensor]
Args = tuple[Any, ...]
# Integers up to this are fractions without loss.
LARGEST = 2**53


def of_rows(x: Tensor, args: Args) -> tuple[bool, ...]:
    """Which of the arguments belong to the rows of x, (B, n)."""
    return tuple(x.dim() == 2 and isinstance(arg, Tensor) and arg.dim() > 0 and len(arg) == len(x) for arg in args)


def taken(x: Tensor, args: Args, rows: Any) -> Args:
    """The arguments of some rows of x: numbers of rows, or a slice."""
    return tuple(arg[rows] if goes else arg for arg, goes in zip(args, of_rows(x, args), strict=True))


def split(x: Tensor, args: Args, sizes: int | list[int]) -> list[Args]:
    """The arguments of x taken in parts of so many rows, as `x.split(sizes)` does."""
    parts = len(x.split(sizes))
    columns = [arg.split(sizes) if goes else (arg,) * parts for arg, goes in zip(args, of_rows(x, args), strict=True)]
    return list(zip(*columns, strict=True)) if columns else [()] * parts


def repeated(x: Tensor, args: Args, count: int) -> Args:
    """The arguments of x where its rows are taken `count` times, one copy of all after the other."""
    return tuple(
        arg.repeat(count, *(1,) * (arg.dim() - 1)) if goes else arg
        for arg, goes in zip(args, of_rows(x, args), strict=True)
    )


def bind(f: Function, args: Args) -> Callable[[Tensor], Tensor]:
    """f as a function of x alone, at these arguments."""
    return (lambda x: f(x, *args)) if args else f


def of_tensors(f: Function, args: Args) -> Function:
    """f as a function of x and of the tensors among these arguments; what is no tensor stays as it is."""
    is_tensor = [isinstance(arg, Tensor) for arg in args]

    def function(x: Tensor, *tensors: Tensor) -> Tensor:
        left = iter(tensors)
        return f(x, *(next(left) if goes else arg for arg, goes in zip(args, is_tensor, strict=True)))

    return function


def lifted(args: Args) -> Args:
    """The arguments with fractions as tensors, so that a recording holds for others: t changes at every step."""
    return tuple(torch.full((), arg, dtype=torch.float64, device="cpu") if type(arg) is float else arg for arg in args)


def as_fractions(args: Args) -> Args:
    """The arguments with whole numbers as fractions, which are tensors to a recording; () where one is too large."""
    if any(type(arg) is int and abs(arg) > LARGEST for arg in args):
        return ()
    return tuple(float(arg) if type(arg) is int else arg for arg in args)


def kinds(args: Args) -> tuple[Hashable, ...]:
    """What a recording bakes in of arguments: of tensors what they are and not their numbers, anything else itself.

    A fraction is the tensor that it is lifted to. An object that may change without a sign is another one each time.
    """
    return tuple(map(_kind, args))


_FRACTION = (torch.Size(), torch.float64, torch.device("cpu"))


def _kind(arg: Any) -> Hashable:
    if type(arg) is float:
        return _FRACTION
    if isinstance(arg, Tensor):
        return (arg.shape, arg.dtype, arg.device)
    return (type(arg), arg) if is_immutable(arg) else object()


def is_immutable(arg: object) -> bool:
    """Whether an argument is a value that cannot change."""
    return all(map(is_immutable, arg)) if type(arg) is tuple else type(arg) in _IMMUTABLE


def is_value(arg: object) -> bool:
    """Whether an argument is a tensor, whose numbers are an input, or cannot change: a recording holds for others."""
    return isinstance(arg, Tensor) or is_immutable(arg)


_IMMUTABLE = frozenset(
    (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size, torch.layout)
)
