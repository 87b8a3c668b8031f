"""The pictures of runs beside each other: cost ratios of one over those of another."""

from __future__ import annotations

from collections.abc import Sequence

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED
from jacstrat.report.analysis.cross_run import RunSide, anywhere
from jacstrat.report.analysis.setting import Setting, by_setting
from jacstrat.report.analysis.units import format_factor, shortened
from jacstrat.report.figures.overn import N
from jacstrat.report.figures.picture import RATIO, GuideLine, Picture
from jacstrat.report.figures.series import Curve, CurvePoint


def cross_run_pictures(compared: Sequence[RunSide]) -> tuple[tuple[str, Picture], ...]:
    """For each setting that the first side shares with another: that one's label, and its cost ratios over the first's.

    The band goes from low over high to high over low, of the intervals of both: it holds where both hold.
    """
    grouped = [
        {anywhere(setting): records for setting, records in by_setting(side.records).items()} for side in compared
    ]
    pictures = []
    for setting, base in grouped[0].items() if grouped else ():
        for side, other in zip(compared[1:], grouped[1:], strict=True):
            series = _series(base, other.get(setting, []))
            if series:
                pictures.append((side.label, _picture(setting, series, compared[0].label, side.label)))
    return tuple(pictures)


def _picture(setting: Setting, series: tuple[Curve, ...], base: str, other: str) -> Picture:
    values = [(point.value, line.strategy, point.n) for line in series for point in line.points]
    (low, *at_low), (high, *at_high) = min(values), max(values)
    answer = (
        f"Cost ratios from {format_factor(low)} ({shortened(str(at_low[0]))}, n = {at_low[1]:g}) to "
        f"{format_factor(high)} ({shortened(str(at_high[0]))}, n = {at_high[1]:g}) those of {base}"
    )
    title = f"{setting.name[:1].upper()}{setting.name[1:]}, {setting.words(['dtype', 'batch'])}: {other} over {base}"
    lines = (GuideLine("the same", lambda n: 1.0),)
    return Picture("between", setting, title, answer, N, "cost ratio / cost ratio", RATIO, series, references=lines)


def _series(base: Sequence[Record], other: Sequence[Record]) -> tuple[Curve, ...]:
    before = {(r.strategy, r.n): r for r in base if r.status in MEASURED and r.cost_ratio}
    lines: dict[str, list[CurvePoint]] = {}
    for r in other:
        was = before.get((r.strategy, r.n))
        if was is not None and was.cost_ratio and r.cost_ratio and r.status in MEASURED:
            low = _over(r.cost_ratio_low, was.cost_ratio_high)
            high = _over(r.cost_ratio_high, was.cost_ratio_low)
            wrong = "wrong" in (r.status, was.status)
            lines.setdefault(r.strategy, []).append(CurvePoint(r.n, r.cost_ratio / was.cost_ratio, low, high, wrong))
    ns = tuple(sorted({point.n for points in lines.values() for point in points}))
    curves = [Curve(name, ns, tuple(points), "") for name, points in lines.items()]
    return tuple(sorted(curves, key=lambda line: (-line.points[-1].n, -line.points[-1].value, line.strategy)))


def _over(numerator: float | None, denominator: float | None) -> float | None:
    return numerator / denominator if numerator and denominator else None
