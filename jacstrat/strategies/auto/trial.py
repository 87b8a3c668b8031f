"""A short measured trial: the most promising first, interleaved rounds of single calls, ended by a budget.

The budget is of the whole first call of `auto`: CALLS calls of the fastest and ALLOWANCE_S. A call cannot be broken
off, so a candidate is called only where its predicted time, scaled by what was measured so far, still fits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
Timer = Callable[[], float]

# Calls of the fastest that the first call may take; the last of them gives the result, and the one before is the
# witness's, both outside the trial.
CALLS, OUTSIDE = 5, 2
# Seconds beside them, counting and tracing among them. The trial leaves a part unused, for what a busy machine adds;
# rounds leave more, for the witness, since what takes long to set up is worth more than a few calls more of each.
ALLOWANCE_S = 0.15
USED, USED_BY_ROUNDS = 0.8, 0.65
# Seconds that a trial may take in any case, or the share of what went before, where that is more: counts alone tell
# strategies apart that differ by a factor, no closer ones.
LEAST_S, LEAST_SHARE = 0.03, 0.2
# What is predicted to be so many times slower than the best of its kind, set up or not, is not called: predictions are
# right within two or so. Of another kind they may be off by ten, so that more is asked for, beside calls of the best.
HOPELESS, HOPELESS_OF_ANOTHER_KIND = 3.0, 50.0
# Setting up takes at most so many times the seconds that are predicted, as a busy machine does.
SLOWER = 1.5
# Seconds that setting up may take beside the budget, all together, where the caller allows those of a compiler.
PATIENCE_S = 60.0
# Calls of what was set up, behind the first.
SETTLED = 2
# From so many rounds on what is clearly behind is dropped: its shortest call takes so much of the best's.
SEEN, BEHIND = 3, 1.15
MAX_ROUNDS = 100


@dataclass
class Trial(Generic[K]):
    """What a trial found.

    Fields:
        calls: Seconds of each call of a candidate; the first is a warm-up.
        failures: What those raised that could not be called; none of them is in `calls`.
    """

    calls: dict[K, list[float]] = field(default_factory=dict)
    failures: dict[K, Exception] = field(default_factory=dict)

    def typical_s(self, name: K) -> float:
        """Lower quartile of the time of a call, seconds; the time of the first call where there is no other.

        Not the median: on a busy machine more than half of a few calls may be held up by somebody else's work.
        """
        calls = sorted(self.calls[name][1:] or self.calls[name])
        return calls[(len(calls) - 1) // 4]

    @property
    def rough(self) -> frozenset[K]:
        """Candidates of which there is the first call alone."""
        return frozenset(name for name, calls in self.calls.items() if len(calls) == 1)

    @property
    def fastest(self) -> K:
        """The candidate with the least typical time."""
        return min(self.calls, key=self.typical_s)


def run_trial(
    works: Mapping[K, Callable[[], float | None]],
    predicted: Mapping[K, float],
    begin: float | None = None,
    clock: Timer = time.perf_counter,
    setup: Mapping[K, float] | None = None,
    patience_s: float = 0.0,
    known: Mapping[K, Sequence[float]] | None = None,
) -> Trial[K]:
    """Time the candidates that may be the fastest, as far as the budget goes.

    Args:
        works: One call of each candidate, ended when it returns: its seconds by the clock of a device, or None for
            those that passed here meanwhile.
        predicted: Seconds that each is predicted to take, right up to a common factor.
        begin: When the budget began to run, by the clock; now where it is not given.
        clock: Seconds.
        setup: Seconds, predicted likewise, that the first call of a candidate takes beside; none where not given.
        known: Seconds of calls that were made before, the first of which set up what was to be.
        patience_s: Seconds beside the budget for the first calls of those that take longer than it to set up.

    Returns:
        The trial; without calls where every candidate failed.
    """
    now = clock()
    begin = now if begin is None else begin
    least = now + max(LEAST_S, LEAST_SHARE * (now - begin))
    end = max(begin + USED * ALLOWANCE_S, least)
    trial: Trial[K] = Trial({name: list(calls) for name, calls in (known or {}).items()})
    running = _Running(works, predicted, setup or {}, clock, end, trial)
    patient = [name for name in works if patience_s and running.setup_s(name) > ALLOWANCE_S]
    running.call_first([name for name in works if name not in patient and name not in trial.calls])
    running.set_up(patient, patience_s)
    running.take_rounds(spare_s=min((USED - USED_BY_ROUNDS) * ALLOWANCE_S, end - least))
    return trial


@dataclass
class _Running(Generic[K]):
    """A trial under way: the arguments of `run_trial`, when it ends by the clock, and what it found so far."""

    works: Mapping[K, Callable[[], float | None]]
    predicted: Mapping[K, float]
    setup: Mapping[K, float]
    clock: Timer
    end: float
    trial: Trial[K]

    def call_first(self, names: Sequence[K]) -> None:
        """The first calls, of those that may be the fastest and still fit.

        What is done soonest tells how fast the machine is, once it has settled; then what is to be set up, which is
        likely to be the fastest.
        """
        soonest = sorted(names, key=self._first_s)
        others = sorted(soonest[1:], key=lambda name: (not self._is_set_up(name), self.predicted[name]))
        for name in (*soonest[:1], *others):
            if self.trial.calls and (self._is_hopeless(name) or not self._fits(self._scaled_s(name))):
                continue
            self._call(name)
            if self._is_set_up(name) or (name in soonest[:1] and self._is_soon_settled(name, others)):
                self._settle(name)

    def set_up(self, patient: Sequence[K], patience_s: float) -> None:
        """Set up what takes long, as far as the patience goes, which is beside the budget.

        By a clock of its own kind: how fast the machine calls says little of how fast it compiles.
        """
        for name in sorted(patient, key=self._first_s):
            start = self.clock()
            if self.setup_s(name) <= patience_s:
                self._call(name)
                self._settle(name)
            took_s = self.clock() - start
            patience_s -= took_s
            self.end += took_s

    def take_rounds(self, spare_s: float) -> None:
        """Single calls of all in turn, until no other fits and these seconds are left; what is clearly behind goes."""
        self.end -= spare_s
        active = list(self.trial.calls)
        for count in range(MAX_ROUNDS):
            if not active or (len(active) == 1 and count >= SEEN):
                return
            # Each round begins with another one: what follows a slow call runs in other caches.
            shift = count % len(active)
            for name in active[shift:] + active[:shift]:
                if not self._fits(min(self.trial.calls[name])):
                    return
                self._call(name)
            active = [name for name in active if name in self.trial.calls]
            if active and count + 1 >= SEEN:
                limit_s = BEHIND * self.trial.typical_s(self.trial.fastest)
                active = [name for name in active if min(self.trial.calls[name][1:]) <= limit_s]

    def setup_s(self, name: K) -> float:
        """Seconds that setting up is predicted to take."""
        return self.setup.get(name, 0.0)

    def _first_s(self, name: K) -> float:
        """Seconds that the first call is predicted to take."""
        return self.predicted[name] + self.setup_s(name)

    def _is_set_up(self, name: K) -> bool:
        return self._first_s(name) > self.predicted[name]

    def _is_soon_settled(self, name: K, others: Sequence[K]) -> bool:
        """Whether further calls take little beside what setting up another does, for which there may be the time.

        A first call takes several times what the next does, and by it all that is predicted would be taken for slow.
        """
        longest_s = max((s for s in map(self.setup_s, others) if s <= ALLOWANCE_S), default=0.0)
        return name in self.trial.calls and SETTLED**2 * self.trial.calls[name][0] <= longest_s

    def _is_hopeless(self, name: K) -> bool:
        """What is set up is guessed in another way than what is not: they rule each other out with care."""
        fastest = self.trial.fastest
        best_s = max(self.trial.typical_s(fastest), self.predicted[fastest])
        if self.predicted[name] > HOPELESS_OF_ANOTHER_KIND * best_s:
            return True
        alike = self._alike(name)
        return bool(alike) and self.predicted[name] > HOPELESS * self.predicted[min(alike, key=self.trial.typical_s)]

    def _alike(self, name: K) -> list[K]:
        """Those called so far that are set up as this one is, or not."""
        return [one for one in self.trial.calls if self._is_set_up(one) == self._is_set_up(name)]

    def _scaled_s(self, name: K) -> float:
        """Seconds that the first call takes by what was measured of the best so far, if possible one of its like.

        Recording is the interpreter's work: that calls take ten times what counts say, as the first of a process do,
        and large ones of little work, says nothing of it. By another kind, whose work is guessed in another way, half
        of what it takes more than was predicted is laid to the machine, as a factor, and half to the prediction.
        """
        alike = self._alike(name)
        best = min(alike or self.trial.calls, key=self.trial.typical_s)
        scale = self.trial.typical_s(best) / self.predicted[best]
        by_calls = scale if alike else min(scale, math.sqrt(scale))
        return by_calls * self.predicted[name] + min(scale, SLOWER) * self.setup_s(name)

    def _fits(self, call_s: float) -> bool:
        return self.clock() + call_s <= self.end + (CALLS - OUTSIDE) * self.trial.typical_s(self.trial.fastest)

    def _call(self, name: K) -> None:
        start = self.clock()
        try:
            by_device_s = self.works[name]()
        except Exception as error:
            self.trial.calls.pop(name, None)
            self.trial.failures[name] = error
        else:
            taken_s = self.clock() - start if by_device_s is None else by_device_s
            self.trial.calls.setdefault(name, []).append(taken_s)

    def _settle(self, name: K) -> None:
        """Call what was set up: its first call says nothing of those that follow, and may have used up what was left.

        Twice where that takes little beside what was waited for already, since one alone may be held up.
        """
        calls = self.trial.calls
        for count in range(SETTLED):
            if name in calls and (count == 0 or calls[name][-1] <= calls[name][0] / 2):
                self._call(name)
