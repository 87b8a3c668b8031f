"""Further arguments of a row-wise function f(x, *args): a tensor that is as long as x has rows goes with the rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.errors import UsageError


def taken(args: tuple[Any, ...], batch: int, rows: Sequence[int]) -> tuple[Any, ...]:
    """The arguments of some rows of x, by their numbers, where x has `batch` rows."""
    return tuple(arg[list(rows)] if _is_of_rows(arg, batch) else arg for arg in args)


def _is_of_rows(arg: object, batch: int) -> bool:
    return isinstance(arg, Tensor) and arg.dim() > 0 and len(arg) == batch


def required(function: Callable[..., Any]) -> list[str]:
    """Names of the parameters that a call must give, x first; none where nobody knows, as in C."""
    called = function.forward if isinstance(function, torch.nn.Module) else function
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.kind not in kinds and p.default is p.empty]


def check_alone(function: Callable[..., Any], name: str) -> None:
    """Refuse a function that needs more than x, of which nobody says where it comes from.

    Raises:
        UsageError: It needs more; names what, and says how to give it.
    """
    x, *more = required(function) or [""]
    if more:
        example = " ".join("rng.uniform(0, 1, (batch, 1))," for _ in more)
        raise UsageError(
            f"{name} takes {', '.join(more)} beside {x}: say what they are, "
            f"@problem(arguments=lambda n, batch, rng: ({example})), or bind them in a function of {x} alone"
        )
