"""Comparisons of revisions that are killed at any moment: no worktree, no branch, no process and no file is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from .figure import Figure
from .kill import MARK, SIGNALS, left_folders, stayers

MODEL = "import torch\n\n\ndef field(x):\n    return torch.{function}(x)\n"
SELECTION = (
    "-p",
    "model.py:field",
    "-s",
    "vmap",
    "-s",
    "identity",
    "-o",
    "divergence",
    "-n",
    "2,3",
    "--time-limit",
    "4",
)
# The comparison, its group as a terminal does it, or any process below it.
VICTIMS = ("run", "group", "below")
END_S = 300.0
# What watches over the worktrees waits for those who still hold files in them.
GRACE_S = 30.0


@dataclass(frozen=True)
class Kill:
    """One comparison that was killed.

    Fields:
        killed: The victim and the signal.
        moment_s: When, from its start.
        is_amid: It was under way still.
        left: What is left of it, a line each.
    """

    killed: str
    moment_s: float
    is_amid: bool
    left: tuple[str, ...] = ()


def git(repository: Path, *arguments: str) -> str:
    """What git prints, as somebody whose settings are nobody's."""
    person = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(repository), *person, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def kills_rev(count: int = 40, seed: int = 2, beside: int = 2) -> list[Figure]:
    """Kill processes of comparisons: any of VICTIMS with any of four signals, at moments uniform over the time of a
    whole one.

    Args:
        count: Comparisons to kill.
        seed: Of the moments, victims and signals.
        beside: How many comparisons at the same time, each in a repository of its own.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.perf_counter()
        whole = attempt(folder / "whole", END_S, "none", signal.SIGKILL)
        whole_s = time.perf_counter() - begin
        if whole.is_amid or whole.left:
            raise RuntimeError(f"the comparison that is not killed does not end, or leaves something: {whole}")

        def one(number: int) -> Kill:
            draw = random.Random(f"{seed} {number}")
            victim, signal_number = draw.choice(VICTIMS), draw.choice(SIGNALS)
            return attempt(folder / str(number), draw.uniform(0, whole_s), victim, signal_number)

        kills = []
        with ThreadPoolExecutor(beside) as executor:
            for killed in executor.map(one, range(count)):
                kills.append(killed)
                print(f"{len(kills)} of {count}: {killed}", file=sys.stderr, flush=True)
    return [judge(kills)]


def attempt(folder: Path, moment_s: float, victim: str, number: signal.Signals) -> Kill:
    """Start a comparison in a repository of its own, kill it or what works for it, and look at what is left."""
    repository, temporary = folder / "repository", folder / "temporary"
    for new in (repository, temporary):
        new.mkdir(parents=True)
    (repository / "model.py").write_text(MODEL.format(function="sin"), encoding="utf-8")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
        git(repository, *arguments)
    (repository / "model.py").write_text(MODEL.format(function="cos"), encoding="utf-8")
    before = known(repository)
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        command(),
        cwd=repository,
        env=os.environ | {MARK: mark, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment_s)
    is_amid = process.poll() is None
    if victim != "none":
        strike(process.pid, victim, number)
    left = []
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        left.append(f"it does not end in {END_S:g} s")
        process.kill()
        process.wait()
    left += [f"{line} stays" for line in stayers(mark, GRACE_S)]
    after = known(repository)
    left += [f"git knows {line!r} afterwards" for line in after if line not in before]
    left += [f"{line!r} is gone" for line in before if line not in after]
    left += [f"{name} stays" for name in left_folders(temporary)]
    return Kill(f"{victim} {number.name}", moment_s, is_amid, tuple(left))


def command() -> list[str]:
    return [sys.executable, "-m", "jacstrat", "compare", "--rev", "HEAD", *SELECTION]


def strike(pid: int, victim: str, number: signal.Signals) -> None:
    """Send a signal to the comparison, to its group, or to any process below it."""
    with suppress(psutil.Error, ProcessLookupError):
        if victim == "group":
            os.killpg(pid, number)
            return
        target = psutil.Process(pid)
        if victim == "below" and (below := target.children(recursive=True)):
            target = random.Random(number).choice(below)
        target.send_signal(number)


def known(repository: Path) -> list[str]:
    """Branches, worktrees and changes of a repository, as git tells them."""
    asked = (("for-each-ref",), ("worktree", "list"), ("status", "--porcelain"), ("stash", "list"))
    return [line for arguments in asked for line in git(repository, *arguments).splitlines()]


def judge(kills: Sequence[Kill]) -> Figure:
    """How many kills leave something behind."""
    bad = [one for one in kills if one.left]
    amid = f"{sum(one.is_amid for one in kills)} of {len(kills)} amid the comparison"
    first = [f"for one, of {one.killed} at {one.moment_s:.1f} s, {one.left[0]}" for one in bad[:1]]
    what = f"of {len(kills)} kills of compare --rev, those that leave a worktree, a branch, a process or a file"
    return Figure("kills_rev", what, len(bad), 0, note="; ".join([amid, *first]))
