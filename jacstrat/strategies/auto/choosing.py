"""How a choice is made: count the products, predict every candidate, time the promising ones, keep the fastest."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.core.considered import Considered
from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator
from jacstrat.core.version import read_version
from jacstrat.strategies.auto import disk_cache
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.considered import considered
from jacstrat.strategies.auto.counting import UNKNOWN, Evaluation, evaluation, product_costs
from jacstrat.strategies.auto.disk_cache import StoredChoice
from jacstrat.strategies.auto.early import UNSEEN, at_best, beats, calls_of, looks, soon
from jacstrat.strategies.auto.timed import Timed
from jacstrat.strategies.auto.trial import PATIENCE_S, Trial, run_trial
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.hold import Hold
from jacstrat.strategies.workload import Workload, same_random_numbers
from jacstrat.trace.arguments import taken


def import_torch_parts() -> None:
    """Have torch import what it imports when a transform or a trace is first used: once a process, and no choice's."""
    import torch._decomp.decompositions_for_jvp
    import torch._dynamo
    import torch.fx.experimental.proxy_tensor
    import torch.fx.experimental.symbolic_shapes  # noqa: F401


class Choice(NamedTuple):
    """What was chosen.

    Fields:
        candidate: What to use.
        reason: Why, in one line.
        built: What the candidate built.
        single: What to use for a single call instead; see `auto.Chosen`.
        considered: Every candidate with its evidence.
    """

    candidate: Candidate
    reason: str
    built: Contraction
    single: Strategy | None = None
    considered: tuple[Considered, ...] = ()


