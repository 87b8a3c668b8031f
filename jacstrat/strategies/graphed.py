"""Any strategy captured in a graph of its device: a call is one launch, without the host time of its operations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError, UsageError, WrongResultError
from jacstrat.core.operator import Operator
from jacstrat.graphs import WARM_UPS, Backend, backend_for, has_graphs, is_capturing
from jacstrat.strategies.agreement import gradients, gradients_fault, result_fault
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.rates import rates_of
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.closure import closed_over
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.probing import Vmap
from jacstrat.strategies.replay import Closure, GraphSignature, Replay, inputs_of, placed

# Graphs of one prepared operator. Each keeps its memory from all others.
MOST = 8
# What a capture takes beside the calls of the eager form: the one that is compared with, the warm-ups, the capture.
CAPTURE_S, EAGER_CALLS = 0.03, WARM_UPS + 2


@dataclass(frozen=True)
class Graphed(Strategy):
    """Another strategy, captured in a graph of the device and replayed; `inner` stands in parentheses.

    Points and arguments are copied in and results out. Where gradients are tracked the way back is a graph, too. The
    first result, and its gradient, is compared with that of the strategy itself.

    Source: the CUDA programming guide, "CUDA graphs"; torch.cuda.make_graphed_callables.
    """

    name: ClassVar[str] = "graphed"
    cost: ClassVar[str] = "that of SPEC, in one launch of the device"
    exact_when: ClassVar[str] = "SPEC is"
    captures: ClassVar[bool] = True
    records: ClassVar[bool] = True
    takes_outputs: ClassVar[bool] = True
    inner: Strategy = Vmap()

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Strategy):
            raise UsageError(f"inner must be a strategy, got {self.inner!r}; write graphed(vmap)")
        if self.inner.is_remote:
            raise UsageError(
                f"{self.inner.spec} works in a process of its own, of which none can be made; leave out graphed()"
            )
        if self.inner.captures:
            raise UsageError(f"{self.inner.spec} is a graph already; leave out one graphed()")

    @property
    def counted(self) -> Strategy:
        return self.inner.counted

    @property
    def transforms(self) -> frozenset[Transform]:
        return self.inner.transforms

    @property
    def starts_compiler(self) -> bool:
        return self.inner.starts_compiler

    @property
    def missing(self) -> str | None:
        return self.inner.missing

    def refuse(self, operator: Operator) -> str | None:
        if self.inner.stochastic:
            return f"{self.inner.spec} draws random probes, and a replay would repeat them; use {self.inner.spec}"
        return self.inner.refuse(operator)

    @property
    def nested(self) -> Strategy:
        return self.inner.nested

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        """A graph of every candidate that is always exact, where a trial will tell whether it can be captured."""
        from jacstrat.strategies import STRATEGIES

        device = evidence.x.device
        if evidence.tried is None or not has_graphs(device):
            return
        ways = 2 if evidence.tried.leaves else 1
        # A copy of x, a replay and a copy of the result; those of arguments are few.
        call_s = ways * 3 * rates_of(device).launch_s
        for kind in STRATEGIES.values():
            if kind.captures or not kind.capturable:
                continue
            for one in kind.candidates(evidence):
                if not one.ground and one.strategy.refuse(evidence.operator) is None:
                    setup_s = one.setup_s + ways * CAPTURE_S + EAGER_CALLS * one.seconds(evidence.x)
                    strategy = cls(one.strategy)
                    yield replace(
                        one,
                        strategy=strategy,
                        op_s=0.0,
                        call_s=call_s,
                        setup_s=setup_s,
                        make=partial(strategy._graphs_of, one),
                    )

    def _graphs_of(self, one: Candidate, operator: Operator, f: Function, x: Tensor, args: Args) -> Contraction:
        """What a candidate builds, as graphs."""
        plain = one.build(operator, f, *_like_inputs(x, args))
        return self.around(plain, backend_for(x.device), operator, f, x, args)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        backend = backend_for(x.device)
        plain = self.inner.contracted(operator, f, *_like_inputs(x, args), generator)
        return self.around(plain, backend, operator, f, x, args)

    def around(
        self, plain: Contraction, backend: Backend, operator: Operator, f: Function, x: Tensor, args: Args
    ) -> Contraction:
        """What the inner strategy has built, as graphs."""
        if plain.chosen is not None and plain.chosen.captures:
            return plain
        strategy = Graphed(plain.chosen) if plain.chosen else self
        graphs = Graphs(strategy, operator, f, plain.evaluate, backend)
        if graphs.can_run(x):
            graphs.prepare(x, args)
        return replace(
            plain,
            evaluate=graphs,
            estimate=None,
            together=None,
            chosen=plain.chosen and strategy,
            passes=None,
            parts=None,
            is_traced=True,
            kept_bytes=graphs.kept_bytes,
        )


class Graphs:
    """(x, *args) -> result, by replays of the graph for calls like this one, captured at the first of them.

    Where nothing can be captured (no points, a tracer or a transform around the call, a capture under way), and where
    there are `MOST` graphs already, the result is that of the eager form.

    Args:
        strategy: Whose graphs these are.
        operator, f: As for `Strategy.build`.
        evaluate: The eager form.
        backend: What captures.
    """

    def __init__(
        self, strategy: Graphed, operator: Operator, f: Function, evaluate: Function, backend: Backend
    ) -> None:
        self.strategy = strategy
        self.operator = operator
        self.f = f
        self.evaluate = evaluate
        self.backend = backend
        self._replays: list[Replay] = []
        self._warned = False

    @staticmethod
    def can_run(x: Tensor) -> bool:
        """Whether there are numbers to work on, and nobody else is capturing."""
        return x.numel() > 0 and has_numbers(x) and not is_capturing()

    def kept_bytes(self) -> int:
        """Memory that the graphs keep."""
        return sum(one.bytes for one in self._replays)

    def __call__(self, x: Tensor, *args: Any) -> Tensor:
        if not self.can_run(x):
            return self.evaluate(x, *args)
        signature = GraphSignature.of(x, args)
        served = next((one for one in self._replays if one.serves(signature)), None)
        if served is not None and served.is_stale:
            self._replays.remove(served)
            served = None
            if not self._warned:
                self._warned = True
                _warn(
                    "a tensor that f reads has moved, and the graph is captured again, now and each time; write into "
                    "it in place",
                    self,
                )
        elif served is None and len(self._replays) == MOST:
            _warn(
                f"there are {MOST} graphs already, and x of shape {tuple(x.shape)} is served without; prepare again",
                self,
            )
            return self.evaluate(x, *args)
        return (served or self.add(x, args))(x, *args)

    def prepare(self, x: Tensor, args: Args) -> None:
        """Capture for calls like the one at x."""
        self.add(x, args)

    def add(self, x: Tensor, args: Args) -> Replay:
        """Capture for calls like this one.

        Raises:
            UnsupportedError: It cannot be captured; says why.
            WrongResultError: It gives another result than the eager form; says by how much.
        """
        inputs, *rest = inputs_of(x, args)
        input_args = placed(args, rest)
        # Of f, since an eager form may hold constants of its own making, which nobody moves.
        closure = Closure.of(closed_over(self.f, inputs, input_args), x.device)
        leaves = [one for one in (inputs, *rest, *closure.wanted) if one.requires_grad]
        expected = self.evaluate(inputs, *input_args)
        # The graph of the eager form ends here: nodes of leaves that are left alive would be in the capture's way.
        wanted, expected = gradients(expected, leaves), expected.detach()
        plain = self.strategy.inner.spec
        if expected.device != x.device:
            raise UnsupportedError(f"its result is on {expected.device}, which a graph of {x.device} does not compute")
        replay = Replay(self.backend, GraphSignature.of(x, args), self.evaluate, inputs, input_args, closure)
        result = replay(inputs, *input_args)
        fault = result_fault(self.operator, self.f, inputs, input_args, result, expected)
        fault = fault or gradients_fault(gradients(result, leaves), wanted, expected)
        if fault:
            raise WrongResultError(f"{self.strategy.spec} gives another result than {plain}: {fault}; use {plain}")
        self._replays.append(replay)
        return replay


def _like_inputs(x: Tensor, args: Args) -> tuple[Tensor, Args]:
    """Points and arguments as a graph will have them, for what is prepared for their strides and places."""
    if not Graphs.can_run(x):
        return x, args
    inputs, *rest = inputs_of(x, args)
    return inputs, placed(args, rest)


def _warn(text: str, graphs: Graphs) -> None:
    # Of who called the prepared operator: this, a call of Graphs, and three of Prepared are in between.
    warnings.warn(f"{graphs.strategy.spec}: {text}", stacklevel=7)
