"""The times that are to be doubted, why, and their samples over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from jacstrat.records import Record
from jacstrat.report.picture import RATIO, GuideLine, Picture
from jacstrat.report.series import Curve, CurvePoint
from jacstrat.report.setting import Setting, Source, by_setting, to_records, varying
from jacstrat.report.sheet import Sheet, SheetColumn, sheet_of
from jacstrat.report.units import format_factor, format_seconds

WIDE = 0.1
"""Half the interval of the median over the median, from which a time is to be doubted; sampling aims at 0.02."""
SPREAD = 0.5
"""Likewise the distance of the quartiles over the median."""
DRIFT = 1.1
"""The factor between the medians of the first and the last third of the samples from which they drift."""
THROTTLED = "throttled"
MOST_LINES = 6
MOST_POINTS = 100

Samples = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Doubt:
    """A time that is to be doubted.

    Fields:
        record: Its case.
        reasons: Why, a few words each.
        weight: The larger, the more it is to be doubted: half the interval over the median, or half the distance of
            the quartiles over it, whichever is larger; infinite where there is no interval.
    """

    record: Record
    reasons: tuple[str, ...]
    weight: float


def doubts(records: Iterable[Record]) -> tuple[Doubt, ...]:
    """Every time that is to be doubted, the worst first."""
    found = [doubt for record in records if (doubt := _doubt(record)) is not None]
    return tuple(sorted(found, key=lambda doubt: (-doubt.weight, doubt.record.case)))


def _doubt(record: Record) -> Doubt | None:
    if not record.median_s or record.samples is None:
        return None
    reasons, weight = [], 0.0
    if record.stop_reason == THROTTLED:
        reasons.append("the card was slowed down")
    if record.ci_low_s is None or record.ci_high_s is None:
        few = "1 sample is" if record.samples == 1 else f"{record.samples} samples are"
        reasons.append(f"{few} too few for an interval")
        weight = float("inf")
    else:
        half = (record.ci_high_s - record.ci_low_s) / (2 * record.median_s)
        weight = half
        if half > WIDE:
            reasons.append(f"the median is known to ±{half:.0%}")
    if record.q1_s is not None and record.q3_s is not None:
        spread = (record.q3_s - record.q1_s) / record.median_s
        weight = max(weight, spread / 2)
        if spread > SPREAD:
            reasons.append(f"the quartiles are {spread:.0%} of the median apart")
    return Doubt(record, tuple(reasons), weight) if reasons else None


def drift(seconds: Sequence[float]) -> float | None:
    """The median of the last third of the samples over that of the first; None of fewer than six."""
    third = len(seconds) // 3
    return median(seconds[-third:]) / median(seconds[:third]) if third >= 2 else None


def samples_picture(setting: Setting, records: Sequence[Record], title: str, samples: Samples) -> Picture | None:
    """The samples of the doubtful over the rounds, each over its own median, at the n of the worst of them.

    Of more than MOST_POINTS rounds neighbours share a point: their median, with their extent as its band.
    """
    doubtful = [doubt for doubt in doubts(records) if samples.get(doubt.record.case, {}).get("seconds")]
    if not doubtful:
        return None
    n = doubtful[0].record.n
    worst = [doubt for doubt in doubtful if doubt.record.n == n][:MOST_LINES]
    series = [_series(doubt, samples[doubt.record.case]) for doubt in worst]
    first = worst[0]
    return Picture(
        "samples",
        setting,
        f"{title}, n = {n}",
        f"{first.record.strategy}: {', '.join(first.reasons)}",
        "round",
        "time of a sample / median of all",
        RATIO,
        tuple(sorted(series, key=lambda line: (-line.points[-1].value, line.strategy))),
        x="rounds",
        references=(GuideLine("median", lambda n: 1.0),),
    )


def _series(doubt: Doubt, raw: Mapping[str, Any]) -> Curve:
    seconds = raw["seconds"]
    rounds = raw.get("rounds") or range(len(seconds))
    middle = median(seconds)
    size = -(-len(seconds) // MOST_POINTS)
    points = []
    for i in range(0, len(seconds), size):
        part = [value / middle for value in seconds[i : i + size]]
        low, high = (min(part), max(part)) if size > 1 else (None, None)
        points.append(CurvePoint(rounds[i], median(part), low, high, wrong=doubt.record.status == "wrong"))
    remarks = [f"median {format_seconds(middle)}"]
    moved = drift(seconds)
    if moved is not None and not 1 / DRIFT < moved < DRIFT:
        remarks.append(f"drifts by {format_factor(moved)}")
    if raw.get("dropped"):
        remarks.append(f"{len(raw['dropped'])} samples dropped")
    return Curve(doubt.record.strategy, tuple(point.n for point in points), tuple(points), "\n".join(remarks))


def doubts_table(source: Source) -> Sheet:
    """Every doubtful time, the worst first, with why."""
    found = doubts(to_records(source))
    settings = [setting for doubt in found for setting in by_setting([doubt.record])]
    differing = varying(settings)
    columns = [
        SheetColumn("problem"),
        SheetColumn("case", rank=2),
        SheetColumn("strategy"),
        SheetColumn("n", numeric=True),
        SheetColumn("time", numeric=True, rank=1),
        SheetColumn("why", prose=True),
    ]
    rows = [
        [
            setting.name,
            setting.words(differing, brief=True),
            doubt.record.strategy,
            str(doubt.record.n),
            format_seconds(doubt.record.median_s),
            ", ".join(doubt.reasons),
        ]
        for doubt, setting in zip(found, settings, strict=True)
    ]
    return sheet_of("Doubtful times, the worst first", columns, rows)
