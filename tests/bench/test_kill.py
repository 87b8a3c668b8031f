"""Runs that are killed: what is wrong with their files, what stays behind, what --resume makes of them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checks import kill, rows
from jacstrat.core.case import Case
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.sweep import load_sweep
from jacstrat.record import Record
from jacstrat.records import RECORDS, SAMPLES, RecordWriter

CELL = Cell("sin", "divergence", 2, 1, "float64", "cpu", "evaluate", 1, 0, ("identity", "hessian", "vmap"))
KEYS = [case.key for case in CELL.cases]


def measured(case: Case, **values):
    figures = {"median_s": 1e-5, "min_s": 1e-5, "samples": 2, "stop_reason": "precise", "prepare_s": 1e-3}
    figures |= {"cost_ratio": 2.0, "peak_bytes": 8, "rel_error": 0.0, "exact": True}
    return Record.of(case, "ok", **figures | values)


def write(directory: Path, *records, samples: int = 2) -> Path:
    with RecordWriter(directory) as writer:
        for record in records:
            if record.status == "ok":
                writer.write_samples(record.case, {"seconds": [1e-5] * samples})
            writer.write(record)
    return directory


@pytest.fixture
def whole(tmp_path) -> Path:
    """A directory with the three rows of CELL as they should be."""
    first, refused, last = CELL.cases
    return write(tmp_path, measured(first), Record.of(refused, "unsupported", "no"), measured(last))


def test_a_whole_directory_has_no_flaw(whole) -> None:
    assert rows.flaws(whole, KEYS) == []
    assert rows.completed(whole) == (whole / RECORDS).read_bytes()


def test_nothing_on_disk_is_no_flaw(tmp_path) -> None:
    assert rows.flaws(tmp_path, KEYS) == []
    (tmp_path / RECORDS).write_text("case,prob")
    assert rows.flaws(tmp_path, KEYS) == []
    assert rows.completed(tmp_path) == b""


@given(share=st.floats(0, 1))
@settings(max_examples=25)
def test_a_file_cut_off_anywhere_has_no_flaw_in_its_whole_lines(tmp_path_factory, share: float) -> None:
    directory = tmp_path_factory.mktemp("cut")
    write(directory, *(measured(case) for case in CELL.cases))
    content = (directory / RECORDS).read_bytes()
    (directory / RECORDS).write_bytes(content[: int(share * len(content))])
    assert rows.flaws(directory, KEYS) == []


def test_each_flaw_is_told(tmp_path) -> None:
    first, refused, last = CELL.cases
    write(
        tmp_path, measured(first), measured(first), Record.of(refused, "unsupported"), measured(last, peak_bytes=None)
    )
    assert rows.flaws(tmp_path, KEYS[:2]) == [
        f"{KEYS[0]} is there 2 times",
        f"{KEYS[2]} is no case of the sweep",
        f"{KEYS[1]} is unsupported without a reason",
        f"{KEYS[2]} lacks peak_bytes",
    ]


def test_raw_samples_that_are_missing_are_told(tmp_path) -> None:
    write(tmp_path, measured(CELL.cases[0]), samples=1)
    assert rows.flaws(tmp_path, KEYS) == [f"{KEYS[0]} has 2 samples, of which 1 are in samples.jsonl"]
    (tmp_path / SAMPLES).unlink()
    assert rows.flaws(tmp_path, KEYS) == [f"{KEYS[0]} has 2 samples, of which 0 are in samples.jsonl"]


@pytest.mark.parametrize(("file", "text"), [(RECORDS, "a,b\n1,2\n"), (SAMPLES, '{"case": \n')])
def test_what_cannot_be_read_is_told(whole, file: str, text: str) -> None:
    (whole / file).write_text(text)
    (flaw,) = rows.flaws(whole, KEYS)
    assert flaw.startswith("cannot be read: ")


# A run in miniature: at first it leaves a few rows and waits to be killed, resumed it does what it is told.
RUN = """
import pathlib, shutil, subprocess, sys, time
directory, source, what, rows = map(pathlib.Path, sys.argv[1:5])
if "--resume" not in sys.argv:
    directory.mkdir()
    lines = (source / "records.csv").read_bytes().splitlines(keepends=True)
    (directory / "records.csv").write_bytes(b"".join(lines[: int(str(rows))]))
    shutil.copy(source / "samples.jsonl", directory)
    if str(what) == "strays":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    (directory / "ready").touch()
    time.sleep(1000)
