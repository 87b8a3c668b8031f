"""Runs beside each other: CPU and GPU, two machines, two versions; in cost ratios, since seconds do not compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jacstrat.record import Record
from jacstrat.report.analysis.answers import Winner, winners
from jacstrat.report.analysis.runs import Run
from jacstrat.report.analysis.setting import Setting, by_setting, varying
from jacstrat.report.analysis.sheet import Sheet, SheetColumn, sheet_of
from jacstrat.report.analysis.units import format_range, format_ratio

ANYWHERE = "any"


@dataclass(frozen=True)
class Shared:
    """What runs have in common at one n: the fastest right strategy of each.

    Fields:
        setting: Without the device, the machine and the threads, which are those of a side.
        n: Where.
        winners: By side; None where it has no right result there.
    """

    setting: Setting
    n: int
    winners: tuple[Winner | None, ...]

    @property
    def agree(self) -> bool:
        """Some strategy is fastest, or level with the fastest, in all of them."""
        level = [set(winner.level) if winner else set() for winner in self.winners]
        return bool(set.intersection(*level))


@dataclass(frozen=True)
class RunSide:
    """A run on one device of one machine with one number of threads, which is what is compared."""

    label: str
    records: tuple[Record, ...]


def sides(runs: Sequence[Run]) -> tuple[RunSide, ...]:
    """Every run, parted where it has several devices, machines or numbers of threads, which the label then names."""
    run_sides = []
    for run in runs:
        parts: dict[Setting, list[Record]] = {}
        for setting, records in by_setting(run.records).items():
            parts.setdefault(_circumstances(setting), []).extend(records)
        differing = varying(parts)
        for part, records in parts.items():
            words = f"{run.label}: {part.words(differing)}"
            run_sides.append(RunSide(words if differing else run.label, tuple(records)))
    return tuple(run_sides)


def _circumstances(setting: Setting) -> Setting:
    """What of a setting is where it was measured."""
    return Setting("", "", 0, "", setting.device, "", setting.threads, 0, setting.machine)


def anywhere(setting: Setting) -> Setting:
    """The setting without what differs between sides: device, threads and machine."""
    return replace(setting, device=ANYWHERE, threads=0, machine="")


def shared(compared: Sequence[RunSide]) -> tuple[Shared, ...]:
    """Every n of every setting that two sides or more have a winner at, in the order of the first."""
    by_side = [{(anywhere(w.setting), w.n): w for w in winners(side.records)} for side in compared]
    keys = dict.fromkeys(key for of_side in by_side for key in of_side)
    order = {setting: i for i, setting in enumerate(dict.fromkeys(setting for setting, _ in keys))}
    in_common = []
    for setting, n in sorted(keys, key=lambda key: (order[key[0]], key[1])):
        best = tuple(winners_of.get((setting, n)) for winners_of in by_side)
        if sum(winner is not None for winner in best) > 1:
            in_common.append(Shared(setting, n, best))
    return tuple(in_common)


def agreement(compared: Sequence[RunSide]) -> str:
    """At how many of the sizes that sides share one strategy is fastest on all, or that they share none: a sentence."""
    in_common = shared(compared)
    if not in_common:
        return "They share no n of a problem, B, dtype and workload: nothing compares; run one sweep in each place."
    sizes = f"At {sum(one.agree for one in in_common)} of {len(in_common)} sizes that they share"
    return f"{sizes}, one strategy is fastest, or level with it, on every side."


def cross_run_table(compared: Sequence[RunSide]) -> Sheet:
    """The fastest right strategy of each side with its cost ratio; neighbouring n's with the same ones share a row.

    The last column says whether one strategy is fastest, or level with the fastest, on all sides.
    """
    in_common = shared(compared)
    differing = [
        name for name in varying(one.setting for one in in_common) if name not in ("device", "threads", "machine")
    ]
    columns = [SheetColumn("problem"), SheetColumn("case"), SheetColumn("n", numeric=True)]
    columns += [SheetColumn(side.label) for side in compared]
    columns += [SheetColumn("same", rank=1)]
    groups: list[list[Shared]] = []
    for one in in_common:
        last = groups[-1][-1] if groups else None
        if last and last.setting == one.setting and _names(last) == _names(one) and last.agree == one.agree:
            groups[-1].append(one)
        else:
            groups.append([one])
    rows, styles = [], []
    for group in groups:
        first = group[0]
        cells = [_cell([one.winners[i] for one in group]) for i in range(len(compared))]
        size = format_range(str(first.n), str(group[-1].n))
        case = first.setting.words(differing, brief=True)
        rows.append([first.setting.name, case, size, *cells, "yes" if first.agree else "no"])
        styles.append("" if first.agree else "yellow")
    title = "Fastest right strategy of each, with its cost ratio, the time over that of f: seconds do not compare"
    return sheet_of(title, columns, rows, styles)


def _names(one: Shared) -> list[str]:
    return [winner.strategy if winner else "" for winner in one.winners]


def _cell(best: Sequence[Winner | None]) -> str:
    there = [winner for winner in best if winner]
    ratios = [winner.cost_ratio for winner in there if winner.cost_ratio is not None]
    if not there:
        return ""
    size = format_range(format_ratio(min(ratios)), format_ratio(max(ratios))) if ratios else ""
    return f"{there[0].strategy} ({size})" if size else there[0].strategy
