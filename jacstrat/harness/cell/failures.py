"""What an exception comes to as the status of a case."""

from __future__ import annotations

import torch

from jacstrat.core.errors import (
    CrashedError,
    JacstratError,
    MissingError,
    UnsupportedError,
    WrongResultError,
    in_words,
    message_of,
)
from jacstrat.core.status import Status
from jacstrat.measure.context import ContextLostError, is_lost
from jacstrat.torch_errors import is_not_implemented, is_out_of_memory


def failure(error: BaseException) -> tuple[Status, str]:
    """The status of an exception, and its message on one line."""
    text = message_of(error)
    if isinstance(error, UnsupportedError):
        return "unsupported", text
    if isinstance(error, WrongResultError):
        return "wrong", text
    if isinstance(error, MissingError):
        return "skipped", text
    if isinstance(error, CrashedError):
        return "crashed", text
    if is_out_of_memory(error):
        return "oom", text
    if is_not_implemented(error):
        return "unsupported", text
    return "error", text if isinstance(error, JacstratError) else f"{type(error).__name__}: {text}"


def failure_on(device: str, error: BaseException) -> tuple[Status, str]:
    """`failure`, of work on a device.

    Raises:
        ContextLostError: The device is lost to this process.
    """
    if is_lost(torch.device(device)):
        raise ContextLostError(in_words(error)) from error
    return failure(error)
