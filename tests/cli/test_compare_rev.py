"""`jacstrat compare-rev` as a program: its exit codes, its messages, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jacstrat.cli import compare_rev as command
from jacstrat.cli import main
from jacstrat.cli.signals import interruptible
from jacstrat.revisions import compare as revisions
from jacstrat.revisions.install import BuildError
from jacstrat.revisions.processes import DiedError
from tests.revisions.conftest import git


def run(monkeypatch, directory: Path, *arguments: str) -> int:
    """The exit code of the program, run here."""
    monkeypatch.chdir(directory)
    monkeypatch.setattr(sys, "argv", ["jacstrat", "compare", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_wrong_use_is_a_line_and_exit_code_2(repository, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "kept" / "base").mkdir(parents=True)
    (tmp_path / "file").touch()
    for arguments, said in (
        (["--rev"], "compare-rev needs a revision to compare with, such as main"),
        (["--rev", "main", "--baseline"], "--baseline is for `jacstrat compare`, which compares sets of records"),
        (["--rev", "nope"], "unknown revision 'nope'; in a clone without history fetch it first"),
        (["--rev", "main", "--time-limit", "0"], "--time-limit must be more than 0 seconds, got 0"),
        (["--rev", "main", "--timeout", "-1"], "--timeout must be more than 0 seconds, got -1"),
        (["--rev", "main", "--sweep", "mine.toml"], "sweep file mine.toml does not exist"),
        (["--rev", "main", "--keep", str(tmp_path / "kept")], "holds results already; name another with --keep"),
        (["--rev", "main", "--keep", str(tmp_path / "file" / "kept")], "cannot be made or written; name another with"),
        (["--rev", "--", "-x"], "unknown revision '-x'; in a clone without history fetch it first"),
        (["--rev", "--", "main", "-x"], "unknown revision '-x'; in a clone without history fetch it first"),
        (["--rev", "main", "-n", "four"], "-n must be whole numbers with commas between"),
        (["a", "b", "--time-limit", "5"], "--time-limit is for `jacstrat compare-rev`, which measures revisions"),
        (["a", "b", "-n4"], "-n is for `jacstrat compare-rev`, which measures revisions"),
        (["a", "b", "-p", "sin"], "-p is for `jacstrat compare-rev`, which measures revisions"),
    ):
        assert run(monkeypatch, repository, *arguments) == 2, arguments
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_the_new_spelling_says_the_same(repository, monkeypatch, capsys) -> None:
    said = []
    for words in (["compare", "--rev", "nope"], ["compare-rev", "nope"], ["compare", "nope", "--rev"]):
        monkeypatch.setattr(sys, "argv", ["jacstrat", *words])
        monkeypatch.chdir(repository)
        with pytest.raises(SystemExit, match="2"):
            main()
        said.append(capsys.readouterr().err)
    assert len(set(said)) == 1


def test_no_repository_is_exit_code_2(tmp_path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, tmp_path, "--rev", "main") == 2
    assert "is in no git repository; compare-rev measures two revisions of one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [BuildError("main does not build: ERROR: no torch"), DiedError("crashed", "main cannot be measured: killed")],
)
def test_a_revision_that_cannot_be_measured_is_exit_code_3(repository, monkeypatch, capsys, error) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(revisions, "interpreters", fail)
    assert run(monkeypatch, repository, "--rev", "main") == 3
    assert capsys.readouterr().err == f"jacstrat: nothing was measured: {error}\n"
    assert git(repository, "worktree", "list").count("\n") == 0


def test_a_problem_is_named_from_the_working_directory(repository, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(repository / "inside")
    elsewhere = f"{tmp_path / 'other.py'}:f"
    selection = command.selection_of(
        None, [f"{repository / 'model.py'}:field", "sin", elsewhere, "here.py:f"], ["ones"], n=(1,), seed=None
    )
    assert selection.problems == ("../model.py:field", "sin", elsewhere, "here.py:f")
    assert selection.over == {"n": (1,)}
    (repository / "inside" / "s.toml").write_text("")
    assert command.selection_of("s.toml", None, None).sweep == str(repository / "inside" / "s.toml")
    assert command.selection_of("quick", None, None).sweep == "quick"


def test_a_job_that_is_cancelled_ends_as_after_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():  # noqa: PT012 (the signal comes when it comes)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.long
def test_ctrl_c_leaves_no_worktree_no_process_and_no_file(repository, change, tmp_path) -> None:
    # The user's model tells that it is being measured, and hangs.
    change(f"(open({str(tmp_path / 'begun')!r}, 'w').close(), __import__('time').sleep(60), x)[-1]")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environ = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    program = [sys.executable, "-m", "jacstrat", "compare", "--rev", "HEAD"]
    chosen = ["-p", "model.py:field", "-s", "vmap", "-o", "divergence", "-n", "2"]
    running = subprocess.Popen(
        [*program, *chosen], cwd=repository, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 100
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.05)
        assert (tmp_path / "begun").exists(), running.stderr.read() if running.stderr else ""
        children = psutil.Process(running.pid).children(recursive=True)
        # The warden of the worktrees, the parent, and two sides.
        assert len(children) == 4
        os.kill(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, said) == (130, "interrupted; nothing is left of either revision\n")
    assert psutil.wait_procs(children, timeout=10)[1] == []
    # Torch makes a folder for its own compiler when it is imported.
    assert [file.name for file in temporary.iterdir() if not file.name.startswith("torchinductor")] == []
    assert git(repository, "worktree", "list").count("\n") == 0
