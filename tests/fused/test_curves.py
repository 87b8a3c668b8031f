"""Pointwise functions in one launch: against torch, and compiled for a card that is not there."""

from __future__ import annotations

import pytest
import torch

from jacstrat.fused import has_triton
from jacstrat.fused.curves import BLOCK, curves, text
from jacstrat.fused.resources import resources
from tests.fused.test_pointwise import CASES


@pytest.mark.usefixtures("interpreting")
@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_are_those_of_torch(name: str) -> None:
    _, formula, v = CASES[name]
    assert formula is not None
    found = curves(formula, v.view(6, 10), third=True)
    for one, expected in zip(found, formula(v.view(6, 10)), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("interpreting")
@pytest.mark.parametrize("shape", [(1, 1), (3, BLOCK // 2 + 1), (2, 3)])
def test_shapes_are_no_multiple_of_a_program(shape: tuple[int, int]) -> None:
    formula = CASES["tanh"][1]
    assert formula is not None
    z = torch.linspace(-2, 2, shape[0] * shape[1]).view(shape[1], shape[0]).mT
    found = curves(formula, z)
    assert found.third is None
    for one, expected in zip(found[:3], formula(z), strict=False):
        torch.testing.assert_close(one, expected)


@pytest.mark.usefixtures("interpreting")
def test_half_precision_is_bent_in_float32() -> None:
    formula = CASES["gelu"][1]
    assert formula is not None
    z = torch.linspace(-3, 3, 50, dtype=torch.bfloat16)
    for one, expected in zip(curves(formula, z)[:3], formula(z.float())[:3], strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one, expected.bfloat16(), rtol=2**-7, atol=2**-9)  # of a rounding that differs


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
@pytest.mark.parametrize("name", ["tanh", "gelu", "silu"])
def test_it_spills_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    formula = CASES[name][1]
    assert formula is not None
    types = ["*fp32"] * 5 + ["i32"]
    found = resources(text(formula, "float32"), types, {"THIRD": 1, "BLOCK": BLOCK}, warps=4)
    assert found.stack_bytes == 0
