"""What to use for one function at one size: the evidence, the strategies by rank, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from jacstrat.core.considered import Considered
from jacstrat.record import Record
from jacstrat.report.analysis.family import family
from jacstrat.report.analysis.setting import quantity
from jacstrat.report.analysis.sheet import ROW_STYLES, Sheet, SheetColumn
from jacstrat.report.analysis.units import format_bytes, format_error, format_factor, format_ratio, format_seconds

AUTO, ONES = "auto", "ones"
# Strategies that fail for one reason are named up to here, and counted beyond.
FEW = 3


@dataclass(frozen=True)
class FunctionFacts:
    """What is known of the function before anything is sampled.

    Fields:
        structure: The structure found, in words; why there is none where there is none.
        proved: It was traced, so that it holds for every x.
        diagonal: It is a diagonal.
        chosen: Spec of the strategy that `auto` chooses; "" where it could not.
        reason: Why, in one line.
        considered: What it chose among.
    """

    structure: str
    proved: bool = False
    diagonal: bool = False
    chosen: str = ""
    reason: str = ""
    considered: tuple[Considered, ...] = ()

    @property
    def settles(self) -> None:
        """It ends no case, for `harness.dispatch.isolation`."""

    def to_data(self) -> dict[str, Any]:
        """The evidence as plain JSON."""
        return {"evidence": asdict(self)}

    @classmethod
    def parse(cls, data: Any) -> FunctionFacts:
        """The evidence that is in what `to_data` gave.

        Raises:
            KeyError, TypeError: It is none.
        """
        values = dict(data["evidence"])
        considered = tuple(Considered.parse(one) for one in values.pop("considered"))
        for column in fields(cls)[:-1]:
            if not isinstance(values[column.name], bool if isinstance(column.default, bool) else str):
                raise TypeError(f"{column.name} is of another kind")
        return cls(**values, considered=considered)


@dataclass(frozen=True)
class Kind:
    """What there is to know of a strategy beside its record.

    Fields:
        exact_when: When it is exact, in words.
        stochastic: It is right on average.
    """

    exact_when: str
    stochastic: bool = False


def ranked(records: Sequence[Record], kinds: Mapping[str, Kind]) -> list[Record]:
    """Right ones by time, exact before stochastic; then wrong ones, then those without a result."""

    def key(record: Record) -> tuple[int, float]:
        if record.median_s is None:
            return 3, 0.0
        if record.status != "ok":
            return 2, record.median_s
        return int(kinds[record.strategy].stochastic), record.median_s

    return sorted(records, key=key)


def recommended(records: Sequence[Record], kinds: Mapping[str, Kind], evidence: FunctionFacts | None) -> Record | None:
    """The fastest that is right for every x: `ones` only on a proof, nothing stochastic, `auto` by what it chooses."""
    proved = evidence is not None and evidence.proved and evidence.diagonal
    for record in ranked(records, kinds):
        usable = record.status == "ok" and record.median_s is not None and not kinds[record.strategy].stochastic
        name = family(record.strategy)
        if usable and name != AUTO and (name != ONES or proved):
            return record
    return None


def advice_table(records: Sequence[Record], kinds: Mapping[str, Kind], evidence: FunctionFacts | None) -> Sheet:
    """The strategies by rank; where there is no result, status and reason stand in the last column."""
    best = recommended(records, kinds, evidence)
    columns = (
        SheetColumn("strategy"),
        SheetColumn("time", numeric=True),
        SheetColumn("of the best", numeric=True, rank=5),
        SheetColumn("memory", numeric=True, rank=2),
        SheetColumn("error", numeric=True),
        SheetColumn("std. error", numeric=True, rank=4),
        SheetColumn("products", rank=3),
        SheetColumn("exact when", prose=True, rank=1),
    )
    groups = _groups(ranked(records, kinds))
    rows = [_row(group, kinds[group[0].strategy], best, evidence) for group in groups]
    columns_shown = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    first = records[0]
    title = (
        f"{quantity(first.operator, first.problem)}, n = {first.n}, B = {first.batch}, {first.dtype}, {first.device}, "
        f"{first.workload}"
    )
    return Sheet(
        title[:1].upper() + title[1:],
        tuple(columns[i] for i in columns_shown),
        tuple(tuple(row[i] for i in columns_shown) for row in rows),
        tuple(ROW_STYLES.get(group[0].status, "dim") for group in groups),
    )


def considered_table(considered: Sequence[Considered]) -> Sheet:
    """What `auto` chose among: counts of one call, the time by them, and that of its trial."""
    columns = (
        SheetColumn("candidate"),
        SheetColumn("probes", numeric=True, rank=3),
        SheetColumn("operations", numeric=True, rank=4),
        SheetColumn("FLOPs", numeric=True, rank=2),
        SheetColumn("written", numeric=True, rank=5),
        SheetColumn("alive, at most", numeric=True, rank=6),
        SheetColumn("to prepare", numeric=True, rank=1),
        SheetColumn("by counts", numeric=True),
        SheetColumn("in the trial", numeric=True),
        SheetColumn("note", prose=True),
    )
    rows = tuple(
        (
            one.strategy,
            str(one.probes),
            str(one.operations),
            format_ratio(one.flops),
            format_bytes(one.written_bytes),
            format_bytes(one.alive_bytes),
            format_seconds(one.setup_s) if one.setup_s else "",
            format_seconds(one.predicted_s),
            format_seconds(one.measured_s) if one.measured_s is not None else "not called",
            one.failure or one.ground,
        )
        for one in considered
    )
    columns_shown = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    return Sheet(
        "What auto chose among",
        tuple(columns[i] for i in columns_shown),
        tuple(tuple(row[i] for i in columns_shown) for row in rows),
        tuple("dim" if one.failure else "" for one in considered),
    )


def recommendation(records: Sequence[Record], kinds: Mapping[str, Kind], evidence: FunctionFacts | None) -> str:
    """One sentence for who reads nothing else."""
    best = recommended(records, kinds, evidence)
    if best is None or best.median_s is None:
        return "No strategy gave a right result; the table says why."
    chosen = evidence.chosen if evidence else ""
    note = ", as auto does by itself" if chosen == best.strategy else f" (auto chose {chosen})" if chosen else ""
    words = f"Use {best.strategy}{note}: {format_seconds(best.median_s)} a call"
    others = [one for one in ranked(records, kinds) if one.status == "ok" and one.strategy not in (best.strategy, AUTO)]
    others = [one for one in others if not kinds[one.strategy].stochastic and one.median_s is not None]
    always = [one for one in others if _name(one) not in (ONES, _name(best))]
    if always and always[0].median_s is not None:
        words += f", of which {always[0].strategy}, the next, takes {format_factor(always[0].median_s / best.median_s)}"
    if _name(best) in (ONES, "coloring") and evidence is not None:
        return f"{words}, and right for every x, since the structure is proved ({evidence.structure})."
    return f"{words}, and right for every function."


def _name(record: Record) -> str:
    return family(record.strategy)


def _groups(records: Sequence[Record]) -> list[list[Record]]:
    """Each alone, but those together that have no result for one and the same reason."""
    groups: dict[object, list[Record]] = {}
    for record in records:
        key = record.strategy if record.median_s is not None else (record.status, record.reason)
        groups.setdefault(key, []).append(record)
    return list(groups.values())


def _row(group: Sequence[Record], kind: Kind, best: Record | None, evidence: FunctionFacts | None) -> tuple[str, ...]:
    record = group[0]
    names = ", ".join(one.strategy for one in group) if len(group) <= FEW else f"{len(group)} strategies"
    chosen = evidence.chosen if evidence and record.strategy == AUTO else ""
    products = ((record.vjp_products, "VJP"), (record.jvp_products, "JVP"))
    error = "exact" if record.exact else format_error(record.rel_error)
    error = f"WRONG {error}" if record.status == "wrong" else error
    ratio = record.median_s / best.median_s if best and best.median_s and record.median_s is not None else math.nan
    return (
        f"{names} ({chosen})" if chosen else names,
        format_seconds(record.median_s),
        "" if math.isnan(ratio) else format_factor(ratio),
        format_bytes(record.peak_bytes),
        error,
        format_error(record.std_error),
        " + ".join(f"{count} {name}" for count, name in products if count),
        kind.exact_when if record.median_s is not None else f"{record.status}: {record.reason}",
    )
