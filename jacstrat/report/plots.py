"""The plots of a run: time, cost ratio, error and memory against n, error against products; a file each a setting."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from jacstrat.errors import UsageError
from jacstrat.records import Record
from jacstrat.report.answers import Winner, winners
from jacstrat.report.chart import draw, empty_chart, legend, notes, positions, reference, scale_y, shortened
from jacstrat.report.errorscale import ErrorScale
from jacstrat.report.series import Point, Series, series_of
from jacstrat.report.setting import SETTING, Setting, by_setting, to_records, varying
from jacstrat.report.stochastic import TARGET, Family, families
from jacstrat.report.units import (
    BYTES,
    SECONDS,
    format_bytes,
    format_error,
    format_factor,
    format_ratio,
    format_seconds,
    scaled,
)

if TYPE_CHECKING:
    import pandas as pd

DPI = 150
# No date, no version, no random ids: the same records give the same bytes.
METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}

EPSILON: Mapping[str, float] = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "tf32": 2.0**-10,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
}

THEORY: Mapping[str, Callable[[float], float]] = {"1": lambda n: 1.0, "n": lambda n: n, "n + 2": lambda n: n + 2.0}
"""Evaluations of f: the least there is, one product an input, and collapsed Taylor mode."""


def time_plot(frame: pd.DataFrame, title: str | None = None) -> Figure | None:
    """Median time of a call against n with its quartile band, and f itself as a grey line.

    Args:
        frame: The records of one setting: one problem, operator, batch, dtype, device, workload, threads and seed.
        title: Instead of the setting's own.

    Returns:
        None where nothing was measured.

    Raises:
        UsageError: The frame holds several settings; names the columns that differ.
    """
    setting, records = _only(frame)
    series = series_of(records, "median_s", "q1_s", "q3_s")
    if setting is None or not series:
        return None
    answer = "No right result."
    if best := _last(winners(frame)):
        answer = f"Fastest at n = {best.n}: {shortened(best.strategy)}, {format_seconds(best.median_s)}"
        if best.runner_up:
            answer += f"; next {shortened(best.runner_up)}, {format_factor(best.over_runner_up)} the time"
    figure, axes = empty_chart(title or setting.title(), answer, "time of one call", series)
    draw(axes, series, format_seconds)
    ends = []
    if f_times := _f_times(records, series):
        ends.append(reference(axes, series, f_times, "f itself"))
    scale_y(axes, lambda value: _tick(value * 1e9, SECONDS, 1000))
    notes(axes, ends)
    legend(figure, axes, series, note_width=40 if ends else 0)
    return figure


def _f_times(records: Sequence[Record], series: Sequence[Series]) -> list[tuple[float, float]]:
    """(n, seconds) of one evaluation of f: the median over the strategies it was measured beside."""
    drawn = sorted({point.n for line in series for point in line.points})
    times = {n: [r.f_median_s for r in records if r.n == n and r.f_median_s] for n in drawn}
    return [(float(n), median(values)) for n, values in times.items() if values]


def cost_ratio_plot(frame: pd.DataFrame, title: str | None = None) -> Figure | None:
    """Cost ratio against n, with the lines of 1, n and n + 2 evaluations of f. As `time_plot`."""
    setting, records = _only(frame)
    series = series_of(records, "cost_ratio", "cost_ratio_low", "cost_ratio_high")
    if setting is None or not series:
        return None
    best = _last([winner for winner in winners(frame) if winner.cost_ratio is not None])
    answer = "No right result."
    if best:
        cost = f"at the cost of {format_ratio(best.cost_ratio)} evaluations of f"
        answer = f"Fastest at n = {best.n}: {shortened(best.strategy)}, {cost}"
    figure, axes = empty_chart(title or setting.title(), answer, "time of one call / time of f", series)
    draw(axes, series, format_ratio)
    ns = positions(axes, series)
    ends = [reference(axes, series, [(n, cost(n)) for n in ns], label) for label, cost in THEORY.items()]
    scale_y(axes, "{:g}".format)
    notes(axes, ends)
    legend(figure, axes, series, note_width=38)
    return figure


def error_plot(frame: pd.DataFrame, title: str | None = None) -> Figure | None:
    """Relative error against n, with the dtype's epsilon; exact results stand in a band below. As `time_plot`."""
    setting, records = _only(frame)
    series = series_of(records, "rel_error")
    if setting is None or not series:
        return None
    wrong = [shortened(line.strategy) for line in series if line.remark.startswith("wrong")]
    largest = format_error(max(point.value for line in series for point in line.points))
    answer = f"Wrong: {', '.join(wrong)}" if wrong else f"No result is wrong; the largest error is {largest}"
    figure, axes = empty_chart(title or setting.title(), answer, "relative error", series)
    epsilon = EPSILON.get(setting.dtype)
    scale = ErrorScale.of(series, epsilon)
    draw(axes, series, format_error, scale.place)
    scale.apply(axes)
    ends = []
    if epsilon:
        ns = positions(axes, series)
        ends.append(reference(axes, series, [(n, epsilon) for n in ns], f"ε of {setting.dtype}"))
    notes(axes, ends)
    legend(figure, axes, series, note_width=64 if ends else 0)
    return figure


