"""Functions as people write them, against dense Hessians: values, gradients, and what cannot be traced."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import jacrev
from torch.nn.attention import SDPBackend, sdpa_kernel

from jacstrat import UnsupportedError
from jacstrat.taylor import Scalar, Tile, Untraceable
from tests.taylor.functions import FUNCTIONS, MATRIX, MLP, NARROW, RESIDUAL, UNTRACEABLE, N, residual_by_hand, seeded

pytestmark = pytest.mark.long(but_one_in=3)

X = torch.rand(5, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1

# Those whose n directions become fewer for all points at once.
COMPRESSED = ("narrow", "several_ways_in")


def traces(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The trace of the dense Hessian of each row."""
    with sdpa_kernel(SDPBackend.MATH):  # as only this form of attention has second derivatives
        hessians = [jacrev(jacrev(lambda row: f(row.unsqueeze(0)).squeeze(0)))(row) for row in x]
    return torch.stack([H.trace() for H in hessians])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_traced_function_agrees_with_its_dense_hessian(name: str) -> None:
    scalar = Scalar(FUNCTIONS[name])
    assert not isinstance(scalar.tape(X), Untraceable), scalar.tape(X)
    expected = traces(FUNCTIONS[name], X)
    torch.testing.assert_close(scalar.laplacian(X), expected)
    with torch.no_grad():
        torch.testing.assert_close(scalar.laplacian(X), expected)
        torch.testing.assert_close(Scalar(FUNCTIONS[name], compress=False, tile=2).laplacian(X), expected)


