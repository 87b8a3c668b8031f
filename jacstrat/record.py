"""The row of a case: its columns, with their types, domains, defaults and meanings, are the fields of Record."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, get_args, get_type_hints

from jacstrat.core.case import Case
from jacstrat.core.status import CAUSES, STATUSES, Cause, Status
from jacstrat.samples import LEAST_S, MOST_S
from jacstrat.table import LARGEST, Column, Domain

SCHEMA = 6
"""Of the columns below. Columns have been added, and none was given another meaning: 2 has those of accuracy over the
batch and over draws, 3 the floor and the machine, 4 the error of the reference, 5 what the device did, what bounds it,
and the state of its caches, 6 the cause of a skipped case. A column that a file lacks is empty, but for `cause`, which
earlier versions told in words alone."""

ANY = Domain()
SIZE, COUNT = Domain(1, LARGEST), Domain(0, LARGEST)
CAUSE = Domain(choices=tuple(CAUSES))
TIME, TIME_OR_NONE = Domain(LEAST_S, MOST_S), Domain(0, MOST_S)
# Beyond what two times can be apart.
RATIO = Domain(1e-21, 1e21)
ERROR, SHARE, ENERGY = Domain(0), Domain(0, 1), Domain(0, 1e18)


def _column(doc: str, domain: Domain = ANY, **options: Any) -> Any:
    return field(metadata={"doc": doc, "domain": domain}, **options)


def _empty(doc: str, domain: Domain = ANY) -> Any:
    return _column(doc, domain, default=None)


def _timed(doc: str, domain: Domain = ANY, default: str | None = None) -> Any:
    """A column that says how fast: what it holds is of one machine on one day, and a baseline leaves it out."""
    return field(metadata={"doc": doc, "domain": domain, "timed": True}, default=default)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row of records.csv: a case, how it ended, and what was measured.

    A value that was not measured is None, an empty cell in the file, never 0.
    """

    case: str = _column("stable key of the case, made of the columns that follow")
    problem: str = _column("name of the problem")
    operator: str = _column("the spec of the operator: divergence, laplacian:coordinates=0+1, ...")
    strategy: str = _column("spec of the strategy")
    n: int = _column("inputs, the dimension of a point", SIZE)
    batch: int = _column("points, B", SIZE)
    dtype: str = _column("float64, float32, tf32 (float32 with its products in TF32), float16 or bfloat16")
    device: str = _column("cpu, cuda, ...")
    workload: str = _column("evaluate (the operator), train (and back to the parameters) or replay (a graph of it)")
    threads: int = _column("threads torch computes with", SIZE)
    seed: int = _column("seed of weights, points and random probes", COUNT)
    status: Status = _column("how the case ended, see the statuses", Domain(choices=tuple(STATUSES)))
    reason: str = _column("why, where the status is not ok", default="")
    cause: Cause = _column("the reason as a word, where a case is skipped for it, see the causes", CAUSE, default="")
    median_s: float | None = _timed("median time of one call, seconds", TIME)
    q1_s: float | None = _timed("first quartile of the time of one call, seconds", TIME)
    q3_s: float | None = _timed("third quartile of the time of one call, seconds", TIME)
    min_s: float | None = _timed("shortest time of one call, seconds", TIME)
    ci_low_s: float | None = _timed("lower end of the 95 % confidence interval of the median, seconds", TIME)
    ci_high_s: float | None = _timed("upper end of the 95 % confidence interval of the median, seconds", TIME)
    samples: int | None = _timed("samples taken; each is the mean of a block of calls", COUNT)
    stop_reason: str = _timed("why sampling stopped: precise, time limit, ...", default="")
    cache: str = _timed("what a timed call finds in the caches: warm or cold", default="")
    cold_s: float | None = _timed(
        "median time of one call behind a flush of the last cache, seconds; where asked for", TIME
    )
    warm_s: float | None = _timed("median time of one call behind one of the same work, seconds; where asked for", TIME)
    kernels: int | None = _timed("kernels, copies and fills that the device runs in one call", COUNT)
    kernel_s: float | None = _timed("time in which the device runs any of them in one call, seconds", TIME_OR_NONE)
    gap_s: float | None = _timed(
        "what is left of a warm call: the device waits for its launches, seconds", TIME_OR_NONE
    )
    prepare_s: float | None = _timed("time of prepare and the first call, once, seconds", TIME_OR_NONE)
    f_median_s: float | None = _timed("median time of one evaluation of f on the same x, seconds", TIME)
    cost_ratio: float | None = _timed(
        "median over rounds of the operator's time over f's time in the same round", RATIO
    )
    cost_ratio_low: float | None = _timed("lower end of the 95 % confidence interval of cost_ratio", RATIO)
    cost_ratio_high: float | None = _timed("upper end of the 95 % confidence interval of cost_ratio", RATIO)
    over_fastest: float | None = _timed(
        "median over rounds of the time over that of the cell's fastest right strategy", RATIO
    )
    over_fastest_low: float | None = _timed("lower end of the 95 % confidence interval of over_fastest", RATIO)
    over_fastest_high: float | None = _timed("upper end of the 95 % confidence interval of over_fastest", RATIO)
    peak_bytes: int | None = _empty("tensor storage alive at the peak of one call, above what was resident", COUNT)
    vjp_products: int | None = _empty("vector-Jacobian products through f in one call, per point", COUNT)
    jvp_products: int | None = _empty("Jacobian-vector products through f in one call, per point", COUNT)
    f_evaluations: int | None = _empty("evaluations of f in one call, per point", COUNT)
    aten_ops: int | None = _empty("aten operations dispatched in one call", COUNT)
    flops: int | None = _empty("floating-point operations of matrix products and convolutions in one call", COUNT)
    moved_bytes: int | None = _empty("bytes that the operations of one call read and write, views apart", COUNT)
    compute_s: float | None = _timed("flops over the device's measured rate of matrix products, seconds", TIME_OR_NONE)
    memory_s: float | None = _timed("moved_bytes over the device's measured rate of a copy, seconds", TIME_OR_NONE)
    best_flops: int | None = _empty("flops of the best-known algorithm for a network, at all points", COUNT)
    floor_median_s: float | None = _timed("median time of the bare matrix products of that algorithm, seconds", TIME)
    over_floor: float | None = _timed("median over rounds of the time over that of these matrix products", RATIO)
    over_floor_low: float | None = _timed("lower end of the 95 % confidence interval of over_floor", RATIO)
    over_floor_high: float | None = _timed("upper end of the 95 % confidence interval of over_floor", RATIO)
    best_bytes: int | None = _empty("bytes of points, weights and results, which that algorithm has to move", COUNT)
    light_s: float | None = _timed(
        "best_flops or best_bytes over the device's measured rates, the longer, seconds", TIME_OR_NONE
    )
    over_light: float | None = _timed("median_s over light_s", RATIO)
    abs_error: float | None = _empty("largest |result - reference| over the batch", ERROR)
    rel_error: float | None = _empty("largest |result - reference| / sum |J_ii| over the batch", ERROR)
    ulp_error: float | None = _empty("largest |result - reference| over the batch, in units in the last place", ERROR)
    abs_error_median: float | None = _empty("median over the batch of |result - reference|", ERROR)
    rel_error_median: float | None = _empty("median over the batch of |result - reference| / sum |J_ii|", ERROR)
    ulp_error_median: float | None = _empty(
        "median over the batch of |result - reference|, in units in the last place", ERROR
    )
    reference_error: float | None = _empty(
        "how far off the reference may be, as rel_error; rel_error is judged by no less, up to 0.01", ERROR
    )
    cancellation: float | None = _empty(
        "largest sum |J_ii| / |sum J_ii| over the batch: what the sum itself loses", ERROR
    )
    exact: bool | None = _empty("the error is 0: every result is the reference rounded to the dtype")
    std_error: float | None = _empty(
        "standard error that a stochastic strategy claims, median over draws and batch", ERROR
    )
    coverage: float | None = _empty("share of repeated draws within the claimed standard error of the reference", SHARE)
    draws: int | None = _empty(
        "repeated draws that coverage and the errors of a stochastic strategy are taken over", COUNT
    )
    reference: str = _column("what the result was compared with", default="")
    energy_j: float | None = _timed("energy of one call from the device's own counter, joules", ENERGY)
    machine: str = _column("machine that measured it: hash of its hardware, then of its name", default="")
    schema: int = _column("version of this table", Domain(1, SCHEMA), default=SCHEMA)

    @classmethod
    def of(cls, case: Case, status: Status, reason: str = "", **measured: Any) -> Record:
        """The row of a case."""
        return cls(case=case.key, **asdict(case), status=status, reason=reason, **measured)


COLUMNS: Mapping[str, str] = {column.name: column.metadata["doc"] for column in fields(Record)}
TIMED = tuple(column.name for column in fields(Record) if column.metadata.get("timed"))
"""Columns that say how fast."""


def _columns() -> dict[str, Column]:
    """Each column with the plain type of its hint: int | None counts as int, a Literal as str."""
    columns = {}
    hints = get_type_hints(Record)
    for column in fields(Record):
        hint = hints[column.name]
        options = [t for t in get_args(hint) if t is not type(None)] if isinstance(hint, types.UnionType) else [hint]
        kind = options[0] if isinstance(options[0], type) else str
        required = column.default is MISSING
        columns[column.name] = Column(column.name, kind, column.metadata["domain"], required)
    return columns


TABLE: Mapping[str, Column] = _columns()
TYPES: Mapping[str, type] = {name: column.kind for name, column in TABLE.items()}
REQUIRED = tuple(name for name, column in TABLE.items() if column.required and name != "case")
"""Columns without which a row says nothing; the case is made of its parts where it is not there."""
