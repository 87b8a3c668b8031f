"""What runs leave behind: processes, found by a mark in their environment, and temporary folders, found by a lock.

A folder is locked as long as the process that made it lives, whatever becomes of that; the system gives the lock back.
The next run on the machine removes the folders that nobody holds, and ends the processes of their runs.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# In the environment of a fork server, and so of all that runs in its children, however that is detached.
MARK = "JACSTRAT_RUN"
_OWN = uuid.uuid4().hex[:16]
_NUMBERS = itertools.count()
_FOLDER = re.compile(r"jacstrat-run-([0-9a-f]{16})-\w+")
# Folders that are made and, before they are locked, taken for left ones; more than a few in a row is another fault.
MOST_TRIES = 20


def new_mark() -> str:
    """A mark for one fork server of this process."""
    return f"{own_mark()}.{next(_NUMBERS)}"


def own_mark() -> str:
    """What the marks of this process begin with; of one that was forked another."""
    global _OWN, _PROCESS
    if os.getpid() != _PROCESS:
        _OWN, _PROCESS = uuid.uuid4().hex[:16], os.getpid()
    return _OWN


_PROCESS = os.getpid()


def strays(mark: str) -> list[psutil.Process]:
    """Processes whose mark is this one or begins with it; none that are dead and not waited for."""
    marked = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            theirs = process.environ().get(MARK, "")
            if (theirs == mark or theirs.startswith(f"{mark}.")) and process.status() != psutil.STATUS_ZOMBIE:
                marked.append(process)
    return marked


def process_name(process: psutil.Process) -> str:
    """The process in words, for a message."""
    try:
        return f"process {process.pid} ({' '.join(process.cmdline())[:200]})"
    except psutil.Error:
        return f"process {process.pid}"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for temporary files, gone after the block; those of runs that were killed are removed before.

    Raises:
        OSError: There is no room for it.
    """
    remove_left_folders()
    for _ in range(MOST_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=f"jacstrat-run-{own_mark()}-"))
        if (lock := _lock(folder)) is not None:
            break
    else:
        raise OSError(f"a folder in {tempfile.gettempdir()} is removed as soon as it is made")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_left_folders() -> None:
    """Remove the temporary folders that no process holds, and end the processes of their runs."""
    left: dict[Path, int] = {}
    locked = set()
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob("jacstrat-run-*"):
            if (name := _FOLDER.fullmatch(folder.name)) is None or not _is_ours(folder):
                continue
            if (lock := _lock(folder)) is None:
                locked.add(name[1])
            else:
                left[folder] = lock
    for folder, lock in left.items():
        # A process may hold another folder still.
        if (mark := folder.name.split("-")[2]) not in locked:
            for process in strays(mark):
                with suppress(psutil.Error):
                    process.kill()
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _is_ours(folder: Path) -> bool:
    with suppress(OSError):
        status = folder.lstat()
        return folder.is_dir() and not folder.is_symlink() and status.st_uid == os.getuid()
    return False


def _lock(folder: Path) -> int | None:
    """The descriptor that holds the folder; None where another process does, or has removed it."""
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    os.close(descriptor)
    return None
