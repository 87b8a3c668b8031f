"""Any strategy as a program of TorchInductor, compiled for each shape of x, and checked against its eager form."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat.core.errors import UsageError, WrongResultError
from jacstrat.core.operator import Operator
from jacstrat.strategies.agreement import gradient_fault, result_fault
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.probing import Vmap
from jacstrat.strategies.program import CompiledProgram, ProgramSignature, compiling
from jacstrat.strategies.workload import leaves_of

# Programs of one prepared operator. Who meets more shapes than these would wait for the compiler for ever.
MOST = 8
# What `auto` is told of a program: seconds to make one, the order of what a network of a few layers takes, and seconds
# of an operation beside its work, of which several become one kernel.
COMPILE_S, OP_S = 5.0, 0.5e-6
# For `auto` one of the eager forms that record f, one of those on a proof, and one of the others is compiled; none that
# goes through f more often in a call.
CALLS = 8


@dataclass(frozen=True)
class Compiled(Strategy):
    """Another strategy, traced to a graph of operations and compiled; `inner` stands in parentheses.

    Preparing takes seconds, and so does the first call at another shape or with gradients tracked otherwise. The first
    result, and its gradient where one may be wanted, is compared with that of the strategy itself.

    Source: Ansel et al. 2024, PyTorch 2: Faster machine learning through dynamic Python bytecode transformation and
    graph compilation.
    """

    name: ClassVar[str] = "compiled"
    cost: ClassVar[str] = "that of SPEC, in fewer kernels"
    exact_when: ClassVar[str] = "SPEC is"
    compiles: ClassVar[bool] = True
    takes_outputs: ClassVar[bool] = True
    inner: Strategy = Vmap()

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Strategy):
            raise UsageError(f"inner must be a strategy, got {self.inner!r}; write compiled(vmap)")
        if self.inner.is_remote:
            raise UsageError(
                f"{self.inner.spec} works in a process of its own, of which none can be made; leave out compiled()"
            )
        if self.inner.captures:
            raise UsageError(f"{self.inner.spec} is a graph; write it the other way round, graphed(compiled(SPEC))")
        if self.inner.compiles:
            raise UsageError(f"{self.inner.spec} is compiled already; leave out one compiled()")

    @property
    def counted(self) -> Strategy:
        return self.inner

    @property
    def transforms(self) -> frozenset[Transform]:
        return self.inner.transforms | {"func"}

    @property
    def missing(self) -> str | None:
        return self.inner.missing

    def refuse(self, operator: Operator) -> str | None:
        if self.inner.stochastic:
            return (
                f"{self.inner.spec} draws random probes, and a program would either repeat those of its trace or draw "
                f"from another source than the generator; use {self.inner.spec}"
            )
        return self.inner.refuse(operator)

    @property
    def nested(self) -> Strategy:
        return self.inner.nested

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        if not evidence.compiles:
            return
        from jacstrat.strategies import STRATEGIES

        best: dict[tuple[bool, bool], Candidate] = {}
        for one in (one for kind in STRATEGIES.values() if not kind.compiles for one in kind.candidates(evidence)):
            # Every time that it goes through f is a copy in the graph.
            if -(-one.probes // one.chunk) > CALLS or one.stored or one.strategy.refuse(evidence.operator):
                continue
            program = replace(one, strategy=cls(one.strategy), op_s=OP_S, make=None, setup_s=COMPILE_S + one.setup_s)
            way = (one.strategy.records, bool(one.ground))
            if way not in best or program.seconds(evidence.x) < best[way].seconds(evidence.x):
                best[way] = program
        yield from best.values()

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        plain = self.inner.contracted(operator, f, x, args, generator)
        strategy = Compiled(plain.chosen.counted) if plain.chosen else self
        programs = Programs(strategy, operator, f, plain.evaluate, plain.parts)
        if programs.can_run(x):
            programs.prepare(x, args)
        return replace(
            plain,
            evaluate=programs,
            estimate=None,
            together=None,
            chosen=plain.chosen and strategy,
            passes=None,
            is_traced=True,
        )


class Programs:
    """(x, *args) -> result, by the program for calls like this one, compiled at the first of them.

    Where there is nothing to compile for (no points, the meta device, a tracer or a transform around the call), and
    where there are `MOST` programs already, the result is that of the eager form.

    Args:
        strategy: Whose programs these are.
        operator, f: As for `Strategy.build`.
        evaluate: The eager form.
        parts: Parts of x that the eager form does apart, where it does: one program serves all of the same shape.
    """

    def __init__(
        self,
        strategy: Compiled,
        operator: Operator,
        f: Function,
        evaluate: Function,
        parts: Callable[[Tensor, Args], list[tuple[Tensor, Args]]] | None = None,
    ) -> None:
        self.strategy = strategy
        self.operator = operator
        self.f = f
        self.evaluate = evaluate
        self.parts = parts or (lambda x, args: [(x, args)])
        self._programs: list[CompiledProgram] = []

    @staticmethod
    def can_run(x: Tensor) -> bool:
        """Whether there are numbers for a program to work on."""
        return x.numel() > 0 and has_numbers(x)

    def __call__(self, x: Tensor, *args: Any) -> Tensor:
        if not self.can_run(x):
            return self.evaluate(x, *args)
        if (served := self._serving(ProgramSignature.of(x, args))) is not None:
            return served(x, *args)
        done = []
        for part, part_args in self.parts(x, args):
            done.append(self._part(part, part_args))
        return done[0] if len(done) == 1 else torch.cat(done)

    def prepare(self, x: Tensor, args: Args) -> None:
        """Compile for calls like the one at x."""
        for part, part_args in self.parts(x, args):
            if self._serving(ProgramSignature.of(part, part_args)) is None:
                self.add(part, part_args)

    def _serving(self, signature: ProgramSignature) -> CompiledProgram | None:
        return next((program for program in self._programs if program.serves(signature)), None)

    def _part(self, x: Tensor, args: Args) -> Tensor:
        signature = ProgramSignature.of(x, args)
        if (served := self._serving(signature)) is not None:
            return served(x, *args)
        if len(self._programs) == MOST:
            _warn(
                f"there are {MOST} programs already, and x of shape {tuple(x.shape)} is served without; prepare again",
                self,
            )
            return self.evaluate(x, *args)
        begin = time.perf_counter()
        program = self.add(x, args)
        seconds = time.perf_counter() - begin
        _warn(f"compiled again in {seconds:.1f} s, for {_in_words(signature)}; prepare with such x", self)
        return program(x, *args)

    def add(self, x: Tensor, args: Args) -> CompiledProgram:
        """Compile for calls like this one.

        Raises:
            UnsupportedError: It cannot be compiled; says why.
            WrongResultError: It gives another result than the eager form; says by how much.
        """
        expected = self.evaluate(x, *args)
        with compiling(x.device):
            program = CompiledProgram.of(self.evaluate, x, args)
            result = program(x, *args)
            fault = result_fault(self.operator, self.f, x, args, result, expected)
            if not fault and expected.requires_grad:
                # Of f, since an eager form may make leaves of its own.
                fault = gradient_fault(result, expected, leaves_of(self.f(x, *args)))
        if fault:
            plain = self.strategy.inner.spec
            raise WrongResultError(f"{self.strategy.spec} gives another result than {plain}: {fault}; use {plain}")
        self._programs.append(program)
        return program


def _in_words(signature: ProgramSignature) -> str:
    tracked = "gradients tracked" if signature.tracked else "no gradients tracked"
    return f"x of shape {tuple(signature.shape)}, {signature.dtype} on {signature.device}, {tracked}"


def _warn(text: str, programs: Programs) -> None:
    # Of who called the prepared operator: this, two calls of Programs, and three of Prepared are in between.
    warnings.warn(f"{programs.strategy.spec}: {text}", stacklevel=8)
