"""The small multiples: for each quantity in each place one picture of the best three strategies and the wrong ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED, winner_ranges
from jacstrat.report.analysis.headline import Statement, statement_of
from jacstrat.report.analysis.setting import Setting, Source, by_setting, to_records
from jacstrat.report.figures.overn import N
from jacstrat.report.figures.picture import TIME, Picture
from jacstrat.report.figures.series import Curve, series_of

Group = Mapping[Setting, Sequence[Record]]
BEST, MOST_WRONG = 3, 2
SMALL = "small"


@dataclass(frozen=True)
class Small:
    """A small multiple.

    Fields:
        picture: Time against n, or of a single n the strategies below each other.
        statement: What is said of it.
        others: The batches of the same quantity in the same place that are not drawn, ascending.
    """

    picture: Picture
    statement: Statement
    others: tuple[int, ...]


def smalls(source: Source) -> tuple[Small, ...]:
    """A small multiple for each problem, operator, device, machine, number of threads, workload and dtype.

    Of several batches or seeds that with the most n's is drawn, then that of the largest batch. Those with several n's
    stand first.
    """
    return tuple(small_of(group) for group in places(source))


def places(source: Source) -> tuple[Group, ...]:
    """What `smalls` draws, in its order, before it is drawn; a place without a time is left out."""
    groups: dict[Setting, dict[Setting, list[Record]]] = {}
    for setting, records in by_setting(to_records(source)).items():
        if any(record.status in MEASURED and record.median_s is not None for record in records):
            groups.setdefault(replace(setting, batch=0, seed=0), {})[setting] = records
    return tuple(sorted(groups.values(), key=lambda group: len(_sizes(group[_fullest(group)])) == 1))


def small_of(group: Group) -> Small:
    """The small multiple of one place."""
    setting = _fullest(group)
    statement = statement_of(setting, group[setting])
    series = chosen(group[setting])
    picture = Picture(SMALL, setting, setting.title(), statement.answer, N, "time of one call", TIME, series)
    return Small(picture, statement, tuple(sorted({one.batch for one in group} - {setting.batch})))


def _fullest(group: Group) -> Setting:
    return max(group, key=lambda one: (len(_sizes(group[one])), one.batch))


def _sizes(records: Sequence[Record]) -> set[int]:
    return {record.n for record in records if record.status in MEASURED and record.median_s is not None}


def chosen(records: Sequence[Record]) -> tuple[Curve, ...]:
    """The time of the best three right strategies of one setting, and of those that are wrong most often.

    The best are those that win at the most n's, then those that are fastest at the largest n.
    """
    won = Counter[str]()
    for one in winner_ranges(records):
        won[one.strategy or ""] += len(one.winners)
    wrong = Counter(record.strategy for record in records if record.status == "wrong")
    right = [r for r in records if r.status == "ok" and r.median_s and not r.draws and r.strategy not in wrong]
    ordered = sorted(right, key=lambda r: (-won[r.strategy], -r.n, r.median_s or 0.0))
    names = [*dict.fromkeys(r.strategy for r in ordered)][:BEST]
    names += [strategy for strategy, _ in sorted(wrong.items(), key=lambda one: (-one[1], one[0]))[:MOST_WRONG]]
    return tuple(line for line in series_of(records, "median_s", "q1_s", "q3_s") if line.strategy in names)
