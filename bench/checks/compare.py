"""What `jacstrat compare` is held to: it finds what changed, on any machine, and is quick about it."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from .figure import Figure

if TYPE_CHECKING:
    from jacstrat.compare.inputs import RecordSet
    from jacstrat.record import Record

CASES, ROUNDS, SECONDS = 10_000, 60, 5.0
GROWTH, BYTES = 4, 0.01


def real_changes(quick: bool) -> list[Figure]:
    """A real change of each kind in every case of the quick sweep, counted by the harness, against the sweep itself."""
    import torch

    from jacstrat.harness.plan.sweep import load_sweep

    cells = load_sweep("quick").override(threads=(1,)).cells()
    if quick:
        cells = tuple(replace(cell, strategies=cell.strategies[:2]) for cell in (cells[0], cells[-1]))
    torch.set_num_threads(1)
    plain = [record for cell in cells for record in _counted(cell)]
    figures = []
    for kind, (column, what) in KINDS.items():
        changed = [record for cell in cells for record in _counted(cell, kind, plain)]
        for other in (False, True):
            figures.append(
                _figure(plain, changed, column, f"{what}, {'another' if other else 'the same'} machine", other)
            )
    again = [record for cell in cells for record in _counted(cell)]
    moved = _by_verdict(plain, again, False)
    figures.append(Figure("found", "cases told of where nothing changed", len(moved), 0, note=f"of {len(plain)} cases"))
    return figures


KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "product": ("vjp_products", "one more VJP"),
        "operation": ("aten_ops", "one more aten operation"),
        "bytes": ("peak_bytes", f"{BYTES:.0%} more peak bytes"),
        "error": ("rel_error", f"an error {GROWTH} times as large"),
    }
)


def _counted(cell: Any, kind: str = "", plain: list[Record] | None = None) -> list[Record]:
    """The rows of a cell without times, its strategies as they are or with a change built in."""
    from jacstrat.harness.cell.measuring import measure
    from jacstrat.harness.cell.setup import CellSetup
    from jacstrat.strategies.contraction import Contraction

    prepare = CellSetup.prepare
    peaks = {(r.problem, r.n, r.workload, r.strategy): r.peak_bytes for r in plain or ()}

    def changed(bench: Any, spec: str, f: Any) -> Any:
        prepared = prepare(bench, spec, f)
        peak = peaks.get((cell.problem, cell.n, cell.workload, spec)) or 0
        evaluate = CHANGES[kind](bench, f, prepared.contraction.evaluate, peak)
        prepared.contraction = Contraction(evaluate)
        return prepared

    with patch.object(CellSetup, "prepare", changed if kind else prepare):
        return [outcome.record for outcome in measure(cell, None) if outcome.record]


def _one_more_product(bench: Any, f: Any, evaluate: Any, peak: int) -> Any:
    import torch

    def work(x: Any) -> Any:
        y, pull = torch.func.vjp(f, x)
        pull(torch.ones_like(y))
        return evaluate(x)

    return work


def _one_more_operation(bench: Any, f: Any, evaluate: Any, peak: int) -> Any:
    return lambda x: evaluate(x) * 1


def _more_bytes(bench: Any, f: Any, evaluate: Any, peak: int) -> Any:
    import math

    import torch

    holding = {}

    def work(x: Any) -> Any:
        # Until the next call: where the workload is to train, the peak is on the way back.
        holding["more"] = torch.empty(math.ceil(BYTES * peak), dtype=torch.uint8)
        return evaluate(x)

    return work


def _larger_error(bench: Any, f: Any, evaluate: Any, peak: int) -> Any:
    import numpy as np
    import torch

    def work(x: Any) -> Any:
        result = evaluate(x)
        value = torch.from_numpy(np.asarray(bench.reference.value(bench.operator), dtype=np.float64))
        best = value.to(result.dtype).reshape(result.shape)
        return best + GROWTH * (result - best)

    return work


CHANGES: Mapping[str, Callable[..., Any]] = {
    "product": _one_more_product,
    "operation": _one_more_operation,
    "bytes": _more_bytes,
    "error": _larger_error,
}


def _figure(plain: list[Record], changed: list[Record], column: str, what: str, other: bool) -> Figure:
    """In how many of the cases that can show the change it is told, of the column that it is in."""
    from jacstrat.compare.accuracy import EPSILON

    can = {r.case for r in plain if r.status == "ok"}
    note = ""
    if column == "rel_error":
        # What stays below half an epsilon is the rounding of an exact answer.
        can = {r.case for r in plain if r.status == "ok" and (r.rel_error or 0) > EPSILON[r.dtype] / 2 / GROWTH}
        note = f"in the {len(can)} of {len(plain)} cases whose error shows at all"
    by_verdict = _by_verdict(plain, changed, other)
    hits = sum(column in by_verdict.get(case, ()) for case in can)
    return Figure("found", what, hits / len(can), 1.0, unit="%", at_least=True, note=note or f"{hits} of {len(can)}")


def _by_verdict(plain: list[Record], changed: list[Record], other: bool) -> Mapping[str, set[str]]:
    """The columns of the regressions by case."""
    from jacstrat.compare.comparison import compare
    from jacstrat.compare.verdict import Verdict

    comparison = compare(_side("BASE", plain, "here"), _side("NEW", changed, "elsewhere" if other else "here"))
    by_verdict: dict[str, set[str]] = {}
    for case in comparison.regressions:
        for finding in case.findings:
            if finding.regression or finding.verdict is Verdict.WRONG:
                by_verdict.setdefault(case.case, set()).add(
                    "rel_error" if finding.measure == "status" else finding.measure
                )
    return by_verdict


def _side(label: str, records: list[Record], machine: str) -> RecordSet:
    from jacstrat.compare.inputs import RecordSet
    from jacstrat.core.environment import Snapshot
    from jacstrat.records import to_frame

    return RecordSet(label, to_frame(records), {}, Snapshot(machine=machine, torch="2", python="3"))


def speed(quick: bool) -> list[Figure]:
    """Reading and comparing two directories of many cases, samples and all, as the command does."""
    from rich.console import Console

    from jacstrat.compare.comparison import compare
    from jacstrat.compare.inputs import read_side
    from jacstrat.compare.tables import print_comparison

    count = 200 if quick else CASES
    with tempfile.TemporaryDirectory() as folder:
        for name, seed in (("base", 0), ("new", 1)):
            write_run(Path(folder) / name, count, seed)
        begin = time.perf_counter()
        comparison = compare(read_side(Path(folder) / "base"), read_side(Path(folder) / "new"))
        with open(Path(folder) / "table", "w", encoding="utf-8") as file:
            print_comparison(comparison, Console(file=file, width=100))
        taken = time.perf_counter() - begin
    note = f"{len(comparison.cases)} cases, {ROUNDS} rounds each; {len(comparison.regressions)} regressions"
    return [Figure("speed", f"reading and comparing {count} cases", taken, SECONDS, unit="ms", note=note)]


def write_run(directory: Path, count: int, seed: int) -> None:
    """A directory as a run leaves it: 10 strategies a cell, samples with a spread of 5 %."""
    from jacstrat.core.environment import ENVIRONMENT
    from jacstrat.harness.plan.cases import Cell
    from jacstrat.record import Record
    from jacstrat.records import RecordWriter

    directory.mkdir()
    rng = random.Random(seed)
    environment = {"machine": "here", "torch": {"version": "2"}, "python": "3", "start": {"utc": f"202{seed}-01-01"}}
    (directory / ENVIRONMENT).write_text(json.dumps([{"start": environment}]), encoding="utf-8")
    strategies = tuple(f"vmap:chunk_size={size}" for size in range(1, 11))
    rounds = list(range(ROUNDS))
    with RecordWriter(directory) as writer:
        for n in range(1, count // len(strategies) + 1):
            cell = Cell("sin", "divergence", n, 1, "float64", "cpu", "evaluate", 1, 0, strategies)
            f_s = [1e-5 * rng.gauss(1, 0.05) for _ in rounds]
            shared = {"session": f"{n}", "calls": 1, "rounds": rounds, "host_s": f_s}
            writer.write_samples(cell.case("f").key, {**shared, "seconds": f_s})
            for number, case in enumerate(cell.cases):
                seconds = [f * 10 * (1 + number) * rng.gauss(1, 0.05) for f in f_s]
                writer.write_samples(case.key, {**shared, "seconds": seconds})
                # One in 500 of NEW has an operation more.
                extra = bool(seed) and number == 0 and n % 50 == 0
                writer.write(
                    Record.of(
                        case,
                        "ok",
                        median_s=sorted(seconds)[ROUNDS // 2],
                        f_median_s=sorted(f_s)[ROUNDS // 2],
                        cost_ratio=10.0 * (1 + number),
                        aten_ops=52 + extra,
                        vjp_products=n,
                        jvp_products=0,
                        f_evaluations=1,
                        flops=0,
                        peak_bytes=184,
                        rel_error=1e-16,
                    )
                )


def apart(quick: bool) -> list[Figure]:
    """Runs of the same code, one after the other, each pair compared: what is called slower or faster in vain. The note
    tells how often a case is found whose times were multiplied."""
    import itertools

    from jacstrat.compare.comparison import compare
    from jacstrat.compare.inputs import read_side
    from jacstrat.compare.verdict import Verdict
    from jacstrat.harness.plan.sweep import load_sweep
    from jacstrat.harness.run import Options, run
    from jacstrat.measure.environment import snapshot

    from .outside import Silent

    sweep = load_sweep("quick").override(threads=(1,), sample_s=0.02 if quick else None)
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder) / str(number) for number in range(2 if quick else 4)]
        for directory in runs:
            run(sweep, directory, Silent(), Options(), lambda: snapshot().to_json())
        pairs = list(itertools.combinations(map(read_side, runs), 2))
    verdicts = [case.time.verdict for pair in pairs for case in compare(*pair).cases if case.time]
    vain = sum(verdict in (Verdict.SLOWER, Verdict.FASTER) for verdict in verdicts)
    rng, shares = random.Random(0), []
    for factor in (1.2, 1.5, 2.0):
        hits = [_is_found(base, new, rng.choice(list(new.by_case.index)), factor) for base, new in pairs * 5]
        shares.append(f"{sum(hits)} of {len(hits)} at {factor:g} times")
    note = f"{vain} of {len(verdicts)} in {len(pairs)} pairs of runs; a slower case is found: {', '.join(shares)}"
    return [Figure("apart", "times called SLOWER or FASTER in vain", vain / len(verdicts), 0.01, unit="%", note=note)]


def _is_found(base: RecordSet, new: RecordSet, case: str, factor: float) -> bool:
    """Whether a case of NEW is SLOWER once its samples are multiplied."""
    from jacstrat.compare.comparison import compare
    from jacstrat.compare.verdict import Verdict

    slowed = {**new.samples[case], "seconds": [factor * s for s in new.samples[case]["seconds"]]}
    cases = compare(base, replace(new, samples={**new.samples, case: slowed})).cases
    return any(c.case == case and c.time and c.time.verdict is Verdict.SLOWER for c in cases)


CHECKS: Mapping[str, Callable[[bool], list[Figure]]] = MappingProxyType(
    {"found": real_changes, "speed": speed, "apart": apart}
)
