"""A short measured trial: the most promising first, interleaved rounds of single calls, ended by a budget.

The budget is of the whole first call of `auto`: CALLS calls of the fastest and ALLOWANCE_S. A call cannot be broken
off, so a candidate is called only where its predicted time, scaled by what was measured so far, still fits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
Clock = Callable[[], float]

# Calls of the fastest that the first call may take; the last of them gives the result, outside the trial.
CALLS = 5
# Seconds beside them, counting and tracing among them. The trial leaves a part unused, for what a busy machine adds.
ALLOWANCE_S = 0.15
USED = 0.8
# Seconds that a trial may take in any case: counts alone tell strategies apart that differ by a factor, no closer ones.
LEAST_S = 0.03
# What is predicted to be so many times slower than the best is not called: predictions are right within two or so.
HOPELESS = 3.0
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
    def fastest(self) -> K:
        """The candidate with the least typical time."""
        return min(self.calls, key=self.typical_s)


def run_trial(
    works: Mapping[K, Callable[[], float | None]],
    predicted: Mapping[K, float],
    begin: float | None = None,
    clock: Clock = time.perf_counter,
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
    end = max((now if begin is None else begin) + USED * ALLOWANCE_S, now + LEAST_S)
    trial: Trial[K] = Trial({name: list(calls) for name, calls in (known or {}).items()})
    first = {name: seconds + (setup or {}).get(name, 0.0) for name, seconds in predicted.items()}

    def is_set_up(name: K) -> bool:
        return first[name] > predicted[name]

    def fits(call_s: float) -> bool:
        return clock() + call_s <= end + (CALLS - 1) * trial.typical_s(trial.fastest)

    def call(name: K) -> None:
        start = clock()
        try:
            by_device_s = works[name]()
        except Exception as error:
            trial.calls.pop(name, None)
            trial.failures[name] = error
        else:
            taken_s = clock() - start if by_device_s is None else by_device_s
            trial.calls.setdefault(name, []).append(taken_s)

    def settle(name: K) -> None:
        """Call what was set up: its first call says nothing of those that follow, and may have used up what was left.

        Twice where that takes little beside what was waited for already, since one alone may be held up.
        """
        for count in range(SETTLED):
            if name in trial.calls and (count == 0 or trial.calls[name][-1] <= trial.calls[name][0] / 2):
                call(name)

    # What is done soonest tells how fast the machine is; then what is to be set up, which is likely to be the fastest.
    patient = [name for name in works if patience_s and (setup or {}).get(name, 0.0) > ALLOWANCE_S]
    names = sorted((name for name in works if name not in patient and name not in trial.calls), key=first.__getitem__)
    names[1:] = sorted(names[1:], key=lambda name: (not is_set_up(name), predicted[name]))
    for name in names:
        if trial.calls:
            best = trial.fastest
            # Of what is set up the work is guessed in another way than of what is not: they rule out their like alone.
            alike = [one for one in trial.calls if is_set_up(one) == is_set_up(name)]
            hopeless = alike and predicted[name] > HOPELESS * predicted[min(alike, key=trial.typical_s)]
            scale = trial.typical_s(best) / predicted[best]
            # Recording is the interpreter's work: that calls take ten times what counts say, as the first of a process
            # do, and large ones of little work, says nothing of it.
            setup_s = min(scale, SLOWER) * (setup or {}).get(name, 0.0)
            if hopeless or not fits(scale * predicted[name] + setup_s):
                continue
        call(name)
        if is_set_up(name):
            settle(name)
    for name in sorted(patient, key=first.__getitem__):
        start = clock()
        # By a clock of its own kind: how fast the machine calls says little of how fast it compiles.
        if (setup or {})[name] <= patience_s:
            call(name)
            settle(name)
        took_s = clock() - start
        patience_s -= took_s
        end += took_s

    active = list(trial.calls)
    for count in range(MAX_ROUNDS):
        if not active or (len(active) == 1 and count >= SEEN):
            break
        # Each round begins with another one: what follows a slow call runs in other caches.
        shift = count % len(active)
        for name in active[shift:] + active[:shift]:
            if not fits(min(trial.calls[name])):
                return trial
            call(name)
        active = [name for name in active if name in trial.calls]
        if active and count + 1 >= SEEN:
            limit_s = BEHIND * trial.typical_s(trial.fastest)
            active = [name for name in active if min(trial.calls[name][1:]) <= limit_s]
    return trial
