"""A function as a list of operations, in slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """A tensor of the tape by its index: 0 is x, those behind are f's further arguments, the others operations made."""

    index: int


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
    """

    op: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outs: tuple[int | None, ...]
    numel: int
    is_tuple: bool
    is_cut: bool = False
    shapes: tuple[Any, ...] = ()

    @property
    def slots(self) -> Iterator[int]:
        """The slots that it reads."""
        return (leaf.index for leaf in leaves((self.args, *self.kwargs.values())) if isinstance(leaf, Slot))


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
    def constants(self) -> list[Tensor]:
        """The tensors that the function had."""
        return [leaf for node in self.nodes for leaf in leaves((node.args, *node.kwargs.values())) if _is_tensor(leaf)]


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
        return environment[tree.index]
    if kind is tuple or kind is list:
        return kind(bound(branch, environment) for branch in tree)
    return tree


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)
