"""The diagonal factors of a chain at given points: its values, and the slopes of its pointwise operations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jacstrat.chain.reading import ChainStage, Pointwise, Reading
from jacstrat.chain.slopes import reads, slope
from jacstrat.chain.values import run
from jacstrat.trace import Node
from jacstrat.trace.arguments import Args


@dataclass(frozen=True, eq=False)
class TapeStep:
    """An operation: whether its value is wanted, of which of its arguments e are, and what is forgotten after it."""

    node: Node
    has_value: bool
    pointwise: tuple[Pointwise, ...]
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
            if step.has_value:
                for slot, out in zip(step.node.outs, run(step.node, environment), strict=True):
                    if slot is not None:
                        environment[slot] = out
                y = environment[step.node.outs[0]] if step.node.outs[0] is not None else None
            for one in step.pointwise:
                self._slopes(one, environment, constants, y, e)
            for slot in step.dead_after:
                environment[slot] = None
        batch = len(x) if x.dim() == 2 else 1
        diagonals = {}
        for stage in self.stages:
            d = e[stage.slot, stage.base]
            assert d is not None
            shape = self.reading.shape(stage.slot)
            diagonals[stage] = d.expand(shape).reshape(batch, -1).to(x.dtype)
        return diagonals

    def _slopes(
        self,
        step: Pointwise,
        environment: list[Any],
        constants: list[Any],
        y: Tensor | None,
        e: dict[tuple[int, int], Tensor | None],
    ) -> None:
        """e of the result by base: the sum over its arguments of slope times their e."""
        like = self.reading.values.sample[0]
        for a, source, c in step.terms:
            s: Any = slope(step.node, a, environment, y) if c is None else c(constants)
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
                key = (step.out, base)
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
    steps: list[TapeStep] = []
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
        steps.append(TapeStep(node, has_value, functions, ()))
    moving = (values.varying | values.moving) - set(range(1 + values.arguments))
    return TapeFactors(_freed(tuple(reversed(steps)), moving), asked, reading)


def _freed(steps: tuple[TapeStep, ...], moving: set[int]) -> tuple[TapeStep, ...]:
    """The steps, each with the slots that none after it reads."""
    read: set[int] = set()
    freeing = []
    for step in reversed(steps):
        slots = {slot for slot in (*step.node.slots, *step.node.outs) if slot in moving}
        freeing.append(TapeStep(step.node, step.has_value, step.pointwise, tuple(slots - read)))
        read |= slots
    return tuple(reversed(freeing))
