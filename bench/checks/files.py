"""Commands on changed files: each ends with its exit code, with a line where it refuses, never with a traceback."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import MappingProxyType
from unittest.mock import patch

from .changes import CHANGES
from .figure import Figure

COMMIT = "c0ffee" + 34 * "0"
CODES = (0, 1, 2, 3, 4)
LIMIT_S = 60
"""A command that takes longer does not end."""
COMMANDS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "run": (
            *(("report", "--format", form, "{changed}") for form in ("markdown", "csv", "json", "latex")),
            ("report", "--format", "markdown", "{whole}", "{changed}"),
            ("report", "--format", "json", "{changed}", "{whole}"),
            *(("compare", "{whole}", "{changed}", "--format", form) for form in ("table", "markdown", "json", "junit")),
            ("compare", "{changed}", "{whole}", "--all"),
            ("compare", "{changed}", "{whole}", "--strict-time"),
            ("history", "add", "{changed}", "--store", "{new}.sqlite", "--commit", COMMIT),
            ("history", "add", "{changed}", "{whole}", "--store", "{new}.sqlite"),
            ("merge", "{changed}", "{whole}", "--out", "{new}"),
            ("merge", "{whole}", "{changed}", "--out", "{new}"),
        ),
        "history.sqlite": (
            ("history", "--store", "{changed}"),
            ("history", "--store", "{changed}", "--measure", "median_s", "--csv", "{new}.csv"),
            ("history", "add", "{whole}", "--store", "{changed}"),
        ),
        "benchmark.json": (("compare", "{changed}", "{whole}"), ("compare", "{whole}", "{changed}", "--all")),
    }
)
"""What is called on a changed directory of a run, and on the other files that a command reads."""
SLOW: tuple[tuple[str, ...], ...] = (
    ("report", "{changed}"),
    ("report", "--plot", "time", "--plot", "samples", "{changed}"),
    ("run", "--resume", "--no-isolation", "--counts", "--out", "{changed}"),
)
"""In place of those on a run one time in twenty: they draw, or load torch and may measure."""


@dataclass(frozen=True)
class FileTrial:
    """One command on a changed file.

    Fields:
        change: What was changed, and how.
        command: As it was called.
        code: Its exit code; None where it raised or did not end.
        wrong: What is wrong with how it ended; "" where nothing is.
    """

    change: str
    command: tuple[str, ...]
    code: int | None
    wrong: str


def files(count: int = 2000, seed: int = 0, beside: int = 20) -> list[Figure]:
    """Change files of a run, call a command on each, in this process, and some of them again in one of their own.

    Args:
        count: Commands.
        seed: Of the changes and of the choice of commands.
        beside: How many of them are called again in a process of their own.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        originals(folder / "whole")
        trials = [trial(Random(f"{seed} {i}"), folder) for i in range(count)]
        again = [trial(Random(f"{seed} {i}"), folder, outside) for i in range(0, count, max(count // beside, 1))]
    return judge(trials, again)


def originals(folder: Path) -> None:
    """Files as jacstrat writes them: the directory of a run, a store of history, and one of pytest-benchmark."""
    from jacstrat.core.environment import Session, write_sessions
    from jacstrat.history.store import Store
    from jacstrat.records import SWEEP, RecordWriter

    run = folder / "run"
    run.mkdir(parents=True)
    with RecordWriter(run) as writer:
        for record, samples in _measured(Random(0)):
            for case, lines in samples.items():
                writer.write_samples(case, lines)
            writer.write(record)
    write_sessions(run, [Session({"start": ENVIRONMENT, "end": ENVIRONMENT}), Session({"start": ENVIRONMENT})])
    (run / SWEEP).write_text(SWEEP_TOML, encoding="utf-8")
    with Store(folder / "history.sqlite") as store:
        store.add(run)
        store.add(run, commit="beef" + COMMIT[4:], date="2026-02-01T00:00:00+00:00")
    info = [
        {"extra_info": _extra(record), "stats": {"median": 1e-5, "data": [1e-5, 2e-5]}}
        for record, _ in _measured(Random(1))
    ]
    machine = {"machine_info": {"jacstrat": ENVIRONMENT}, "datetime": "2026-01-02T03:04:05", "benchmarks": info}
    (folder / "benchmark.json").write_text(json.dumps(machine), encoding="utf-8")


def trial(random: Random, folder: Path, call: Callable[[Sequence[str]], CodeAndError] | None = None) -> FileTrial:
    """One change, and one command on what came of it."""
    whole, changed, new = folder / "whole", folder / "changed", folder / "new"
    for left in (changed, *folder.glob("new*")):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    shutil.copytree(whole, changed)
    name = random.choices([*CHANGES], [8, 4, 4, 1, 2, 1])[0]
    of_run = name not in COMMANDS
    file = changed / "run" / name if of_run else changed / name
    change = random.choice(CHANGES[name])
    file.write_bytes(change(random, file.read_bytes()))
    places = {"changed": changed / "run" if of_run else changed / name, "whole": whole / "run", "new": new}
    command = random.choice(SLOW if of_run and random.random() < 0.05 else COMMANDS["run" if of_run else name])
    arguments = tuple(part.format(**places) for part in command)
    code, error = (call or inside)(arguments)
    return FileTrial(f"{name}: {change.__name__}", arguments, code, error or _wrong_code(code))


CodeAndError = tuple[int | None, str]
"""An exit code, and what is wrong with how it came; "" where nothing is."""


def inside(arguments: Sequence[str]) -> CodeAndError:
    """Call a command in this process."""
    from jacstrat.cli import main

    out, err = io.StringIO(), io.StringIO()
    try:
        with patch.object(sys, "argv", ["jacstrat", *arguments]), redirect_stdout(out), redirect_stderr(err), limited():
            try:
                main()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return code, _wrong_words(code, out.getvalue(), err.getvalue())


def outside(arguments: Sequence[str]) -> CodeAndError:
    """Call a command in a process of its own."""
    command = [sys.executable, "-m", "jacstrat", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return None, "does not end"
    out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    return done.returncode, "a traceback" if "Traceback (most" in err else _wrong_words(done.returncode, out, err)


@contextmanager
def limited() -> Iterator[None]:
    """Raise TimeoutError in the block where it takes longer than LIMIT_S."""

    def end(*_: object) -> None:
        raise TimeoutError("does not end")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _wrong_code(code: int | None) -> str:
    return "" if code in CODES else f"exit code {code}"


def _wrong_words(code: int | None, out: str, err: str) -> str:
    """What is wrong with what a command said: a refusal is one line that names the program."""
    if strange := {sign for sign in out + err if not sign.isprintable() and sign not in "\n\r\t"}:
        return f"control characters reach the terminal: {sorted(strange)}"
    lines = [text for text in err.splitlines() if text.startswith("jacstrat: ")]
    return f"exit code 2 with {len(lines)} lines that say why: {err[-200:]}" if code == 2 and len(lines) != 1 else ""


def judge(trials: Sequence[FileTrial], again: Sequence[FileTrial]) -> list[Figure]:
    """How many commands ended otherwise than they should, and how many ended otherwise in a process of their own."""
    codes = Counter(str(one.code) for one in trials)
    note = ", ".join(f"{count} with {code}" for code, count in sorted(codes.items()))
    return [
        _figure(
            "commands on changed files that raise, do not end, or refuse without a line", trials, f"exit codes: {note}"
        ),
        _figure("the same, in a process of their own", again, f"{len(again)} commands"),
    ]


def _figure(what: str, trials: Sequence[FileTrial], note: str) -> Figure:
    bad = [one for one in trials if one.wrong]
    first = [f"for one, after {bad[0].change}, {' '.join(bad[0].command)}: {bad[0].wrong}"] if bad else []
    return Figure("files", f"of {len(trials)}, {what}", len(bad), 0, note="; ".join([note, *first]))


def _measured(random: Random):
    """Records of every status, with the samples of those that have a time, and of f beside them."""
    from jacstrat.core.case import Case, F, beside
    from jacstrat.core.status import STATUSES
    from jacstrat.record import Record

    statuses = [*STATUSES]
    for number, (strategy, n) in enumerate(
        (s, n) for s in ("identity", "ones", "vmap", "hutchinson") for n in (2, 4, 8)
    ):
        case = Case("sin", "divergence", strategy, n, 1, "float64", "cpu", "evaluate", 1, 0)
        status = "ok" if number % 2 else statuses[number // 2 % len(statuses)]
        if status not in ("ok", "wrong"):
            yield Record.of(case, status, f"{status} at n = {n}"), {}
            continue
        seconds = [n * 1e-5 * random.uniform(0.9, 1.1) for _ in range(12)]
        rounds = [*range(12)]
        times = {"median_s": sorted(seconds)[6], "q1_s": min(seconds), "q3_s": max(seconds), "min_s": min(seconds)}
        counts = {"samples": 12, "vjp_products": n, "jvp_products": 0, "f_evaluations": 1, "aten_ops": 13, "flops": 0}
        ratios = {"cost_ratio": 9.0 * n, "over_fastest": 1.0 + number, "f_median_s": 1e-6, "ci_low_s": min(seconds)}
        errors = {
            "abs_error": 0.0,
            "rel_error": 0.0 if status == "ok" else 1.6,
            "ulp_error": 0.0,
            "exact": status == "ok",
        }
        chance = {"std_error": 0.1, "coverage": 0.7, "draws": 64} if strategy == "hutchinson" else {}
        filled = {"ci_high_s": max(seconds), "stop_reason": "precise", "prepare_s": 1e-3, "peak_bytes": 64 * n}
        line = {"session": f"s{n}", "calls": 9, "rounds": rounds, "seconds": seconds, "host_s": seconds}
        samples = {case.key: line, str(beside(case.key, F)): {**line, "seconds": [1e-6] * 12}}
        yield (
            Record.of(case, status, **times, **counts, **ratios, **errors, **chance, **filled, machine="0a1b2c3d-1"),
            samples,
        )


def _extra(record) -> dict:
    from dataclasses import asdict

    return {name: value for name, value in asdict(record).items() if value is not None}


SWEEP_TOML = """seed = 0
sample_s = 0.05
timeout_s = 30.0
timed = false

[[grid]]
problems = ["sin"]
operators = ["divergence"]
strategies = ["identity", "ones", "vmap", "hutchinson"]
n = [2, 4, 8]
batch = [1]
dtype = ["float64"]
device = ["cpu"]
workload = ["evaluate"]
threads = [1]
"""
ENVIRONMENT = {
    "machine": "0a1b2c3d",
    "hardware": {
        "cpu_model": "CPU",
        "physical_cores": 2,
        "logical_cores": 4,
        "cpu_quota_cores": 1.5,
        "memory_bytes": 2**34,
    },
    "cards": [{"name": "H100", "memory_bytes": 2**36}],
    "accelerator": {"kind": "cuda", "count": 1},
    "python": "CPython 3.11.7",
    "torch": {"version": "2.13.0+cpu", "cpu_capability": "AVX512", "threads": 2, "cuda": None},
    "packages": {"jacstrat": "0.1.0", "torch": "2.13.0+cpu", "triton": None},
    "checkout": {"commit": COMMIT, "dirty": False},
    "command": ["jacstrat", "run"],
    "start": {"utc": "2026-01-02T03:04:05+00:00", "load": {"load_1min": 0.5}},
    "warnings": ["the machine is loaded"],
}
# As Python begins, so that the first command is not measured by what it imports.
CHECKS: Mapping[str, Callable[[bool], list[Figure]]] = MappingProxyType(
    {"files": lambda quick: files(60, beside=2) if quick else files()}
)
