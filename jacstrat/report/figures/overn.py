"""The pictures over n: time, cost ratio, error and memory of one setting; time and memory over B, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median

from jacstrat.record import Record
from jacstrat.report.analysis.answers import Winner, growths, winners
from jacstrat.report.analysis.crossing import crossings
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.units import (
    format_bytes,
    format_error,
    format_factor,
    format_ratio,
    format_seconds,
    shortened,
)
from jacstrat.report.figures.picture import EPSILON, ERROR, RATIO, SIZE, TIME, GuideLine, Mark, Picture
from jacstrat.report.figures.series import Curve, series_of

THEORY: Mapping[str, Callable[[float], float]] = {"1": lambda n: 1.0, "n": lambda n: n, "n + 2": lambda n: n + 2.0}
"""Evaluations of f: the least there is, one product an input, and collapsed Taylor mode."""

SIZES = {"n": "n, number of inputs", "B": "B, number of points"}
N = SIZES["n"]
NOTHING_RIGHT = "No right result."
MOST_FITS = 13
"""Of more strategies a legend names no exponents: it would have no room."""


def time_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Median time of a call against n, or B, with its quartile band, and f itself as a grey line."""
    series = _fitted(series_of(records, "median_s", "q1_s", "q3_s"), records, "median_s")
    if not series:
        return None
    answer = NOTHING_RIGHT
    if best := _last(winners(records)):
        answer = f"Fastest at {setting.size} = {best.n}: {shortened(best.strategy)}, {format_seconds(best.median_s)}"
        if best.runner_up:
            lead = format_factor(best.over_next)
            name = shortened(best.runner_up)
            answer += f"; next {name}, {lead} the time" if lead else f"; level with {name}"
    f_times = _f_times(records, series)
    return Picture(
        "time",
        setting,
        title,
        answer,
        SIZES[setting.size],
        "time of one call",
        TIME,
        series,
        references=(GuideLine("f itself", points=tuple(f_times)),) if f_times else (),
        marks=_marks(records),
    )


def _f_times(records: Sequence[Record], series: Sequence[Curve]) -> list[tuple[float, float]]:
    """(n, seconds) of one evaluation of f: the median over the strategies it was measured beside."""
    drawn = {point.n for line in series for point in line.points}
    times: dict[float, list[float]] = {}
    for record in records:
        if record.f_median_s and record.n in drawn:
            times.setdefault(float(record.n), []).append(record.f_median_s)
    return [(n, median(values)) for n, values in sorted(times.items())]


def cost_ratio_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Cost ratio against n, with the lines of 1, n and n + 2 evaluations of f."""
    series = _fitted(series_of(records, "cost_ratio", "cost_ratio_low", "cost_ratio_high"), records, "cost_ratio")
    if not series:
        return None
    best = _last([winner for winner in winners(records) if winner.cost_ratio is not None])
    answer = NOTHING_RIGHT
    if best:
        cost = f"at the cost of {format_ratio(best.cost_ratio)} evaluations of f"
        answer = f"Fastest at n = {best.n}: {shortened(best.strategy)}, {cost}"
    return Picture(
        "cost-ratio",
        setting,
        title,
        answer,
        N,
        "time of one call / time of f",
        RATIO,
        series,
        references=tuple(GuideLine(label, curve) for label, curve in THEORY.items()),
        marks=_marks(records),
    )


def error_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Relative error against n, with the dtype's epsilon; exact results stand in a band below."""
    series = series_of(records, "rel_error")
    if not series:
        return None
    failed = {record.strategy for record in records if record.status == "wrong"}
    wrong = [shortened(line.strategy) for line in series if line.strategy in failed]
    largest = format_error(max(point.value for line in series for point in line.points))
    answer = f"Wrong: {', '.join(wrong)}" if wrong else f"No result is wrong; the largest error is {largest}"
    epsilon = EPSILON.get(setting.dtype)
    references = (GuideLine(f"ε of {setting.dtype}", lambda n: epsilon),) if epsilon else ()
    return Picture(
        "error",
        setting,
        title,
        answer,
        N,
        "relative error",
        ERROR,
        series,
        references=references,
        errors=True,
        epsilon=epsilon,
    )


def memory_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Peak bytes of a call against n, or B."""
    series = _fitted(series_of(records, "peak_bytes"), records, "peak_bytes")
    if not series:
        return None
    right = [(point.n, -point.value, line.strategy) for line in series for point in line.points if not point.wrong]
    answer = NOTHING_RIGHT
    if right:
        n, size, strategy = max(right)
        answer = f"Least at {setting.size} = {n}: {shortened(strategy)}, {format_bytes(-size)}"
    return Picture("memory", setting, title, answer, SIZES[setting.size], "peak memory of one call", SIZE, series)


def _fitted(series: tuple[Curve, ...], records: Sequence[Record], column: str) -> tuple[Curve, ...]:
    """The series with their fitted exponents, and the 95 % interval of each, as the first remark."""
    if len(series) > MOST_FITS:
        return series
    fits = {growth.strategy: growth for growth in growths(records, column)}

    def remarked(line: Curve) -> Curve:
        if (fit := fits.get(line.strategy)) is None:
            return line
        low, high = fit.interval
        words = f"~ {fit.setting.size}^{fit.exponent:.2f} [{low:.2f}, {high:.2f}]"
        return replace(line, remark="\n".join(filter(None, (words, line.remark))))

    return tuple(map(remarked, series))


def _marks(records: Sequence[Record]) -> tuple[Mark, ...]:
    return tuple(Mark(crossing.drawn_at, crossing.words) for crossing in crossings(records))


def _last(of_sizes: Sequence[Winner]) -> Winner | None:
    return max(of_sizes, key=lambda winner: winner.n, default=None)
