"""A bias is added where the result of a product is read, and not by the product.

torch's addmm copies a bias into each row of the result on a CPU, and has the product added to it: one operation more,
and a pass over the rows by itself. A sum behind the product is a part of the kernel that bends it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import Graph, Node

from jacstrat.trace.operations import is_pointwise, only_moves

aten = torch.ops.aten

# Of half precision the product would be rounded once more before the bias is added.
_TYPES = (torch.float32, torch.float64)


def add_behind_products(graph: Graph) -> None:
    """A pass over a graph that TorchInductor is about to lower, behind its own, by which sums become a product's."""
    for node in graph.find_nodes(op="call_function", target=aten.addmm.default):
        bias, *factors = node.args
        # alpha and beta, of which there are none in a layer, and a matrix in the place of a bias are left.
        if node.kwargs or bias.meta["val"].dim() != 1 or not _is_served(node) or not all(map(_is_bent, node.users)):
            continue
        with graph.inserting_before(node):
            product = graph.call_function(aten.mm.default, tuple(factors))
            total = graph.call_function(aten.add.Tensor, (product, bias))
        product.meta, total.meta = dict(node.meta), dict(node.meta)
        node.replace_all_uses_with(total)
        graph.erase_node(node)


def _is_served(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.device.type == "cpu" and value.dtype in _TYPES


def _is_bent(user: Node) -> bool:
    """Whether a user is a kernel for entries, or a view that such alone have."""
    if user.op != "call_function":
        return False
    return all(map(_is_bent, user.users)) if only_moves(user.target) else is_pointwise(user.target)
