"""The accelerator of this machine; tests/conftest.py skips what needs one where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from jacstrat.harness.plan.precision import float32_products


@pytest.fixture(scope="session")
def device() -> str:
    """Its name: cuda, xpu or mps."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    assert accelerator is not None
    return accelerator.type


@pytest.fixture(autouse=True)
def _no_rounding_of_products() -> Iterator[None]:
    """Products of float32 in float32: a shorter mantissa is a choice of the user's, and not of these tests."""
    with float32_products(tf32=False):
        yield
