"""The way back of a pointwise function: against its formula, and compiled for a card that is not there."""

from __future__ import annotations

import pytest
import torch

from jacstrat.fused import has_triton
from jacstrat.fused.gradient.pointwise import COLUMNS, pointwise_back, text
from jacstrat.fused.resources import resources
from tests.fused import samples


@pytest.mark.usefixtures("interpreting")
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (2, 3, COLUMNS + 1)])
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize(("has_T", "has_m"), [(True, True), (True, False), (False, True)])
def test_it_is_its_formula(shape: tuple[int, int, int], is_shared: bool, has_T: bool, has_m: bool) -> None:
    B, K, width = shape
    t, T = samples.randn(1 if is_shared else B, K, width), samples.randn(*shape) if has_T else None
    m, d = samples.randn(B, width) if has_m else None, samples.randn(B, width)
    found = pointwise_back(t, T, m, d)
    expected = torch.zeros(shape, dtype=t.dtype)
    if m is not None:
        expected = expected + 2 * m.unsqueeze(1) * t
        torch.testing.assert_close(found.squares, t.square().sum(1).expand(B, width))
    if T is not None:
        expected = expected + d.unsqueeze(1) * T
        torch.testing.assert_close(found.slopes, (T * t).sum(1))
    torch.testing.assert_close(found.adjoint, expected)
    assert (found.slopes is None, found.squares is None) == (T is None, m is None)


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
def test_it_spills_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    flags = {"W": 256, "HAS_T": 1, "HAS_M": 1, "BW": COLUMNS}
    found = resources(text("float32"), ["*fp32"] * 7 + ["i32"] * 2, flags, warps=4)
    assert found.stack_bytes == 0
    assert found.registers <= 64
