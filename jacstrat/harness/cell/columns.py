"""The columns of a row, made of what was measured."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from jacstrat.core.case import FLOOR, F
from jacstrat.harness.cell.cell_context import CellContext
from jacstrat.harness.cell.cell_samples import FLOOR_REPLAYED, CellSamples
from jacstrat.harness.cell.lower_bound import LowerBound
from jacstrat.harness.cell.prepared_case import PreparedCase
from jacstrat.harness.cell.setup import CellSetup
from jacstrat.measure.activity import Activity
from jacstrat.measure.clocks import CACHES, WARM
from jacstrat.measure.roofline import Peaks
from jacstrat.measure.sampling import WorkSamples
from jacstrat.record import COLUMNS
from jacstrat.statistics import ratio

Columns = dict[str, Any]


def untimed_columns(context: CellContext, prepared: PreparedCase) -> Columns:
    """Those that no time enters: counts, errors, and what the best-known algorithm counts."""
    return {**_best(context.lower_bound), **_exact(prepared, context.setup)}


def timed_columns(
    context: CellContext,
    prepared: PreparedCase,
    samples: CellSamples,
    fastest: str | None,
    activity: Activity | None,
    energy_j: float | None,
) -> Columns:
    """All of a case that was timed.

    Args:
        context: Of the cell.
        prepared: The case.
        samples: Of the cell.
        fastest: The fastest strategy that is right; None where none is.
        activity: What the device does in a call; None where it is not known.
        energy_j: Of a call, joules; None where it is not known.
    """
    name = prepared.case.strategy
    series, of_f, lower_bound = samples.first[name], samples.first[F], context.lower_bound
    # What is a graph is held against a graph of the products.
    bare = samples.first.get(FLOOR_REPLAYED if prepared.is_graph else FLOOR)
    median_s = series.summary.median
    return {
        **untimed_columns(context, prepared),
        **_times(series),
        **_of_caches(context, samples, name),
        "energy_j": energy_j,
        **_ratios("cost_ratio", series, of_f),
        **(_ratios("over_fastest", series, samples.first[fastest]) if fastest else {}),
        "f_median_s": _median(of_f),
        **(_over_floor(series, bare) if bare else {}),
        **_over_light(lower_bound, context.peaks, median_s),
        **activity_columns(activity, _warm_s(context, samples, name)),
        "prepare_s": prepared.prepare_s,
        **_rates(prepared, context.peaks),
    }


def _times(series: WorkSamples) -> Columns:
    times = series.summary
    return {
        "median_s": times.median,
        "q1_s": times.q1,
        "q3_s": times.q3,
        "min_s": times.minimum,
        "ci_low_s": times.low,
        "ci_high_s": times.high,
        "samples": times.samples,
        "stop_reason": series.stop_reason,
    }


def _of_caches(context: CellContext, samples: CellSamples, name: str) -> Columns:
    """Which cache the numbers are of, and the median of each that was asked for."""
    first = context.settings.caches[0]
    medians = {first: _median(samples.first[name])}
    medians |= {cache: _median(by_name[name]) for cache, by_name in samples.beside.items()}
    return {"cache": first, **{f"{cache}_s": medians.get(cache) for cache in CACHES}}


def _ratios(column: str, numerator: WorkSamples, denominator: WorkSamples) -> Columns:
    """The ratio by round and its interval, as the columns `column`, `column`_low, `column`_high."""
    by_round = ratio(numerator.seconds, denominator.seconds)
    if not by_round:
        return {}
    return {column: by_round.median, f"{column}_low": by_round.low, f"{column}_high": by_round.high}


def _over_floor(series: WorkSamples, bare: WorkSamples) -> Columns:
    return {"floor_median_s": _median(bare), **_ratios("over_floor", series, bare)}


def _over_light(lower_bound: LowerBound | None, peaks: Peaks | None, median_s: float) -> Columns:
    if lower_bound is None or peaks is None:
        return {}
    light_s = peaks.light_s(lower_bound.flops, lower_bound.bytes)
    return {"light_s": light_s, "over_light": median_s / light_s}


def _warm_s(context: CellContext, samples: CellSamples, name: str) -> float | None:
    """The median of warm calls; None where cold ones alone were timed."""
    if context.settings.caches[0] == WARM:
        return _median(samples.first[name])
    return _median(samples.beside[WARM][name]) if WARM in samples.beside else None


def activity_columns(activity: Activity | None, warm_s: float | None) -> Columns:
    """What the device did in a warm call, which a profiler sees: a cold one takes its kernels longer, by what is no
    gap."""
    if activity is None:
        return {}
    gap_s = None if warm_s is None else max(warm_s - activity.kernel_s, 0.0)
    return {"kernels": activity.kernels, "kernel_s": activity.kernel_s, "gap_s": gap_s}


def _rates(prepared: PreparedCase, peaks: Peaks | None) -> Columns:
    """What the work of a case takes at the least, by what it computes and by what it moves."""
    if peaks is None:
        return {}
    flops, moved = prepared.counts.flops, prepared.counts.moved_bytes
    return {
        "compute_s": None if flops is None else peaks.compute_s(flops),
        "memory_s": None if moved is None else peaks.memory_s(moved),
    }


def _best(lower_bound: LowerBound | None) -> Columns:
    return {"best_flops": lower_bound.flops, "best_bytes": lower_bound.bytes} if lower_bound else {}


def _exact(prepared: PreparedCase, setup: CellSetup) -> Columns:
    """Counts and errors."""
    return {
        "reference": setup.reference.source,
        "reference_error": setup.reference.error(setup.operator),
        "cancellation": setup.reference.cancellation(setup.operator),
        **asdict(prepared.counts),
        **{key: value for key, value in asdict(prepared.errors).items() if key in COLUMNS},
        **(prepared.drawn.columns if prepared.drawn else {}),
    }


def _median(series: WorkSamples) -> float | None:
    return series.summary.median if series.seconds else None
