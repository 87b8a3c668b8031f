"""Who follows what is done here, by what torch does not tell in public: transforms of torch.func, modes, tracers.

A compiler is asked for by `torch.compiler.is_compiling`, a graph that is being captured by `graphs.is_capturing`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack


def is_transformed() -> bool:
    """Whether a transform of torch.func is around, so that tensors may be wrapped: batched, tracked or dual.

    Its stack of interpreters tells the same, but to a compiler, which takes it for never empty.
    """
    return torch._C._are_functorch_transforms_active()


def is_wrapped(tensor: Tensor) -> bool:
    """Whether a tensor is one of a transform's: batched, tracked or dual."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def has_modes() -> bool:
    """Whether a mode sees every operation, as that of fake tensors does."""
    return bool(_get_current_dispatch_mode_stack())


def is_proxied() -> bool:
    """Whether operations are written down as a graph of torch.fx."""
    return get_proxy_mode() is not None
