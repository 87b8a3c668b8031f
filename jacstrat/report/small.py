"""The small multiples: for each quantity in each place one picture of the best three strategies and the wrong ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jacstrat.records import Record
from jacstrat.report.answers import winner_ranges
from jacstrat.report.headline import Statement, statement_of
from jacstrat.report.overn import N
from jacstrat.report.picture import TIME, Picture
from jacstrat.report.series import Series, series_of
from jacstrat.report.setting import Setting, Source, by_setting, to_records

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
    stand first. One without a time has none.
    """
    places: dict[Setting, dict[Setting, list[Record]]] = {}
    for setting, records in by_setting(to_records(source)).items():
        places.setdefault(replace(setting, batch=0, seed=0), {})[setting] = records
    found = []
    for group in places.values():
        setting = max(group, key=lambda one: (len({r.n for r in group[one] if r.median_s}), one.batch))
        series = chosen(group[setting])
        if series:
            statement = statement_of(setting, group[setting])
            picture = Picture(SMALL, setting, setting.title(), statement.answer, N, "time of one call", TIME, series)
            others = tuple(sorted({one.batch for one in group} - {setting.batch}))
            found.append(Small(picture, statement, others))
    return tuple(sorted(found, key=lambda one: len({p.n for line in one.picture.series for p in line.points}) == 1))


def chosen(records: Sequence[Record]) -> tuple[Series, ...]:
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
