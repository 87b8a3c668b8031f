"""A tape read as a chain: which tensors are linear in others, and which are pointwise functions of these.

Each tensor v that depends on x has its Jacobian written as J_v = sum_b diag(e_b) J_b over `bases` b, tensors that are
constant linear maps of others: J_b = sum C D J_z. A pointwise operation multiplies and adds the e, entry by entry, and
never makes the chain longer; a linear one makes a new base, and of each e_b in front of it a stage D = diag(e_b).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jacstrat.chain.affine import Coefficient, aten, coefficient, is_bilinear, is_linear
from jacstrat.chain.discover import Discovered, Opaque
from jacstrat.chain.maps import Map, identity
from jacstrat.chain.values import Values
from jacstrat.trace import Node, Slot, bound, leaves
from jacstrat.trace.operations import AtenKind, is_default, is_pointwise, operation_of

# From the constants by slot to a map.
MapMaker = Callable[[list[Any]], Map]


@dataclass(frozen=True)
class ChainStage:
    """A diagonal factor: e of a tensor along one of its bases."""

    slot: int
    base: int


@dataclass(frozen=True, eq=False)
class Linear:
    """A base: the sum of maps of tensors."""

    base: int
    terms: tuple[tuple[int, MapMaker], ...]


@dataclass(frozen=True, eq=False)
class Pointwise:
    """How e of a pointwise operation's result follows from those of its arguments.

    Fields:
        node: The operation.
        out: Its result.
        terms: The slot of each argument; where its e are, which is another slot if it had to be broadcast; and the
            coefficient where this does not depend on the point.
    """

    node: Node
    out: int
    terms: tuple[tuple[int, int, Coefficient | None], ...]


@dataclass(eq=False)
class Reading:
    """A tape as a chain.

    Fields:
        values: The tape's values at the sample, what is constant in it, and its cuts.
        bases: e of each slot by its bases; True where e is one.
        linear: Bases other than x, in order.
        pointwise: Operations on entries, by their result.
        moved: Tensors in front of a linear operation that are scaled in place of its result, by the scaled result.
        passed: These results, through which not all of J passes any more.
        widths: Entries of one point, by slot.
        identities: By width, each made once.
    """

    values: Values
    bases: dict[int, dict[int, bool]] = field(default_factory=lambda: {0: {0: True}})
    linear: list[Linear] = field(default_factory=list)
    pointwise: dict[int, Pointwise] = field(default_factory=dict)
    moved: dict[int, tuple[int, ...]] = field(default_factory=dict)
    passed: set[int] = field(default_factory=set)
    widths: dict[int, int] = field(default_factory=dict)
    identities: dict[int, Map] = field(default_factory=dict)

    def shape(self, slot: int) -> torch.Size:
        """Of the tensor in a slot."""
        return self.values.sample[slot].shape

    def identity(self, slot: int) -> Map:
        """Of the tensor in a slot."""
        width = self.widths[slot]
        if width not in self.identities:
            self.identities[width] = identity(width, self.values.sample[0])
        return self.identities[width]


def read(values: Values) -> Reading:
    """The chain of a tape.

    Raises:
        Opaque: It is none; says why.
    """
    reading = Reading(values)
    reading.widths[0] = _width(reading, values.sample[0])
    for node in values.nodes:
        arguments = sorted(set(node.slots) & values.varying)
        outs = [(number, slot) for number, slot in enumerate(node.outs) if slot is not None and slot in values.varying]
        if not outs:
            continue
        for number, slot in outs:
            reading.widths[slot] = _width(reading, values.sample[slot])
            if is_linear(node.op) or (is_bilinear(node.op) and _one_factor(node, arguments)):
                terms = tuple((a, maker(reading, node, a, number)) for a in arguments)
                _add_linear(reading, slot, terms)
            elif is_pointwise(node.op) and number == 0:
                _add_pointwise(reading, node, slot, arguments)
            else:
                raise Opaque(f"{_name(node.op)} is neither linear nor pointwise")
    return reading


def _name(op: Any) -> str:
    if isinstance(op, torch._ops.OpOverload):
        return str(op).removeprefix("aten.").removesuffix(".default")
    return f"the custom Function {getattr(getattr(op, '__self__', op), '__name__', op)}"


def _width(reading: Reading, v: Tensor) -> int:
    if v.numel() % reading.values.batch:
        raise Opaque(f"a tensor of shape {tuple(v.shape)} is no row for each point")
    return v.numel() // reading.values.batch


def _one_factor(node: Node, arguments: list[int]) -> bool:
    """Whether a product has x in one of its two factors, or in none of them but in what is added."""
    operation = operation_of(node.op)
    assert operation is not None
    if operation.kind is AtenKind.CONVOLVES and _is_among(node.args[2], arguments):  # its bias
        return False
    return sum(_is_among(node.args[factor.position], arguments) for factor in operation.factors) <= 1


def _is_among(argument: Any, slots: list[int]) -> bool:
    return isinstance(argument, Slot) and argument.index in slots


def _joins(op: Any) -> bool:
    """Whether it puts tensors beside each other: the others' numbers have no part in its derivative in one of them."""
    operation = operation_of(op)
    return operation is not None and operation.kind in (AtenKind.JOINS, AtenKind.OVERWRITES)


