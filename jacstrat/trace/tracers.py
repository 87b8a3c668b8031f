"""Who follows what is done here, by what torch does not tell in public: transforms, modes, tracers, hooks.

A compiler is asked for by `torch.compiler.is_compiling`, a graph that is being captured by `graphs.is_capturing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from operator import call
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._device import DeviceContext
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


class Watch(TorchFunctionMode):
    """A mode of this package's own, under which a call may do as without it."""


def has_function_modes() -> bool:
    """Whether a mode of the caller's sees every call of torch's functions, and may change what they do.

    One that says where tensors are made is none; see `default_device`.
    """
    return not all(isinstance(one, Watch | DeviceContext) for one in function_modes())


def default_device() -> torch.device | None:
    """Where tensors are made for which nobody says; None where nobody has said so for any."""
    return next((one.device for one in reversed(function_modes()) if isinstance(one, DeviceContext)), None)


def function_modes() -> list[TorchFunctionMode]:
    """All modes that see calls of torch's functions, this package's own among them; the innermost last."""
    return _get_current_function_mode_stack() if torch._C._len_torch_function_stack() else []


def is_recorded() -> bool:
    """Whether operations are written down by torch.jit.trace."""
    return torch.jit.is_tracing()  # type: ignore[attr-defined]


def is_exported() -> bool:
    """Whether torch.export follows, under which torch's own vmap fails."""
    return torch.compiler.is_exporting()


def is_proxied() -> bool:
    """Whether operations are written down as a graph of torch.fx."""
    return get_proxy_mode() is not None


_taped: ContextVar[bool] = ContextVar("_taped", default=False)


def is_taped() -> bool:
    """Whether operations are written down on a tape of this package's own."""
    return _taped.get()


@contextmanager
def taping() -> Iterator[None]:
    """Where operations are written down on a tape."""
    token = _taped.set(True)
    try:
        yield
    finally:
        _taped.reset(token)


_set_aside: ContextVar[bool] = ContextVar("_set_aside", default=False)


def has_hooks() -> bool:
    """Whether hooks are around on what graphs save, as a checkpoint has them; also where they are set aside."""
    if torch.compiler.is_compiling() or is_transformed():  # where there can be none
        return False
    return _set_aside.get() or _innermost() is not None


def _innermost() -> Any:
    return torch._C._autograd._top_saved_tensors_default_hooks(True)


def is_alone() -> bool:
    """Whether nobody at all follows what is done here: no compiler, transform, mode, tracer, hook or cast; 1 us."""
    return not (torch.compiler.is_compiling() or any(map(call, _FOLLOWERS)))


# What asks for each of these, a compiler apart: one loop in C, since a direct call asks each time.
_FOLLOWERS: tuple[Callable[[], Any], ...] = (
    torch._C._len_torch_function_stack,
    torch._C._len_torch_dispatch_stack,
    torch._C._are_functorch_transforms_active,
    torch._C._is_tracing,
    torch._C._is_any_autocast_enabled,
    partial(torch._C._autograd._top_saved_tensors_default_hooks, True),
    _set_aside.get,
)


@contextmanager
def outside_hooks() -> Iterator[None]:
    """Hooks on what graphs save set aside: a checkpoint counts that, and whoever goes back in it fails."""
    if not has_hooks():
        yield
        return
    autograd, hooks, token = torch._C._autograd, [], _set_aside.set(True)
    while (pair := _innermost()) is not None:
        hooks.append(pair)
        autograd._pop_saved_tensors_default_hooks()
    try:
        yield
    finally:
        _set_aside.reset(token)
        for pack, unpack in reversed(hooks):
            autograd._push_saved_tensors_default_hooks(pack, unpack)
