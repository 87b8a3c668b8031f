"""What killed runs leave: folders that nobody holds are removed, with the processes of their runs; no others."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from jacstrat.harness.dispatch import strays
from jacstrat.harness.dispatch.strays import MARK, new_mark, own_mark, remove_left_folders, temporary_folder

HOLD = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from jacstrat.harness.dispatch.strays import own_mark, temporary_folder
with temporary_folder() as folder:
    (folder / "reference.npz").write_text("held")
    print(folder, own_mark(), flush=True)
    time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def _folders_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a folder: itself, the folder and its mark."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder, mark = process.stdout.readline().split()
    yield process, Path(folder), mark
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_is_gone_after_the_block(tmp_path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith(f"jacstrat-run-{own_mark()}-")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_remove_is_no_error(tmp_path) -> None:
    with temporary_folder() as folder:
        folder.rmdir()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_run_that_lives_stays_and_that_of_a_killed_one_goes_with_its_own(holder, tmp_path) -> None:
    process, folder, mark = holder
    marked = {name: os.environ | {MARK: f"{name}.0"} for name in (mark, own_mark())}
    theirs, ours = (subprocess.Popen(["sleep", "612"], env=environ) for environ in marked.values())
    try:
        with temporary_folder() as own:
            remove_left_folders()
            assert (folder / "reference.npz").read_text() == "held"
            assert theirs.poll() is None
            process.kill()
            process.wait()
            remove_left_folders()
            assert list(tmp_path.iterdir()) == [own]
            assert theirs.wait(10) == -9
            assert ours.poll() is None
    finally:
        for one in (theirs, ours):
            one.kill()
            one.wait()


def test_what_is_not_a_folder_of_a_run_is_not_touched(tmp_path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").touch()
    (tmp_path / "jacstrat-run-0123456789abcdef-link").symlink_to(tmp_path / "target")
    (tmp_path / "jacstrat-run-0123456789abcdef-file").touch()
    (tmp_path / "jacstrat-run-mine").mkdir()
    before = sorted(tmp_path.rglob("*"))
    remove_left_folders()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_always_taken_away_is_told(monkeypatch) -> None:
    monkeypatch.setattr(strays, "_lock", lambda folder: None)
    with pytest.raises(OSError, match="is removed as soon as it is made"), temporary_folder():
        pass


def test_marks_begin_with_that_of_their_process_and_differ() -> None:
    assert new_mark() != new_mark()
    assert new_mark().startswith(f"{own_mark()}.")
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, own_mark().encode())
        os._exit(0)
    os.wait()
    assert os.read(read, 100).decode() != own_mark()
    os.close(read)
    os.close(write)


def test_processes_are_found_by_their_mark_and_dead_ones_are_none() -> None:
    mark = new_mark()
    process = subprocess.Popen(["sleep", "612"], env=os.environ | {MARK: mark})
    assert [one.pid for one in strays.strays(mark)] == [process.pid]
    assert [one.pid for one in strays.strays(own_mark()) if one.pid == process.pid] == [process.pid]
    assert strays.strays(mark[:-1]) == []
    assert strays.process_name(psutil.Process(process.pid)) == f"process {process.pid} (sleep 612)"
    process.kill()
    deadline = time.monotonic() + 10
    while strays.strays(mark) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert strays.strays(mark) == []
    process.wait()
