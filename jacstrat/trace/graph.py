"""The graph of a function's operations, traced at points that have a shape and no values."""

from __future__ import annotations

from functools import cache
from itertools import compress
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from jacstrat.core.errors import ShapeError, message_of
from jacstrat.core.operator import Operator
from jacstrat.trace.arguments import Args, Function, lifted, of_rows, of_tensors
from jacstrat.trace.fake import fake_mode
from jacstrat.trace.fx import fx_graph, random_operation
from jacstrat.trace.tracers import is_transformed

# What a decomposition makes of elementary operations, beside those of the core set.
COMPOSED = (
    "addmm",
    "addmv",
    "addbmm",
    "baddbmm",
    "native_layer_norm",
    "native_group_norm",
    "native_group_norm_backward",
    "native_batch_norm",
    "native_batch_norm_backward",
)


class UntracedError(Exception):
    """The graph would not prove anything; the message says why."""


def traced(f: Function, x: Tensor, operator: Operator, args: Args = ()) -> GraphModule:
    """The aten operations of f at one point or two, or for the Laplacian those of its gradient.

    The points are a fake tensor: an operation that needs a value, as a branch on one does, raises. In-place operations
    become pure ones, and what is composed of elementary operations is taken apart.

    Args:
        f: Row-wise.
        x: Whose shape, dtype and device are taken.
        operator: Whose field it is.
        args: Further arguments of f, of which the shapes are taken likewise.

    Raises:
        ShapeError: f(x) has a shape that does not fit.
        UntracedError: f depends on values, draws random numbers, or has derivatives of its own making; says which.
    """
    if is_transformed():
        # What f closes over may be batched or tracked by a transform around, and is not seen to be here.
        raise UntracedError("it is called inside a torch.func transform; prepare outside of it")
    mode = fake_mode(allow_fallback_kernels=False)
    with mode:
        points = torch.empty(few(x), dtype=x.dtype, device=x.device)
    inputs, its = lifted(args), of_rows(x, args)
    goes = [isinstance(arg, Tensor) for arg in inputs]
    with mode:
        tensors = [
            torch.empty((len(points), *arg.shape[1:]) if mine else arg.shape, dtype=arg.dtype, device=arg.device)
            for arg, mine in compress(zip(inputs, its, strict=True), goes)
        ]

    try:
        with torch.inference_mode(False), torch.enable_grad():
            differentiated = _as_differentiated(_checked(of_tensors(f, inputs), operator), operator)
            graph = fx_graph(torch.func.functionalize(differentiated), (points, *tensors), _decompositions())
    except ShapeError:
        raise
    except Exception as error:
        raise UntracedError(_headline(error)) from error
    if (operation := random_operation(graph)) is not None:
        raise UntracedError(f"it draws random numbers: {operation}")
    return graph


def few(x: Tensor) -> tuple[int, ...]:
    """The shape of x with two rows at most, and one where it has none: rows are independent, and alike.

    Not always one, since f may squeeze a batch of one away.
    """
    return (min(max(len(x), 1), 2), x.shape[-1]) if x.dim() == 2 else (x.shape[-1],)


def _as_differentiated(f: Function, operator: Operator) -> Function:
    """What is traced, inside the transform that differentiates it.

    There f sees an x that requires grad; it may not change what it holds, which would raise before it was changed; nor
    may it call an autograd.Function, whose backward need not be the derivative of the forward that would be traced.
    """
    if operator.is_second:
        return lambda x, *args: torch.func.grad(lambda x: f(x, *args).sum())(x)
    return lambda x, *args: torch.func.vjp(lambda x: f(x, *args), x)[0]


def _checked(f: Function, operator: Operator) -> Function:
    """f, refused where the shape of its result is not the operator's."""

    def function(x: Tensor, *args: Tensor) -> Tensor:
        y = f(x, *args)
        operator.check_result(y, x.shape)
        if operator.kind == "scalar" and y.dim() == x.dim():
            raise ShapeError(f"the structure is that of one output, got {tuple(y.shape)}; give each by itself")
        return y

    return function


@cache
def _decompositions() -> dict[Any, Any]:
    from torch._decomp import core_aten_decompositions, get_decompositions

    composed = get_decompositions([getattr(torch.ops.aten, name) for name in COMPOSED])
    return {**core_aten_decompositions(), **composed}


def _headline(error: Exception) -> str:
    from torch._subclasses import fake_tensor

    if isinstance(error, fake_tensor.DataDependentOutputException | fake_tensor.DynamicOutputShapeException):
        return f"it depends on a value: {error.func}"
    text = message_of(error)
    if "custom_function_call" in text or "setup_context" in text:
        return "it has a derivative of its own making, an autograd.Function"
    return f"it cannot be traced: {type(error).__name__}: {text.split('. ')[0].removesuffix('.')[:200]}"
