"""f as strategies call it: the shape of each result checked, by kernels that can be differentiated twice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.trace.arguments import Function


def checked(f: Function, operator: Operator) -> Function:
    """f, called as f(x, *args), with the shape of each result checked against that of x; a compiled module as eager.

    Raises, when called:
        ShapeError: f(x) has a shape that does not fit; names the shapes and the likely cause.
    """
    f = eager(f)

    def function(x: Tensor, *args: Any) -> Tensor:
        y = f(x, *args)
        operator.check_result(y, x.shape)
        return y

    return wrapping(function, f)


def wrapping(function: Function, f: Function) -> Function:
    """A function, marked as one around f, as functools.wraps does: what is known of f serves it, too."""
    function.__wrapped__ = f  # type: ignore[attr-defined]
    return function


def eager(f: Function) -> Function:
    """f as it was before torch.compile, or before `module.compile()`: these programs can be differentiated once."""
    if "torch._dynamo" not in sys.modules:
        return f
    # The module first: what stands beside it is its `forward`, without hooks.
    f = getattr(f, "_orig_mod", None) or getattr(f, "_torchdynamo_orig_callable", None) or f
    if isinstance(f, torch.nn.Module) and f._compiled_call_impl is not None:
        return f._call_impl
    return f


# What enables fused kernels.
Switches = tuple[Callable[[bool], None], ...]


class plain_attention:  # noqa: N801 - called as a function is
    """Attention by products and a softmax: no fused kernel can be differentiated twice, or forward, or be batched.

    The switches are torch's for scaled_dot_product_attention, and as before when this ends. They are the process's, and
    of several threads the last to leave puts back what the first has found.
    """

    __slots__ = ("_own",)
    _turn: ClassVar[Lock] = Lock()
    _inside: ClassVar[int] = 0
    _before: ClassVar[Switches] = ()

    def __enter__(self) -> None:
        self._own: Switches | None = None
        if torch.compiler.is_compiling():
            return
        with self._turn:
            found = tuple([enable for is_enabled, enable in _FUSED if is_enabled()])
            for enable in found:
                enable(False)
            # Further in, what is on was switched on by f, for itself.
            if plain_attention._inside:
                self._own = found
            else:
                self._own, plain_attention._before = (), found
            plain_attention._inside += 1

    def __exit__(self, *_: object) -> None:
        if self._own is None:
            return
        with self._turn:
            plain_attention._inside -= 1
            for enable in self._own if plain_attention._inside else (*self._own, *self._before):
                enable(True)


# For each fused kernel, whether it is enabled, and what enables it.
_FUSED: list[tuple[Callable[[], bool], Callable[[bool], None]]] = [
    # What torch.backends.cuda has for it, without its layer of Python: this is around each call.
    (getattr(torch._C, f"_get_{name}_sdp_enabled"), getattr(torch._C, f"_set_sdp_use_{name}"))
    for name in ("flash", "mem_efficient", "cudnn")
]
