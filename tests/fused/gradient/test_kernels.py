"""Gradients by kernels, executed by Triton's interpreter, against autograd in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.fused.gradient import kernels, launch
from jacstrat.fused.narrow import Tiles
from jacstrat.fused.spec import CHUNK, Products
from tests.fused import samples
from tests.fused.gradient.reference import assert_alike, compared, trained
from tests.fused.samples import N, X
from tests.fused.test_narrow import NAMES, SINGULAR
from tests.fused.test_pointwise import CASES

SIZES = (
    (1, (1, 3, 1)),
    (17, (1, 1, 1)),
    (33, (2, 17, 5, 1)),
    (2, (70, 6, 1)),
    (3, (9, 1, 4, 1)),
    (3, (16, 16, 16, 1)),
)

pytestmark = [pytest.mark.usefixtures("interpreting"), pytest.mark.long(but_one_in=3)]


@pytest.fixture(params=["one kernel", "layer by layer"])
def _either_way(request: pytest.FixtureRequest) -> None:
    if request.param == "layer by layer":
        request.getfixturevalue("nothing_fits")


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("f", samples.SCALARS, ids=lambda f: f.__name__)
def test_a_scalar_with_cotangents_of_value_gradient_and_laplacian(f: Callable[[Tensor], Tensor]) -> None:
    assert_alike(compared(f, X, together=True))


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("f", samples.FIELDS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("wanted", "together"), [("divergence", True), ("jacobian_diagonal", False)])
def test_a_field(f: Callable[[Tensor], Tensor], wanted: str, together: bool) -> None:
    assert_alike(compared(f, X, wanted=wanted, together=together))


@pytest.mark.parametrize(("B", "widths"), SIZES)
def test_parameters_at_sizes_that_are_no_multiple_of_a_tile(B: int, widths: tuple[int, ...]) -> None:
    f, parameters = trained(*widths)
    together = widths[0] <= CHUNK  # in a wider x the cotangent of the gradient has no place in this kernel
    assert_alike(compared(f, samples.randn(B, widths[0]), tensors=parameters, together=together))


@pytest.mark.parametrize(
    ("B", "widths", "wanted"),
    [(1, (2, 3, 2), "divergence"), (19, (3, 17, 5, 3), "jacobian_diagonal"), (2, (66, 3, 66), "divergence")],
)
def test_parameters_of_a_field(B: int, widths: tuple[int, ...], wanted: str) -> None:
    network, parameters = trained(*widths)
    scale = samples.randn(widths[0]).requires_grad_()

    def f(x: Tensor) -> Tensor:
        return scale * network(x).sin() + x

    x = samples.randn(B, widths[0])
    assert_alike(compared(f, x, tensors=[*parameters, scale], wanted=wanted, together=True))


@pytest.mark.parametrize("names", [NAMES[start::4] for start in range(4)], ids=" ".join)
def test_every_pointwise_function(names: tuple[str, ...]) -> None:
    W, shift = samples.randn(3, 2, scale=0.5).requires_grad_(), samples.randn(3, scale=0.1).requires_grad_()

    def f(x: Tensor) -> Tensor:
        z = x @ W.mT + shift
        positive = z * z + 0.5
        return sum((CASES[name][0](positive if name in SINGULAR else z) for name in names), torch.zeros(())).sum(-1)

    assert_alike(compared(f, samples.randn(3, 2), tensors=[W, shift], together=True))


@pytest.mark.parametrize(("f", "arg"), samples.TIMED_SCALARS)
def test_arguments(f: Callable[..., Tensor], arg: Any) -> None:
    if isinstance(arg, Tensor):
        arg = arg.clone().requires_grad_()
        assert_alike(compared(f, X, (arg,), [arg], together=True))
    else:
        assert_alike(compared(f, X, (arg,), together=True))


def test_a_wide_argument_of_each_point() -> None:
    network, parameters = trained(70, 6, 1)
    s, y = samples.randn(70, 2).requires_grad_(), samples.randn(3, 70).requires_grad_()

    def f(z: Tensor, y: Tensor) -> Tensor:
        return network(y + z @ s.mT)

    z = samples.randn(3, 2)
    assert_alike(compared(f, z, (y,), [y, s, *parameters]))


def test_directions_that_became_fewer() -> None:
    f, parameters = trained(24, 3, 2, 1)
    assert_alike(compared(f, samples.randn(2, 24), tensors=parameters))


def test_directions_that_are_given() -> None:
    f, parameters = trained(N, 4, 3, 1)
    assert_alike(compared(f, X, tensors=parameters, V=samples.randn(3, N)))


def test_weights_that_meet_again_and_are_scaled() -> None:
    f, parameters = trained(4, 4, 1)
    W = samples.randn(4, 4).requires_grad_()

    def u(x: Tensor) -> Tensor:
        h = (x @ W / 2).tanh()
        h = h + 0.5 * (h @ W).sin() * torch.exp(-x.square().sum(-1, keepdim=True))
        return f(h) + (W.diagonal() * h).sum(-1)

    assert_alike(compared(u, samples.randn(5, 4), tensors=[W, *parameters], together=True))


@pytest.mark.parametrize(
    ("dtype", "products", "rtol"),
    [
        (torch.float32, "ieee", 1e-5),
        (torch.float32, "tf32x3", 1e-5),
        (torch.bfloat16, "ieee", 0.1),
        (torch.float16, "tf32x3", 0.02),
    ],
)
def test_types_have_their_accuracy(dtype: torch.dtype, products: Products, rtol: float) -> None:
    f, parameters = trained(3, 17, 16, 1)
    pair = compared(f, samples.randn(9, 3), tensors=parameters, dtype=dtype, products=products)
    for found, known in zip(*pair, strict=True):
        assert float((found.double() - known).abs().max()) <= rtol * float(known.abs().max())


@pytest.mark.parametrize("wanted", ["laplacian", "divergence"])
@pytest.mark.parametrize(("points", "parts"), [(32, 2), (16, 5)])
def test_tiles_and_parts_do_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch, points: int, parts: int, wanted: str
) -> None:
    f, parameters = trained(N, 8, 1 if wanted == "laplacian" else N)
    monkeypatch.setattr(kernels, "tiles", lambda *_: Tiles(points, parts, 4))
    assert_alike(compared(f, samples.randn(19, N), tensors=parameters, wanted=wanted, together=True))


@pytest.mark.parametrize("points", [32, 128])
def test_a_tile_that_is_asked_for_is_that_of_gradients(monkeypatch: pytest.MonkeyPatch, points: int) -> None:
    f, parameters = trained(N, 8, 1)
    found, gradients = [], kernels.gradients

    def noted(*given: Any) -> launch.Gradients:
        found.append(given[-1].points)
        return gradients(*given)

    monkeypatch.setattr(kernels, "gradients", noted)
    assert_alike(compared(f, samples.randn(19, N), tensors=parameters, together=True, points=points))
    assert found == [points]


def test_many_points_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    f, parameters = trained(N + 1, 8, 1)

    def timed(x: Tensor, t: Tensor) -> Tensor:
        return f(torch.cat([x, t], -1))

    t = samples.randn(35, 1).requires_grad_()
    monkeypatch.setattr(launch, "MOST_BYTES", 1)
    assert_alike(compared(timed, samples.randn(35, N), (t,), [t, *parameters], together=True))


def test_points_without_a_finite_padding() -> None:
    W = samples.randn(3, 3).requires_grad_()
    assert_alike(compared(lambda x: (x @ W.mT).square().sum(-1).rsqrt(), samples.randn(5, 3) + 2, tensors=[W]))


def test_what_a_card_has_no_room_for_goes_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime.errors import OutOfResources

    def refused(*_: object) -> launch.Gradients:
        raise OutOfResources(2**18, 2**17, "shared memory")

    monkeypatch.setattr(kernels, "gradients", refused)
    assert_alike(compared(samples.plain, X))
    with pytest.warns(UserWarning, match="tile=32: gradients go layer by layer, without tiles: this card has no room"):
        assert_alike(compared(samples.plain, X, points=32))


def test_another_error_of_a_launch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> launch.Gradients:
        raise ValueError("no such kernel")

    monkeypatch.setattr(kernels, "gradients", refused)
    with pytest.raises(ValueError, match="no such kernel"):
        compared(samples.plain, X)


def test_the_cotangent_of_a_gradient_in_a_wide_x_goes_layer_by_layer() -> None:
    f, parameters = trained(70, 3, 1)
    assert_alike(compared(f, samples.randn(2, 70), tensors=parameters, together=True))
    with pytest.warns(UserWarning, match="its gradient of 70 coordinates has a cotangent; leave out tile"):
        assert_alike(compared(f, samples.randn(2, 70), tensors=parameters, together=True, points=32))
