"""How a choice is made: count the products, predict every candidate, time the promising ones, keep the fastest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from jacstrat.core.considered import Considered
from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator
from jacstrat.strategies.auto import disk_cache
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.considered import considered
from jacstrat.strategies.auto.counted import Counted, counted_of
from jacstrat.strategies.auto.disk_cache import StoredChoice
from jacstrat.strategies.auto.early import UNSEEN, at_best, beats, calls_of, looks, soon
from jacstrat.strategies.auto.offers import candidates_of, on_ground
from jacstrat.strategies.auto.timed import Timed
from jacstrat.strategies.auto.trial import PATIENCE_S, Trial, run_trial
from jacstrat.strategies.auto.wording import reason_of, refusal_of
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.hold import Hold
from jacstrat.strategies.workload import Workload, same_random_numbers
from jacstrat.trace.arguments import is_value


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


class Early(NamedTuple):
    """What comes before a proof of structure.

    Fields:
        calls: Seconds of the calls that were made.
        may_a_trace_win: What a proof by a trace would allow may be faster than all of these.
    """

    calls: Mapping[Strategy, list[float]]
    may_a_trace_win: bool


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
        counted = counted_of(self.operator, self.f, self.x, self.args, self.timed, self.compiles)
        # Where an argument may change without a sign, what is recorded or proved by a trace would be so at each call.
        is_anew = not all(map(is_value, self.args))
        offered = (one for one in candidates_of(counted.evidence) if not one.ground)
        plain = {one.strategy: one for one in offered if not (is_anew and one.strategy.records)}
        # What was chosen for the same work before, where it needs no proof.
        stored = disk_cache.load(counted.name) if counted.name else None
        if stored and (choice := self._stored(stored, plain, plain, self._predicted(plain))):
            return choice
        early = self._early(counted, [*plain.values()], stored)
        start, may_a_trace_win = time.perf_counter(), early.may_a_trace_win and not is_anew
        proved = {one.strategy: one for one in on_ground(structured(may_a_trace_win, counted.evidence))}
        candidates = plain | proved
        timed = self._predicted(candidates, trace_s=time.perf_counter() - start)
        # What was chosen before, now that it is proved.
        if stored and (choice := self._stored(stored, proved, candidates, timed)):
            return choice
        if counted.workload is not None:
            candidates, timed = self._tried(candidates, timed, counted.workload, early.calls)
        choice = self._first_right(candidates, timed)
        if counted.name:
            disk_cache.store(counted.name, StoredChoice(choice.candidate.strategy.spec, choice.reason))
        return choice

    def _predicted(self, candidates: Mapping[Strategy, Candidate], trace_s: float = 0.0) -> Timed:
        return Timed({}, {one.strategy: one.seconds(self.x) for one in candidates.values()}, trace_s)

    def _stored(
        self,
        stored: StoredChoice,
        among: Mapping[Strategy, Candidate],
        candidates: Mapping[Strategy, Candidate],
        timed: Timed,
    ) -> Choice | None:
        """What was chosen before, where it is among these and right here."""
        best = next((one for one in among.values() if one.strategy.spec == stored.strategy), None)
        if best is None or (built := self._right(best)) is None:
            return None
        return self._choice(candidates, timed, best, stored.reason, built)

    def _early(self, counted: Counted, plain: Sequence[Candidate], stored: StoredChoice | None) -> Early:
        """Calls of those that may make a proof needless."""
        evidence, workload = counted.evidence, counted.workload
        look = looks(self.operator, self.f, self.x, self.args) if self.values else UNSEEN
        if look == "dense":
            return Early({}, may_a_trace_win=False)
        if workload is None or stored:
            return Early({}, may_a_trace_win=True)
        calls, self.failures = calls_of(soon(plain, evidence), lambda one: self._work(one, workload))
        proved = on_ground(at_best(evidence, look)) if calls else []
        return Early(calls, may_a_trace_win=not beats(calls, plain, proved, self.x))

    def _tried(
        self,
        candidates: Mapping[Strategy, Candidate],
        timed: Timed,
        workload: Workload,
        early: Mapping[Strategy, Sequence[float]],
    ) -> tuple[dict[Strategy, Candidate], Timed]:
        """The candidates and their times behind a trial, in which some turn out to be set up in another time."""
        trial = self._trial(candidates, timed.predicted, workload, early)
        self.failures |= {strategy.spec: error for strategy, error in trial.failures.items()}
        seconds = {strategy: trial.typical_s(strategy) for strategy in trial.calls}
        measured = dict(candidates)
        for strategy, calls in trial.calls.items():
            if candidates[strategy].setup_s and len(calls) > 1:
                # Never 0, by which it would be one that needs no setting up.
                setup_s = max(calls[0] - seconds[strategy], 1e-6)
                measured[strategy] = replace(candidates[strategy], setup_s=setup_s)
        return measured, timed._replace(seconds=seconds, rough=trial.rough)

    def _first_right(self, candidates: Mapping[Strategy, Candidate], timed: Timed) -> Choice:
        """The fastest that a witness does not contradict."""
        for one in timed.order:
            if one.spec not in self.failures and (built := self._right(candidates[one])) is not None:
                reason = reason_of(candidates, timed, one, self.failures)
                return self._choice(candidates, timed, candidates[one], reason, built)
        raise refusal_of(self.failures)

    def _choice(
        self, candidates: Mapping[Strategy, Candidate], timed: Timed, best: Candidate, reason: str, built: Contraction
    ) -> Choice:
        single = self._single(candidates, timed, best)
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
        """The fastest that needs no proof and no trace, where a trace and the best together take longer.

        It is held against a witness where it is first called.
        """
        setup_s, seconds = best.setup_s or (timed.trace_s if best.ground else 0.0), timed.every
        if not setup_s:
            return None
        for one in sorted(seconds, key=seconds.__getitem__):
            if seconds[one] > setup_s + seconds[best.strategy]:
                return None
            candidate = candidates[one]
            if not (candidate.ground or candidate.setup_s or one.spec in self.failures):
                return one
        return None

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
