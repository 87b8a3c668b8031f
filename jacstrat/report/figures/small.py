"""The small multiples: for each quantity in each place one picture of the best three strategies and the wrong ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED, winner_ranges
from jacstrat.report.analysis.batches import BatchSweep, batch_sweeps
from jacstrat.report.analysis.headline import Statement, statement_of
from jacstrat.report.analysis.setting import Setting, Source, by_setting, to_records
from jacstrat.report.figures.overn import SIZES
from jacstrat.report.figures.picture import TIME, Picture
from jacstrat.report.figures.series import Curve, series_of

Group = Mapping[Setting, Sequence[Record]]
BEST, MOST_WRONG = 3, 2
SMALL = "small"


@dataclass(frozen=True)
class Small:
    """A small multiple.

    Fields:
        picture: Time against n, or against B, or of a single n the strategies below each other.
        statement: What is said of it.
        fixed: What is the same in all of it, B or, against B, n.
        others: Those of it of the same quantity in the same place that are not drawn, ascending.
    """

    picture: Picture
    statement: Statement
    fixed: int
    others: tuple[int, ...]

    @property
    def fixed_words(self) -> str:
        """What is the same in all of it, in words: "B = 16", or "n = 16"."""
        return f"{self.fixed_letter} = {self.fixed}"

    @property
    def fixed_letter(self) -> str:
        """ "B", or against B "n"."""
        return "n" if self.picture.setting.size == "B" else "B"


def smalls(source: Source) -> tuple[Small, ...]:
    """A small multiple for each problem, operator, device, machine, number of threads, workload and dtype.

    Of several batches or seeds that with the most n's is drawn, then that of the largest batch; against B where there
    are more B at one n than n at one B. Those with several points stand first.
    """
    return tuple(small_of(group) for group in places(source))


def places(source: Source) -> tuple[Group, ...]:
    """What `smalls` draws, in its order, before it is drawn; a place without a time is left out."""
    groups: dict[Setting, dict[Setting, list[Record]]] = {}
    for setting, records in by_setting(to_records(source)).items():
        if any(record.status in MEASURED and record.median_s is not None for record in records):
            groups.setdefault(replace(setting, batch=0, seed=0), {})[setting] = records
    return tuple(sorted(groups.values(), key=_is_one_point))


def _is_one_point(group: Group) -> bool:
    return len(_sizes(group[_fullest(group)])) == 1 and _over_batches(group) is None


def small_of(group: Group) -> Small:
    """The small multiple of one place."""
    if sweep := _over_batches(group):
        others = {n for records in group.values() for n in _sizes(records)} - {sweep.n}
        return _small(sweep.setting, sweep.records, sweep.title(), sweep.n, others)
    setting = _fullest(group)
    return _small(
        setting, group[setting], setting.title(), setting.batch, {one.batch for one in group} - {setting.batch}
    )


def _small(setting: Setting, records: Sequence[Record], title: str, fixed: int, others: Iterable[int]) -> Small:
    statement = statement_of(setting, records)
    xlabel = SIZES[setting.size]
    picture = Picture(SMALL, setting, title, statement.answer, xlabel, "time of one call", TIME, chosen(records))
    return Small(picture, statement, fixed, tuple(sorted(others)))


def _over_batches(group: Group) -> BatchSweep | None:
    """The sweep over B that says more than any over n."""
    found = batch_sweeps([record for records in group.values() for record in records])
    longest = max(found, key=lambda sweep: len(_sizes(sweep.records)), default=None)
    return longest if longest and len(_sizes(longest.records)) > len(_sizes(group[_fullest(group)])) else None


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
