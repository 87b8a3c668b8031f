"""A tape in which axes of the points that a view merged into one are apart again.

torch records a layer on values (B, tokens, d) as a view (B tokens, d), a product of matrices and a view back, and
functions of particles are written so. On the merged axis what is the same at every point, as are the tangents behind
a first layer, would be repeated for each, and supports would be as long as the batch. Here such a layer is `linear`, a
function of each entry is done as it is, and a view that changes nothing is none.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from jacstrat.trace.operations import AtenKind, is_pointwise, operation_of
from jacstrat.trace.tape import Node, Slot, Tape, leaves

aten = torch.ops.aten

# What gives a tensor as it is, if its shape stays.
_SAME = (aten.alias.default, aten.expand.default)
_TRANSPOSES = (aten.t.default, aten.transpose.int)


def unmerged(tape: Tape, shape: torch.Size) -> Tape:
    """The tape with merged axes apart, for points of this shape."""
    writer = _Writer(tape, shape)
    for node in tape.nodes:
        writer.add(node)
    output = writer.as_recorded(tape.output) if isinstance(tape.output, int) else tape.output
    return replace(tape, nodes=tuple(writer.nodes), size=writer.size, output=output)


class _Writer:
    """Writes the nodes of another tape, and knows of each of its slots where and in which shape it is now."""

    def __init__(self, tape: Tape, shape: torch.Size) -> None:
        self.size = tape.size
        self.nodes: list[Node] = []
        self.varying = {0}
        # By slot of the recording: its shape there, the slot that holds its numbers, and the shape that this one has.
        self.recorded: dict[int, torch.Size] = {0: shape}
        self.places: dict[int, int] = {}
        self.shapes: dict[int, torch.Size] = {0: shape}
        self._weights: dict[int, Any] = {}
        self._views: dict[tuple[int, torch.Size], int] = {}

    def add(self, node: Node) -> None:
        """Write a node, or what does the same."""
        outs = [slot for slot in node.outs if slot is not None]
        if self.varying.intersection(node.slots):
            self.varying.update(outs)
        self.recorded.update(_shapes(node))
        if node.op in _TRANSPOSES and node.args[1:] in ((), (0, 1), (-2, -1), (1, 0), (-1, -2)):
            self._weights.update(dict.fromkeys(outs, node.args[0]))
        if self._is_handed_on(node):
            return
        node = self._split(node)
        self._write(self._apart(node) or self._merged(node))

    def as_recorded(self, slot: int) -> int:
        """The slot that has the numbers of one in the shape of the recording, by a view where there is none."""
        place = self.places.get(slot, slot)
        shape = self.recorded.get(slot)
        if shape is None or self.shapes.get(place, shape) == shape:
            return place
        if (place, shape) not in self._views:
            self._views[place, shape] = self._new()
            self._write(_node(aten.view.default, (Slot(place), list(shape)), self._views[place, shape], shape))
        return self._views[place, shape]

    def _write(self, node: Node) -> None:
        self.shapes.update(
            {slot: shape for slot, shape in zip(node.outs, node.shapes, strict=True) if slot is not None}
        )
        self.nodes.append(node)

    def _new(self) -> int:
        self.size += 1
        return self.size - 1

    def _place(self, tree: Any) -> tuple[int, torch.Size] | None:
        """Where the numbers of an argument that depends on x are, and in which shape."""
        if not isinstance(tree, Slot) or tree.index not in self.varying:
            return None
        place = self.places.get(tree.index, tree.index)
        return place, self.shapes[place]

    def _is_handed_on(self, node: Node) -> bool:
        """Whether a node does nothing to numbers, but to give the axes before the last as one, or as they were."""
        is_view = _is_view(node.op)
        if node.is_cut or not (is_view or node.op in _SAME) or (found := self._place(node.args[0])) is None:
            return False
        (place, shape), new = found, node.shapes[0]
        is_same = new == (shape if is_view else self.recorded[node.args[0].index])
        if not is_same and not (is_view and _is_merged(shape, new)):
            return False
        self.places.update(dict.fromkeys(_shapes(node), place))
        return True

    def _split(self, node: Node) -> Node:
        """A view that splits points and merges the first part with their axis, as one that does not merge."""
        found = self._place(node.args[0]) if not node.is_cut and _is_view(node.op) else None
        if found is None or len(node.shapes[0]) != 2 or len(self.recorded[0]) != 2:
            return node
        (_, shape), points, (rows, width) = found, self.recorded[0][0], node.shapes[0]
        if len(shape) < 2 or shape[0] != points or rows == points or points == 0 or rows % points:
            return node
        new = torch.Size((points, rows // points, width))
        return replace(node, args=(node.args[0], list(new)), shapes=(new,))

    def _apart(self, node: Node) -> Node | None:
        """The node on values whose axes are apart; None where it needs them as they were recorded."""
        folded = [found for leaf in leaves(node.args) if (found := self._place(leaf)) and self._is_folded(leaf)]
        if not folded or node.is_cut or len(node.outs) != 1 or node.outs[0] is None:
            return None
        shape = folded[0][1]
        if (layer := self._layer(node)) is not None:
            return layer
        tensors = [leaf for leaf in leaves((node.args, *node.kwargs.values())) if isinstance(leaf, (Slot, Tensor))]
        if not is_pointwise(node.op) or not all(self._fits(one, shape, node.shapes[0]) for one in tensors):
            return None
        return replace(self._placed(node), shapes=(shape,))

    def _layer(self, node: Node) -> Node | None:
        """A product with weights, as a layer."""
        if node.op is aten.mm.default:
            bias, (v, factor) = None, node.args
        elif node.op is aten.addmm.default and all(one == 1 for one in node.kwargs.values()):
            bias, v, factor = node.args
        else:
            return None
        (out,) = node.outs
        if out is None or not self._is_folded(v) or any(self._place(one) for one in (bias, factor)):
            return None
        width = node.shapes[0][-1]
        if bias is not None and self._shape(bias) != (width,):
            return None
        place, shape = self._place(v) or (0, torch.Size())
        new = torch.Size((*shape[:-1], width))
        return _node(aten.linear.default, (Slot(place), self._turned(factor), bias), out, new)

    def _turned(self, factor: Any) -> Any:
        """The weights of a layer from those of a product."""
        if isinstance(factor, Slot) and factor.index in self._weights:
            return self._weights[factor.index]
        turned = self._new()
        self._write(_node(aten.t.default, (factor,), turned, torch.Size(reversed(self._shape(factor)))))
        return Slot(turned)

    def _shape(self, tensor: Slot | Tensor) -> Any:
        return tensor.shape if isinstance(tensor, Tensor) else self.recorded.get(tensor.index)

    def _is_folded(self, leaf: Any) -> bool:
        found = self._place(leaf)
        return found is not None and found[1] != self.recorded[leaf.index]

    def _fits(self, tensor: Slot | Tensor, shape: torch.Size, recorded: torch.Size) -> bool:
        """Whether a tensor stands to axes apart as it does to those that were recorded."""
        if self._is_folded(tensor):
            found = self._place(tensor)
            return found is not None and found[1] == shape
        own = self._shape(tensor)
        return own is not None and len(own) <= 1 and len(recorded) == 2

    def _placed(self, node: Node) -> Node:
        return _with_slots(node, lambda slot: self.places.get(slot, slot))

    def _merged(self, node: Node) -> Node:
        # A view reads numbers in their order, whatever axes these are told by.
        return self._placed(node) if _is_view(node.op) else _with_slots(node, self.as_recorded)


def _shapes(node: Node) -> dict[int, torch.Size]:
    """Of what a node makes, by slot."""
    return {slot: shape for slot, shape in zip(node.outs, node.shapes, strict=True) if slot is not None}


def _is_view(op: Any) -> bool:
    operation = operation_of(op)
    return operation is not None and operation.kind is AtenKind.RESHAPES


def _is_merged(shape: torch.Size, new: torch.Size) -> bool:
    """Whether a view gives the axes before the last as one."""
    return len(shape) > 2 and len(new) == 2 and new[-1] == shape[-1] and new[0] == math.prod(shape[:-1])


def _with_slots(node: Node, place: Any) -> Node:
    def moved(tree: Any) -> Any:
        if isinstance(tree, Slot):
            return Slot(place(tree.index))
        return type(tree)(map(moved, tree)) if isinstance(tree, (tuple, list)) else tree

    return replace(node, args=moved(node.args), kwargs={key: moved(one) for key, one in node.kwargs.items()})


def _node(op: Any, args: tuple[Any, ...], out: int, shape: torch.Size) -> Node:
    return Node(op, args, {}, (out,), math.prod(shape), False, False, (shape,))
