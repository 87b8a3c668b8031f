"""Tiles: how many, and on which device."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat.core.modelled import ModelledDevice, modelling
from jacstrat.taylor import Scalar
from jacstrat.taylor import scalar as taylor_scalar
from jacstrat.taylor.scalar import LARGEST_BYTES, MODEST_BYTES, _tiles
from jacstrat.trace.cache import MOST_ENTRIES

CPU, CUDA, META = torch.device("cpu"), torch.device("cuda"), torch.device("meta")
CACHE_BYTES = 2**21


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the processor has."""
    monkeypatch.setattr(taylor_scalar, "tile_bytes", lambda threads: CACHE_BYTES)


@pytest.mark.parametrize(("size", "number"), [(CACHE_BYTES // 4, 0), (CACHE_BYTES, 1), (7 * CACHE_BYTES, 7)])
def test_tiles_of_a_cpu_follow_its_cache(size: int, number: int) -> None:
    assert _tiles(size, CPU) == number


def test_in_the_mean_tangents_may_be_small_but_the_largest_are_what_the_allocator_keeps_some_of() -> None:
    assert _tiles(LARGEST_BYTES, CPU, mean_bytes=CACHE_BYTES / 2) == 1
    assert _tiles(3 * LARGEST_BYTES, CPU, mean_bytes=CACHE_BYTES / 2) == 3
    assert _tiles(7 * CACHE_BYTES, CPU, mean_bytes=2 * CACHE_BYTES) == 4


def test_tiles_of_an_accelerator_follow_its_free_memory(monkeypatch) -> None:
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda device: (16 * MODEST_BYTES, 0), raising=False)
    assert _tiles(MODEST_BYTES, CUDA) == 1
    assert _tiles(9 * MODEST_BYTES, CUDA) == 5

    def silent(device: torch.device) -> None:
        raise NotImplementedError

    monkeypatch.setattr(torch.accelerator, "get_memory_info", silent, raising=False)
    assert _tiles(9 * MODEST_BYTES, CUDA) == 1


def test_tiles_without_data_are_those_of_the_device_that_is_modelled() -> None:
    assert _tiles(7 * CACHE_BYTES, META) == 7
    with modelling(ModelledDevice("cuda", 16 * MODEST_BYTES)):
        assert _tiles(7 * CACHE_BYTES, META) == 1
        assert _tiles(9 * MODEST_BYTES, META) == 5
        assert _tiles(9 * MODEST_BYTES, CPU) == 9 * MODEST_BYTES // CACHE_BYTES
    with modelling(ModelledDevice("cuda")):
        assert _tiles(9 * MODEST_BYTES, META) == 1


def test_tiles_are_of_equal_length_and_as_long_as_the_cache_allows() -> None:
    # 8 directions of 64 numbers in float64 are 4 KiB a point.
    W = torch.ones(8, 64, dtype=torch.float64)
    scalar = Scalar(lambda x: (x @ W).sin().cos().sum(-1))
    lengths = [len(part) for part, _ in scalar.tiles(torch.zeros(4 * 512, 8, dtype=torch.float64))]
    assert lengths == [512] * 4
    assert [len(part) for part, _ in scalar.tiles(torch.zeros(100, 8, dtype=torch.float64))] == [100]
    assert [len(part) for part, _ in Scalar(scalar.f, tile=40).tiles(torch.zeros(100, 8))] == [40, 40, 20]
    assert len(scalar.tiles(torch.zeros(8, dtype=torch.float64))) == 1


@pytest.mark.parametrize(("points", "lengths"), [(6 * 256, [512] * 3), (1600, [400] * 4), (1283, [428, 428, 427])])
def test_tiles_are_all_alike_where_a_size_nearly_as_large_allows_it(points: int, lengths: list[int]) -> None:
    W = torch.ones(8, 64, dtype=torch.float64)
    scalar = Scalar(lambda x: (x @ W).sin().cos().sum(-1))
    assert [len(part) for part, _ in scalar.tiles(torch.zeros(points, 8, dtype=torch.float64))] == lengths


def test_only_so_many_tapes_are_kept() -> None:
    scalar = Scalar(lambda x: x.square().sum(-1))
    first = scalar.tape(torch.zeros(1, 2))
    assert scalar.tape(torch.ones(1, 2)) is first
    for B in range(2, MOST_ENTRIES + 2):
        scalar.tape(torch.zeros(B, 2))
    assert scalar.tape(torch.zeros(1, 2)) is not first


def test_a_function_of_many_operations_on_little_has_larger_tiles_but_in_a_program() -> None:
    def few(x: Tensor) -> Tensor:
        return (x @ W).tanh().prod(-1)

    def many(x: Tensor) -> Tensor:
        for _ in range(20):
            x = x.sin()
        return few(x)

    W = torch.randn(64, 64)
    x = torch.randn(4 * CACHE_BYTES // (4 * 64 * 64), 64)
    assert [len(Scalar(f, compress=False).tiles(x)) for f in (few, many)] == [4, 1]
    assert len(Scalar(many, compress=False).apart(x)) == 4
