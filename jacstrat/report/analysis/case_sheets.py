"""Every case of a run in full, as a sheet a problem and operator."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group

from jacstrat.record import Record
from jacstrat.report.analysis.answers import over_best_flops
from jacstrat.report.analysis.bound import bound_of
from jacstrat.report.analysis.setting import SETTING, Setting, Source, by_setting, to_records, varying
from jacstrat.report.analysis.sheet import ROW_STYLES, Sheet, SheetColumn, sheet_of
from jacstrat.report.analysis.units import (
    format_bytes,
    format_error,
    format_factor,
    format_quartiles,
    format_ratio,
)

MUCH = 10
"""The factor from which two numbers are worth a column each."""


def records_table(source: Source) -> Group:
    """The sheets of every case, one below the other."""
    return Group(*records_sheets(source))


def records_sheets(source: Source) -> list[Sheet]:
    """Every case, a sheet a problem and operator, fastest first at each n.

    What is the same in all cases of a sheet stands in its title. `cost` is the cost ratio, `error` the relative error,
    "exact" where there is none. Where the worst error is MUCH of the median one or more, that stands beside it; where a
    sum magnifies the errors of its terms by MUCH squared or more, that does. For a network `best FLOPs` and `floor` are
    how many times above the best-known algorithm a case is: in its FLOPs, and in the time of its bare matrix products;
    `light` the same over what its FLOPs or bytes take at the measured rates. `bound` is what bounds a case of an
    accelerator.
    """
    groups: dict[str, list[Record]] = {}
    settings: dict[str, list[Setting]] = {}
    for setting, records in by_setting(to_records(source)).items():
        groups.setdefault(setting.name, []).extend(records)
        settings.setdefault(setting.name, []).append(setting)
    return [_records(settings[name], records) for name, records in groups.items()]


def _records(settings: Sequence[Setting], records: Sequence[Record]) -> Sheet:
    differing = varying(settings)
    columns = [
        SheetColumn("strategy"),
        SheetColumn("n", numeric=True),
        *(SheetColumn(name, numeric=name in ("batch", "threads", "seed"), rank=1) for name in differing),
        SheetColumn("status"),
        SheetColumn("median [quartiles]", numeric=True),
        SheetColumn("cost", numeric=True, rank=2),
        SheetColumn("error", numeric=True, rank=3),
        SheetColumn("best FLOPs", numeric=True, rank=8),
        SheetColumn("floor", numeric=True, rank=7),
        SheetColumn("light", numeric=True, rank=10),
        SheetColumn("bound", rank=11),
        SheetColumn("peak", numeric=True, rank=4),
        SheetColumn("median error", numeric=True, rank=5),
        SheetColumn("cancellation", numeric=True, rank=6),
    ]
    ordered = sorted(records, key=lambda r: (r.n, r.median_s if r.median_s is not None else math.inf, r.strategy))
    rows = [
        [
            r.strategy,
            str(r.n),
            *(str(getattr(r, name)) for name in differing),
            "WRONG" if r.status == "wrong" else r.status,
            format_quartiles(r.median_s, r.q1_s, r.q3_s),
            format_ratio(r.cost_ratio),
            "exact" if r.exact else format_error(r.rel_error),
            format_factor(over_best_flops(r)),
            format_factor(r.over_floor),
            format_factor(r.over_light),
            # On a CPU nearly all are bound alike, which the findings say.
            (bound_of(r) or "") if r.device != "cpu" else "",
            format_bytes(r.peak_bytes),
            format_error(r.rel_error_median) if 0 < MUCH * (r.rel_error_median or 0) <= (r.rel_error or 0) else "",
            format_error(r.cancellation) if (r.cancellation or 0) >= MUCH**2 else "",
        ]
        for r in ordered
    ]
    same = [name for name in SETTING[2:] if name not in (*differing, "machine")]
    title = f"{settings[0].name}, {settings[0].words(same)}"
    return sheet_of(title, columns, rows, [ROW_STYLES.get(r.status, "dim") for r in ordered])
