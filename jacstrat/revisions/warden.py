"""A process that clears away the worktrees of a comparison when the process that made them is gone, however it ended.

Run by its path with the repository and the folder of the worktrees as arguments; imports the standard library alone. It
waits until its standard input closes, which the system sees to where nobody else does.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

# For the processes of the comparison, which end at the same time, to let go of their files.
CLEAR_S = 20.0


def main() -> None:
    """Wait, then clear away what is there still; nothing after an end in order."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    root, folder = sys.argv[1:3]
    print(flush=True)
    sys.stdin.buffer.read()
    clear(root, Path(folder))


def clear(root: str, folder: Path) -> None:
    """Remove the folder with the worktrees in it, and what the repository knows of them."""
    if not folder.exists():
        return
    deadline = time.monotonic() + CLEAR_S
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.02)
    # Of worktrees whose files are gone git forgets the rest.
    subprocess.run(
        ["git", "-C", root, "worktree", "prune"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


if __name__ == "__main__":
    main()
