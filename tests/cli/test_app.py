"""How a command ends where the system refuses what it needs: a line, its exit code, and nothing lost."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from bench.checks.files import COMMIT, inside, originals
from jacstrat.cli.app import EXIT_CLOSED_PIPE, EXIT_INTERRUPTED, EXIT_USAGE, main, open_stream
from jacstrat.cli.signals import interruptible
from jacstrat.records import RECORDS

ODD = "-a 'b' \"c\" \n größe [red]x $x_1$ %s"
"""A leading dash, blanks, quotes, a line end, signs beyond ASCII, and what markup and mathematics begin with."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small run."""
    folder = tmp_path_factory.mktemp("files")
    originals(folder)
    return folder / "run"


def refused(monkeypatch, capsys, *arguments: str) -> str:
    """What a command that is refused says on standard error."""
    monkeypatch.setattr(sys, "argv", ["jacstrat", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    return line


def commands(whole: Path, new: Path) -> dict[str, Sequence[str]]:
    return {
        "report": ("report", "--format", "json", str(whole)),
        "compare": ("compare", str(whole), str(whole)),
        "history": ("history", "add", str(whole), "--store", str(new / "h.sqlite"), "--commit", COMMIT),
        "merge": ("merge", str(whole), "--out", str(new / "all")),
    }


@pytest.mark.parametrize("command", ["report", "compare", "history", "merge"])
def test_a_file_that_may_not_be_read_is_a_line(whole: Path, tmp_path: Path, monkeypatch, capsys, command: str) -> None:
    read = Path.read_bytes

    def forbidden(path: Path) -> bytes:
        if path.name == "environment.json":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    line = refused(monkeypatch, capsys, *commands(whole, tmp_path)[command])
    assert line == (
        f"jacstrat: {whole / 'environment.json'}: Permission denied; name another place, or change its rights"
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a"),
            "a: No space left on device; make room, or name another place",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; raise the limit with ulimit -n"),
        (OSError("torn"), "torn; name another place, or change its rights"),
        (MemoryError(), "memory ran out; make some free, or ask for less"),
        (
            OSError(errno.EACCES, "Permission denied", "\x1b[31m"),
            " [31m: Permission denied; name another place, or change",
        ),
    ],
)
def test_what_the_system_refuses_is_a_line(monkeypatch, capsys, error: Exception, line: str) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("jacstrat.core.errors.lookup", refuse)
    assert refused(monkeypatch, capsys, "list", "sweeps").startswith(f"jacstrat: {line}")


@pytest.mark.parametrize(
    ("arguments", "begin", "end"),
    [
        ("run --bogus", "no such option: --bogus", "see `jacstrat run --help`"),
        ("nosuch", "no such command 'nosuch'", "see `jacstrat --help`"),
        ("report", "missing argument 'DIR'", "see `jacstrat report --help`"),
        ("run --timeout soon", "invalid value for '--timeout'", "see `jacstrat run --help`"),
    ],
)
def test_a_wrong_option_is_a_line(monkeypatch, capsys, arguments: str, begin: str, end: str) -> None:
    line = refused(monkeypatch, capsys, *arguments.split())
    assert line.startswith(f"jacstrat: {begin}")
    assert line.endswith(f"; {end}")


def test_where_memory_is_limited_that_may_be_why(monkeypatch, capsys) -> None:
    """Torch's import says what it likes of memory that it does not get: that it has no source, for one."""

    def refuse(*_: object) -> None:
        raise OSError("no source")

    monkeypatch.setattr("jacstrat.core.errors.lookup", refuse)
    for limit, remedy in (
        (10**9, "raise the limit of memory with ulimit -v"),
        (resource.RLIM_INFINITY, "name another"),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limit=limit: (limit, limit))
        assert refused(monkeypatch, capsys, "list", "sweeps").startswith(f"jacstrat: no source; {remedy}")


def test_ctrl_c_is_no_regression(monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jacstrat.core.errors.lookup", interrupt)
    monkeypatch.setattr(sys, "argv", ["jacstrat", "list", "sweeps"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_INTERRUPTED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whatever_a_command_does_is_ended_by_a_signal_as_by_ctrl_c(monkeypatch, number: signal.Signals) -> None:
    def end(*_: object) -> None:
        signal.raise_signal(number)

    before = signal.getsignal(number)
    monkeypatch.setattr("jacstrat.core.errors.lookup", end)
    monkeypatch.setattr(sys, "argv", ["jacstrat", "list", "sweeps"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_INTERRUPTED
    assert signal.getsignal(number) is before


def test_a_thread_that_is_not_the_first_has_no_signals() -> None:
    def within() -> bool:
        with interruptible():
            return True

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(within).result()


def called(arguments: Sequence[str], out, before: Callable[[], object] | None = None, **variables: str):
    """A command in a process of its own; its exit code and what it said on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "jacstrat", *arguments],
        stdout=out,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
        preexec_fn=before,
        check=False,
        timeout=100,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_output_is_a_line(whole: Path) -> None:
    with Path("/dev/full").open("w") as full:
        code, said = called(("report", "--format", "json", str(whole)), full)
    assert (code, said) == (2, "jacstrat: No space left on device; make room, or name another place\n")


def test_a_closed_pipe_ends_a_command_without_a_word(whole: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code, said = called(("report", "--format", "json", str(whole)), writer)
    os.close(writer)
    assert (code, said) == (EXIT_CLOSED_PIPE, "")


def test_the_page_is_there_though_nobody_reads_the_findings(whole: Path, tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("jacstrat.report.analysis.findings.print_told", refuse)
    monkeypatch.setattr("jacstrat.report.figures.drawing.draw_plots", lambda *_: [])
    page = tmp_path / "page.html"
    assert inside(("report", str(whole), "--out", str(page)))[0] == EXIT_CLOSED_PIPE
    assert page.stat().st_size > 10_000


@pytest.mark.long
def test_a_limit_of_files_is_a_line_and_leaves_what_was_there(whole: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    file.write_text("before")
    code, said = called(
        ("compare", str(whole), str(whole), "--format", "json", "--out", str(file)),
        subprocess.DEVNULL,
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)),
        # Python does not look whether it has written a compiled module whole, and all others would read the half.
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert code == 2
    assert said == f"jacstrat: {file} cannot be written: File too large; name another with --out\n"
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def copied(whole: Path, folder: Path) -> Path:
    """The run in a directory of an odd name."""
    odd = folder / ODD
    odd.mkdir()
    for file in whole.glob("*.*"):
        (odd / file.name).write_bytes(file.read_bytes())
    return odd


@pytest.mark.long
def test_a_directory_of_any_name_on_a_narrow_terminal_of_few_signs(whole: Path, tmp_path: Path) -> None:
    copied(whole, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "jacstrat", "compare", "--all", "--", ODD, str(whole)],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "COLUMNS": "20"},
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    table, _, _ = done.stdout.partition(b"note: ")
    assert max(map(len, table.splitlines())) <= 20


@pytest.mark.long
def test_plots_of_a_directory_of_any_name(whole: Path, tmp_path: Path) -> None:
    odd = copied(whole, tmp_path)
    assert inside(("report", "--plot", "time", str(odd))) == (0, "")
    assert len([*(odd / "plots").glob("*-time.*")]) == 3


@pytest.mark.parametrize("command", ["report", "compare", "history", "merge"])
def test_a_directory_of_any_name(whole: Path, tmp_path: Path, command: str) -> None:
    odd, new = copied(whole, tmp_path), tmp_path / f"{ODD}2"
    new.mkdir()
    assert inside(commands(odd, new)[command]) == (0, "")


ESCAPES = "\x1b[31m\x9b31m\u202e\x07"


@pytest.mark.parametrize("form", ["markdown", "csv", "json", "latex"])
def test_no_escape_of_a_record_reaches_the_terminal(whole: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "run").mkdir()
    text = (whole / RECORDS).read_text(encoding="utf-8")
    escaped = text.replace(",sin,", f",sin{ESCAPES},").replace("crashed at", f"{ESCAPES}crashed at")
    (tmp_path / "run" / RECORDS).write_text(escaped, encoding="utf-8")
    assert inside(("report", "--format", form, str(tmp_path / "run"))) == (0, "")
    for shown in ("table", "markdown", "json", "junit") if form == "csv" else ():
        assert inside(("compare", str(whole), str(tmp_path / "run"), "--format", shown, "--all"))[1] == ""
    # Files keep the text.
    assert (tmp_path / "run" / RECORDS).read_text(encoding="utf-8") == escaped


def test_no_escape_of_an_error_reaches_the_terminal(tmp_path: Path, monkeypatch, capsys) -> None:
    line = refused(monkeypatch, capsys, "report", str(tmp_path / f"no{ESCAPES}thing"))
    assert line.isprintable()


def test_a_stream_that_is_closed_takes_every_text(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    open_stream("stdout")
    print("text")
    sys.stdout.close()


def test_every_changed_file_is_answered(tmp_path: Path) -> None:
    """A small part of bench/files.py; the seed is one of those that found something."""
    from bench.checks.files import trial

    originals(tmp_path / "whole")
    wrong = [one for i in range(16) if (one := trial(Random(f"suite {i}"), tmp_path)).wrong]
    assert wrong == []
