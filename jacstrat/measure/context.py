"""Whether a device still does what this process asks of it."""

from __future__ import annotations

import torch

from jacstrat.core.errors import JacstratError


class ContextLostError(JacstratError):
    """This process can do nothing more on its device: only another process can; the message says what ended it."""


def is_lost(device: torch.device) -> bool:
    """Whether the process's context on the device has ended, as by an illegal access, an assert or an ECC error.

    Whatever is asked of the device then fails, with the error that ended it: so it is asked for a sum. What an error
    says differs with the driver, and is not looked at. Memory that has run out comes back.
    """
    if device.type in ("cpu", "meta"):
        return False
    try:
        torch.accelerator.synchronize(device)
        torch.zeros(1, device=device).add_(1)
        torch.accelerator.synchronize(device)
    except torch.OutOfMemoryError:
        return False
    except RuntimeError:
        return True
    return False
