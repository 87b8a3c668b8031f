"""A tape with all worked out that the rules of Taylor mode say of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jacstrat.graphs import is_capturing
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.plan import Spread


@dataclass(frozen=True, eq=False)
class TaylorProgram:
    """A tape with what the rules say of it worked out.

    Fields:
        nodes: Its operations; their arguments have a Slot for every tensor.
        size: Number of slots that x, arguments and operations fill; those of the constants follow.
        constants: Tensors that the function had.
        output: The slot of the result.
        numel: Numbers in the largest value with tangents.
        largest: Numbers in the largest tangents along the n unit vectors.
        total: Numbers in all of these together.
        operations: How many depend on x.
        guards: Numbers of constants that plans depend on, with their values when these were made.
        spread: What brings the tangents of the result to all n directions; None where they have these.
        bound: Why points cannot be taken in parts, see `Tape`; "" where they can.
        shared: How many operations it takes until no tangents are left that are the same for all points.
    """

    nodes: tuple[TaylorNode, ...]
    size: int
    constants: tuple[Tensor, ...]
    output: int
    numel: int
    largest: int
    total: int
    operations: int
    shared: int
    guards: tuple[tuple[int, Tensor], ...]
    spread: Spread | None = None
    bound: str = ""

    @property
    def is_planned(self) -> bool:
        """Whether plans are still right; not known in a compiler, which has no values, nor to a replay."""
        if self.guards and (torch.compiler.is_compiling() or is_capturing()):
            return False
        return all(torch.equal(self.constants[number], value) for number, value in self.guards)


def weak_factory(program: TaylorProgram, tensors: frozenset[int]) -> Callable[[], TaylorProgram | None] | None:
    """What gives the program again as long as its constants live, and keeps none of them alive.

    Args:
        program: To be kept.
        tensors: Identities of the tensors that its function reaches; None is given where a constant is not among them:
            then it was made in the recording.
    """
    if any(id(constant) not in tensors for constant in program.constants):
        return None
    references = tuple(map(weakref.ref, program.constants))
    bare = replace(program, constants=())

    def revive() -> TaylorProgram | None:
        constants = tuple(constant for reference in references if (constant := reference()) is not None)
        return replace(bare, constants=constants) if len(constants) == len(references) else None

    return revive