@dataclass
class Choosing:
    """One choice under way.

    Fields:
        operator, f, x, args: What is to be prepared.
        begin: When the time of the first call began to run, by time.perf_counter.
        values: f can be evaluated at x, and rows of J be looked at.
        timed: There may be a trial, too; else counts decide.
        compiles: Programs of a compiler may stand in it.
        built: What candidates built in the trial.
        failures: Why others are not to be had, by their spec.
    """

    operator: Operator
    f: Function
    x: Tensor
    args: Args
    begin: float
    values: bool
    timed: bool
    compiles: bool = False
    built: dict[Strategy, Contraction] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)

    @cached_property
    def hold(self) -> Hold:
        """What every choice is held against."""
        return Hold(self.operator, self.f, self.x, self.args)

    def choose(self, structured: Callable[[bool, Evidence], Evidence]) -> Choice:
        """The fastest candidate that is right here, and why.

        Args:
            structured: Adds what is known of the structure of J; told whether a trace may find any.

        Raises:
            Whatever f raises, where no candidate serves it.
        """
        with same_random_numbers(self.x.device):
            return self._choose(structured)

    def _choose(self, structured: Callable[[bool, Evidence], Evidence]) -> Choice:
        own = self._counted()
        workload = Workload.of(self.f, self.x, self.args) if self.timed else None
        costs = product_costs(self.operator, own.work)
        evidence = Evidence(self.operator, self.x, costs, own.work, workload, compiles=self.compiles)
        always = [one for one in candidates_of(evidence) if not one.ground]
        name = self._name(own, workload) if workload and own.log else None
        kept = disk_cache.load(name) if name else None
        if kept and (same := [one for one in always if one.strategy.spec == kept.strategy]):
            guessed = Timed({}, {one.strategy: one.seconds(self.x) for one in always}, 0.0)
            known = {one.strategy: one for one in always}
            if (built := self._right(same[0])) is not None:
                return self._choice(known, guessed, same[0], kept.reason, built)
        look = looks(self.operator, self.f, self.x, self.args) if self.values else UNSEEN
        early: dict[Strategy, list[float]] = {}
        if workload and not kept and look != "dense":
            early, self.failures = calls_of(soon(always, evidence), lambda one: self._work(one, workload))
        proved = on_ground(at_best(evidence, look)) if early else []
        may_win = look != "dense" and not beats(early, always, proved, self.x)
        start = time.perf_counter()
        found = on_ground(structured(may_win, evidence))
        trace_s = time.perf_counter() - start
        candidates = {one.strategy: one for one in (*always, *found)}
        predicted = {one.strategy: one.seconds(self.x) for one in candidates.values()}
        timed = Timed({}, predicted, trace_s)
        same = [one for one in found if kept and one.strategy.spec == kept.strategy]
        if kept and same and (built := self._right(same[0])) is not None:
            return self._choice(candidates, timed, same[0], kept.reason, built)
        if workload is not None:
            trial = self._trial(candidates, predicted, workload, early)
            self.failures |= {strategy.spec: error for strategy, error in trial.failures.items()}
            timed = timed._replace(seconds={strategy: trial.typical_s(strategy) for strategy in trial.calls})
            for one, calls in trial.calls.items():
                if candidates[one].setup_s and len(calls) > 1:
                    # Never 0, by which it would be one that needs no setting up.
                    candidates[one] = replace(candidates[one], setup_s=max(calls[0] - timed.seconds[one], 1e-6))
        choice = self._first_right(candidates, timed)
        if name:
            disk_cache.store(name, StoredChoice(choice.candidate.strategy.spec, choice.reason))
        return choice

    def _first_right(self, candidates: Mapping[Strategy, Candidate], timed: Timed) -> Choice:
        """The fastest that a witness does not contradict."""
        for one in timed.order:
            if one.spec not in self.failures and (built := self._right(candidates[one])) is not None:
                reason = self._reason(candidates, timed, one)
                return self._choice(candidates, timed, candidates[one], reason, built)
        raise self._refusal()

    def _choice(
        self, candidates: Mapping[Strategy, Candidate], timed: Timed, best: Candidate, reason: str, built: Contraction
    ) -> Choice:
        single = self._single(candidates, timed, best)  # which may note failures
        return Choice(best, reason, built, single, considered(candidates, timed, self.failures, self.x))

    def _right(self, candidate: Candidate) -> Contraction | None:
        """What a candidate builds, held against the witness; None where it fails there, which is noted."""
        strategy = candidate.strategy
        try:
            if (built := self.built.get(strategy)) is None:
                built = self.built[strategy] = candidate.build(self.operator, self.f, self.x, self.args)
            fault = self.hold.fault(built, transforms=strategy.transforms) if self.values else ""
        except Exception as error:
            self.failures[strategy.spec] = error
            return None
        if fault:
            self.failures[strategy.spec] = UnsupportedError(f"it {fault}")
            return None
        return built

    def _single(self, candidates: Mapping[Strategy, Candidate], timed: Timed, best: Candidate) -> Strategy | None:
        """The fastest that needs no proof and no trace, where a trace and the best together take longer."""
        made_s, seconds = best.setup_s or (timed.trace_s if best.ground else 0.0), timed.every
        if not made_s:
            return None
        for one in sorted(seconds, key=seconds.__getitem__):
            if seconds[one] > made_s + seconds[best.strategy]:
                return None
            candidate = candidates[one]
            plain = not (candidate.ground or candidate.setup_s or one.spec in self.failures)
            if plain and self._right(candidate) is not None:
                return one
        return None

    def _refusal(self) -> Exception:
        """What to raise where no candidate is right: what f raises, as reverse mode says it."""
        spec, error = next(
            (item for item in self.failures.items() if item[0] == "identity"), next(iter(self.failures.items()))
        )
        if isinstance(error, UnsupportedError):
            return UnsupportedError(f"no strategy is right for this function; {spec}: {error}")
        return error

    def _reason(self, candidates: Mapping[Strategy, Candidate], timed: Timed, best: Strategy) -> str:
        """The choice in one line."""
        every = timed.every
        found = f"{_time(every[best])}{'' if timed.seconds else ' by counts'}"
        others = [one for one in candidates if one != best and one.spec not in self.failures]
        if others:
            other = min(others, key=every.__getitem__)
            guess = "a predicted " if timed.seconds and other not in timed.seconds else ""
            found += f" against {guess}{_time(every[other])} of {other}"
        if best.compiles:
            found += f"; {_time(candidates[best].setup_s)} to compile"
        text = f"{best}: " + "; ".join(filter(None, (candidates[best].ground, found)))
        return text + "".join(f"; without {name}: {_headline(error)}" for name, error in self.failures.items())

    def _counted(self) -> Evaluation:
        """What f costs at one point, or at those of x where it takes no other number of them."""
        every = (self.x, self.args)
        first = (self.x[:1], taken(self.x, self.args, slice(1)))
        for points, args in (first, every) if self.x.dim() == 2 and len(self.x) > 1 else (every,):
            with suppress(Exception):
                return evaluation(self.f, points, args)
        return UNKNOWN

    def _trial(
        self,
        candidates: Mapping[Strategy, Candidate],
        predicted: Mapping[Strategy, float],
        workload: Workload,
        early: Mapping[Strategy, Sequence[float]],
    ) -> Trial[Strategy]:
        """A trial of the candidates; of the way there alone where none has a way back to the parameters."""
        setup = {strategy: candidate.setup_s for strategy, candidate in candidates.items()}
        for one in dict.fromkeys((workload, replace(workload, leaves=()))):
            left = {
                strategy: candidate for strategy, candidate in candidates.items() if strategy.spec not in self.failures
            }
            works = {strategy: self._work(candidate, one) for strategy, candidate in left.items()}
            patience_s = PATIENCE_S if self.compiles else 0.0
            trial = run_trial(works, predicted, self.begin, setup=setup, patience_s=patience_s, known=early)
            if trial.calls:
                break
        return trial

    def _work(self, candidate: Candidate, workload: Workload) -> Callable[[], float | None]:
        """Calls of a candidate, which is built within the first: what fails in building fails in the trial."""

        def call() -> float | None:
            if (built := self.built.get(candidate.strategy)) is not None:
                return workload.call(built.evaluate)
            built = self.built[candidate.strategy] = candidate.build(self.operator, self.f, self.x, self.args)
            workload.call(built.evaluate)
            return None  # as long as it took, with what was built

        return call

    def _name(self, own: Evaluation, workload: Workload) -> str:
        """What the choice is kept under: all that it depends on, memory and load of the machine apart."""
        x = self.x
        device = (
            torch.cuda.get_device_name(x.device)
            if x.device.type == "cuda"
            else f"{x.device.type} {disk_cache.processor()}"
        )
        return disk_cache.digest(
            {
                "operations": own.log,
                "operator": self.operator.spec,
                "shape": tuple(x.shape),
                "dtype": str(x.dtype),
                "device": device,
                "threads": torch.get_num_threads(),
                "workload": workload.name,
                "compiles": self.compiles,
                "tracked": (torch.is_grad_enabled(), x.requires_grad),
                "torch": torch.__version__,
                "jacstrat": read_version(),
            }
        )


def candidates_of(evidence: Evidence) -> Iterator[Candidate]:
    """The candidates of every strategy that has any, those that packages register among them."""
    from jacstrat.strategies import STRATEGIES

    for kind in STRATEGIES.values():
        yield from (one for one in kind.candidates(evidence) if one.strategy.refuse(evidence.operator) is None)


def on_ground(evidence: Evidence) -> list[Candidate]:
    """Those that are exact for this function alone, on the ground of its structure."""
    return [one for one in candidates_of(evidence) if one.ground] if evidence.ground else []


def _time(seconds: float) -> str:
    """Three digits and a unit: "31.2 us"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _headline(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {' '.join(str(error).split())}", 80, placeholder=" ...")
