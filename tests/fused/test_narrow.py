"""Kernels, executed by Triton's interpreter, against float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat.core.operator import OPERATORS
from jacstrat.fused import narrow
from jacstrat.fused.function import Lowered
from jacstrat.fused.spec import Products
from tests.fused import samples
from tests.fused.samples import D, N, X
from tests.fused.test_pointwise import CASES

SINGULAR = ("log", "log1p", "sqrt", "rsqrt", "reciprocal")

pytestmark = [pytest.mark.usefixtures("interpreting"), pytest.mark.long(but_one_in=3)]


def lowered(f: Callable[..., Tensor], wanted: str = "laplacian", products: Products = "ieee") -> Lowered:
    return Lowered(f, OPERATORS[wanted], lambda device: products)


@pytest.mark.parametrize("f", samples.SCALARS, ids=lambda f: f.__name__)
def test_a_kernel_gives_laplacian_value_and_gradient(f: Callable[[Tensor], Tensor]) -> None:
    laplacian, value, gradient = lowered(f).together(X)
    x = X.clone().requires_grad_()
    torch.testing.assert_close(laplacian, samples.laplacian(f, X))
    torch.testing.assert_close(value, f(X))
    torch.testing.assert_close(gradient, torch.autograd.grad(f(x).sum(), x)[0])


@pytest.mark.parametrize("f", samples.FIELDS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("wanted", ["divergence", "jacobian_diagonal"])
def test_a_kernel_gives_divergence_and_diagonal(f: Callable[[Tensor], Tensor], wanted: str) -> None:
    found, value, gradient = lowered(f, wanted).together(X)
    expected = samples.diagonal(f, X)
    torch.testing.assert_close(found, expected if wanted == "jacobian_diagonal" else expected.sum(-1))
    torch.testing.assert_close(value, f(X))
    assert gradient is None


@pytest.mark.parametrize(("f", "arg"), samples.TIMED_SCALARS)
def test_a_kernel_reads_arguments_at_each_call(f: Callable[..., Tensor], arg: Tensor | float) -> None:
    function = lowered(f)
    for factor in (1, 2):
        found = function.result(X, factor * arg)
        torch.testing.assert_close(found, samples.laplacian(f, X, (factor * arg,)))


NAMES = tuple(CASES)


@pytest.mark.parametrize("names", [NAMES[start::4] for start in range(4)], ids=" ".join)
def test_every_pointwise_function_has_its_kernel(names: tuple[str, ...]) -> None:
    W = samples.randn(3, 2, scale=0.5)

    def f(x: Tensor) -> Tensor:
        z = x @ W.mT
        positive = z * z + 0.5
        return sum((CASES[name][0](positive if name in SINGULAR else z) for name in names), torch.zeros(())).sum(-1)

    x = samples.randn(3, 2)
    torch.testing.assert_close(lowered(f).result(x), samples.laplacian(f, x))


@pytest.mark.parametrize("name", ["tanh", "log1p"])
def test_float32_has_its_accuracy_near_zero(name: str) -> None:
    s, *_ = CASES[name]
    x = torch.logspace(-6, 1, 16).reshape(-1, 1)
    found = lowered(lambda x: s(x).sum(-1)).together(x)[1]
    torch.testing.assert_close(found.double(), s(x.double()).squeeze(-1), rtol=4e-7, atol=0)


@pytest.mark.parametrize(
    ("B", "widths"),
    [(1, (1, 3, 1)), (17, (1, 1, 1)), (33, (2, 17, 5, 1)), (2, (70, 6, 1)), (3, (9, 1, 4, 1)), (16, (16, 16, 16, 1))],
)
def test_sizes_that_are_no_multiple_of_a_tile(B: int, widths: tuple[int, ...]) -> None:
    network = samples.layers(*widths)

    def f(x: Tensor) -> Tensor:
        return network(x).squeeze(-1)

    x = samples.randn(B, widths[0])
    laplacian, value, gradient = lowered(f).together(x)
    torch.testing.assert_close(laplacian, samples.laplacian(f, x))
    torch.testing.assert_close(value, f(x))
    z = x.clone().requires_grad_()
    torch.testing.assert_close(gradient, torch.autograd.grad(f(z).sum(), z)[0])


def test_a_wide_x_that_meets_a_single_row_too_stands_in_a_tile() -> None:
    network, row = samples.layers(70, 3, 1), samples.randn(70)

    def f(x: Tensor) -> Tensor:
        return (network(x).squeeze(-1) + (x * row).sum(-1)).sin()

    x = samples.randn(2, 70)
    torch.testing.assert_close(lowered(f).result(x), samples.laplacian(f, x))


def test_a_wide_argument_of_each_point_is_read_in_parts() -> None:
    network = samples.layers(70, 6, 1)
    s, y = samples.randn(70, 2), samples.randn(3, 70)

    def f(z: Tensor, y: Tensor) -> Tensor:
        return network(y + z @ s.mT).squeeze(-1)

    z = torch.zeros(3, 2, dtype=D)
    torch.testing.assert_close(lowered(f).result(z, y), samples.laplacian(f, z, (y,)))


@pytest.mark.parametrize(("points", "parts"), [(16, 1), (32, 2), (16, 5)])
def test_tiles_and_parts_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, points: int, parts: int) -> None:
    x = samples.randn(19, N)
    monkeypatch.setattr("jacstrat.fused.function.tiles", lambda *_: narrow.Tiles(points, parts, 4))
    torch.testing.assert_close(lowered(samples.plain).result(x), samples.laplacian(samples.plain, x))


def test_more_directions_than_the_first_layer_has_units_become_as_few_as_these() -> None:
    network = samples.layers(24, 3, 2, 1)

    def f(x: Tensor) -> Tensor:
        return network(x).squeeze(-1)

    x = samples.randn(2, 24)
    function = lowered(f)
    torch.testing.assert_close(function.result(x), samples.laplacian(f, x))
    assert function.prepared(x).operands.at(x, ()).directions == 3


@pytest.mark.parametrize(
    ("dtype", "products", "rtol"),
    [
        (torch.float32, "ieee", 1e-5),
        (torch.float32, "tf32x3", 1e-5),
        (torch.float32, "tf32", 1e-2),
        (torch.bfloat16, "ieee", 0.1),
        (torch.float16, "ieee", 0.02),
    ],
)
def test_types_have_their_accuracy(dtype: torch.dtype, products: Products, rtol: float) -> None:
    found = lowered(samples.plain, products=products).result(X.to(dtype))
    assert found.dtype == dtype
    expected = samples.laplacian(samples.plain, X)
    assert float((found.double() - expected).abs().max()) < rtol * float(expected.abs().max())


def test_what_is_written_into_weights_is_followed() -> None:
    layer = torch.nn.Linear(N, 24, dtype=D)

    def f(x: Tensor) -> Tensor:
        return layer(x).tanh().square().sum(-1)

    function = lowered(f)
    function.result(X)
    with torch.no_grad():
        layer.weight.mul_(2)
    layer.bias.data.add_(1)
    torch.testing.assert_close(function.result(X), samples.laplacian(f, X))


def test_a_layer_that_is_too_wide_is_told() -> None:
    network = samples.layers(3, 200, 1)
    fault = narrow.misfit(samples.taken(lambda x: network(x).squeeze(-1), samples.randn(2, 3))[0].network, 8)
    assert fault == "a layer of 200 is wider than 128"


def test_matrices_that_are_too_many_are_told() -> None:
    network = samples.layers(3, 128, 100, 1)
    read, _ = samples.taken(lambda x: network(x).squeeze(-1), samples.randn(2, 3))
    # 128 x 128 with their padding, forward and the other way round.
    assert narrow.misfit(read.network, 4) == "its matrices take 256 KiB of shared memory, and a program has 208"
    assert narrow.misfit(read.network, 2) == ""


def test_what_a_card_has_no_room_for_goes_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime.errors import OutOfResources

    def launch(*_: object) -> narrow.KernelResult:
        raise OutOfResources(2**18, 2**17, "shared memory")

    monkeypatch.setattr("jacstrat.fused.function.launch", launch)
    torch.testing.assert_close(lowered(samples.plain).result(X), samples.laplacian(samples.plain, X))


def test_another_error_of_a_launch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(*_: object) -> narrow.KernelResult:
        raise ValueError("no such kernel")

    monkeypatch.setattr("jacstrat.fused.function.launch", launch)
    with pytest.raises(ValueError, match="no such kernel"):
        lowered(samples.plain).result(X)
