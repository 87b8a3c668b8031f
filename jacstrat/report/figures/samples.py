"""The picture of samples over time, of those times that are to be doubted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from jacstrat.record import Record
from jacstrat.report.analysis.noisy_times import NoisyTime, noisy_times
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.units import format_factor, format_seconds
from jacstrat.report.figures.picture import RATIO, GuideLine, Picture
from jacstrat.report.figures.series import Curve, CurvePoint

DRIFT = 1.1
"""The factor between the medians of the first and the last third of the samples from which they drift."""
MOST_LINES = 3
"""More that jitter about 1 hide each other."""
MOST_POINTS = 36
Samples = Mapping[str, Mapping[str, Any]]


def drift(seconds: Sequence[float]) -> float | None:
    """The median of the last third of the samples over that of the first; None of fewer than six."""
    third = len(seconds) // 3
    return median(seconds[-third:]) / median(seconds[:third]) if third >= 2 else None


def samples_picture(setting: Setting, records: Sequence[Record], title: str, samples: Samples) -> Picture | None:
    """The samples of the doubtful over the rounds, each over its own median, at the n of the worst of them.

    Of more than MOST_POINTS rounds neighbours share a point: their median, with their extent as its band.
    """
    doubtful = [
        noisy_time for noisy_time in noisy_times(records) if samples.get(noisy_time.record.case, {}).get("seconds")
    ]
    if not doubtful:
        return None
    n = doubtful[0].record.n
    worst = [noisy_time for noisy_time in doubtful if noisy_time.record.n == n][:MOST_LINES]
    series = [_series(noisy_time, samples[noisy_time.record.case]) for noisy_time in worst]
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


def _series(noisy_time: NoisyTime, raw: Mapping[str, Any]) -> Curve:
    seconds = raw["seconds"]
    rounds = raw.get("rounds") or range(len(seconds))
    middle = median(seconds)
    size = -(-len(seconds) // MOST_POINTS)
    points = []
    for i in range(0, len(seconds), size):
        part = [value / middle for value in seconds[i : i + size]]
        low, high = (min(part), max(part)) if size > 1 else (None, None)
        points.append(CurvePoint(rounds[i], median(part), low, high, wrong=noisy_time.record.status == "wrong"))
    remarks = [f"median {format_seconds(middle)}"]
    moved = drift(seconds)
    if moved is not None and not 1 / DRIFT < moved < DRIFT:
        remarks.append(f"drifts by {format_factor(moved)}")
    if raw.get("dropped"):
        remarks.append(f"{len(raw['dropped'])} samples dropped")
    return Curve(noisy_time.record.strategy, tuple(point.n for point in points), tuple(points), "\n".join(remarks))
