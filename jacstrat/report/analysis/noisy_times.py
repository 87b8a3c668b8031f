"""The times that are to be doubted, why, and their samples over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jacstrat.record import Record
from jacstrat.report.analysis.setting import Source, by_setting, to_records, varying
from jacstrat.report.analysis.sheet import Sheet, SheetColumn, sheet_of
from jacstrat.report.analysis.units import format_seconds

WIDE = 0.1
"""Half the interval of the median over the median, from which a time is to be doubted; sampling aims at 0.02."""
SPREAD = 0.5
"""Likewise the distance of the quartiles over the median."""
THROTTLED = "throttled"


@dataclass(frozen=True)
class NoisyTime:
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


def noisy_times(records: Iterable[Record]) -> tuple[NoisyTime, ...]:
    """Every time that is to be doubted, the worst first."""
    noisy = [noisy_time for record in records if (noisy_time := _noisy_time(record)) is not None]
    return tuple(sorted(noisy, key=lambda noisy_time: (-noisy_time.weight, noisy_time.record.case)))


def _noisy_time(record: Record) -> NoisyTime | None:
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
    return NoisyTime(record, tuple(reasons), weight) if reasons else None


def noisy_times_table(source: Source) -> Sheet:
    """Every doubtful time, the worst first, with why."""
    noisy = noisy_times(to_records(source))
    settings = [setting for noisy_time in noisy for setting in by_setting([noisy_time.record])]
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
            noisy_time.record.strategy,
            str(noisy_time.record.n),
            format_seconds(noisy_time.record.median_s),
            ", ".join(noisy_time.reasons),
        ]
        for noisy_time, setting in zip(noisy, settings, strict=True)
    ]
    return sheet_of("Doubtful times, the worst first", columns, rows)
