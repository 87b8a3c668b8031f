"""A callable as a graph of ATen operations that a compiler takes: every tensor that it closes over is an input.

That makes parameters followed: a program is handed them at each call, as they are then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode

from jacstrat.core.errors import UnsupportedError
from jacstrat.trace.arguments import Args, Function, lifted, of_tensors
from jacstrat.trace.fx import fx_graph, random_operation
from jacstrat.trace.operations import AtenKind, operation_of
from jacstrat.trace.record import DETACHING


@dataclass(frozen=True, eq=False)
class Captured:
    """What a callable does at points of one shape.

    Fields:
        graph: A torch.fx.GraphModule, (x, *arguments, *tensors) -> result.
        tensors: What the callable closes over: parameters, buffers, constants.
    """

    graph: Any
    tensors: tuple[Tensor, ...]


def capture(evaluate: Function, x: Tensor, args: Args = ()) -> Captured:
    """The operations of evaluate(x, *args), derivatives and batching worked out, recorded at fake tensors like these.

    Raises:
        UnsupportedError: It draws random numbers, of which a program would draw others.
        Whatever it raises where it looks at the numbers of x.
    """
    with _CutNotes() as cuts:
        module = fx_graph(of_tensors(evaluate, lifted(args)), (x, *tensors_of(args)))
    if (operation := random_operation(module)) is not None:
        raise UnsupportedError(f"the function draws random numbers, by {operation}, at every call others")
    graph = module.graph
    for node in list(graph.nodes):
        # Autograd hands on what it keeps through a `detach`, which is no end of a derivative; one of f's own is.
        if node.target is torch.ops.aten.detach.default and node.name not in cuts.names:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    graph.eliminate_dead_code()
    tensors = _lifted(module)
    is_tracked = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, *tensors_of(args), *tensors))
    if x.device.type == "cpu" and not is_tracked:
        _store_copies(graph)
    module.recompile()
    return Captured(module, tensors)


def tensors_of(args: Args) -> list[Tensor]:
    """The tensors among further arguments, fractions as such."""
    return [arg for arg in lifted(args) if isinstance(arg, Tensor)]


def _lifted(module: Any) -> tuple[Tensor, ...]:
    """Turn the tensors that a graph has as attributes into inputs behind x; returns them in that order."""
    graph, tensors, inputs = module.graph, [], {}
    *_, last = (node for node in graph.nodes if node.op == "placeholder")
    for node in list(graph.nodes):
        tensor = getattr(module, node.target) if node.op == "get_attr" else None
        if not isinstance(tensor, Tensor):
            continue
        if isinstance(tensor, FakeTensor):
            raise UnsupportedError("the function keeps a tensor that it made while it was traced; call it once before")
        if node.target not in inputs:
            with graph.inserting_after(last):
                last = inputs[node.target] = graph.placeholder(node.name)
            last.meta = dict(node.meta)
            tensors.append(tensor)
        node.replace_all_uses_with(inputs[node.target])
        graph.erase_node(node)
    for name in inputs:
        delattr(module, name)
    return tuple(tensors)


def _store_copies(graph: Any) -> None:
    """Have the copies that are made of an input to turn it around stored, by an operation that needs them in memory.

    A compiler sees that a copy changes no number, and has every kernel read the input in the other order instead, at
    which those for a CPU fall back to one number at a time, in all that they do. Not where a gradient is wanted: the
    way back through `as_strided` is another copy for each.
    """
    aten = torch.ops.aten
    for node in list(graph.nodes):
        if node.target is not aten.clone.default:
            continue
        source = node.args[0]
        while source.op == "call_function" and _permutes(source.target):
            source = source.args[0]
        if source.op == "placeholder" and source is not node.args[0]:
            example = node.meta["val"]
            with graph.inserting_after(node):
                stored = graph.call_function(
                    aten.as_strided.default, (node, list(example.shape), list(example.stride()))
                )
            stored.meta = dict(node.meta)
            node.replace_all_uses_with(stored, delete_user_cb=lambda user, stored=stored: user is not stored)


def _permutes(op: Any) -> bool:
    operation = operation_of(op)
    return operation is not None and operation.kind is AtenKind.PERMUTES


class _CutNotes(TorchFunctionMode):
    """Notes which operations of the graph under way are detachments that the function asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in DETACHING or (nodes := _nodes()) is None:
            return func(*args, **(kwargs or {}))
        before = {node.name for node in nodes}
        out = func(*args, **(kwargs or {}))
        self.names.update(node.name for node in nodes if node.name not in before)
        return out


def _nodes() -> Any:
    """The operations recorded so far; None where nothing is being recorded."""
    from torch.fx.experimental.proxy_tensor import get_proxy_mode

    mode = get_proxy_mode()
    return None if mode is None else mode.tracer.graph.nodes
