"""Quiet while a function is traced: what torch logs of a trace that fails is told by the error, in a line.

And without a trace in autocast's cache, where casts of weights to tensors without numbers would stay for others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import torch

from jacstrat.trace.turn import TURN


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of torch's loggers, those that are made meanwhile apart, as long as this lasts.

    They are the process's, and so is what else a trace changes: one thread at a time.
    """
    with TURN:
        cached = torch.is_autocast_cache_enabled()
        loggers = [logging.getLogger("torch"), *_below("torch")]
        before = [logger.disabled for logger in loggers]
        try:
            for logger in loggers:
                logger.disabled = True
            torch.set_autocast_cache_enabled(False)
            yield
        finally:
            torch.set_autocast_cache_enabled(cached)
            for logger, was in zip(loggers, before, strict=True):
                logger.disabled = was


class without_fallback_warnings:  # noqa: N801 - called as a function is
    """No word of torch's that vmap has no rule for an operation: of what is tried, and not of what was asked for.

    Where warnings are errors torch writes a line of each to stderr.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = None if _is_quiet.get() else _is_quiet.set(True)
        if self._token is not None:
            _warn(False)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:  # as torch has it; it does not tell how it was
            _warn(True)
            _is_quiet.reset(self._token)


# What is entered where nothing is to be different.
UNCHANGED = nullcontext()
_is_quiet: ContextVar[bool] = ContextVar("_is_quiet", default=False)
_warn = torch._C._functorch._set_vmap_fallback_warning_enabled  # type: ignore[attr-defined]


def _below(name: str) -> Iterator[logging.Logger]:
    for one, logger in list(logging.Logger.manager.loggerDict.items()):
        if one.startswith(f"{name}.") and isinstance(logger, logging.Logger):
            yield logger