def memory_plot(frame: pd.DataFrame, title: str | None = None) -> Figure | None:
    """Peak bytes of a call against n. As `time_plot`."""
    setting, records = _only(frame)
    series = series_of(records, "peak_bytes")
    if setting is None or not series:
        return None
    right = [(point.n, -point.value, line.strategy) for line in series for point in line.points if not point.wrong]
    answer = "No right result."
    if right:
        n, size, strategy = max(right)
        answer = f"Least at n = {n}: {shortened(strategy)}, {format_bytes(-size)}"
    figure, axes = empty_chart(title or setting.title(), answer, "peak memory of one call", series, base=2)
    zero = any(point.value == 0 for line in series for point in line.points)
    if zero:
        axes.set_yscale("symlog", base=2, linthresh=1)  # a logarithm has no place for 0 bytes
    draw(axes, series, format_bytes)
    if zero:
        axes.set_ylim(-0.5, max(axes.get_ylim()[1], 4.0))
        locator = SymmetricalLogLocator(base=2, linthresh=1)
        locator.set_params(numticks=9)
        axes.yaxis.set_major_locator(locator)
        axes.yaxis.set_major_formatter(lambda value, _: _tick(value, BYTES, 1024))
    else:
        scale_y(axes, lambda value: _tick(value, BYTES, 1024), base=2)
    legend(figure, axes, series)
    return figure


def budget_plot(frame: pd.DataFrame, title: str | None = None) -> Figure | None:
    """Relative error of the stochastic strategies against products, at the largest n that has any. As `time_plot`."""
    setting, _ = _only(frame)
    found = families(frame)
    if setting is None or not found:
        return None
    n = max(family.n for family in found)
    shown = [family for family in found if family.n == n]
    budgets = tuple(sorted({budget.products for family in shown for budget in family.budgets}))
    lines = sorted(shown, key=lambda family: -family.budgets[-1].rel_error)
    series = tuple(Series(family.strategy, budgets, _points(family), "") for family in lines)
    reached = [(b.products, family.strategy) for family in shown for b in family.budgets if b.rel_error <= TARGET]
    answer = f"No budget reaches a relative error of {TARGET:g}"
    if reached:
        products, strategy = min(reached)
        answer = f"Fewest products within a relative error of {TARGET:g}: {products}, {shortened(strategy)}"
    figure, axes = empty_chart(f"{title or setting.title()}, n = {n}", answer, "relative error", series)
    scale = ErrorScale.of(series, TARGET)
    draw(axes, series, format_error, scale.place)
    scale.apply(axes)
    notes(axes, [reference(axes, series, [(m, TARGET) for m in positions(axes, series)], f"{TARGET:g}")])
    alone = f": {budgets[0]}; strategies in the order of the legend" if len(budgets) == 1 else ""
    axes.set_xlabel(f"products a point{alone}")
    legend(figure, axes, series, note_width=28)
    return figure


def _points(family: Family) -> tuple[Point, ...]:
    """The budgets of a family as points, their products in the place of n."""
    return tuple(Point(budget.products, budget.rel_error, None, None, wrong=False) for budget in family.budgets)


PLOTS: Mapping[str, Callable[..., Figure | None]] = MappingProxyType(
    {
        "time": time_plot,
        "cost-ratio": cost_ratio_plot,
        "error": error_plot,
        "memory": memory_plot,
        "budget": budget_plot,
    }
)


def write_plots(frame: pd.DataFrame, directory: Path) -> list[Path]:
    """Every plot of every setting as PNG, 1200 x 750 pixels, and SVG; a plot without data is left out.

    Args:
        frame: Records, as `read_records` returns them.
        directory: Where to; made if need be.

    Returns:
        The files written, `<operator>-<problem>[-<what else differs>]-<plot>.png` and `.svg`.
    """
    settings = by_setting(to_records(frame))
    differing = varying(settings)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for setting in settings:
        stem = file_stem(setting, differing)
        part = frame[_belongs(frame, setting)]
        for name, plot in PLOTS.items():
            figure = plot(part, setting.title(also=differing))
            if figure is not None:
                written += [_save(figure, directory / f"{stem}-{name}.{kind}") for kind in METADATA]
    return written


def _belongs(frame: pd.DataFrame, setting: Setting) -> pd.Series:
    """Which rows are of the setting; a torn row, without a value, is of none."""
    rows = frame["problem"].notna()
    for name, value in vars(setting).items():
        rows &= (frame[name] == value).fillna(False)
    return rows.astype(bool)


def _save(figure: Figure, path: Path) -> Path:
    kind = path.suffix[1:]
    with matplotlib.rc_context({"svg.hashsalt": "jacstrat"}):
        figure.savefig(path, format=kind, dpi=DPI, metadata=METADATA[kind])
    return path


def file_stem(setting: Setting, differing: Sequence[str]) -> str:
    """The beginning of a file name, of [a-z0-9_.-] only, distinct for distinct settings.

    What is lost of a name in that alphabet is made up for by a hash of it.
    """
    prefix = {"batch": "b", "threads": "t", "seed": "s"}
    parts = [setting.operator, setting.problem]
    parts += [prefix.get(name, "") + str(getattr(setting, name)) for name in differing]
    return "-".join(_slug(part) for part in parts)


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_.]+", "-", plain).strip("-.")[:48]
    if slug and slug == text:
        return slug
    return "-".join(filter(None, (slug, hashlib.sha256(text.encode()).hexdigest()[:8])))


def _only(frame: pd.DataFrame) -> tuple[Setting | None, list[Record]]:
    """The one setting of a frame and its records by n; (None, []) of an empty one."""
    settings = by_setting(to_records(frame))
    if len(settings) > 1:
        names = [name for name in SETTING if len({getattr(setting, name) for setting in settings}) > 1]
        raise UsageError(f"a plot shows one setting, got {len(settings)} that differ in {', '.join(names)}; choose one")
    return next(iter(settings.items()), (None, []))


def _last(found: Sequence[Winner]) -> Winner | None:
    return found[-1] if found else None


def _tick(value: float, units: Sequence[str], base: float) -> str:
    number, unit = scaled(value, units, base)
    return f"{number:.3g} {unit}"
