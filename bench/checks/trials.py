"""Commands in hard places: each ends with a line and its exit code, and nothing that was measured is lost."""

from __future__ import annotations

import glob
import math
import shutil
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from jacstrat import read_records
from jacstrat.cli.app import EXIT_USAGE
from jacstrat.records import RECORDS

from .calling import LIMIT_S, Ended, call, change_rights
from .figure import Figure
from .files import COMMIT
from .kill import GRACE_S, MARK, finish, incomplete, left_folders, stayers
from .places import ALL, FOREIGN, MEASURING, PLACES, HostilePlace
from .rows import completed

SWEEP = """
sample_s = 0.01
timeout_s = 20.0
problems = ["sin", "linear"]
operators = ["divergence"]
strategies = ["identity", "vmap"]
n = [2, 3]
"""
COMMANDS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "run": ("run", "{sweep}", "--out", "{run}"),
        "resume": ("run", "--resume", "--out", "{run}"),
        "report": ("report", "--", "{run}"),
        "findings": ("report", "--format", "json", "--", "{run}"),
        "compare": ("compare", "--", "{whole}", "{run}"),
        "history": ("history", "add", "--store", "new.sqlite", "--commit", COMMIT, "--", "{run}"),
        "merge": ("merge", "--out", "new", "--", "{run}"),
    }
)


@dataclass(frozen=True)
class PlaceTrial:
    """One command in one place.

    Fields:
        place, command: Their names.
        codes: Exit codes; None of what did not end.
        wrong: What is wrong with how it ended, and with what is left.
        said: The end of what it said on standard error.
    """

    place: str
    command: str
    codes: tuple[int | None, ...]
    wrong: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True)
class WholeRun:
    """What trials start from: the sweep, a whole run of it, one that was interrupted, and the keys of its cases."""

    sweep: Path
    run: Path
    half: Path
    cases: frozenset[str]


def places(chosen: Sequence[HostilePlace] = PLACES, commands: Collection[str] = ALL, beside: int = 2) -> list[Figure]:
    """Try the commands in every place.

    Args:
        chosen: Places.
        commands: Of those that each place has.
        beside: How many trials at the same time.
    """
    with tempfile.TemporaryDirectory() as name:
        whole = prepared(Path(name))
        asked = [(place, command) for place in chosen for command in place.commands if command in commands]
        trials: list[PlaceTrial] = []
        with ThreadPoolExecutor(beside) as executor:
            for one in executor.map(lambda pair: trial(*pair, whole, Path(name)), asked):
                trials.append(one)
                print(f"{len(trials)} of {len(asked)}: {one}", file=sys.stderr, flush=True)
    return [judge(place, [one for one in trials if one.place == place.name]) for place in chosen]