def _add_linear(reading: Reading, slot: int, terms: tuple[tuple[int, MapMaker], ...]) -> None:
    reading.linear.append(Linear(slot, terms))
    reading.bases[slot] = {slot: True}


def _is_moved(reading: Reading, node: Node, slot: int, arguments: list[int]) -> bool:
    """Whether a number that is another one at each call, times a linear operation, went in front of it.

    c (C D J) = C (c D) J: in front of the operation it joins a stage that is there, behind it would be one more.
    """
    a = arguments[0]
    others = [arg.index for arg in node.args if isinstance(arg, Slot) and arg.index != a]
    if (
        node.op not in (aten.mul.Tensor, aten.div.Tensor)
        or len(arguments) != 1
        or (node.args[0] != Slot(a) and node.op is aten.div.Tensor)
        or len(others) != 1
        or others[0] not in reading.values.moving
        or reading.values.sample[others[0]].numel() != 1
        or reading.shape(slot) != reading.shape(a)
        or reading.bases[a] != {a: True}
    ):
        return False
    linear = next((linear for linear in reading.linear if linear.base == a), None)
    if linear is None or any(any(reading.bases[z].values()) for z, _ in linear.terms):
        return False
    moved = []
    for z, _ in linear.terms:
        scaled = reading.values.new_slot(reading.shape(z))
        reading.widths[scaled] = reading.widths[z]
        reading.bases[scaled] = dict.fromkeys(reading.bases[z], False)
        reading.pointwise[scaled] = Pointwise(node, scaled, ((a, z, None),))
        moved.append(scaled)
    reading.moved[slot] = tuple(moved)
    reading.passed.add(a)
    _add_linear(reading, slot, tuple((z, make) for z, (_, make) in zip(moved, linear.terms, strict=True)))
    return True


def _add_pointwise(reading: Reading, node: Node, slot: int, arguments: list[int]) -> None:
    if _is_moved(reading, node, slot, arguments):
        return
    shape = reading.shape(slot)
    factors = [(a, coefficient(node, a, reading.values.varying | reading.values.moving)) for a in arguments]
    factors = [(a, c if c is None or _is_alike(reading, c, shape) else None) for a, c in factors]
    # A base where it is linear in bases, or where a base would get a constant e other than one: a stage for naught.
    if all(c is not None for _, c in factors):
        shared = {base for a, _ in factors for base in reading.bases[a]}
        weighs = any(any(reading.bases[a].values()) and not _is_one(reading, c) for a, c in factors)
        if all(reading.bases[a] == {a: True} for a, _ in factors) or (weighs and len(shared) > 1):
            _add_linear(reading, slot, tuple((a, _scaling(reading, a, c, shape)) for a, c in factors))
            return
    terms = []
    ones_of: dict[int, list[bool]] = {}
    for a, c in factors:
        source = a if reading.shape(a) == shape else _broadcast(reading, a, shape)
        terms.append((a, source, c))
        for base, is_one in reading.bases[source].items():
            ones_of.setdefault(base, []).append(is_one and _is_one(reading, c))
    reading.pointwise[slot] = Pointwise(node, slot, tuple(terms))
    reading.bases[slot] = {base: ones == [True] for base, ones in ones_of.items()}


def _is_one(reading: Reading, c: Coefficient | None) -> bool:
    if c is None:
        return False
    value = c(reading.values.sample)
    return isinstance(value, float | int) and value == 1


def _is_alike(reading: Reading, c: Coefficient, shape: torch.Size) -> bool:
    """Whether a coefficient is the same at every point by its shape, whatever its numbers are."""
    value = c(reading.values.sample)
    if reading.values.batch == 1 or not isinstance(value, Tensor) or value.numel() == 1:
        return True
    numbered = torch.arange(value.numel(), device="cpu").reshape(value.shape)
    if len(torch.broadcast_shapes(value.shape, shape)) > len(shape):
        return False
    rows = numbered.expand(shape).reshape(reading.values.batch, -1)
    return bool((rows == rows[0]).all())


