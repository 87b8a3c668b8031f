"""The picture of time against error: what a strategy takes, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.units import shortened
from jacstrat.report.figures.picture import EPSILON, ERROR, GuideLine, Picture
from jacstrat.report.figures.series import Curve, CurvePoint


def pareto_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Relative error against the median time at the largest n that has two strategies or more, with the Pareto front.

    On the front are the strategies, right or wrong, that none is at once as fast and as exact as.
    """
    by_n: dict[int, list[tuple[float, float, Record]]] = {}
    for r in records:
        if r.status in MEASURED and r.median_s and r.rel_error is not None:
            by_n.setdefault(r.n, []).append((r.median_s, r.rel_error, r))
    sizes = [n for n, group in by_n.items() if len(group) > 1]
    if not sizes:
        return None
    n = max(sizes)
    placed = sorted(by_n[n], key=lambda each: (-each[1], each[0], each[2].strategy))
    xs = tuple(sorted({seconds for seconds, _, _ in placed}))
    series = tuple(
        Curve(r.strategy, xs, (CurvePoint(seconds, error, None, None, r.status == "wrong"),), _remark(r))
        for seconds, error, r in placed
    )
    front = pareto_front(series)
    names = ", ".join(f"{shortened(line.strategy)}{' (wrong)' * point.wrong}" for line, point in front)
    epsilon = EPSILON.get(setting.dtype)
    return Picture(
        "pareto",
        setting,
        f"{title}, n = {n}",
        f"Pareto front, from fast to exact: {names}",
        "time of one call",
        "relative error",
        ERROR,
        series,
        x="seconds",
        references=(GuideLine(f"ε of {setting.dtype}", lambda seconds: epsilon),) if epsilon else (),
        front=front,
        errors=True,
        epsilon=epsilon,
    )


def pareto_front(series: Sequence[Curve]) -> tuple[tuple[Curve, CurvePoint], ...]:
    """The points, one a series, that no other one equals or beats in both x and value; by x."""
    front: list[tuple[Curve, CurvePoint]] = []
    for line in sorted(series, key=lambda line: (line.points[0].n, line.points[0].value)):
        (point,) = line.points
        if not front or point.value < front[-1][1].value:
            front.append((line, point))
    return tuple(front)


def _remark(record: Record) -> str:
    return "wrong" if record.status == "wrong" else ""
