"""What a tape computes at one sample of points: which tensors depend on x, which do not, and where it is narrow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from jacstrat.trace import Node, Slot, Tape, bound, leaves
from jacstrat.trace.arguments import Args, lifted
from jacstrat.trace.operations import takes_shapes_only


@dataclass(eq=False)
class Values:
    """A tape at a sample.

    Fields:
        nodes: Operations that the result depends on, in order.
        output: The slot of the result; -1 where it does not depend on x.
        batch: Points in x; 1 for a single point.
        sample: Tensors by slot, at the sample.
        varying: Slots of real numbers whose derivative in x is not zero for the reason that there is none.
        moving: Slots whose values are others at each call, without a derivative in x: what is detached, masks, indices,
            further arguments of f and what is made of these alone.
        arguments: How many slots behind x further arguments have.
        fixed: Slots of what depends on the shape of x alone, with their values.
    """

    nodes: tuple[Node, ...]
    output: int
    batch: int
    sample: list[Any]
    varying: set[int]
    moving: set[int]
    fixed: dict[int, Tensor]
    arguments: int = 0

    def placed(self, environment: list[Any], x: Tensor, args: Args) -> None:
        """Put x and further arguments into their slots."""
        tensors = [arg for arg in lifted(args) if isinstance(arg, Tensor)]
        environment[: 1 + len(tensors)] = x, *tensors

    def new_slot(self, shape: torch.Size) -> int:
        """A slot for a tensor that no operation of the tape makes, of this shape."""
        self.sample.append(self.sample[0].new_empty(()).expand(shape))
        return len(self.sample) - 1

    def forget(self) -> None:
        """Keep the shapes of the sample alone."""
        self.sample = [v.new_empty(()).expand(v.shape) if isinstance(v, Tensor) else v for v in self.sample]

    def cuts(self) -> Iterator[tuple[int, int]]:
        """Slots through which all of the result's dependence on x passes, each with the number of its node."""
        last = {slot: number for number, node in enumerate(self.nodes) for slot in node.slots if slot in self.varying}
        last[self.output] = len(self.nodes)
        alive = {0}
        for number, node in enumerate(self.nodes):
            alive |= {slot for slot in node.outs if slot is not None and slot in self.varying}
            alive = {slot for slot in alive if last.get(slot, -1) > number}
            if len(alive) == 1 and alive != {self.output}:
                (slot,) = alive
                if slot in node.outs:
                    yield slot, number


def values_of(tape: Tape, x: Tensor, args: Args = ()) -> Values:
    """The tape at x and further arguments, whose numbers are of no consequence: tensors of them are to be at hand."""
    nodes, needed = _needed(tape.nodes, tape.output)
    nodes = [replace(node, outs=tuple(slot if slot in needed else None for slot in node.outs)) for node in nodes]
    sample: list[Any] = [None] * tape.size
    tensors = [arg.detach() for arg in args if isinstance(arg, Tensor)]
    sample[: 1 + len(tensors)] = x.detach(), *tensors
    varying, moving = {0}, set(range(1, 1 + len(tensors)))
    fixed: dict[int, Tensor] = {}
    with torch.no_grad():
        for node in nodes:
            outs = run(node, sample)
            reads = set(node.slots)
            for slot, out in zip(node.outs, outs, strict=True):
                if slot is None:
                    continue
                sample[slot] = out
                real = isinstance(out, Tensor) and out.is_floating_point()
                if takes_shapes_only(node.op):
                    if reads & (varying | moving):
                        fixed[slot] = out
                elif real and not node.is_cut and reads & varying:
                    varying.add(slot)
                elif reads & (varying | moving):
                    moving.add(slot)
    output = tape.output if isinstance(tape.output, int) and tape.output in varying else -1
    # What depends on the shape of x alone is known, and nothing that it was made of has to be.
    nodes, _ = _needed(nodes, tape.output, known=fixed)
    batch = len(x) if x.dim() == 2 else 1
    return Values(tuple(nodes), output, batch, sample, varying, moving, fixed, len(tensors))


def _needed(nodes: Sequence[Node], output: Any, known: Collection[int] = ()) -> tuple[list[Node], set[int]]:
    """The operations that an output needs, in their order, and the slots; what is `known` already needs none."""
    slots, known = {output} if isinstance(output, int) else set(), set(known)
    reached = []
    for node in reversed(nodes):
        if slots.intersection(node.outs) and not known.intersection(node.outs):
            reached.append(node)
            slots.update(node.slots)
    return reached[::-1], slots


def run(node: Node, environment: list[Any]) -> tuple[Any, ...]:
    """The outputs of an operation on what is in its slots; constants where it is cut."""
    args = bound(node.args, environment)
    kwargs = {key: bound(item, environment) for key, item in node.kwargs.items()}
    if node.is_cut:
        args, kwargs = _constant(args), _constant(kwargs)
    out = node.op(*args, **kwargs)
    return tuple(out) if node.is_tuple else (out,)


def runner(node: Node) -> Callable[[list[Any]], tuple[Any, ...]]:
    """`run` of one operation, with what can be known of its arguments known once."""
    op, args, kwargs, is_tuple = node.op, node.args, node.kwargs, node.is_tuple
    nested = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, tuple | list)]
    if node.is_cut or any(isinstance(leaf, Slot) for leaf in (*leaves(nested), *kwargs.values())):
        return partial(run, node)
    places = [(position, arg.index) for position, arg in enumerate(args) if isinstance(arg, Slot)]

    def call(environment: list[Any]) -> tuple[Any, ...]:
        operands = list(args)
        for position, slot in places:
            operands[position] = environment[slot]
        out = op(*operands, **kwargs)
        return tuple(out) if is_tuple else (out,)

    return call


def _constant(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _constant(item) for key, item in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(map(_constant, tree))
    return tree.detach() if isinstance(tree, Tensor) else tree
