"""Forward mode by torch.func, one thread at a time: torch has one level of tangents for the process, and not a thread.

Where two threads are in it, tangents of one are dropped as the other leaves, and results are wrong without a word. What
a caller's threads do in forward mode by themselves is not seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import RLock
from typing import Any

import torch

# Of this process; entered again by a product of a product, and by an operator in the function of another.
_TURN = RLock()


def _renew() -> None:
    """Another thread may have been in forward mode while this process was forked, and will never leave it here."""
    global _TURN
    _TURN = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


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
        with _TURN:
            return transformed(*args)

    return call
