"""What a program stores, since many would compute it again.

TorchInductor writes what it reads of a function of each entry into the kernels that read it. A factor that is the same
along other axes, as s'(z) (B, h) of tangents (K, B, h), is computed anew for each of the K then: an erfc or a cosine
a tangent in the place of a product. What takes more than sums and products is stored before it is broadcast.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.fx import Graph, Node

from jacstrat.trace.operations import is_pointwise, only_moves

aten = torch.ops.aten

# What a kernel may do again for each entry: it takes no longer than to read a number.
_CHEAP_NAMES = """
    add sub rsub mul neg abs square where maximum minimum clamp clamp_min clamp_max relu sign fma addcmul
    eq ne lt le gt ge logical_and logical_or logical_not bitwise_and bitwise_or bitwise_not
    clone _to_copy convert_element_type full scalar_tensor
"""
_CHEAP = frozenset(_CHEAP_NAMES.split())
# So many times more entries are worth a buffer.
LEAST = 2


def store_before_broadcast(graph: Graph) -> None:
    """A pass over a graph that TorchInductor is about to lower, forward or backward."""
    for node in dict.fromkeys(_repeated(graph)):
        _store(graph, node)


def _repeated(graph: Graph) -> Iterator[Node]:
    """Nodes that would be computed for entries of larger ones again, and take long."""
    costly: set[Node] = set()
    for node in graph.nodes:
        if _is_view(node):
            if _source(node) in costly:
                costly.add(node)
        elif node.op == "call_function" and is_pointwise(node.target) and (numel := _numel(node)) is not None:
            for source in map(_source, node.all_input_nodes):
                if source in costly and numel >= LEAST * max(_numel(source) or 0, 1):
                    costly.discard(source)
                    yield source
            if node.target._opname not in _CHEAP or any(_source(one) in costly for one in node.all_input_nodes):
                costly.add(node)


def _source(node: Node) -> Node:
    """What a view is one of."""
    while _is_view(node):
        node = node.args[0]  # type: ignore[assignment]
    return node


def _is_view(node: Node) -> bool:
    return node.op == "call_function" and only_moves(node.target)


def _numel(node: Node) -> int | None:
    value = node.meta.get("val")
    return value.numel() if isinstance(value, Tensor) and all(type(size) is int for size in value.shape) else None


def _store(graph: Graph, node: Node) -> None:
    """Have a value stored, by an operation that needs it in memory and does nothing."""
    value = node.meta["val"]
    with graph.inserting_after(node):
        stored = graph.call_function(aten.as_strided.default, (node, list(value.shape), list(value.stride())))
    stored.meta = dict(node.meta)
    node.replace_all_uses_with(stored, delete_user_cb=lambda user: user is not stored)
