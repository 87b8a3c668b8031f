"""Functions whose time is known, because they look at the clock themselves."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

from jacstrat.graphs import Work
from jacstrat.measure.host_clock import HostClock
from jacstrat.measure.sampling import Settings, WorkSamples, sample

from .figure import Figure

TRUTHS_S = (20e-6, 1e-3, 50e-3)
TOLERANCE = 0.03
# 1 % of the shortest truth: less than anything that torch does takes.
OVERHEAD_S = 0.01 * min(TRUTHS_S)
EMPTY = "empty"


def known(settings: Settings) -> list[Figure]:
    """The medians of functions that spin for a known time, and what a call of nothing seems to cost."""
    works: dict[str, Work] = {_name(truth_s): spin(truth_s) for truth_s in TRUTHS_S}
    return judge(sample(works | {EMPTY: lambda: None}, HostClock(), settings, random.Random(0)))


def spin(seconds: float) -> Work:
    """Work that returns as soon as the host clock has advanced by so much."""
    length_ns = round(seconds * 1e9)
    now = time.perf_counter_ns

    def work() -> None:
        end = now() + length_ns
        while now() < end:
            pass

    return work


def judge(series: Mapping[str, WorkSamples]) -> list[Figure]:
    """A figure a truth, from the series that are named after them, and one for the empty function."""
    figures = []
    for truth_s in TRUTHS_S:
        times = series[_name(truth_s)].summary
        note = f"median {times.median * 1e6:.6g} us of {times.samples} samples, {series[_name(truth_s)].stop_reason}"
        error = abs(times.median / truth_s - 1)
        figures.append(Figure("known", f"{_name(truth_s)}: error of the median", error, TOLERANCE, "%", note=note))
    empty = series[EMPTY]
    note = f"blocks of {empty.calls} calls"
    figures.append(
        Figure("known", "overhead a call: an empty function", empty.summary.median, OVERHEAD_S, "us", note=note)
    )
    return figures


def _name(truth_s: float) -> str:
    return f"spin for {truth_s * 1e3:g} ms"
