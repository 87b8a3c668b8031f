"""Kernels on the CPU: Triton executes them itself."""

from __future__ import annotations

import pytest

from jacstrat.fused import has_triton


@pytest.fixture
def interpreting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are executed on tensors of the CPU in this test."""
    if not has_triton():
        pytest.skip("Triton is not installed")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
