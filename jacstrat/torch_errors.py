"""What torch's errors mean where their types do not tell: the one place that reads these words of torch's."""

from __future__ import annotations

import torch
import torch.utils.checkpoint

from jacstrat.core.errors import MOST_SEARCHED, message_of


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was not enough memory: on the CPU torch raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in message_of(error, MOST_SEARCHED)


def is_no_error(error: BaseException) -> bool:
    """Whether a checkpoint around has all that it wants, and ends what it computes again."""
    return isinstance(error, getattr(torch.utils.checkpoint, "_StopRecomputationError", ()))


def is_not_implemented(error: BaseException) -> bool:
    """Whether an operation does not exist in a dtype, which torch says as in "'sqrt' not implemented for 'Half'"."""
    return isinstance(error, RuntimeError) and "not implemented for '" in message_of(error, MOST_SEARCHED)