elif str(what) == "fails":
    sys.exit(4)
elif str(what) != "idles":
    shutil.copytree(source, directory, dirs_exist_ok=True)
"""


@pytest.fixture
def act(whole, monkeypatch, tmp_path_factory):
    """Makes an attempt at a miniature run, killed with so many lines on disk."""

    def make(what: str, lines: int = 0) -> kill.Attempt:
        directory = tmp_path_factory.mktemp("killed") / "run"

        def command(sweep: Path, directory: Path, *options: str) -> list[str]:
            return [sys.executable, "-c", RUN, str(directory), str(whole), what, str(lines), *options]

        def until_ready(seconds: float) -> None:
            deadline = time.monotonic() + 20
            while not (directory / "ready").exists() and time.monotonic() < deadline:
                time.sleep(0.01)

        monkeypatch.setattr(kill, "command", command)
        monkeypatch.setattr(kill, "GRACE_S", 0.2)
        return kill.attempt(Path("sweep.toml"), directory, 0.5, KEYS, until_ready)

    return make


def test_a_run_that_stands_its_kill(act) -> None:
    assert act("completes", lines=3) == kill.Attempt(0.5, rows=2)
    assert act("completes") == kill.Attempt(0.5, rows=0)


def test_a_resumed_run_that_fails_or_leaves_cases_out(act) -> None:
    assert act("fails", lines=2).unresumed == ("--resume exits with code 4",)
    assert act("idles", lines=2).unresumed == ("2 cases are missing",)
    assert act("idles").unresumed == ("3 cases are missing",)


def test_a_process_that_stays_is_told_and_ended(act) -> None:
    attempt = act("strays")
    (line,) = attempt.staying
    assert line.endswith("-c import time; time.sleep(1000)")
    assert attempt.unresumed == ()
    stays = [p for p in psutil.process_iter() if "import time; time.sleep(1000)" in _arguments(p)]
    assert psutil.wait_procs(stays, timeout=10)[1] == []


def test_rows_that_change_on_resuming_are_told(whole) -> None:
    before = (whole / RECORDS).read_bytes()
    assert kill.incomplete(whole, before, KEYS) == []
    changed = before.replace(b"1e-05", b"2e-05")
    assert kill.incomplete(whole, changed, KEYS) == ["rows that were completed before are not there as they were"]


def test_kills_are_counted_by_the_harm_they_do() -> None:
    attempts = [kill.Attempt(0.1, 0), kill.Attempt(0.2, 3, unreadable=("bad row", "worse")), kill.Attempt(0.3, 30)]
    unreadable, unresumed, staying, folders = kill.judge(attempts, 30, 9.0)
    assert [figure.value for figure in (unreadable, unresumed, staying, folders)] == [1, 0, 0, 0]
    assert [figure.met for figure in (unreadable, unresumed, staying)] == [False, True, True]
    amid = "3 kills within 9.0 s, 1 of them with some of 30 rows on disk"
    assert unreadable.note == f"{amid}; for one, of run SIGKILL at 0.2 s, bad row"


def test_the_command_is_that_of_a_user() -> None:
    command = kill.command(Path("a.toml"), Path("out"), "--resume")
    assert command == [sys.executable, "-m", "jacstrat", "run", "a.toml", "--out", "out", "--resume"]


def test_the_sweep_has_sixty_quick_cases(tmp_path) -> None:
    (tmp_path / "sweep.toml").write_text(kill.SWEEP)
    sweep = load_sweep(str(tmp_path / "sweep.toml"))
    assert sum(len(cell.strategies) for cell in sweep.cells()) == 60
    assert sweep.sample_s == 0.05


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
