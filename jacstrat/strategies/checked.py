"""f as strategies call it: the shape of each result checked, by kernels that can be differentiated twice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from jacstrat.errors import ShapeError, UsageError

Function = Callable[[Tensor], Tensor]


def checked(f: Function, operator: str) -> Function:
    """f, with the shape of each result checked against that of x; of a compiled module its eager form.

    Raises, when called:
        ShapeError: f(x) has a shape that does not fit; names the shapes and the likely cause.
        UsageError: f(x) is complex.
    """
    scalar = operator == "laplacian"
    kind = "scalar" if scalar else "field"
    f = eager(f)

    def function(x: Tensor) -> Tensor:
        y = f(x)
        if not isinstance(y, Tensor):
            raise ShapeError(f"the {kind} must return one tensor, got {type(y).__name__}; return its one output")
        expected = x.shape[:-1] if scalar else x.shape
        if y.shape != expected:
            remedy = _remedy(y.shape, expected, x.shape, scalar)
            raise ShapeError(f"the {kind} must map {tuple(x.shape)} to {tuple(expected)}, got {tuple(y.shape)}{remedy}")
        if y.is_complex():
            raise UsageError(
                f"f returns complex numbers, {y.dtype}; take its parts each by itself: "
                "lambda x: f(x).real and lambda x: f(x).imag"
            )
        return y

    # As functools.wraps leaves it: what this is a wrapping of.
    function.__wrapped__ = f  # type: ignore[attr-defined]
    return function


def _remedy(shape: torch.Size, expected: torch.Size, points: torch.Size, scalar: bool) -> str:
    if scalar and shape == (*expected, 1):
        return "; squeeze its last axis"
    if len(points) == 2 and shape == (() if scalar else points[-1:]):
        return "; if f takes one point and not a batch, give torch.func.vmap(f)"
    return ""


def eager(f: Function) -> Function:
    """f as it was before torch.compile, or before `module.compile()`: these programs can be differentiated once."""
    if "torch._dynamo" not in sys.modules:
        return f
    # The module first: what stands beside it is its `forward`, without hooks.
    f = getattr(f, "_orig_mod", None) or getattr(f, "_torchdynamo_orig_callable", None) or f
    if isinstance(f, torch.nn.Module) and f._compiled_call_impl is not None:
        return f._call_impl
    return f


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention by products and a softmax: no fused kernel can be differentiated twice, or forward, or be batched.

    The switches are torch's for scaled_dot_product_attention, and as before when this ends.
    """
    if torch.compiler.is_compiling():
        yield
        return
    backends = torch.backends.cuda
    before = [getattr(backends, f"{name}_sdp_enabled")() for name in _FUSED]
    try:
        for name in _FUSED:
            getattr(backends, f"enable_{name}_sdp")(False)
        yield
    finally:
        for name, was in zip(_FUSED, before, strict=True):
            getattr(backends, f"enable_{name}_sdp")(was)


_FUSED = ("flash", "mem_efficient", "cudnn")
