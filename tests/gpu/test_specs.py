"""Kernels of our own, graphs and programs on the accelerator, against float64 on the CPU."""

from __future__ import annotations

import pytest
import torch

from jacstrat.fused import has_triton
from jacstrat.graphs import has_graphs
from tests.gpu.bodies import COMPILED, FUSED, GRAPHED, agrees, each

pytestmark = pytest.mark.gpu

DTYPES = [torch.float32, torch.float64, torch.bfloat16]


def _skip_without(spec: str, device: str) -> None:
    if ("fused" in spec or "compiled" in spec) and not (device == "cuda" and has_triton()):
        pytest.skip("kernels are Triton's, for CUDA and ROCm")
    if "graphed" in spec and not has_graphs(torch.device(device)):
        pytest.skip(f"torch has no graphs for {device}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("spec", "operator"), each(FUSED))
def test_kernels_agree_in_every_dtype_by_all_products(
    spec: str, operator: str, dtype: torch.dtype, device: str
) -> None:
    _skip_without(spec, device)
    if "products" in spec and dtype != torch.float32:
        pytest.skip("products are chosen in float32")
    if "tf32" in spec and (torch.version.hip or torch.cuda.get_device_capability() < (8, 0)):
        pytest.skip("the card has no TF32")
    agrees(spec, operator, dtype, device)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize(("spec", "operator"), each(GRAPHED))
def test_graphs_agree(spec: str, operator: str, dtype: torch.dtype, device: str) -> None:
    _skip_without(spec, device)
    agrees(spec, operator, dtype, device)


@pytest.mark.parametrize(("spec", "operator"), each(COMPILED))
def test_programs_agree(spec: str, operator: str, device: str) -> None:
    _skip_without(spec, device)
    agrees(spec, operator, torch.float32, device)
