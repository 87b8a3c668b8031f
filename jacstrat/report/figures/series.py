"""A series: what was measured of one strategy, against n, ready to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED
from jacstrat.report.analysis.setting import size_of, spans
from jacstrat.report.analysis.units import format_spans


@dataclass(frozen=True)
class CurvePoint:
    """A measured value at n and the ends of its band, in the unit of its column; None where there is no band.

    In the place of n stands what else a picture has on its x axis: products, seconds, rounds.
    """

    n: float
    value: float
    low: float | None
    high: float | None
    wrong: bool


@dataclass(frozen=True)
class Curve:
    """The points of one strategy, by n.

    Fields:
        strategy: Its spec.
        ns: Every n of the setting. Between two of them that are no neighbours the line is broken.
        points: What was measured; never empty.
        remark: What a legend says besides the name: where it is wrong, why it ends.
    """

    strategy: str
    ns: tuple[float, ...]
    points: tuple[CurvePoint, ...]
    remark: str

    @property
    def wrong(self) -> bool:
        """More points are wrong than right."""
        return 2 * sum(point.wrong for point in self.points) > len(self.points)

    def runs(self) -> tuple[tuple[CurvePoint, ...], ...]:
        """Points that one line joins: of neighbouring n's, and in each run every stretch, or none, has a wrong end."""
        rank = {n: i for i, n in enumerate(self.ns)}
        runs: list[tuple[CurvePoint, ...]] = []
        for left, right in pairwise(self.points):
            if rank[right.n] != rank[left.n] + 1:
                continue
            if runs and runs[-1][-1] is left and touches_wrong(runs[-1][:2]) == touches_wrong((left, right)):
                runs[-1] = (*runs[-1], right)
            else:
                runs.append((left, right))
        return tuple(runs)


def touches_wrong(points: Iterable[CurvePoint]) -> bool:
    """A line through these points has a wrong end somewhere."""
    return any(point.wrong for point in points)


def series_of(
    records: Sequence[Record], value: str | Callable[[Record], float | None], low: str = "", high: str = ""
) -> tuple[Curve, ...]:
    """The series of a column, highest end first: the order in which the lines meet a legend on their right.

    Args:
        records: Those of one setting, by n.
        value: The column, or what gives its value; low, high: the columns of its band, where it has one.
    """
    read = attrgetter(value) if isinstance(value, str) else value
    ns = tuple(sorted({record.n for record in records}))
    lines: dict[str, list[Record]] = {}
    for record in records:
        lines.setdefault(record.strategy, []).append(record)
    curves = []
    for strategy, its_records in lines.items():
        points = tuple(
            CurvePoint(r.n, number, getattr(r, low, None), getattr(r, high, None), r.status == "wrong")
            for r in its_records
            if r.status in MEASURED and (number := read(r)) is not None
        )
        if points:
            curves.append(Curve(strategy, ns, points, _remark(its_records)))
    return tuple(sorted(curves, key=lambda line: (-line.points[-1].n, -line.points[-1].value, line.strategy)))


def _remark(records: Sequence[Record]) -> str:
    """Where a strategy is wrong, and its first failure: a line each."""
    judged = [record.n for record in records if record.status in MEASURED]
    wrong = [record.n for record in records if record.status == "wrong"]
    failed = [record for record in records if record.status not in MEASURED]
    size = size_of(records[0].batch)
    lines = []
    if wrong:
        lines.append("wrong" if wrong == judged else f"wrong at {size} = {format_spans(spans(wrong, judged))}")
    if failed:
        # A skipped case follows from another one, so the other one says more.
        status = min(failed, key=lambda record: record.status == "skipped").status
        ns = [record.n for record in failed if record.status == status]
        lines.append(f"{status} at {size} = {format_spans(spans(ns, (record.n for record in records)))}")
    return "\n".join(lines)
