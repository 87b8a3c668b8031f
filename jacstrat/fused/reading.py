"""A tape read as a network, or why it is none.

A tensor of the tape is a form, a sum of factor W a over vectors a that are there already, as long as all that is done
to it is linear: a scaling of the input, a slice, a concatenation, the features before a layer fold into the layer's
matrix, and a vector is made where something else is done to it. What does not depend on x is an operand, made by torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from jacstrat.chain.affine import aten, is_copy, is_linear
from jacstrat.chain.discover import Opaque
from jacstrat.chain.maps import Map
from jacstrat.chain.reading import Reading, maker
from jacstrat.chain.values import Values, run
from jacstrat.fused.forms import Amount, Form, Forms, Operand, diagonal, scaled
from jacstrat.fused.network import Network, PointwiseVector, Product
from jacstrat.fused.pointwise import FORMULAS, RECIPROCAL, SQUARE
from jacstrat.trace import Node, Slot, bound, leaves
from jacstrat.trace.operations import AtenOperation, is_default, is_pointwise, operation_of

_SUMS = frozenset((aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar))
# Linear operations that put a number of their own into places.
_FILLS = frozenset((aten.constant_pad_nd.default,))


@dataclass(frozen=True, eq=False)
class ReadNetwork:
    """A tape as a network.

    Fields:
        network: Its vectors.
        operands: What makes each operand from tensors by slot.
        moving: Whether each is made of what f is given at a call, and not of what it holds alone.
    """

    network: Network
    operands: tuple[Operand, ...]
    moving: tuple[bool, ...]


def read(values: Values) -> ReadNetwork:
    """The network of a tape.

    Args:
        values: The tape at a sample; its output depends on x.

    Raises:
        Opaque: It is none; says why.
    """
    if not values.batch:
        raise Opaque("there are no points, by whose shapes it is read")
    reader = _Reader(values)
    for node in values.nodes:
        reader.follow(node)
    return ReadNetwork(*reader.vectors.pruned(reader.vector(values.output)))


def _name(op: Any) -> str:
    return str(op).removeprefix("aten.").removesuffix(".default")


class _Reader:
    """Forms of the tensors of a tape, by slot."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.batch = values.batch
        self.maps = Reading(values)
        self.like = values.sample[0].new_empty(())
        self.vectors = Forms(values.sample[0].shape[-1], values.sample, self.like)
        self.forms: dict[int, Form] = {0: self.vectors.point}
        self.maps.widths[0] = values.sample[0].shape[-1]

    def follow(self, node: Node) -> None:
        """Give the results of an operation their forms."""
        values = self.values
        outs = [(number, slot) for number, slot in enumerate(node.outs) if slot is not None]
        for number, slot in outs:
            if slot in values.varying:
                tensor = values.sample[slot]
                if tensor.numel() % self.batch:
                    raise Opaque(f"a tensor of shape {tuple(tensor.shape)} is no row for each point")
                self.maps.widths[slot] = tensor.numel() // self.batch
                self.forms[slot] = self._form(node, number, slot)
            elif slot in values.moving and values.varying.intersection(node.slots):
                raise Opaque(f"{_name(node.op)} takes numbers of x without their derivative")

    def vector(self, slot: int) -> int:
        """The vector that a tensor is, made where there is none yet."""
        self.forms[slot] = self.vectors.single(self.forms[slot])
        return self.forms[slot][0].source

    def _form(self, node: Node, number: int, slot: int) -> Form:
        op, args = node.op, node.args
        operation = operation_of(op)
        if operation is not None and operation.has_matrix and is_default(op):
            return self._layer(node, operation, slot)
        if is_linear(op):
            return self._moved(node, number, slot)
        if op in _SUMS:
            alpha = float(node.kwargs.get("alpha", args[2] if len(args) > 2 else 1))
            sign = 1.0 if op in (aten.add.Tensor, aten.add.Scalar) else -1.0
            return (*self._summand(args[0], slot), *scaled(self._summand(args[1], slot), sign * alpha))
        if op is aten.rsub.Scalar:
            return (*scaled(self.forms[args[0].index], -float(args[2])), *self._summand(args[1], slot))
        if op in (aten.mul.Tensor, aten.mul.Scalar):
            return self._product(args[0], args[1], slot)
        if op in (aten.div.Tensor, aten.div.Scalar):
            return self._quotient(args[0], args[1], slot)
        if op is aten.neg.default:
            return scaled(self.forms[args[0].index], -1.0)
        if is_copy(op):
            if self.values.sample[slot].dtype != self.like.dtype:
                raise Opaque("it changes the type of its numbers")
            return self.forms[args[0].index]
        return self._pointwise(node, number, slot)

    def _pointwise(self, node: Node, number: int, slot: int) -> Form:
        first, *others = node.args
        formula = None
        if node.op in FORMULAS and isinstance(first, Slot) and number == 0:
            if any(isinstance(leaf, Slot | Tensor) for leaf in leaves((others, *node.kwargs.values()))):
                raise Opaque(f"{_name(node.op)} has a parameter that is a tensor")
            formula = FORMULAS[node.op](*others, **node.kwargs)
        if formula is None:
            kind = "a pointwise function without a kernel" if is_pointwise(node.op) else "neither linear nor pointwise"
            raise Opaque(f"{_name(node.op)} is {kind}")
        return self.vectors.added(PointwiseVector(self.maps.widths[slot], self.vector(first.index), formula))

    def _layer(self, node: Node, operation: AtenOperation, slot: int) -> Form:
        """A product with a matrix of weights, with or without a summand."""
        op, args = node.op, node.args
        summand = None if operation.summand is None else args[operation.summand]
        left, right = operation.factors
        first, second = args[left.position], args[right.position]
        v, W = (second, first) if right.rank == 1 else (first, second)
        if not self._varies(v) or self._varies(W) or self._moves(W):
            raise Opaque(f"{_name(op)} has weights that depend on x or on an argument")
        if self.maps.widths[v.index] != self.values.sample[v.index].shape[-1]:
            raise Opaque(f"{_name(op)} acts on several rows of a point")
        is_turned = right.contracted == -2

        def make(environment: list[Any]) -> Map:
            M = bound(W, environment)
            M = M.mT if is_turned else M
            return Map(M.shape[0], M.shape[1], dense=M)

        form = scaled(self.vectors.mapped(self.forms[v.index], make), float(node.kwargs.get("alpha", 1)))
        if summand is None:
            return form
        return (*form, *scaled(self._summand(summand, slot), float(node.kwargs.get("beta", 1))))

    def _moved(self, node: Node, number: int, slot: int) -> Form:
        """What is done to axes and places, and sums of entries."""
        values = self.values
        reads = [leaf.index for leaf in leaves((node.args, *node.kwargs.values())) if isinstance(leaf, Slot)]
        taken = [
            taken_slot
            for taken_slot in dict.fromkeys(reads)
            if taken_slot in values.varying or taken_slot in values.moving
        ]
        form: Form = ()
        for taken_slot in taken:
            if self._varies(Slot(taken_slot)):
                source = self.forms[taken_slot]
            elif values.sample[taken_slot].is_floating_point():
                source = self._constant(itemgetter(taken_slot), values.sample[taken_slot].shape)
            else:
                raise Opaque(f"{_name(node.op)} has an index that depends on an argument")
            self.maps.widths[taken_slot] = self.vectors.width(source)
            make = maker(self.maps, node, taken_slot, number)
            form += source if make(values.sample).is_identity else self.vectors.mapped(source, make)
        return (*form, *self._shift(node, number, taken))

    def _shift(self, node: Node, number: int, taken: list[int]) -> Form:
        """What an operation gives where all that depends on x or on an argument is zero."""
        operands = [leaf for leaf in leaves((node.args, *node.kwargs.values())) if isinstance(leaf, Slot | Tensor)]
        operands = [leaf for leaf in operands if not (isinstance(leaf, Slot) and leaf.index in taken)]
        if node.op not in _FILLS and not operands:
            return ()
        shapes = {taken_slot: self.values.sample[taken_slot] for taken_slot in taken}
        like, batch = self.like, self.batch

        def rows(environment: list[Any]) -> Tensor:
            zeros = list(environment)
            for taken_slot, tensor in shapes.items():
                zeros[taken_slot] = like.new_zeros(tensor.shape)
            return run(node, zeros)[number].reshape(batch, -1)

        shift = rows(self.values.sample)
        if not shift.is_floating_point() or not bool(shift.any()):
            return ()
        if not torch.equal(shift, shift[:1].expand_as(shift)):
            raise Opaque(f"{_name(node.op)} puts other numbers into each row")
        return self.vectors.constant(shift.shape[1], lambda environment: rows(environment)[:1], False, False)

    def _summand(self, one: Any, slot: int) -> Form:
        """A form in the shape of the sum that it is in."""
        shape, width = self.values.sample[slot].shape, self.maps.widths[slot]
        if self._varies(one):
            form = self.forms[one.index]
        else:
            form = self._constant(lambda environment: bound(one, environment), shape, self._moves(one))
        if self.vectors.width(form) == width:
            return form
        if self.vectors.width(form) != 1:
            raise Opaque("a sum of tensors that are broadcast along an axis of a point")
        ones = self.like.new_ones(width, 1)
        return self.vectors.mapped(form, lambda _: Map(width, 1, dense=ones))

    def _product(self, left: Any, right: Any, slot: int) -> Form:
        if not self._varies(left):
            left, right = right, left
        if not self._varies(right):
            return self._multiple(left, lambda environment: bound(right, environment), self._moves(right), slot)
        if left == right:
            return self.vectors.added(PointwiseVector(self.maps.widths[slot], self.vector(left.index), SQUARE))
        return self._times(self.vector(left.index), self.vector(right.index), slot)

    def _quotient(self, left: Any, right: Any, slot: int) -> Form:
        if not self._varies(right):
            return self._multiple(left, lambda environment: 1 / bound(right, environment), self._moves(right), slot)
        inverse = self.vectors.added(
            PointwiseVector(self.maps.widths[right.index], self.vector(right.index), RECIPROCAL)
        )
        if self._varies(left):
            return self._times(self.vector(left.index), inverse[0].source, slot)
        if isinstance(left, float | int):
            return scaled(inverse, float(left))
        shape = self.values.sample[slot].shape
        form = self._constant(lambda environment: bound(left, environment), shape, self._moves(left))
        return self._times(inverse[0].source, form[0].source, slot)

    def _multiple(self, left: Slot, amount: Amount, moves: bool, slot: int) -> Form:
        """A form times what does not depend on x."""
        now = amount(self.values.sample)
        form, shape, width = self.forms[left.index], self.values.sample[slot].shape, self.maps.widths[slot]
        if isinstance(now, float | int):
            return scaled(form, float(now))
        if not moves and self._is_shared(now, shape) and self.maps.widths[left.index] == width:
            batch = self.batch
            whole = torch.Size((batch, *shape[1:])) if len(self.values.sample[0].shape) == 2 else shape
            return self.vectors.mapped(
                form, lambda environment: diagonal(amount(environment).expand(whole).reshape(batch, -1)[0])
            )
        return self._times(self.vector(left.index), self._constant(amount, shape, moves)[0].source, slot)

    def _times(self, left: int, right: int, slot: int) -> Form:
        width = self.maps.widths[slot]
        if not {self.vectors.list[left].width, self.vectors.list[right].width} <= {1, width}:
            raise Opaque("a product of tensors that are broadcast along an axis of a point")
        return self.vectors.added(Product(width, left, right))

    def _constant(self, amount: Amount, shape: torch.Size, moves: bool = True) -> Form:
        """What does not depend on x, broadcast to a shape unless it is one number for each point."""
        like, batch = self.like, self.batch
        now = amount(self.values.sample)
        now = now if isinstance(now, Tensor) else like.new_tensor(now)
        of_points = not self._is_shared(now, shape)
        width = shape.numel() // batch
        width = 1 if now.numel() == (batch if of_points else 1) else width

        def make(environment: list[Any]) -> Tensor:
            value = amount(environment)
            value = value.to(like) if isinstance(value, Tensor) else like.new_tensor(value)
            if width == 1:
                return value.reshape(-1, 1)
            if value.dim() == 1 and len(value) == width:
                return value.unsqueeze(0)
            rows = value.expand(shape).reshape(batch, -1)
            return rows if of_points else rows[:1]

        return self.vectors.constant(width, make, of_points, moves)

    def _is_shared(self, tensor: Tensor, shape: torch.Size) -> bool:
        """Whether what is broadcast to a shape is the same for all points."""
        if self.batch == 1 or self.values.sample[0].dim() == 1 or tensor.numel() == 1:
            return True
        return tensor.dim() < len(shape) or tensor.shape[0] == 1

    def _varies(self, one: Any) -> bool:
        return isinstance(one, Slot) and one.index in self.values.varying

    def _moves(self, one: Any) -> bool:
        return isinstance(one, Slot) and one.index in self.values.moving
