"""A hundred functions that do something nasty in one run: each has its rows, and no other row is the worse for it."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from jacstrat import read_records

from . import hostile_channel, hostile_limits, hostile_processes, hostile_resources
from .figure import Figure
from .kill import GRACE_S, MARK, QUIETLY, left_folders, stayers

# Only processes, files and descriptors of their own process, of the fork server and of the run's temporary files are
# touched: none goes for the run itself, which any of them has the right to kill.
HOSTILE: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        name: function
        for module in (hostile_channel, hostile_limits, hostile_processes, hostile_resources)
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }
)
STRATEGIES = ("vmap", "identity")
# Measured among the others: one before, one behind, one in the middle.
CLEAN = ("sin", "linear", "bratu")
TIMEOUT_S = 4.0
# A case has several steps, each of which may take the limit, and a fork server that was killed takes its time to start.
RUN_LIMIT_S = 60.0


@dataclass(frozen=True)
class HostileOutcome:
    """What came of a run.

    Fields:
        code: Its exit code; None where it did not end.
        seconds: How long it took.
        rows: Status and reason by problem and strategy.
        staying: Processes that were there GRACE_S later.
        folders: Temporary files and folders that were left.
    """

    code: int | None
    seconds: float
    rows: Mapping[tuple[str, str], Sequence[tuple[str, str]]]
    staying: Sequence[str] = ()
    folders: Sequence[str] = ()


def hostile(names: Sequence[str] = tuple(HOSTILE)) -> list[Figure]:
    """Measure the functions and CLEAN in one run.

    Args:
        names: Of HOSTILE.
    """
    half = len(names) // 2
    problems = [CLEAN[0], *map(spec, names[:half]), CLEAN[1], *map(spec, names[half:]), CLEAN[2]]
    with tempfile.TemporaryDirectory() as folder:
        return judge(names, found_of(problems, Path(folder)))


def found_of(problems: Sequence[str], folder: Path) -> HostileOutcome:
    """Run the problems with a directory for results and one for temporary files in a folder."""
    out, temporary, mark = folder / "out", folder / "tmp", uuid.uuid4().hex
    temporary.mkdir()
    options = ["-o", "divergence", "-n", "3", "--batch", "2", "--sample", "0.02", "--threads", "1"]
    options += ["--timeout", f"{TIMEOUT_S:g}", "--max-memory", "512MiB", "--out", str(out)]
    named = [part for problem in problems for part in ("-p", problem)]
    named += [part for strategy in STRATEGIES for part in ("-s", strategy)]
    begin = time.perf_counter()
    run = subprocess.Popen(
        [sys.executable, "-c", QUIETLY, "run", *named, *options],
        env=os.environ | {MARK: mark, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "errors").open("wb"),
    )
    code: int | None
    try:
        code = run.wait(RUN_LIMIT_S * len(problems))
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        code = None
    seconds = time.perf_counter() - begin
    staying = stayers(mark, GRACE_S)
    frame = read_records(out) if (out / "records.csv").exists() else pd.DataFrame(columns=["problem", "strategy"])
    rows: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in frame.itertuples():
        rows.setdefault((row.problem, row.strategy), []).append((row.status, row.reason))
    return HostileOutcome(code, seconds, rows, staying, left_folders(temporary))


def judge(names: Sequence[str], outcome: HostileOutcome) -> list[Figure]:
    """How many functions have other rows than they should, and what was left."""
    astray = [line for name in names for line in _astray(name, outcome)]
    others = {
        (problem, strategy): outcome.rows.get((problem, strategy), []) for problem in CLEAN for strategy in STRATEGIES
    }
    harmed = [f"{case} has {rows}" for case, rows in others.items() if [status for status, _ in rows] != ["ok"]]
    note = f"{len(names)} functions in {outcome.seconds:.0f} s"

    def figure(what: str, faults: Sequence[str], note: str = "") -> Figure:
        first = f"for one, {faults[0]}" if faults else ""
        return Figure("hostile", what, len(faults), 0, note="; ".join(filter(None, (note, first))))

    return [
        figure("hostile functions with another row than their own", astray, note),
        figure("rows of other functions that are not ok", harmed),
        figure("the run does not end with exit code 0", [] if outcome.code == 0 else [f"{outcome.code}"]),
        figure("processes that stay", outcome.staying),
        figure("temporary files and folders that stay", outcome.folders),
    ]


def _astray(name: str, outcome: HostileOutcome) -> Iterator[str]:
    """What is wrong with the rows of a function."""
    for strategy in STRATEGIES:
        rows = outcome.rows.get((spec(name), strategy), [])
        if len(rows) != 1:
            yield f"{name} by {strategy} has {len(rows)} rows"
        elif rows[0][0] not in statuses(name) or (rows[0][0] != "ok" and not rows[0][1]):
            yield f"{name} by {strategy} is {rows[0][0]}: {rows[0][1][:100]}"


def statuses(name: str) -> tuple[str, ...]:
    """How the rows of a hostile function may end."""
    return tuple((HOSTILE[name].__doc__ or "").split(":")[0].split(" or "))


def spec(name: str) -> str:
    """The function as a problem: its file and its name."""
    return f"{inspect.getfile(HOSTILE[name])}:{name}"
