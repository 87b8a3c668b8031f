"""What points are, and points that autograd takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes

from jacstrat.core.errors import ShapeError, UsageError
from jacstrat.graphs import is_capturing
from jacstrat.trace.quiet import UNCHANGED, without_fallback_warnings
from jacstrat.trace.tracers import has_function_modes, has_modes, is_recorded, is_transformed, outside_hooks


def check_tensor(x: object) -> None:
    """Refuse what is no tensor, or one that torch.jit.trace follows, to which sizes are tensors, too."""
    if not isinstance(x, Tensor):
        remedy = "; use torch.from_numpy(x)" if type(x).__module__ == "numpy" else ""
        raise UsageError(f"x must be a torch.Tensor, got {type(x).__name__}{remedy}")
    if x.layout != torch.strided:
        raise UsageError(f"x must be dense, got layout {x.layout}; use x.to_dense()")
    if x.is_nested:
        raise UsageError("x must be dense, got a nested tensor; use torch.nested.to_padded_tensor(x, 0.0)")
    if is_recorded():
        raise UsageError("torch.jit.trace records no derivatives; use torch.export.export")


def check_function(f: object) -> None:
    """Refuse what cannot be called."""
    if not callable(f):
        raise UsageError(f"f must be a function of x, got {type(f).__name__}")


def check_args(args: object) -> None:
    """Refuse further arguments that are no tuple: a tensor would be taken for its rows."""
    if not isinstance(args, tuple | list):
        raise UsageError(f"args must be a tuple of f's further arguments, got {type(args).__name__}; write args=(t,)")


def check_event_dim(event_dim: object) -> None:
    """Refuse a number of axes that is no whole number of at least 1."""
    if type(event_dim) is not int or event_dim < 1:
        raise UsageError(f"event_dim must be a whole number of at least 1, got {event_dim!r}; leave it out for 1")


def check_generator(generator: object) -> None:
    """Refuse a source of random numbers that is none of torch's."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise UsageError(
            f"generator must be a torch.Generator, got {type(generator).__name__}; "
            "write torch.Generator().manual_seed(3)"
        )


def check_points(x: Tensor, may_have_axes: bool = False) -> None:
    """Refuse what is no point (n,) or batch of points (B, n) of real floating-point numbers.

    Args:
        x: As it was given.
        may_have_axes: The caller has an `event_dim`, by which points may have several axes.
    """
    check_tensor(x)
    if not x.is_floating_point():
        raise UsageError(f"x must be real and floating-point, got {x.dtype}; use x.double()")
    if x.dim() not in (1, 2) or x.shape[-1] == 0:
        axes = x.dim() - 1
        remedy = ""
        if axes > 1:
            remedy = (
                f"; for points of {axes} axes give event_dim={axes}"
                if may_have_axes
                else ("; for points of several axes give f of x.flatten(1), which it brings into its shape")
            )
        raise ShapeError(f"x must be a point (n,) or points (B, n) with n >= 1, got shape {tuple(x.shape)}{remedy}")


# Where a call stands: on its own; in a transform of torch.func, where nothing can be traced or timed; or followed by a
# compiler, a tracer, a graph being captured, or another mode, which would take in every operation beside the result's.
CallScope = Literal["free", "transformed", "followed"]


def place_of(x: Tensor) -> CallScope:
    """Where a call at x stands."""
    if torch.compiler.is_compiling() or is_capturing() or isinstance(x, FakeTensor):
        return "followed"
    if has_modes() or has_function_modes():
        return "followed"
    return "transformed" if is_transformed() else "free"


def outside_inference_mode() -> AbstractContextManager[None]:
    """Derivatives need autograd, which inference mode turns off altogether; no_grad is enough to stay untracked."""
    return _outside_inference_mode() if torch.is_inference_mode_enabled() else UNCHANGED


@contextmanager
def _outside_inference_mode() -> Iterator[None]:
    with torch.inference_mode(False), torch.no_grad():
        yield


@contextmanager
def beside_the_result() -> Iterator[None]:
    """Where something is found out about f: no graph that the caller records, nor a checkpoint around, is to see it."""
    with outside_inference_mode(), outside_hooks():
        if torch.compiler.is_compiling():
            yield
            return
        with without_fallback_warnings():
            yield


@contextmanager
def outside_transforms() -> Iterator[None]:
    """Where tensors are made that outlive a call: modes and transforms around it would leave some of theirs."""
    if torch.compiler.is_compiling():
        yield
        return
    with torch.inference_mode(False), _disable_current_modes(), temporarily_clear_interpreter_stack():
        yield


def usable(x: Tensor) -> Tensor:
    """x, or a copy where autograd would refuse it, made in inference mode, or where its entries share memory."""
    if not torch.compiler.is_compiling() and x.is_inference():
        with torch.inference_mode(False):
            return x.clone()
    return x.contiguous() if has_overlap(x) else x


def has_overlap(x: Tensor) -> bool:
    """Whether entries of x share memory, as those that were expanded, or windows along a line that overlap do.

    Forward mode lays a tangent out as x is, so that entries of the tangent would share memory, too.
    """
    if x.is_contiguous():
        return False
    extent = 0  # of the axes with smaller strides
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size > 1:
            if stride <= extent:
                return True
            extent += stride * (size - 1)
    return False
