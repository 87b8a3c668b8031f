"""The table of all cases on the page: columns of numbers and texts for its script, and its first rows as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED, over_best_flops
from jacstrat.report.analysis.runs import Run
from jacstrat.report.analysis.setting import by_setting, quantity, varying
from jacstrat.report.analysis.units import format_bytes, format_error, format_factor, format_ratio, format_seconds
from jacstrat.report.figures.roofline import value_of

MOST_ROWS = 10_000
"""Rows in the page; of more cases those that are wrong or have no result go first, then the fastest ones."""
PAGE_ROWS = 50

FORMATS: Mapping[str, Callable[[Any], str]] = {
    "text": str,
    "count": str,
    "seconds": format_seconds,
    "bytes": format_bytes,
    "ratio": format_ratio,
    "factor": format_factor,
    "error": format_error,
    "percent": lambda value: f"±{value:.1%}",
}
"""How a column reads, by its kind; page.js has the same ones."""

Value = float | str | None


@dataclass(frozen=True)
class CaseColumn:
    """A column.

    Fields:
        title, kind: Its header, and one of FORMATS.
        hint: What it means, in a few words.
        values: A value a row, None where there is none.
    """

    title: str
    kind: str
    hint: str
    values: tuple[Value, ...]

    @property
    def numeric(self) -> bool:
        """It is set to the right and sorted by size."""
        return self.kind != "text"


def _half_width(record: Record) -> float | None:
    if record.ci_low_s is None or record.ci_high_s is None or not record.median_s:
        return None
    return (record.ci_high_s - record.ci_low_s) / (2 * record.median_s)


def _products(record: Record) -> int | None:
    counts = [count for count in (record.vjp_products, record.jvp_products) if count is not None]
    return sum(counts) if counts else None


SHOWN: tuple[tuple[str, str, str, Callable[[Record], Value]], ...] = (
    ("strategy", "text", "spec of the strategy", lambda r: r.strategy),
    ("n", "count", "inputs", lambda r: r.n),
    ("status", "text", "how the case ended", lambda r: r.status),
    ("time", "seconds", "median time of one call", lambda r: r.median_s),
    ("known to", "percent", "half the 95 % interval of the median over it", _half_width),
    ("over fastest", "factor", "its time over that of the fastest right strategy", lambda r: r.over_fastest),
    ("cost ratio", "ratio", "its time over that of one evaluation of f", lambda r: r.cost_ratio),
    ("best FLOPs", "factor", "FLOPs over those of the best-known algorithm for the network", over_best_flops),
    ("floor", "factor", "time over that of the bare products of that algorithm", lambda r: r.over_floor),
    ("light", "factor", "time over the least that its hardware could take", lambda r: value_of(r, "over_light")),
    ("kernels", "count", "kernels that the device runs in a call", lambda r: value_of(r, "kernels")),
    ("gap", "seconds", "time of a call in which the device waits for launches", lambda r: value_of(r, "gap_s")),
    ("error", "error", "largest relative error over the batch; 0 is exact", lambda r: r.rel_error),
    ("memory", "bytes", "peak of one call", lambda r: r.peak_bytes),
    ("products", "count", "vector-Jacobian and Jacobian-vector products of a call, per point", _products),
    ("FLOPs", "ratio", "of matrix products and convolutions of a call", lambda r: r.flops),
    ("prepare", "seconds", "preparing and the first call", lambda r: r.prepare_s),
    ("reason", "text", "why, where the status is not ok", lambda r: r.reason),
)


def case_columns(runs: Sequence[Run]) -> tuple[CaseColumn, ...]:
    """The columns of the cases of all runs that have a value anywhere; at most MOST_ROWS rows."""
    rows = _chosen([(run, record) for run in runs for record in run.records])
    differing = varying(by_setting(record for run in runs for record in run.records))
    words: dict[tuple[Any, ...], str] = {}

    def case(record: Record) -> str:
        key = tuple(getattr(record, name) for name in differing)
        if key not in words:
            words[key] = next(iter(by_setting([record]))).words(differing, brief=True)
        return words[key]

    lead = [
        CaseColumn("run", "text", "which run", tuple(run.label if len(runs) > 1 else "" for run, _ in rows)),
        CaseColumn("problem", "text", "operator and problem", tuple(quantity(r.operator, r.problem) for _, r in rows)),
        CaseColumn("case", "text", "what else differs", tuple(case(record) for _, record in rows)),
    ]
    rest = [CaseColumn(title, kind, hint, tuple(_short(of(r)) for _, r in rows)) for title, kind, hint, of in SHOWN]
    return tuple(column for column in (*lead, *rest) if any(value not in (None, "") for value in column.values))


def _chosen(rows: list[tuple[Run, Record]]) -> list[tuple[Run, Record]]:
    if len(rows) <= MOST_ROWS:
        return rows

    def weight(row: tuple[Run, Record]) -> tuple[int, float]:
        record = row[1]
        if record.status != "ok":
            return (0 if record.status in MEASURED else 1), 0.0
        return 2, record.over_fastest or math.inf

    return sorted(rows, key=weight)[:MOST_ROWS]


def _short(value: Value) -> Value:
    """A number with five digits: more than is shown, and half the bytes."""
    return float(f"{value:.5g}") if isinstance(value, float) and math.isfinite(value) else value


def first_rows(columns: Sequence[CaseColumn], most: int = PAGE_ROWS) -> list[list[str]]:
    """The cells of the first rows, as text."""
    shown = [[_cell(column.kind, value) for value in column.values[:most]] for column in columns]
    return [list(row) for row in zip(*shown, strict=True)]


def _cell(kind: str, value: Value) -> str:
    return "" if value is None else FORMATS[kind](value)


def for_script(columns: Sequence[CaseColumn]) -> dict[str, Any]:
    """The columns for the script: texts as numbers of an own list, infinity as "inf"."""
    entries = []
    for column in columns:
        entry: dict[str, Any] = {"title": column.title, "kind": column.kind}
        if column.numeric:
            entry["values"] = [
                "inf" if isinstance(value, float) and math.isinf(value) else _whole(value) for value in column.values
            ]
        else:
            places = {text: i for i, text in enumerate(dict.fromkeys(column.values))}
            entry |= {"texts": list(places), "values": [places[value] for value in column.values]}
        entries.append(entry)
    return {"columns": entries, "rows": len(columns[0].values) if columns else 0, "page": PAGE_ROWS}


def _whole(value: Value) -> Value:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