def _scaling(reading: Reading, a: int, c: Coefficient | None, shape: torch.Size) -> MapMaker:
    assert c is not None
    wide = _expansion(reading, a, shape)
    batch, like = reading.values.batch, reading.values.sample[0]

    def make(constants: list[Any]) -> Map:
        factor = c(constants)
        if not isinstance(factor, Tensor):
            return wide if factor == 1 else wide.scaled(like.new_full((), factor))
        if factor.numel() == 1:
            return wide.scaled(factor.to(like.dtype).reshape(()))
        return wide.scaled(factor.to(like.dtype).expand(shape).reshape(batch, -1)[0])

    return make


def _broadcast(reading: Reading, a: int, shape: torch.Size) -> int:
    """A base that is the tensor in this shape."""
    slot = reading.values.new_slot(shape)
    wide = _expansion(reading, a, shape)
    reading.widths[slot] = wide.rows
    _add_linear(reading, slot, ((a, lambda _: wide),))
    return slot


def _expansion(reading: Reading, a: int, shape: torch.Size) -> Map:
    x = reading.values.sample[0]
    if reading.shape(a) == shape:
        return reading.identity(a)
    batch = reading.values.batch
    return Discovered(
        "broadcasting", lambda _: lambda v: v.expand(shape), reading.shape(a), batch, x.dtype, x.device, False
    ).map(())


def maker(reading: Reading, node: Node, a: int, number: int) -> MapMaker:
    """The map of a linear operation in one of its arguments."""
    values = reading.values
    if (weighted := _of_weights(reading, node, a)) is not None:
        return weighted
    apart = values.varying | values.moving if _joins(node.op) else values.varying
    if any(slot in values.moving - apart for slot in node.slots):
        raise Opaque(f"{_name(node.op)} has an argument that depends on x without a derivative")
    v, x = values.sample[a], values.sample[0]
    operands = [leaf for leaf in leaves((node.args, *node.kwargs.values())) if isinstance(leaf, Tensor | Slot)]
    operands = [leaf for leaf in operands if not (isinstance(leaf, Slot) and leaf.index in apart)]

    def apply(tensors: Any) -> Callable[[Tensor], Tensor]:
        tensor_of = dict(zip(map(id, operands), tensors, strict=True))

        def at(tree: Any, v: Tensor) -> Any:
            if id(tree) in tensor_of:
                return tensor_of[id(tree)]
            if isinstance(tree, Slot):
                return v if tree.index == a else v.new_zeros(values.sample[tree.index].shape)
            return type(tree)(at(branch, v) for branch in tree) if isinstance(tree, tuple | list) else tree

        def act(v: Tensor) -> Tensor:
            y = node.op(*at(node.args, v), **{key: at(item, v) for key, item in node.kwargs.items()})
            return y[number] if node.is_tuple else y

        return act

    discovered = Discovered(_name(node.op), apply, v.shape, values.batch, x.dtype, x.device, is_bilinear(node.op))
    discovered.map(bound(operands, values.sample))
    return lambda constants: discovered.map(bound(operands, constants))


def _of_weights(reading: Reading, node: Node, a: int) -> MapMaker | None:
    """The map of a product with a matrix of weights, which is the matrix; None where it is more complicated."""
    batch, operation = reading.values.batch, operation_of(node.op)
    places = [position for position, leaf in enumerate(node.args) if isinstance(leaf, Slot) and leaf.index == a]
    shape = reading.shape(a)
    if len(places) != 1 or set(node.slots) & reading.values.moving:
        return None
    if operation is None or not operation.has_matrix or not is_default(node.op):
        return None
    alpha = node.kwargs.get("alpha", 1)
    left, right = operation.factors
    if right.rank == 2 and places == [left.position]:
        points = reading.widths[a] // shape[-1]
        if points * batch * shape[-1] != shape.numel() or (shape.numel() // shape[-1]) % batch:
            return None
        weights, turned = node.args[right.position], right.contracted == -2
    elif right.rank == 1 and places == [right.position] and batch == 1:
        points, weights, turned = 1, node.args[left.position], False
    else:
        return None

    def make(constants: list[Any]) -> Map:
        W = bound(weights, constants)
        W = W.mT if turned else W
        W = W if alpha == 1 else alpha * W
        if points == 1:
            return Map(len(W), W.shape[1], dense=W)
        return Map(points * len(W), points * W.shape[1], block=W)

    return make
