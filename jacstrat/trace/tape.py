"""A function as a list of operations: what depends on x, what needs tangents, and what may be forgotten when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """The place of a tensor of the tape: 0 is x, those behind are f's further arguments, the others operations made."""

    place: int


@dataclass(frozen=True, eq=False)
class Node:
    """One operation.

    Fields:
        op: Callable on tensors: an operator of ATen, or the `apply` of a custom Function.
        args, kwargs: Its arguments, with a Slot for each tensor that the tape made and, as themselves, tensors that
            the function had: parameters, buffers, constants.
        outs: The slot of each output in their order, None for one that nothing uses.
        numel: Numbers in the largest output.
        is_tuple: Whether the operation returns several tensors.
        shapes: Of each output; None for one that is no tensor.
        is_cut: Whether its outputs are constants although its arguments depend on x: detached, or under no_grad.
        rule: How it takes jets to jets, a `rule.Rule`.
        varies: Whether it depends on x.
        wants_tangents: Whether anything downstream is not linear, so that the tangents of the outputs are needed.
        is_last_use: Whether nothing after this operation uses what it reads of x.
        dead_after: Slots that nothing after this operation uses.
        carrying: Slots with tangents that operations after this one need.
        is_fixed: Whether none of these tangents depends on the point.
        plan: What is to be done to arguments with sparse tangents, a `sparse.Plan`; None where there is nothing.
        used: Which outputs are used.
        take: Its arguments, from what is in the slots; None for `bound`.
        may_compress: Whether the tangents in `carrying` may span fewer directions than they have.
    """

    op: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outs: tuple[int | None, ...]
    numel: int
    is_tuple: bool
    is_cut: bool = False
    shapes: tuple[Any, ...] = ()
    rule: Any = None
    varies: bool = False
    wants_tangents: bool = False
    is_last_use: bool = False
    dead_after: tuple[int, ...] = ()
    carrying: tuple[int, ...] = ()
    is_fixed: bool = False
    plan: Any = None
    used: tuple[bool, ...] = ()
    take: Callable[[list[Any]], tuple[Any, ...]] | None = None
    may_compress: bool = False

    @property
    def slots(self) -> Iterator[int]:
        """The slots that it reads."""
        return (leaf.place for leaf in leaves((self.args, *self.kwargs.values())) if isinstance(leaf, Slot))


@dataclass(frozen=True, eq=False)
class Tape:
    """A function's operations at one shape of x, in an order in which they can be run.

    Fields:
        nodes: The operations that the result depends on.
        size: Number of slots.
        output: The slot of the result, or the result itself where it was there before.
        arguments: Slots behind x that are filled by tensors among the further arguments of f.
        bound: Why the rows of x cannot be taken in parts, see `rows`; "" where they can.
    """

    nodes: tuple[Node, ...]
    size: int
    output: int | Tensor
    bound: str = ""
    arguments: int = 0

    @property
    def numel(self) -> int:
        """Numbers in the largest value with tangents."""
        return max((node.numel for node in self.nodes if node.wants_tangents), default=0)

    @property
    def constants(self) -> list[Tensor]:
        """The tensors that the function had."""
        return [leaf for node in self.nodes for leaf in leaves((node.args, *node.kwargs.values())) if _is_tensor(leaf)]


def analysed(
    tape: Tape, kinds: Callable[[Node, frozenset[int]], tuple[bool, bool]], with_tangents: bool = False
) -> Tape:
    """The tape with what can be known before any number is.

    Args:
        tape: As recorded.
        kinds: Whether a node's second derivative vanishes, and whether its first is the same at every point, given the
            slots that depend on x.
        with_tangents: Whether those of the result are needed.
    """
    varying = {0}
    fixed = {0}  # slots with tangents that do not depend on the point
    given = set(range(1, tape.arguments + 1))  # slots that may be others at each point
    nodes, linear = [], []
    for node in tape.nodes:
        varies = not node.is_cut and any(slot in varying for slot in node.slots)
        nodes.append(replace(node, varies=varies))
        is_linear, is_affine = kinds(node, frozenset(varying)) if varies else (True, True)
        linear.append(is_linear)
        if varies:
            made = [slot for slot in node.outs if slot is not None]
            is_fixed = is_affine and fixed.issuperset(varying.intersection(node.slots)) and not given & set(node.slots)
            fixed.update(made if is_fixed else ())
            varying.update(made)
        elif given.intersection(node.slots):
            given.update(slot for slot in node.outs if slot is not None)

    needed = {tape.output} if isinstance(tape.output, int) else set()
    # Slots whose tangents are needed.
    curved = needed & varying if with_tangents else set[int]()
    kept: list[Node] = []
    for node, is_linear in zip(reversed(nodes), reversed(linear), strict=True):
        if not needed.intersection(node.outs):
            continue
        outs = tuple(slot if slot in needed else None for slot in node.outs)
        reads = varying.intersection(node.slots)
        dead_after = tuple(sorted(set(node.slots) - needed))
        wanted = bool(curved.intersection(outs))
        kept.append(
            replace(
                node,
                outs=outs,
                wants_tangents=wanted,
                is_last_use=reads.issubset(dead_after),
                dead_after=dead_after,
                carrying=tuple(sorted(curved)),
                is_fixed=curved <= fixed,
            )
        )
        made = [slot for slot in outs if slot is not None]
        curved.difference_update(made)
        needed.difference_update(made)
        needed.update(node.slots)
        if node.varies and (wanted or not is_linear):
            curved |= reads
    return replace(tape, nodes=tuple(reversed(kept)))


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of nested tuples and lists."""
    if isinstance(tree, (tuple, list)):
        for branch in tree:
            yield from leaves(branch)
    else:
        yield tree


def bound(tree: Any, environment: Sequence[Any]) -> Any:
    """The tree with what the environment has in place of each Slot."""
    kind = type(tree)
    if kind is Slot:
        return environment[tree.place]
    if kind is tuple or kind is list:
        return kind(bound(branch, environment) for branch in tree)
    return tree


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)
