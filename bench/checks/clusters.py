"""Dask clusters that go wrong in mid-run: rows, each once, or a line and --resume. All are processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import jacstrat
from jacstrat import read_records
from jacstrat.cli.app import EXIT_USAGE

from .cluster import PROBLEMS, ClusterBench, benched, until
from .figure import Figure
from .kill import GRACE_S, stayers
from .rows import completed

CASES = 12
KILLER = """
import os, signal, psutil, torch


def kills_its_worker(x):
    # f runs in a child of a fork server of the worker.
    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)
    return torch.sin(x)
"""


def faults(bench: ClusterBench, ended: tuple[int | None, str], cases: int = CASES, said: str = "") -> Iterator[str]:
    """What is wrong with a run that should be whole."""
    code, words = ended
    if code != 0:
        yield f"exit code {code}: {words[-200:]}"
    if "Traceback (most" in words:
        yield "a traceback"
    if said not in words:
        yield f"it does not say {said!r}"
    frame = read_records(bench.out)
    if len(frame) != cases or frame["case"].nunique() != cases:
        yield f"{len(frame)} rows of {frame['case'].nunique()} cases, {cases} are due"
    of_ours = frame[frame["problem"].isin(PROBLEMS)]
    if others := sorted({*of_ours["status"]} - {"ok"}):
        yield f"cases are {', '.join(others)}: {of_ours[of_ours['status'] != 'ok']['reason'].iloc[0]}"


def killed_by_a_case(bench: ClusterBench) -> Iterator[str]:
    """a function that kills its worker"""
    file = bench.folder / "killer.py"
    file.write_text(KILLER, encoding="utf-8")
    bench.scheduler()
    bench.worker()
    problem = f"{file}:kills_its_worker"
    client = bench.run(problems=(PROBLEMS[0], problem, PROBLEMS[1]), sizes="2")
    yield from faults(bench, bench.end_of(client), cases=6)
    frame = read_records(bench.out)
    rows = frame[frame["problem"] == problem]
    if {*rows["status"]} != {"crashed"} or not rows["reason"].str.contains("workers died on this cell").all():
        yield f"its rows are {dict(zip(rows['status'], rows['reason'], strict=True))}"


def killed_from_outside(bench: ClusterBench) -> Iterator[str]:
    """a worker that is killed in mid-run"""
    bench.scheduler()
    bench.worker()
    client = bench.run()
    bench.until_amid(client)
    bench.working().kill()
    yield from faults(bench, bench.end_of(client))


def stopped(bench: ClusterBench) -> Iterator[str]:
    """a worker that is stopped in mid-run"""
    bench.scheduler()
    bench.worker()
    bench.worker()
    client = bench.run()
    bench.until_amid(client)
    bench.working().suspend()
    yield from faults(bench, bench.end_of(client))


def of_another_version(bench: ClusterBench) -> Iterator[str]:
    """a worker of another version beside one of the same"""
    other = bench.folder / "other"
    shutil.copytree(Path(jacstrat.__file__).parent, other / "jacstrat", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "jacstrat" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write("\n# Another one.\n")
    bench.scheduler()
    bench.worker(PYTHONPATH=os.pathsep.join([str(other), *filter(None, sys.path)]))
    client = bench.run()
    until(lambda: "is refused: it has jacstrat" in (bench.folder / "said").read_text() or client.poll() is not None)
    bench.worker()
    yield from faults(bench, bench.end_of(client), said="is refused: it has jacstrat")
    (session,) = json.loads((bench.out / "environment.json").read_text())
    if len(session["workers"]) != 1:
        yield f"{len(session['workers'])} workers have measured"


def claiming_a_card(bench: ClusterBench) -> Iterator[str]:
    """a worker that claims a card that it has not"""
    bench.scheduler()
    bench.worker("--resources", "cuda=1")
    ended = bench.end_of(bench.run("--device", "cpu,cuda"))
    frame = read_records(bench.out)
    claimed = frame[frame["device"] == "cuda"]
    if not claimed["reason"].str.contains("device cuda is not available").all() or {*claimed["status"]} != {"skipped"}:
        yield f"rows of the card are {dict(zip(claimed['status'], claimed['reason'], strict=True))}"
    if ended[0] != 0 or len(frame) != 2 * CASES or frame["case"].nunique() != 2 * CASES:
        yield f"exit code {ended[0]}, {len(frame)} rows of {frame['case'].nunique()} cases"


def gone_and_back(bench: ClusterBench) -> Iterator[str]:
    """a scheduler that is killed in mid-run, and one at the same address for --resume"""
    scheduler = bench.scheduler()
    bench.worker()
    client = bench.run()
    bench.until_amid(client)
    scheduler.kill()
    scheduler.wait()
    code, said = bench.end_of(client)
    lines = [line for line in said.splitlines() if line.startswith("jacstrat: ")]
    if code != EXIT_USAGE or len(lines) != 1 or "the scheduler is gone" not in lines[0] or "Traceback" in said:
        yield f"exit code {code}: {said[-300:]}"
    before, rows = completed(bench.out), bench.rows()
    if not 0 < rows < CASES:
        yield f"it was killed with {rows} rows on disk"
    bench.scheduler()
    bench.worker()
    yield from faults(bench, bench.end_of(bench.run("--resume")))
    if not completed(bench.out).startswith(before):
        yield "rows that were completed before are not there as they were"


def restarted(bench: ClusterBench) -> Iterator[str]:
    """a scheduler that is stopped for a while in mid-run"""
    scheduler = bench.scheduler()
    bench.worker()
    client = bench.run()
    bench.until_amid(client)
    scheduler.send_signal(signal.SIGSTOP)
    time.sleep(3)
    scheduler.send_signal(signal.SIGCONT)
    yield from faults(bench, bench.end_of(client))


SCENARIOS: Mapping[str, Callable[[ClusterBench], Iterator[str]]] = MappingProxyType(
    {
        one.__name__: one
        for one in (
            killed_by_a_case,
            killed_from_outside,
            stopped,
            of_another_version,
            claiming_a_card,
            gone_and_back,
            restarted,
        )
    }
)


def dask(names: Sequence[str] = tuple(SCENARIOS)) -> list[Figure]:
    """Play scenarios, one after the other.

    Args:
        names: Of SCENARIOS.
    """
    figures = []
    for name in names:
        mark = uuid.uuid4().hex
        with benched(mark) as bench:
            faults_there = list(SCENARIOS[name](bench))
        faults_there += [f"{line} stays" for line in stayers(mark, GRACE_S)]
        what = f"{SCENARIOS[name].__doc__}: what is wrong with its rows, its end or what is left"
        figures.append(Figure("dask", what, len(faults_there), 0, note=faults_there[0] if faults_there else ""))
        print(figures[-1], file=sys.stderr, flush=True)
    return figures
