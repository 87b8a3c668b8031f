"""What comes before a proof of structure: what needs none, is set up in less time, and may make it needless.

A proof takes tens of milliseconds, most of what the first call may take. Where it comes first, a strategy that records
f has no time left, though it may be several times as fast as what the proof allows; and the proof is made whatever
time is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.counting import looks_like
from jacstrat.strategies.auto.trial import HOPELESS, SETTLED
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.reduction import outputs_of
from jacstrat.structure import Structure

Look = Literal["dense", "sparse", "diagonal"]
# A proof takes at least so many times what recording f does: 4 to 6 for functions of 10 to 35 operations.
PROOF = 4
# What J is taken for where nobody may look: a proof could find anything.
UNSEEN: Look = "diagonal"


def looks(operator: Operator, f: Function, x: Tensor, args: Args) -> Look:
    """The least that a proof may find: "dense", which is nothing, where rows of J are seen without zeros, or n is 1."""
    if x.shape[-1] == 1 or outputs_of(f):
        return "dense"
    try:
        return looks_like(operator, f, x, args)
    except Exception:
        return UNSEEN


def soon(always: Sequence[Candidate], evidence: Evidence) -> list[Candidate]:
    """Those that are set up in less time than a proof takes and may be the fastest."""
    x, proof_s = evidence.x, PROOF * evidence.trace_s
    least_s = min(one.seconds(x) for one in always)
    return [one for one in always if 0 < one.setup_s <= proof_s and one.seconds(x) <= HOPELESS * least_s]


def calls_of(
    candidates: Iterable[Candidate], work: Callable[[Candidate], Callable[[], object]]
) -> tuple[dict[Strategy, list[float]], dict[str, Exception]]:
    """Seconds of the first calls of each, as a trial makes them, and what those raised that cannot be called."""
    called, failures = {}, {}
    for one in candidates:
        call, seconds = work(one), []
        try:
            for _ in range(1 + SETTLED):
                start = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - start)
        except Exception as error:
            failures[one.strategy.spec] = error
        else:
            called[one.strategy] = seconds
    return called, failures


def at_best(evidence: Evidence, look: Look) -> Evidence:
    """What would be known after a proof of the least that J may be: a diagonal, or two colours where more was seen."""
    if look == "diagonal":
        return replace(evidence, assumed=True)
    return replace(
        evidence, structure=Structure("sparse", None, np.arange(evidence.n) % 2, "traced", "", 1, (evidence.n,))
    )


def beats(
    early: Collection[Strategy] | Mapping[Strategy, object],
    always: Iterable[Candidate],
    proved: Iterable[Candidate],
    x: Tensor,
) -> bool:
    """Whether one of those called is predicted to be no slower than the best that a proof could allow."""
    called = [one.seconds(x) for one in always if one.strategy in early]
    return bool(called) and min(called) <= min((one.seconds(x) for one in proved), default=float("inf"))
