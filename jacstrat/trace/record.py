"""Recording a function: once, on tensors that have shapes and no numbers, below autograd, operation by operation.

Tensors without numbers make it safe: what a function does with the numbers of x (a branch on them, a loop until they
converge, a call out of torch) cannot be recorded by mistake, it raises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import Function
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from jacstrat.core.errors import ShapeError
from jacstrat.trace.arguments import Args, lifted, of_tensors
from jacstrat.trace.decompositions import ALWAYS
from jacstrat.trace.fake import fake_mode
from jacstrat.trace.fills import FilledByTensors
from jacstrat.trace.operations import takes_shapes_only
from jacstrat.trace.quiet import quiet
from jacstrat.trace.rows import rows_apart
from jacstrat.trace.tape import Node, Slot, Tape
from jacstrat.trace.tracers import is_transformed, taping

# Rules and forward-mode derivatives exist for the plain form of attention, not for the fused ones.
_ATTENTION = SDPBackend.MATH


class Untraceable(Exception):  # noqa: N818 - it ends a recording, and is no fault
    """Why a function cannot be recorded, in one line."""


def record(
    f: Callable[..., Tensor], x: Tensor, args: Args = (), decompositions: Mapping[Any, Callable[..., Any]] | None = None
) -> Tape:
    """The operations of f at points of this shape, dtype and device.

    Args:
        f: Row-wise scalar or field.
        x: Points at which f is evaluated once; their numbers have no influence on the tape.
        args: Further arguments of f. Tensors and fractions among them are inputs of the tape, the rest is baked in.
        decompositions: Operations that are to be recorded as others, each with a function of the same arguments
            that does it, or gives NotImplemented.

    Returns:
        The tape, with what keeps f from being asked for a part of the rows of x, see `rows`.

    Raises:
        Untraceable: They cannot be had; says why. Whatever else f itself raises is a reason.
        ShapeError: The result of f has a shape that no way to its derivatives could serve.
    """
    if is_transformed():
        # Tensors reach the recording without what an outer transform follows them by.
        raise Untraceable("called inside a torch.func transform; prepare outside of it")
    try:
        # Once with numbers: what a module makes at its first call and keeps must not be a tensor of the recording.
        with torch.no_grad():
            f(x.detach(), *args)
        bound = rows_apart(f, x, args)
        args = lifted(args)
        with quiet(), taping():
            try:
                tape = _recorded(f, x, args, decompositions or {})
            except _MutationError:  # so that a write is an operation with a result, as all others
                tape = _recorded(_functional(f, args), x, args, decompositions or {})
        return replace(tape, bound=bound)
    except (Untraceable, ShapeError):
        raise
    except Exception as error:
        raise Untraceable(_line(error)) from error


def _functional(f: Callable[..., Tensor], args: Args) -> Callable[..., Tensor]:
    """f with writes as operations that have a result; what is no tensor is not seen by the transform."""

    def function(x: Tensor, *its_args: Any) -> Tensor:
        tensors = [one for one in its_args if isinstance(one, Tensor)]
        return torch.func.functionalize(of_tensors(f, its_args))(x, *tensors)

    return function


def _recorded(
    f: Callable[..., Tensor], x: Tensor, args: Args, decompositions: Mapping[Any, Callable[..., Any]]
) -> Tape:
    with torch.enable_grad(), fake_mode():
        points = torch.empty(x.shape, dtype=x.dtype, device=x.device, requires_grad=True)
        inputs_of_f = tuple(_like(arg) if isinstance(arg, Tensor) else arg for arg in args)
        inputs = [points, *(arg for arg in inputs_of_f if isinstance(arg, Tensor))]
        recorder, fills = _Recorder(inputs, {**ALWAYS, **decompositions}), FilledByTensors()
        with sdpa_kernel(_ATTENTION), recorder, _CutTeller(recorder), _functions_seen_by(recorder) as seen, fills:
            y = f(points, *inputs_of_f)
    if recorder.shared_write and recorder.wrote_past:
        # Made a write's result, it would be a constant: whether it was written past autograd can no longer be seen.
        raise Untraceable("it writes in place under torch.no_grad(), and into views or what it shares besides")
    if recorder.shared_write:
        raise _MutationError(recorder.shared_write)
    _refuse_unseen_functions(y, seen)
    output = recorder.slots.get(id(y))
    if output is None and isinstance(y, FakeTensor):
        raise Untraceable("its result was made out of sight of the recording")
    return Tape(tuple(recorder.nodes), recorder.size, y if output is None else output, arguments=len(inputs) - 1)


def _like(arg: Tensor) -> Tensor:
    return torch.empty(arg.shape, dtype=arg.dtype, device=arg.device, requires_grad=arg.requires_grad)


class _MutationError(Exception):
    """An operation that writes into one of its arguments."""


class _Recorder(TorchDispatchMode):
    """Writes down each operation that reaches ATen, and knows by identity the tensors that they made."""

    def __init__(self, inputs: list[Tensor], decompositions: Mapping[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self.decompositions = decompositions
        self.nodes: list[Node] = []
        self.slots: dict[int, int] = {id(one): number for number, one in enumerate(inputs)}
        self.size = len(inputs)
        self.alive: list[Tensor] = list(inputs)  # an identity is one only as long as its tensor lives
        self.resting = False
        self.cutting = False
        self.shared_write = ""  # a write into what others share, in words
        self.wrote_past = False  # a write under no_grad

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (same := self.decompositions.get(func)) and not self.resting:
            with self:
                out = same(*args, **(kwargs or {}))
            if out is not NotImplemented:
                return out
        is_write = func._schema.is_mutable and not self.resting and func.namespace != "prim"
        before = self._slot(args[0]) if is_write and args and isinstance(args[0], Tensor) else None
        out = func(*args, **(kwargs or {}))
        if not self.resting and func.namespace != "prim":
            if is_write:
                self.wrote_past |= not torch.is_grad_enabled()
                if (plain := self._out_of_place(func, args[0])) is None:
                    self.shared_write = f"{func} writes into its argument"
                    return out
                func = plain
            elif func is torch.ops.aten.detach.default and not self.cutting:
                func = torch.ops.aten.alias.default  # what autograd keeps for the way back, and no end of a derivative
            self.write(func, *_with_defaults(func, args, kwargs or {}), out)
            if is_write and not torch.is_grad_enabled():
                # What is written past autograd changes the numbers, and none of the derivatives.
                self._write_past(before, out)
        return out

    def _write_past(self, before: Any, out: Tensor) -> None:
        now = self.slots[id(out)]
        self.slots[id(out)] = self.size
        self.size += 1
        node = Node(revalued, (before, Slot(now)), {}, (self.size - 1,), out.numel(), False, False, (out.shape,))
        self.nodes.append(node)

    def write(self, op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """Note that op of these arguments gave `out`; without derivatives in a torch.no_grad block, among others."""
        args, kwargs = tree_map(self._slot, args), tree_map(self._slot, kwargs)
        is_tuple = isinstance(out, (tuple, list))
        outs = tuple(self._new_slot(tensor) for tensor in (out if is_tuple else (out,)))
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if any(tensor.is_complex() for tensor in outputs):
            raise Untraceable("it computes with complex numbers")
        is_cut = self.cutting or not torch.is_grad_enabled() or takes_shapes_only(op)
        is_cut = is_cut or not any(tensor.is_floating_point() for tensor in outputs)
        shapes = tuple(tensor.shape if isinstance(tensor, Tensor) else None for tensor in (out if is_tuple else (out,)))
        numel = max((t.numel() for t in outputs), default=0)
        self.nodes.append(Node(op, args, kwargs, outs, numel, is_tuple, is_cut, shapes))

    def _out_of_place(self, func: Any, target: Tensor) -> Any:
        """The operation that gives what func writes, whose result stands for the target; None where others share it."""
        name = func._schema.name.removeprefix("aten::")
        plain = getattr(getattr(torch.ops.aten, name.removesuffix("_"), None), func._overloadname, None)
        storage = target.untyped_storage()._cdata
        sharing = {id(tensor) for tensor in self.alive if tensor.untyped_storage()._cdata == storage}
        if plain is None or not name.endswith("_") or len(sharing) != 1 or id(target) not in self.slots:
            return None
        return plain

    def _new_slot(self, tensor: Any) -> int | None:
        if not isinstance(tensor, Tensor):
            return None
        self.alive.append(tensor)
        self.slots[id(tensor)] = self.size
        self.size += 1
        return self.size - 1

    def _slot(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if (index := self.slots.get(id(leaf))) is not None:
            return Slot(index)
        if isinstance(leaf, FakeTensor):
            raise Untraceable("it uses a tensor that was made out of sight of the recording")
        return leaf


def revalued(v: Tensor, numbers: Tensor) -> Tensor:
    """v with other numbers, written past autograd: its derivatives stay those of v."""
    return numbers.clone()


def _with_defaults(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """All positional arguments in their places, so that a rule finds each by its position."""
    kwargs = dict(kwargs)
    rest = [a for a in func._schema.arguments[len(args) :] if not a.kwarg_only]
    args = (*args, *(kwargs.pop(a.name, a.default_value) for a in rest))
    if func in (torch.ops.aten.slice.Tensor, torch.ops.aten.slice_scatter.default):
        # It may end at the largest integer there is, which overflows where it is batched.
        *front, axis, start, end, step = args
        size = front[0].shape[axis]
        args = (*front, axis, start and max(start, -size), None if end is None else min(max(end, -size), size), step)
    return args, kwargs


class _CutTeller(TorchFunctionMode):
    """Tells the recorder of what a function detaches; ATen's detach is also an alias that autograd makes for itself."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _READING:
            # A constant has numbers, which would be those of now for good, or, copied below the recording, no numbers.
            raise Untraceable(f"it reads the numbers of a tensor by {func.__name__}")
        if func not in DETACHING:
            return func(*args, **(kwargs or {}))
        self.recorder.cutting = True
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.recorder.cutting = False


