"""The caches of the processor, as the system tells them, and what of a computation is done together for their sake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jacstrat.available import KEPT_BYTES, ROOT, read_number, read_text

# Of a core, where the system does not tell.
CORE_BYTES = 2**19
# Tangents of a tile, over the caches that the threads' cores have to themselves. Of tanh networks, a residual one and
# attention, by two threads: where a core has 512 KiB, a half or twice of this makes no difference of much more than a
# tenth; where it has 2 MiB, a quarter takes up to 1.5 times as long, and twice the same where memory is given back.
OVER_CACHES = 2
# So that all that is alive beside them stays within what the allocator keeps.
KEPT_SHARE = 1 / 8


def tile_bytes(threads: int) -> int:
    """The tangents of a tile: few enough to stay near the cores, and as many as make a tile much work.

    Args:
        threads: That work on it.
    """
    return min(OVER_CACHES * threads * core_cache_bytes(), int(KEPT_SHARE * KEPT_BYTES))


@cache
def core_cache_bytes(root: Path = ROOT) -> int:
    """The size of the largest cache that a core has to itself, by its usual level, the second."""
    return max((size for level, size in _caches(root) if level == 2), default=CORE_BYTES)


def last_cache_bytes(root: Path = ROOT) -> int | None:
    """The size of the processor's last cache; None where the system does not tell."""
    return max((size for _, size in _caches(root)), default=None)


def _caches(root: Path) -> Iterator[tuple[int | None, int]]:
    """Level and bytes of each cache of the first core."""
    for folder in root.glob("sys/devices/system/cpu/cpu0/cache/index*"):
        if size := re.fullmatch(r"(\d+)([KMG]?)", read_text(folder / "size") or ""):
            yield read_number(folder / "level"), int(size[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[size[2]]
