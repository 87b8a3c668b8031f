"""The diagonal factors of a chain at given points: its values, and the slopes of its pointwise operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from jacstrat.chain.affine import Coefficient
from jacstrat.chain.reading import ChainStage, Pointwise, Reading
from jacstrat.chain.slopes import Slope, reads, slope_of
from jacstrat.chain.values import runner
from jacstrat.trace import Node
from jacstrat.trace.arguments import Args


class Term(NamedTuple):
    """One argument of a pointwise operation: its slope times its e is a part of the result's.

    Fields:
        source: The slot that its e are kept by.
        coefficient: From the constants by slot to the slope, where no point changes it.
        slope: The slope where points do.
    """

    source: int
    coefficient: Coefficient | None
    slope: Slope | None


@dataclass(frozen=True, eq=False)
class TapeStep:
    """An operation.

    Fields:
        outs: The slots of its outputs.
        run: From the values by slot to the outputs; None where none is wanted.
        pointwise: Results whose e are wanted, each with its arguments.
        dead_after: Slots that are forgotten after it.
    """

    outs: tuple[int | None, ...]
    run: Callable[[list[Any]], tuple[Any, ...]] | None
    pointwise: tuple[tuple[int, tuple[Term, ...]], ...]
    dead_after: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TapeFactors:
    """The part of a tape that some stages need.

    Fields:
        steps: In order.
        stages: What is asked for.
        reading: Of which chain.
    """

    steps: tuple[TapeStep, ...]
    stages: tuple[ChainStage, ...]
    reading: Reading

    def at(self, x: Tensor, args: Args, constants: list[Any]) -> dict[ChainStage, Tensor]:
        """The diagonal of each stage, (B, width)."""
        environment = list(constants)
        self.reading.values.placed(environment, x, args)
        e: dict[tuple[int, int], Tensor | None] = {}
        for step in self.steps:
            y = None
            if step.run is not None:
                for slot, out in zip(step.outs, step.run(environment), strict=True):
                    if slot is not None:
                        environment[slot] = out
                y = environment[step.outs[0]] if step.outs[0] is not None else None
            for out_slot, terms in step.pointwise:
                self._add_slopes(out_slot, terms, environment, constants, y, e)
            for slot in step.dead_after:
                environment[slot] = None
        batch = len(x) if x.dim() == 2 else 1
        diagonals = {}
        for stage in self.stages:
            d = e[stage.slot, stage.base]
            assert d is not None
            shape = self.reading.shape(stage.slot)
            # Each of these is an operation, whether it does anything or not.
            d = d if d.shape == shape else d.expand(shape)
            d = d if len(shape) == 2 and shape[0] == batch else d.reshape(batch, -1)
            diagonals[stage] = d if d.dtype == x.dtype else d.to(x.dtype)
        return diagonals

    def _add_slopes(
        self,
        out: int,
        terms: tuple[Term, ...],
        environment: list[Any],
        constants: list[Any],
        y: Tensor | None,
        e: dict[tuple[int, int], Tensor | None],
    ) -> None:
        """e of the result by base: the sum over its arguments of slope times their e."""
        like = self.reading.values.sample[0]
        for source, coefficient, slope in terms:
            s: Any = coefficient(constants) if slope is None else slope(environment, y)  # type: ignore[misc]
            if not isinstance(s, Tensor):
                s = None if s == 1 else s
            elif not s.is_floating_point():
                s = s.to(like.dtype)
            for base, is_one in self.reading.bases[source].items():
                inner = None if is_one else e[source, base]
                if s is None or inner is None:
                    # A number is filled there: a copy from the CPU cannot be captured.
                    part = inner if s is None else s if isinstance(s, Tensor) else like.new_full((), s)
                else:
                    part = s * inner
                key = (out, base)
                if key not in e:
                    e[key] = part
                    continue
                before = e[key]
                # None is one.
                one = like.new_ones(())
                e[key] = (one if before is None else before) + (one if part is None else part)


def factors(reading: Reading, stages: Iterable[ChainStage]) -> TapeFactors:
    """What has to be computed for these stages."""
    values = reading.values
    asked = tuple(stages)
    chained = {stage.slot for stage in asked}  # slots whose e are wanted
    valued: set[int] = set()
    steps: list[tuple[Node, bool, tuple[Pointwise, ...]]] = []
    for node in reversed(values.nodes):
        outs = {slot for slot in node.outs if slot is not None}
        if not outs & (values.varying | values.moving) or outs & set(values.fixed):
            continue
        moved = {scaled for slot in outs for scaled in reading.moved.get(slot, ())}
        functions = tuple(reading.pointwise[slot] for slot in (outs | moved) & chained if slot in reading.pointwise)
        for one in functions:
            # A slot that is broadcast is a base, with e one: nothing is asked of it.
            chained.update(source for _, source, _ in one.terms)
            # What is moved in front of an operation needs the number, and not the operation's result.
            needed = values.moving if one.out in moved else values.varying | values.moving
            for slot in (slot for slot, _, c in one.terms if c is None):
                valued.update(reads(node, slot) & (needed | outs))
        has_value = bool(outs & valued)
        if not functions and not has_value:
            continue
        if has_value:
            valued.update(slot for slot in node.slots if slot in values.varying | values.moving)
        steps.append((node, has_value, functions))
    moving = (values.varying | values.moving) - set(range(1 + values.arguments))
    return TapeFactors(_freed(tuple(reversed(steps)), moving), asked, reading)


def _freed(steps: Sequence[tuple[Node, bool, tuple[Pointwise, ...]]], moving: set[int]) -> tuple[TapeStep, ...]:
    """The steps, each with the slots that none after it reads."""
    read: set[int] = set()
    freeing = []
    for node, has_value, functions in reversed(steps):
        slots = {slot for slot in (*node.slots, *node.outs) if slot in moving}
        pointwise = tuple((one.out, tuple(_term(node, *term) for term in one.terms)) for one in functions)
        freeing.append(TapeStep(node.outs, runner(node) if has_value else None, pointwise, tuple(slots - read)))
        read |= slots
    return tuple(reversed(freeing))


def _term(node: Node, a: int, source: int, c: Coefficient | None) -> Term:
    return Term(source, c, slope_of(node, a) if c is None else None)