_READING = {Tensor.numpy, Tensor.__array__, Tensor.tolist}
DETACHING = {Tensor.detach, torch.detach, Tensor.data.__get__}  # type: ignore[attr-defined]


@contextmanager
def _functions_seen_by(recorder: _Recorder) -> Iterator[set[Any]]:
    """Custom Functions, called as `Name.apply(...)`, recorded as one operation: their derivatives are their own.

    Gives the graph nodes of those seen.
    """
    original, thread = Function.__dict__["apply"], threading.get_ident()
    seen: set[Any] = set()

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        call = original.__get__(None, cls)
        if threading.get_ident() != thread or recorder.resting:
            return call(*args, **kwargs)
        recorder.resting = True
        try:
            out = call(*args, **kwargs)
        finally:
            recorder.resting = False
        recorder.write(call, args, kwargs, out)
        seen.update(leaf.grad_fn for leaf in tree_leaves(out) if isinstance(leaf, Tensor))
        return out

    Function.apply = classmethod(apply)  # type: ignore[method-assign,assignment]
    try:
        yield seen
    finally:
        Function.apply = original  # type: ignore[method-assign]


def _refuse_unseen_functions(y: Tensor, seen: set[Any]) -> None:
    """Raise where the graph of y has a custom Function that was not seen, as with `apply = Name.apply` at import."""
    queue, visited = [getattr(y, "grad_fn", None)], set()
    while queue:
        node = queue.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction) and node not in seen:
            raise Untraceable(f"it applies the custom Function {type(node).__name__.removesuffix('Backward')}")
        queue.extend(parent for parent, _ in node.next_functions)


def _line(error: Exception) -> str:
    """What ended a recording, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__
