"""What each revision has: its cases, and of each the row with its counts and errors; no time is taken here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from jacstrat.core.errors import UsageError
from jacstrat.record import COLUMNS, SCHEMA, TIMED, Record
from jacstrat.revisions.interleave import SharedCase
from jacstrat.revisions.processes import DiedError, RefusedError, RevisionPair, SideProcess

PlainCell = Mapping[str, Any]
SIDES = ("base", "new")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which cases: as the options of `jacstrat run`, for each revision to understand by itself.

    Fields:
        sweep: Name of a shipped sweep, or the absolute path of a TOML file; None for `quick`, or for every strategy
            where there are problems.
        problems, strategies: Names; empty for those of the sweep.
        over: What stands over the values of the sweep, such as n = [4].
    """

    sweep: str | None = None
    problems: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    over: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Survey:
    """What was found on both sides.

    Fields:
        cells: By side and case, its cell of one strategy.
        records: By side and case, its row without times.
        environments: By side, of machine and software.
        notes: What one revision lacks, and why, a line each.
    """

    cells: dict[str, dict[str, PlainCell]]
    records: dict[str, dict[str, Record]]
    environments: dict[str, dict[str, Any]]
    notes: list[str]

    @property
    def shared_cases(self) -> list[SharedCase]:
        """The cases that both revisions have and have a result of: those that can be timed."""
        base, new = self.records["base"], self.records["new"]
        return [
            SharedCase(key, self.cells["base"][key], self.cells["new"][key])
            for key in base
            if key in new and all(row.status in ("ok", "wrong") for row in (base[key], new[key]))
        ]

    def only(self, keys: Collection[str]) -> Survey:
        """What was found of some of the cases."""
        cells = {side: {key: cell for key, cell in self.cells[side].items() if key in keys} for side in SIDES}
        records = {side: {key: row for key, row in self.records[side].items() if key in keys} for side in SIDES}
        return Survey(cells, records, self.environments, self.notes)


def survey(
    revision_pair: RevisionPair,
    selection: Selection,
    attend: Callable[[str], object] = lambda key: None,
) -> Survey:
    """Ask both revisions, at the same time, what they have, and take the row of each case.

    Args:
        revision_pair: Starts processes.
        selection: What to ask for.
        attend: Told a case of each cell before the rows of the cell are taken.

    Raises:
        UsageError: Neither revision has what was asked for; says why.
        DiedError, RefusedError: A revision cannot be imported.
    """
    with _Both(revision_pair) as both:
        asked = {
            "sweep": selection.sweep,
            "problems": list(selection.problems),
            "strategies": list(selection.strategies),
            **selection.over,
        }
        chosen = both.ask("choose", dict.fromkeys(SIDES, asked))
        notes = []
        for side in SIDES:
            if isinstance(chosen[side], DiedError | RefusedError):
                raise UsageError(f"{both.tree(side)}: {chosen[side]}")
        missing = {side: chosen[side]["missing"] for side in SIDES}
        for what in dict.fromkeys([*missing["base"], *missing["new"]]):
            if what in missing["base"] and what in missing["new"]:
                raise UsageError(missing["new"][what])
            side = "base" if what in missing["base"] else "new"
            notes.append(f"{what} is not in {both.tree(side)}: {missing[side][what]}")
        cells = {side: chosen[side]["cases"] for side in SIDES}
        records: dict[str, dict[str, Record]] = {side: {} for side in SIDES}
        for group in _groups(cells):
            attend(group[0])
            for side, rows in both.rows(cells, group).items():
                records[side] |= rows
        answers = both.ask("environment", {side: {} for side in SIDES})
    environments = {side: answers[side] if isinstance(answers[side], dict) else {} for side in SIDES}
    ordered = {side: {key: records[side][key] for key in cells[side] if key in records[side]} for side in SIDES}
    return Survey(cells, ordered, environments, notes)


class _Both:
    """A pair of processes for questions about all cases; a new one when a side has died."""

    def __init__(self, revision_pair: RevisionPair) -> None:
        self._revision_pair = revision_pair
        self._stack = ExitStack()
        self._children: dict[str, SideProcess] = {}

    def __enter__(self) -> _Both:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def tree(self, side: str) -> str:
        return str((self._revision_pair.base if side == "base" else self._revision_pair.new).tree)

    def ask(self, do: str, arguments: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The answers of those sides that there are arguments for; an exception where a side has none."""
        if not self._children:
            pair = self._stack.enter_context(self._revision_pair.pair())
            self._children = dict(zip(SIDES, pair, strict=True))
        for side, parameters in arguments.items():
            self._children[side].post(do, **parameters)
        answers: dict[str, Any] = {}
        for side in arguments:
            try:
                answers[side] = self._children[side].answer(self._revision_pair.limit_s)
            except (DiedError, RefusedError) as error:
                answers[side] = error
        if any(isinstance(answer, DiedError) for answer in answers.values()):
            self._children = {}
            self._stack.close()
        return answers

    def rows(self, cells: Mapping[str, Mapping[str, PlainCell]], group: Sequence[str]) -> dict[str, dict[str, Record]]:
        """The rows of the cases of one cell: at once, or one by one where a side does not come through all of them."""
        records: dict[str, dict[str, Record]] = {side: {} for side in SIDES}
        asked = {}
        for side in SIDES:
            if its_cells := [cells[side][key] for key in group if key in cells[side]]:
                asked[side] = {
                    "cell": {**its_cells[0], "strategies": [spec for cell in its_cells for spec in cell["strategies"]]}
                }
        for side, answer in self.ask("records", asked).items():
            keys = [key for key in group if key in cells[side]]
            if isinstance(answer, dict):
                records[side] = dict(zip(keys, _records(answer, keys), strict=True))
            elif len(keys) == 1:
                records[side] = {keys[0]: failed(keys[0], cells[side][keys[0]], answer.status, str(answer))}
            else:
                for key in keys:
                    records[side] |= self.rows({side: cells[side], _other(side): {}}, [key])[side]
        return records


def failed(key: str, cell: PlainCell, status: Any, reason: str) -> Record:
    """The row of a case that gave none itself."""
    identity = {name: value for name, value in cell.items() if name != "strategies"}
    return Record(case=key, strategy=cell["strategies"][0], status=status, reason=reason, **identity)


def _records(answer: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Record]:
    """Rows of a revision as rows of this version, in the order of the keys, without the times of their one sample;
    columns that one of the two lacks are left."""
    rows = {row["case"]: row for row in answer["records"]}
    for key in keys:
        known = {name: value for name, value in rows[key].items() if name in COLUMNS and name not in TIMED}
        yield Record(**known | {"schema": SCHEMA})


def _groups(cells: Mapping[str, Mapping[str, PlainCell]]) -> list[list[str]]:
    """Cases that share a cell on either side."""
    groups: dict[str, list[str]] = {}
    for key in dict.fromkeys([*cells["base"], *cells["new"]]):
        cell = cells["base"].get(key) or cells["new"][key]
        groups.setdefault(json.dumps({**cell, "strategies": []}, sort_keys=True), []).append(key)
    return list(groups.values())


def _other(side: str) -> str:
    return SIDES[1 - SIDES.index(side)]
