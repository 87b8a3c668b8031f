"""Gradients layer by layer, with kernels executed by Triton's interpreter, against autograd in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.fused.gradient import wide
from jacstrat.fused.spec import Products
from tests.fused import samples
from tests.fused.gradient.reference import assert_alike, compared, trained
from tests.fused.gradient.test_kernels import SIZES
from tests.fused.samples import N, X

pytestmark = pytest.mark.usefixtures("interpreting")


@pytest.fixture(autouse=True)
def _by_layers(nothing_fits: None) -> None:
    """As networks go that have no single kernel."""


@pytest.mark.parametrize(("B", "widths"), SIZES[::2])
def test_parameters(B: int, widths: tuple[int, ...]) -> None:
    f, parameters = trained(*widths)
    assert_alike(compared(f, samples.randn(B, widths[0]), tensors=parameters, together=B == 1))


@pytest.mark.parametrize("wanted", ["divergence", "jacobian_diagonal"])
def test_parameters_of_a_field(wanted: str) -> None:
    network, parameters = trained(3, 17, 5, 3)
    scale = samples.randn(3).requires_grad_()

    def f(x: Tensor) -> Tensor:
        return scale * network(x).sin() + scale * x

    assert_alike(compared(f, samples.randn(4, 3), tensors=[*parameters, scale], wanted=wanted, together=True))


@pytest.mark.parametrize(("f", "arg"), samples.TIMED_SCALARS[::2])
def test_arguments(f: Callable[..., Tensor], arg: Any) -> None:
    tensors = [arg.clone().requires_grad_()] if isinstance(arg, Tensor) else []
    assert_alike(compared(f, X, tuple(tensors) or (arg,), tensors, together=True))


def test_many_points_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    f, parameters = trained(N + 1, 8, 6, 1)

    def timed(x: Tensor, t: Tensor) -> Tensor:
        return f(torch.cat([x, t], -1))

    t = samples.randn(5, 1).requires_grad_()
    monkeypatch.setattr(wide, "MOST_BYTES", 1)
    assert_alike(compared(timed, samples.randn(5, N), (t,), [t, *parameters], together=True))


@pytest.mark.parametrize(
    ("dtype", "products", "rtol"),
    [(torch.float32, "tf32x3", 1e-5), (torch.bfloat16, "ieee", 0.1), (torch.float16, "ieee", 0.02)],
)
def test_types_have_their_accuracy(dtype: torch.dtype, products: Products, rtol: float) -> None:
    f, parameters = trained(3, 17, 16, 1)
    pair = compared(f, samples.randn(9, 3), tensors=parameters, dtype=dtype, products=products)
    for found, known in zip(*pair, strict=True):
        assert float((found.double() - known).abs().max()) <= rtol * float(known.abs().max())
