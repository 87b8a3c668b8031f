"""Memory that this process may still take, what it keeps, and the limits of its control groups.

Knows nothing else of jacstrat.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import psutil

ROOT = Path("/")

# What keep_freed_memory keeps.
KEPT_BYTES = 2**26

# A cgroup v1 memory limit of "none" is the largest page-aligned int64, which depends on the page size.
_NO_LIMIT_BYTES = 2**62


def available_bytes() -> int:
    """Memory that this process may still take: the system's, or what its control group leaves beside the process.

    Other processes of the same group are not seen.
    """
    limit = memory_limit_bytes()
    available = int(psutil.virtual_memory().available)
    own_bytes = int(psutil.Process().memory_info().rss)
    return available if limit is None else max(min(available, limit - own_bytes), 1)


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """The tightest memory limit of this process's cgroups, versions 1 and 2; None where there is none.

    Args:
        root: Where /proc and /sys lie.
    """
    limits = [
        limit
        for group in cgroups(root)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (limit := read_number(group / name)) is not None and limit < _NO_LIMIT_BYTES
    ]
    return min(limits, default=None)


def cgroups(root: Path) -> Iterator[Path]:
    """The folders of this process's cgroups and of all above them: the limits of each hold.

    A container often sees its own cgroup mounted at the top while /proc/self/cgroup names the path outside; the
    folders that are not there read as no limit.
    """
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        # Version 2 is one tree, version 1 a tree a controller, named "cpu,cpuacct" or by a link "cpu".
        mounts = {controllers, *controllers.split(",")} if controllers else {"", "unified"}
        here = PurePosixPath(path)
        for mount in mounts:
            for group in (here, *here.parents):
                yield root / "sys/fs/cgroup" / mount / str(group).lstrip("/")


def read_text(path: Path) -> str | None:
    """The stripped text of a file, or None where it cannot be read or is empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """The integer in a file, or None where there is no such file or it holds something else, such as "max"."""
    text = read_text(path)
    return int(text) if text and re.fullmatch(r"-?\d+", text) else None


@cache
def keep_freed_memory() -> None:
    """Have glibc's allocator keep what is freed, up to KEPT_BYTES, for who asks next.

    Freed memory goes back to the system above a threshold, and who is given it again waits for every page: what works
    in tiles of some MiB is slower or faster by what was freed in the process before. Both thresholds, of blocks that
    are mapped by themselves and of what is given back, are set here (mallopt(3)); allocators without do as they like.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for parameter, size in ((_M_MMAP_THRESHOLD, 2**25), (_M_TRIM_THRESHOLD, KEPT_BYTES)):
        mallopt(parameter, size)


# Of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
