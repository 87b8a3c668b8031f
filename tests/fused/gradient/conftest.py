"""What tests of gradients by kernels share."""

from __future__ import annotations

import pytest

from jacstrat.fused.gradient import kernels


@pytest.fixture
def nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network has a single kernel of gradients."""
    monkeypatch.setattr(kernels, "misfit", lambda *_: "as this test has it")
