"""Caches as a tree of /sys tells them, and tiles of their size."""

from __future__ import annotations

from pathlib import Path

import pytest

from jacstrat import caches
from jacstrat.available import KEPT_BYTES
from jacstrat.caches import CORE_BYTES, core_cache_bytes, last_cache_bytes, tile_bytes


def with_caches(root: Path, *levels: tuple[str, str]) -> Path:
    """Of one core, each by its level and size as the files have them."""
    for number, (level, size) in enumerate(levels):
        folder = root / f"sys/devices/system/cpu/cpu0/cache/index{number}"
        folder.mkdir(parents=True)
        (folder / "level").write_text(f"{level}\n")
        (folder / "size").write_text(f"{size}\n")
    return root


@pytest.mark.parametrize(
    ("levels", "core", "last"),
    [
        ([("1", "48K"), ("1", "64K"), ("2", "2048K"), ("3", "480M")], 2**21, 480 * 2**20),
        ([("1", "32K"), ("2", "512K"), ("3", "1G")], 2**19, 2**30),
        ([("1", "64K"), ("3", "8192")], CORE_BYTES, 2**16),  # no second level
        ([("2", "unknown")], CORE_BYTES, None),
        ([], CORE_BYTES, None),
    ],
)
def test_caches_are_read(tmp_path: Path, levels: list[tuple[str, str]], core: int, last: int | None) -> None:
    root = with_caches(tmp_path, *levels)
    assert core_cache_bytes(root) == core
    assert last_cache_bytes(root) == last


def test_tiles_grow_with_the_caches_of_the_threads_up_to_what_the_allocator_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caches, "core_cache_bytes", lambda: 2**19)
    assert [tile_bytes(threads) for threads in (1, 2, 4)] == [2**20, 2**21, 2**22]
    assert tile_bytes(64) == KEPT_BYTES // 8
