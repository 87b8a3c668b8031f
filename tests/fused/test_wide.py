"""Networks layer by layer, executed by Triton's interpreter, against float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat.core.operator import OPERATORS
from jacstrat.fused import layer, wide
from jacstrat.fused.function import Lowered
from jacstrat.fused.spec import Products
from tests.fused import samples
from tests.fused.samples import D, N, X

pytestmark = pytest.mark.usefixtures("interpreting")


@pytest.fixture(autouse=True)
def _nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jacstrat.fused.function.misfit", lambda *_: "as this test has it")


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[layer.Layer]:
    """The layers that were launched."""
    found: list[layer.Layer] = []
    launch = layer.launch

    def noted(one: layer.Layer, *rest: object) -> tuple[Tensor | None, Tensor | None]:
        found.append(one)
        return launch(one, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(layer, "launch", noted)
    return found


def lowered(f: Callable[..., Tensor], wanted: str = "laplacian", products: Products = "ieee") -> Lowered:
    return Lowered(f, OPERATORS[wanted], lambda device: products)


@pytest.mark.parametrize("f", samples.SCALARS, ids=lambda f: f.__name__)
def test_layers_give_laplacian_value_and_gradient(f: Callable[[Tensor], Tensor]) -> None:
    laplacian, value, gradient = lowered(f).together(X)
    x = X.clone().requires_grad_()
    torch.testing.assert_close(laplacian, samples.laplacian(f, X))
    torch.testing.assert_close(value, f(X))
    torch.testing.assert_close(gradient, torch.autograd.grad(f(x).sum(), x)[0])


@pytest.mark.parametrize("f", samples.FIELDS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("wanted", ["divergence", "jacobian_diagonal"])
def test_layers_give_divergence_and_diagonal(f: Callable[[Tensor], Tensor], wanted: str) -> None:
    found, value, _ = lowered(f, wanted).together(X)
    expected = samples.diagonal(f, X)
    torch.testing.assert_close(found, expected if wanted == "jacobian_diagonal" else expected.sum(-1))
    torch.testing.assert_close(value, f(X))


def test_tangents_of_the_first_layer_are_never_written_and_those_of_the_last_neither(
    launched: list[layer.Layer],
) -> None:
    network = samples.layers(3, 20, 18, 17, 1)
    x = samples.randn(6, 3)

    def f(x: Tensor) -> Tensor:
        return network(x).squeeze(-1)

    torch.testing.assert_close(lowered(f).result(x), samples.laplacian(f, x))
    first, second = launched
    assert first.rows is None
    assert first.writes
    assert second.rows is not None
    assert not second.writes


def test_the_last_matrix_of_a_field_is_met_by_sums_alone(launched: list[layer.Layer]) -> None:
    network = samples.layers(3, 20, 18, 3)
    x = samples.randn(6, 3)
    found = lowered(lambda x: x - network(x), "divergence").result(x)
    torch.testing.assert_close(found, samples.diagonal(lambda x: x - network(x), x).sum(-1))
    (only,) = launched
    assert only.entries is not None
    assert not only.writes


def test_points_are_taken_in_parts_where_tangents_are_large(
    monkeypatch: pytest.MonkeyPatch, launched: list[layer.Layer]
) -> None:
    monkeypatch.setattr(wide, "MOST_BYTES", 2 * 9 * N * 8 * 3)
    x, t = samples.randn(7, N), samples.randn(7)
    f = samples.faded
    laplacian, value, gradient = lowered(f).together(x, t)
    torch.testing.assert_close(laplacian, samples.laplacian(f, x, (t,)))
    torch.testing.assert_close(value, f(x, t))
    assert gradient is not None
    assert gradient.shape == x.shape
    assert len(launched) == 3


@pytest.mark.parametrize(
    ("dtype", "products", "rtol"),
    [(torch.float32, "tf32x3", 1e-5), (torch.bfloat16, "ieee", 0.1), (torch.float16, "ieee", 0.02)],
)
def test_types_have_their_accuracy(dtype: torch.dtype, products: Products, rtol: float) -> None:
    found = lowered(samples.plain, products=products).result(X.to(dtype))
    assert found.dtype == dtype
    expected = samples.laplacian(samples.plain, X)
    assert float((found.double() - expected).abs().max()) < rtol * float(expected.abs().max())


def test_more_directions_than_the_first_layer_has_units_become_as_few_as_these(launched: list[layer.Layer]) -> None:
    network = samples.layers(40, 3, 2, 1)
    x = samples.randn(2, 40).to(D)
    laplacian = lowered(lambda x: network(x).squeeze(-1)).result(x)
    torch.testing.assert_close(laplacian, samples.laplacian(lambda x: network(x).squeeze(-1), x))
    assert launched[0].seed is not None
    assert len(launched[0].seed) == 3