def prepared(folder: Path) -> WholeRun:
    """A run as it should be, and a half of it."""
    sweep, run, half = folder / "sweep.toml", folder / "whole", folder / "half"
    sweep.write_text(SWEEP, encoding="utf-8")
    if code := finish(sweep, run):
        raise RuntimeError(f"the run in no hard place exits with code {code}")
    shutil.copytree(run, half, ignore=shutil.ignore_patterns("plots", "report.html"))
    lines = completed(run).splitlines(keepends=True)
    # Within a row, as a kill may leave it.
    (half / RECORDS).write_bytes(b"".join(lines[: len(lines) // 2 + 1]) + lines[-1][:20])
    return WholeRun(sweep, run, half, frozenset(read_records(run)["case"]))


def trial(place: HostilePlace, command: str, whole: WholeRun, above: Path) -> PlaceTrial:
    """Try one command in one place, see what is left, and go on with it where the place is an easy one."""
    folder = Path(tempfile.mkdtemp(dir=above))
    here = folder / "here"
    run = here / place.directory
    for new in (here, folder / "tmp"):
        new.mkdir()
    if command != "run":
        shutil.copytree(whole.half if command == "resume" else whole.run, run)
    if place.prepare:
        place.prepare(folder)
    before = completed(run)
    files = {file: file.read_bytes() for file in run.glob("*") if file.suffix in (".csv", ".jsonl", ".json", ".toml")}
    mark = uuid.uuid4().hex
    paths = {"sweep": str(whole.sweep), "whole": str(whole.run), "run": place.directory}
    arguments = [sys.executable, "-m", "jacstrat", *(part.format(**paths) for part in COMMANDS[command])]
    if place.read_only:
        change_rights(here, 0o222, take=True)
    try:
        ended = call(place, arguments, folder, {MARK: mark})
    finally:
        change_rights(here, 0o200, take=False)
    wrong = [fault for one in ended for fault in faults(place, command, one)]
    if place.beside > 1 and command != "history" and sorted(map(_code, ended)) != [0] + [2] * (place.beside - 1):
        wrong.append("not one alone has it")
    if command in MEASURING:
        wrong += lost(run, before, whole, all(one.code == 0 for one in ended))
    else:
        wrong += [f"{file.name} is another than before" for file, text in files.items() if file.read_bytes() != text]
    wrong += [f"{line} stays" for line in stayers(mark, GRACE_S)]
    wrong += [f"{name} stays" for name in left_folders(folder / "tmp")]
    shutil.rmtree(folder, ignore_errors=True)
    said = " / ".join(one.err[-300:].strip() for one in ended if one.code)
    return PlaceTrial(place.name, command, tuple(one.code for one in ended), tuple(wrong), said)


def _code(ended: Ended) -> int:
    return -1 if ended.code is None else ended.code


def faults(place: HostilePlace, command: str, ended: Ended) -> Iterator[str]:
    """What is wrong with how a command ended."""
    if ended.code is None:
        yield f"does not end in {LIMIT_S:g} s"
    elif ended.code not in place.codes.get(command, (0, 2) if place.beside > 1 else (0,)):
        yield f"exit code {ended.code}"
    if "Traceback (most" in ended.err:
        yield "a traceback"
    if strange := {sign for sign in ended.err if not sign.isprintable() and sign not in "\n\r\t"}:
        yield f"control characters reach the terminal: {sorted(strange)}"
    lines = [line for line in ended.err.splitlines() if line.startswith("jacstrat: ")]
    if ended.code == EXIT_USAGE and place.errors == "pipe" and len(lines) != 1:
        yield f"exit code 2 with {len(lines)} lines that say why"


def lost(run: Path, before: bytes, whole: WholeRun, is_whole: bool) -> list[str]:
    """What is lost of a run, each in a line, after it went on in no hard place where it was refused.

    Args:
        run: The results directory.
        before: Its completed lines before the command.
        whole: What is expected.
        is_whole: The run says that it is done.
    """
    saved = sorted(run.parent.glob(f"{glob.escape(run.name)}-saved-*"))
    elsewhere = run.with_name("elsewhere")
    here = saved[0] if saved else elsewhere if elsewhere.exists() else run
    written = completed(run).replace(FOREIGN.encode(), b"")
    if not is_whole and (code := finish(whole.sweep, here, "--resume", quietly=True)):
        return [f"--resume exits with code {code} afterwards"]
    return incomplete(here, max(before, written, key=len), whole.cases)


def judge(place: HostilePlace, trials: Sequence[PlaceTrial]) -> Figure:
    """How many commands ended in the place otherwise than they should."""
    ended = ", ".join(f"{one.command} {_codes(one)}" for one in trials)
    bad = [one for one in trials if one.wrong]
    first = [f"for one, {bad[0].command}: {bad[0].wrong[0]}"] if bad else []
    note = "; ".join([f"exit codes: {ended}", *first])
    return Figure("places", place.name, len(bad) if trials else math.nan, 0, note=note)


def _codes(trial: PlaceTrial) -> str:
    counted = Counter("none" if code is None else str(code) for code in trial.codes)
    return " and ".join(code if count == 1 else f"{count} times {code}" for code, count in sorted(counted.items()))
