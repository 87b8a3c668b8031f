"""Gradients of matrices by a kernel over all rows: against float64, and compiled for a card that is not there."""

from __future__ import annotations

import pytest
import torch

from jacstrat.fused import has_triton
from jacstrat.fused.gradient import outer as kernels
from jacstrat.fused.gradient import wide
from jacstrat.fused.gradient.outer import outer, text
from jacstrat.fused.layer import blocks
from jacstrat.fused.resources import resources
from jacstrat.fused.spec import Products
from tests.fused import samples
from tests.fused.gradient.reference import compared, trained
from tests.fused.test_products import product
from tests.fused.test_resources import MOST_SHARED_BYTES

TYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@pytest.mark.usefixtures("interpreting")
@pytest.mark.parametrize(("M", "units", "inputs"), [(1, 2, 2), (16, 16, 16), (75, 17, 5), (130, 3, 34)])
@pytest.mark.parametrize(
    ("dtype", "products", "rtol"),
    [
        ("float64", "ieee", 1e-14),
        ("float32", "ieee", 1e-6),
        ("float32", "tf32x3", 1e-6),
        ("float32", "tf32", 1e-6),  # the interpreter has no fewer digits
        ("bfloat16", "ieee", 1e-6),  # of numbers that are rounded already; sums are those of float32
        ("float16", "ieee", 1e-6),
    ],
)
def test_it_is_the_product(M: int, units: int, inputs: int, dtype: str, products: Products, rtol: float) -> None:
    left, right = (samples.randn(M, width).to(TYPES[dtype]) for width in (units, inputs))
    found = outer(left, right, dtype, products)
    assert found.dtype == (torch.float64 if dtype == "float64" else torch.float32)
    size = left.double().abs().mT @ right.double().abs()
    off = (found.double() - left.double().mT @ right.double()).abs()
    assert bool((off <= rtol * size + 1e-300).all())


@pytest.mark.usefixtures("interpreting")
def test_parts_of_the_rows_are_added_up_always_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "LEAST_ROWS", 20)
    monkeypatch.setattr(kernels, "PROGRAMS", 4)
    left, right = samples.randn(75, 5).float(), samples.randn(75, 9).float()
    found = outer(left.mT.contiguous().mT, right, "float32", "ieee")
    torch.testing.assert_close(found, left.mT @ right)
    assert torch.equal(found, outer(left, right, "float32", "ieee"))


@pytest.mark.usefixtures("interpreting", "nothing_fits")
@pytest.mark.parametrize(("dtype", "products", "rtol"), [(torch.float32, "tf32", 1e-5), (torch.bfloat16, "ieee", 0.1)])
def test_products_hold_for_gradients_of_matrices(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, products: Products, rtol: float
) -> None:
    asked = []

    def noted(left: torch.Tensor, right: torch.Tensor, *how: str) -> torch.Tensor:
        asked.append((*left.shape, *how))
        return outer(left, right, *how)  # type: ignore[arg-type]

    monkeypatch.setattr(wide, "outer", noted)
    f, parameters = trained(3, 17, 16, 1)
    pair = compared(f, samples.randn(9, 3), tensors=parameters, dtype=dtype, products=products)
    for found, known in zip(*pair, strict=True):
        assert float((found.double() - known).abs().max()) <= rtol * float(known.abs().max())
    assert asked == [(27, 16, str(dtype).split(".")[1], products)]


@pytest.mark.parametrize(("halves", "rtol"), [(3, 1e-6), (1, 2e-3)])
def test_sums_over_many_rows_have_the_accuracy_of_their_halves(halves: int, rtol: float) -> None:
    """By the rounding of tensor units, written out, against float64."""
    left, right = samples.randn(20_000, 8).float(), samples.randn(20_000, 6).float()
    size = left.double().abs().mT @ right.double().abs()
    off = (product(left.mT.contiguous(), right, halves).double() - left.double().mT @ right.double()).abs()
    assert float((off / size).max()) <= rtol


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
@pytest.mark.parametrize(
    ("dtype", "products", "units"),
    [
        ("float32", "tf32x3", {"wgmma"}),
        ("float32", "tf32", {"wgmma"}),
        ("float32", "ieee", set()),
        ("bfloat16", "ieee", {"wgmma"}),
    ],
)
def test_it_spills_nothing_and_is_on_the_tensor_units(
    monkeypatch: pytest.MonkeyPatch, dtype: str, products: Products, units: set[str]
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    BM, BN, BK, warps = blocks(256, 4)
    constants = {"HO": 256, "HI": 256, "BM": BM, "BN": BN, "BK": BK}
    pointers = [{"float32": "*fp32", "bfloat16": "*bf16"}[dtype]] * 2 + ["*fp32"]
    found = resources(text(dtype, products), [*pointers, "i32", "i32"], constants, warps)
    assert found.products == units
    assert found.shared_bytes <= MOST_SHARED_BYTES
    assert found.stack_bytes == 0
