"""A warden clears away what a killed process leaves, and ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from jacstrat.revisions.tree import cleared_away
from tests.revisions.conftest import git

HOLD = """
import sys, time
from pathlib import Path
from jacstrat.revisions.tree import checked_out, cleared_away
here, folder = map(Path, sys.argv[1:])
with cleared_away(here, folder), checked_out(here, "HEAD", folder / "base"):
    print("ready", flush=True)
    time.sleep(1000)
"""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_after_a_kill_of_the_whole_group(repository, tmp_path, number) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    command = [sys.executable, "-c", HOLD, str(repository), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    wardens = psutil.Process(process.pid).children()
    os.killpg(process.pid, number)
    process.wait()
    process.stdout.close()
    assert len(wardens) == 1
    assert psutil.wait_procs(wardens, timeout=20)[1] == []
    assert not folder.exists()
    assert git(repository, "worktree", "list").count("\n") == 0


def test_a_warden_ends_with_what_it_watches(repository, tmp_path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with cleared_away(repository, folder):
        wardens = [p for p in psutil.Process().children() if any("warden.py" in part for part in p.cmdline())]
        assert len(wardens) == 1
    assert not wardens[0].is_running()