@pytest.mark.parametrize("tile", ["all", 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradient_come_with_the_laplacian(name: str, tile: Tile) -> None:
    f = FUNCTIONS[name]
    x = X.clone().requires_grad_()
    value = f(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    scalar = Scalar(f, tile=tile)
    laplacian = scalar.laplacian(X)
    for tracked in (True, False):
        with torch.set_grad_enabled(tracked):
            found = scalar.together(X)
        torch.testing.assert_close((found[0], found[2]), (value, laplacian))
        # Where directions become fewer, as behind narrow layers, those that track gradients are found by a product.
        assert found[1] is not None or (tracked and name in COMPRESSED)
        if found[1] is not None:
            torch.testing.assert_close(found[1], slope)


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_a_function_that_cannot_be_traced_is_served_and_says_why(name: str) -> None:
    f, reason = UNTRACEABLE[name]
    scalar = Scalar(f)
    found = scalar.tape(X)
    assert isinstance(found, Untraceable)
    assert reason in str(found)
    torch.testing.assert_close(scalar.laplacian(X), traces(f, X))


@pytest.mark.parametrize(
    ("f", "same", "module"),
    [
        pytest.param(FUNCTIONS["mlp"], FUNCTIONS["mlp"], MLP, id="mlp"),
        pytest.param(FUNCTIONS["narrow"], FUNCTIONS["narrow"], NARROW, id="narrow"),
        pytest.param(FUNCTIONS["residual"], residual_by_hand, RESIDUAL, id="residual"),
    ],
)
@pytest.mark.parametrize("tile", ["all", 2])
def test_gradients_in_parameters_and_points(f, same, module: torch.nn.Module, tile) -> None:
    parameters = [p for p in module.parameters() if p.dim() == 2]
    x = X.clone().requires_grad_()
    got = torch.autograd.grad(Scalar(f, tile=tile).laplacian(x).square().sum(), (x, *parameters))
    expected = torch.autograd.grad(traces(same, x).square().sum(), (x, *parameters))
    torch.testing.assert_close(got, expected)


def test_a_tape_follows_its_parameters() -> None:
    net = seeded(lambda: torch.nn.Sequential(torch.nn.Linear(N, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)))

    def f(x: Tensor) -> Tensor:
        return net(x).squeeze(-1)

    scalar = Scalar(f)
    before = scalar.laplacian(X)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(0.5)
    after = scalar.laplacian(X)
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, traces(f, X))


def test_what_a_function_keeps_from_its_first_call_is_no_part_of_the_trace() -> None:
    kept: list[Tensor] = []

    def f(x: Tensor) -> Tensor:
        if not kept:
            kept.append(torch.arange(x.shape[-1], dtype=x.dtype))
        return (kept[0] * x**2).sum(-1)

    expected = torch.full((5,), 2.0 * sum(range(N)), dtype=torch.float64)
    torch.testing.assert_close(Scalar(f).laplacian(X), expected)
    torch.testing.assert_close(f(X), (torch.arange(N) * X**2).sum(-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    net = seeded(lambda: torch.nn.Sequential(torch.nn.Linear(N, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)))
    expected = traces(lambda x: net(x).squeeze(-1), X)
    found = Scalar(lambda x: net.to(dtype)(x).squeeze(-1)).laplacian(X.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=4 * torch.finfo(dtype).eps)


def test_compressed_directions_are_differentiable_once() -> None:
    f, weight = FUNCTIONS["narrow"], NARROW[2].weight

    def slope(scalar: Scalar) -> Tensor:
        (g,) = torch.autograd.grad(scalar.laplacian(X).sum(), NARROW[0].weight, create_graph=True)
        return g

    with pytest.raises(UnsupportedError, match="differentiable once; use taylor:compress=false"):
        torch.autograd.grad(slope(Scalar(f)).square().sum(), weight)
    (got,) = torch.autograd.grad(slope(Scalar(f, compress=False)).square().sum(), weight)
    (g,) = torch.autograd.grad(traces(f, X).sum(), NARROW[0].weight, create_graph=True)
    (expected,) = torch.autograd.grad(g.square().sum(), weight)
    torch.testing.assert_close(got, expected)


def test_a_rank_deficient_first_layer_has_its_gradient() -> None:
    net = seeded(lambda: torch.nn.Sequential(torch.nn.Linear(N, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)))
    with torch.no_grad():
        net[0].weight[1] = net[0].weight[0]
        net[0].weight[2] = 0

    def f(x: Tensor) -> Tensor:
        return net(x).squeeze(-1)

    (got,) = torch.autograd.grad(Scalar(f).laplacian(X).sum(), net[0].weight)
    (expected,) = torch.autograd.grad(traces(f, X).sum(), net[0].weight)
    torch.testing.assert_close(got, expected)


def test_numbers_of_a_tensor_that_are_read_by_numpy_are_not_recorded() -> None:
    found = Scalar(lambda x: (x.sin() * float(MATRIX.numpy()[0, 1])).sum(-1)).tape(X)
    assert str(found) == "it reads the numbers of a tensor by numpy"


def test_what_draws_numbers_from_x_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="native_dropout.default, which draws other numbers at every call"):
        Scalar(lambda x: torch.native_dropout(x, 0.5, True)[0].square().sum(-1)).laplacian(X)


def test_one_draw_serves_all_directions() -> None:
    # With entries dropped or doubled, the Laplacian of a sum of squares is 8 for each entry that is left.
    found = Scalar(lambda x: torch.nn.functional.dropout(x, 0.5).square().sum(-1)).laplacian(X)
    assert set((found % 8).tolist()) == {0}
    assert len(set(found.tolist())) > 1


def test_distances_that_torch_cannot_differentiate_twice() -> None:
    def by_norms(x: Tensor) -> Tensor:
        points = x.view(-1, 4, 3)
        i, j = torch.triu_indices(4, 4, 1)
        return (-(points[:, i] - points[:, j]).norm(dim=-1)).exp().sum(-1)

    def by_cdist(x: Tensor) -> Tensor:
        points = x.view(-1, 4, 3)
        i, j = torch.triu_indices(4, 4, 1)
        return (-torch.cdist(points, points)[:, i, j]).exp().sum(-1)

    torch.testing.assert_close(Scalar(by_cdist).laplacian(X), traces(by_norms, X))


def test_outer_transforms() -> None:
    f = FUNCTIONS["mlp"]
    scalar = Scalar(f)
    (expected,) = torch.autograd.grad(traces(f, x := X.clone().requires_grad_()).sum(), x)
    unprepared = torch.func.grad(lambda x: scalar.laplacian(x).sum())(X)
    torch.testing.assert_close(unprepared, expected)
    scalar.tape(X)
    torch.testing.assert_close(torch.func.grad(lambda x: scalar.laplacian(x).sum())(X), expected)
    torch.testing.assert_close(
        torch.func.vmap(scalar.laplacian)(torch.stack((X, 2 * X))), torch.stack((traces(f, X), traces(f, 2 * X)))
    )
