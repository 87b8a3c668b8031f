"""Kernels of gradients compiled for a card that is not there: what they take of a multiprocessor."""

from __future__ import annotations

import pytest

from jacstrat.fused import has_triton
from jacstrat.fused.gradient.source import generated
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.gradient.tiles import POINTS, misfit, warps_of
from jacstrat.fused.resources import Resources, resources
from jacstrat.fused.spec import Products
from tests.fused import test_resources
from tests.fused.test_resources import MOST_SHARED_BYTES

pytestmark = pytest.mark.skipif(not has_triton(), reason="Triton is not installed")


@pytest.fixture(autouse=True)
def _compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def spec(widths: tuple[int, ...], products: Products) -> GradientSpec:
    """All gradients of a network of tanh."""
    forward = test_resources.spec(widths, products)
    operands = frozenset(range(len(forward.strides) - len(forward.seeded)))
    return GradientSpec(forward, operands, frozenset(forward.seeded), True)


def compiled(one: GradientSpec, warps: int, capability: int = 90, points: int = POINTS) -> Resources:
    text, layout = generated(one)
    types = ["*fp32"] * (1 + len(one.forward.strides) + 3 + len(layout.arguments())) + ["i32"] * 3
    return resources(text, types, {"P": points}, warps, capability)


@pytest.mark.parametrize(("widths", "warps"), [((10, 64, 64, 1), 8), ((3, 32, 32, 1), 4)])
def test_a_narrow_network_spills_nothing_and_has_its_products_on_the_tensor_units(
    widths: tuple[int, ...], warps: int
) -> None:
    found = compiled(spec(widths, "tf32x3"), warps)
    assert found.products <= {"wgmma", "mma"}
    assert found.products
    assert found.shared_bytes <= MOST_SHARED_BYTES
    assert found.stack_bytes == 0


@pytest.mark.parametrize(("points", "stack_bytes"), [(32, 0), (64, 128)])
def test_a_larger_tile_has_its_place_in_shared_memory_and_few_spills(points: int, stack_bytes: int) -> None:
    one = spec((3, 16, 16, 1), "tf32x3")
    assert misfit(one.forward, points) == ""
    found = compiled(one, warps_of(one.network, points), points=points)
    assert found.shared_bytes <= MOST_SHARED_BYTES
    assert found.stack_bytes <= stack_bytes


def test_another_card_serves_it_too() -> None:
    found = compiled(spec((3, 32, 32, 1), "tf32x3"), 4, capability=80)
    assert found.products == {"mma"}
    assert found.shared_bytes <= 99 * 1024  # what a program of the smallest of them may have


@pytest.mark.parametrize(
    ("layers", "products", "fault"),
    [
        (6, "tf32x3", ""),  # five matrices
        (7, "tf32x3", "its matrices take 224 KiB of shared memory, and a program has 208"),
        (5, "ieee", ""),
        (6, "ieee", "its matrices take 220 KiB of shared memory both ways, and a program has 208"),
    ],
)
def test_matrices_that_are_too_many_are_told(layers: int, products: Products, fault: str) -> None:
    one = test_resources.spec((3, *(64,) * layers, 1), products)
    assert misfit(one) == fault


def test_what_a_larger_tile_turns_takes_its_part() -> None:
    one = test_resources.spec((3, 64, 64, 64, 64, 1), "ieee")  # three matrices
    assert [misfit(one, points) for points in (16, 32)] == ["", ""]
    assert misfit(one, 64) == "its matrices take 240 KiB of shared memory both ways, and a program has 208"


def test_larger_tiles_have_more_warps() -> None:
    network = test_resources.spec((3, 32, 32, 1), "ieee").network
    assert [warps_of(network, points) for points in (16, 32, 64)] == [4, 8, 8]
