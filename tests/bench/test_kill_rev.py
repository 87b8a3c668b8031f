"""Comparisons of revisions that are killed: what is left of one is found, and counted."""

from __future__ import annotations

import re
import signal
import sys

import pytest

from bench.checks import kill_rev
from bench.checks.kill_rev import Kill, attempt, judge

# A comparison in miniature, that leaves what it is told.
RUN = """
import pathlib, subprocess, sys, time
what = sys.argv[1]
git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
if what == "branch":
    subprocess.run([*git, "branch", "left"], check=True)
elif what == "worktree":
    subprocess.run([*git, "worktree", "add", "-q", "--detach", "../tree"], check=True)
elif what == "change":
    pathlib.Path("new.py").touch()
elif what == "file":
    import tempfile
    tempfile.mkdtemp(prefix="jacstrat-")
elif what == "process":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
elif what == "hangs":
    time.sleep(1000)
"""


@pytest.fixture
def act(monkeypatch, tmp_path):
    """Makes an attempt at a miniature comparison that is killed at its end."""
    monkeypatch.setattr(kill_rev, "GRACE_S", 0.2)

    def make(what: str, moment_s: float = 20.0, victim: str = "none") -> Kill:
        monkeypatch.setattr(kill_rev, "command", lambda: [sys.executable, "-c", RUN, what])
        return attempt(tmp_path / what, moment_s, victim, signal.SIGKILL)

    return make


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("nothing", []),
        ("branch", [r"git knows '\w+ commit\\trefs/heads/left' afterwards"]),
        ("worktree", [r"git knows '.*tree +\w+ \(detached HEAD\)' afterwards"]),
        ("change", ["git knows '.. new.py' afterwards"]),
        ("file", ["jacstrat-.* stays"]),
        ("process", [r".*time.sleep\(1000\) stays"]),
    ],
)
def test_what_is_left_is_told(act, what: str, left: list[str]) -> None:
    killed = act(what)
    assert (killed.is_amid, killed.killed, len(killed.left)) == (False, "none SIGKILL", len(left))
    for line, words in zip(killed.left, left, strict=True):
        assert re.fullmatch(words, line)


@pytest.mark.parametrize("victim", ["run", "group"])
def test_a_comparison_that_is_killed_is_amid(act, victim: str) -> None:
    assert act("hangs", 0.5, victim) == Kill(f"{victim} SIGKILL", 0.5, is_amid=True)


def test_one_that_does_not_end_is_told(act, monkeypatch) -> None:
    monkeypatch.setattr(kill_rev, "END_S", 0.2)
    assert act("hangs", 0.1).left == ("it does not end in 0.2 s",)


def test_kills_are_counted_by_what_they_leave() -> None:
    figure = judge([Kill("run SIGTERM", 1.0, True), Kill("group SIGHUP", 2.0, False, ("git knows 'x' afterwards",))])
    assert (figure.value, figure.met) == (1, False)
    assert figure.note == "1 of 2 amid the comparison; for one, of group SIGHUP at 2.0 s, git knows 'x' afterwards"


def test_the_command_is_that_of_a_user() -> None:
    assert kill_rev.command()[1:6] == ["-m", "jacstrat", "compare", "--rev", "HEAD"]
