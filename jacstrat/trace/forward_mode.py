"""Forward mode by torch.func, one thread at a time: torch has one level of tangents for the process, and not a thread.

Where two threads are in it, tangents of one are dropped as the other leaves, and results are wrong without a word. What
a caller's threads do in forward mode by themselves is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from jacstrat.trace.turn import TURN


def jvp(function: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """torch.func.jvp: (function(*primals), the product of its Jacobian with the tangents)."""
    return _alone(torch.func.jvp)(function, primals, tangents)


def jacfwd(function: Callable[..., Any]) -> Callable[..., Any]:
    """torch.func.jacfwd: the Jacobian by its columns."""
    return _alone(torch.func.jacfwd(function))


def hessian(function: Callable[..., Any]) -> Callable[..., Any]:
    """torch.func.hessian: forward over reverse mode."""
    return _alone(torch.func.hessian(function))


def _alone(transformed: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        if torch.compiler.is_compiling():
            return transformed(*args)
        with TURN:
            return transformed(*args)

    return call
