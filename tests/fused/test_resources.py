"""Kernels compiled for a card that is not there: what they take of a multiprocessor."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from jacstrat.core.operator import OPERATORS
from jacstrat.fused import has_triton, layer
from jacstrat.fused.evaluate import seeds
from jacstrat.fused.kernels import kernel
from jacstrat.fused.resources import resources
from jacstrat.fused.source import text
from jacstrat.fused.spec import Products, Spec
from tests.fused import samples

pytestmark = pytest.mark.skipif(not has_triton(), reason="Triton is not installed")

# Shared memory that a program of an H100 may have.
MOST_SHARED_BYTES = 227 * 1024


@pytest.fixture(autouse=True)
def _compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def spec(widths: tuple[int, ...], products: Products) -> Spec:
    network = samples.layers(*widths)

    def f(x: Tensor) -> Tensor:
        return network(x).squeeze(-1)

    read, ready = samples.taken(f, samples.randn(4, widths[0]))
    blank = Spec(read.network, OPERATORS["laplacian"], False, False, (), "float32", products)
    whole = (*ready.operands, *seeds(read.network, ready.operands, None, blank.seeded, torch.empty(0)))
    strides = tuple((one.stride(0), one.stride(1)) for one in whole)
    return Spec(read.network, OPERATORS["laplacian"], False, False, strides, "float32", products)


def test_a_narrow_network_has_its_matrices_in_shared_memory_and_products_on_the_tensor_units() -> None:
    one = spec((3, 32, 32, 1), "tf32x3")
    types = ["*fp32"] * (1 + len(one.strides) + 3) + ["i32"] * 3
    found = resources(text(one), types, {"P": 64}, warps=4)
    assert found.products == {"wgmma"}
    # Two halves of a matrix of 32 x 32 stay where they are for all directions, and those of its transpose before.
    assert 2 * 32 * 32 * 4 <= found.shared_bytes <= 2 * 2 * 32 * 32 * 4
    assert found.stack_bytes == 0


def test_a_layer_spills_nothing() -> None:
    types = ["*fp32"] * 9 + ["i32"] * 8
    flags = {"SHARED": 0, "SQUARES": 1, "ENTRIES": 0, "WRITES": 1}
    blocks = {"BM": 128, "BN": 128, "BK": 32}
    found = resources(layer.text("float32", "tf32x3"), types, {"HI": 256, "HO": 256, **flags, **blocks}, warps=8)
    assert found.products == {"wgmma"}
    assert found.shared_bytes <= MOST_SHARED_BYTES
    assert found.stack_bytes == 0


@pytest.mark.parametrize("capability", [80, 120])
def test_the_tensor_units_of_other_cards_serve_it_too(capability: int) -> None:
    one = spec((3, 32, 32, 1), "tf32x3")
    types = ["*fp32"] * (1 + len(one.strides) + 3) + ["i32"] * 3
    found = resources(text(one), types, {"P": 16}, warps=4, capability=capability)
    assert found.products == {"mma"}
    assert found.shared_bytes <= 99 * 1024  # what a program of the smallest of them may have


def test_it_compiles_for_rocm() -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    one = spec((3, 32, 32, 1), "ieee")
    function = kernel(text(one)).function
    types = ["*fp32"] * (1 + len(one.strides) + 3) + ["i32"] * 3
    names = [name for name in function.arg_names if name != "P"]
    signature = dict(zip(names, types, strict=True)) | {"P": "constexpr"}
    source = ASTSource(function, signature, constexprs={"P": 16})
    compiled = triton.compile(source, target=GPUTarget("hip", "gfx942", 64), options={"num_warps": 4})
    assert "hsaco" in compiled.asm
    assert compiled.metadata.shared <= 64 * 1024  # what a program of such a card may have


@pytest.mark.parametrize("operator", ["laplacian", "divergence"])
def test_columns_are_summed_up_behind_the_directions(operator: str) -> None:
    """Columns lie in several warps, which a sum in the loop would have wait for each other."""
    network, ends = samples.layers(3, 32, 32, 1 if operator == "laplacian" else 3), operator == "laplacian"
    read, ready = samples.taken(lambda x: network(x).squeeze(-1) if ends else network(x), samples.randn(4, 3))
    blank = Spec(read.network, OPERATORS[operator], False, False, (), "float32", "tf32x3")
    whole = (*ready.operands, *seeds(read.network, ready.operands, None, blank.seeded, torch.empty(0)))
    strides = tuple((one.stride(0), one.stride(1)) for one in whole)
    lines = text(replace(blank, strides=strides)).splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith("    for k in range(low"))
    loop = [line for line in lines[start + 1 :] if line.startswith("        ")]
    assert any("product(" in line for line in loop)
    assert not any("row_sum(" in line for line in loop)
