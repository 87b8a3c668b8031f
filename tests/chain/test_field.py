"""Fields as people write them, against dense Jacobians: values, gradients, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from jacstrat import UnsupportedError
from jacstrat.chain import Field
from tests.chain.functions import BACK, BLOCKS, CHAINS, MATRIX, NARROW, NARROW_FUNCTIONS, REFUSED, THREE, TWO, N

pytestmark = pytest.mark.long(but_one_in=3)

X = torch.randn(5, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def diagonals(f, x: Tensor) -> Tensor:
    """The diagonal of the dense Jacobian of each row."""
    J = [torch.func.jacrev(lambda row: f(row.unsqueeze(0)).squeeze(0))(row) for row in x]
    return torch.stack([one.diagonal() for one in J])


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_agrees_with_its_dense_jacobian(name: str) -> None:
    f, expected = CHAINS[name], diagonals(CHAINS[name], X)
    for diagonal, truth in ((False, expected.sum(1)), (True, expected)):
        field = Field(f, diagonal)
        torch.testing.assert_close(field(X), truth)
        with torch.no_grad():
            torch.testing.assert_close(field(X), truth)
        torch.testing.assert_close(field(X[:1]), truth[:1])
        if name not in ("norms", "batch_norm"):  # which torch has for batches alone
            torch.testing.assert_close(field(X[2]), truth[2])


@pytest.mark.parametrize("name", NARROW_FUNCTIONS)
def test_any_function_goes_through_its_narrowest_cut(name: str) -> None:
    f, expected = NARROW_FUNCTIONS[name], diagonals(NARROW_FUNCTIONS[name], X).sum(1)
    field = Field(f, diagonal=False)
    assert field.prepared(X) == "a cut of width 3, in place of n = 6"
    for x, truth in ((X, expected), (X[:1], expected[:1]), (X[0], expected[0])):
        torch.testing.assert_close(field(x), truth)
    with pytest.raises(UnsupportedError, match="is neither linear nor pointwise; use vmap"):
        Field(f, diagonal=True).prepared(X)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_why(name: str) -> None:
    f, reason = REFUSED[name]
    with pytest.raises(UnsupportedError) as raised:
        Field(f, diagonal=False).prepared(X)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("f", "modules"),
    [
        pytest.param(TWO, [TWO], id="two"),
        pytest.param(THREE, [THREE], id="three"),
        pytest.param(CHAINS["residual"], [BLOCKS], id="residual"),
        pytest.param(NARROW_FUNCTIONS["sorted"], [NARROW, BACK], id="cut"),
    ],
)
def test_gradients_in_parameters_and_points(f, modules: list[nn.Module]) -> None:
    wanted = [p for module in modules for p in module.parameters() if p.dim() == 2]
    x = X.clone().requires_grad_()
    expected = torch.autograd.grad(diagonals(f, x).sum(1).square().sum(), (x, *wanted))
    got = torch.autograd.grad(Field(f, diagonal=False)(x).square().sum(), (x, *wanted))
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", ["one", "normed", "convolution", "coupling", "wide"])
def test_gradients_of_the_diagonal(name: str) -> None:
    x, weights = X.clone().requires_grad_(), torch.arange(1.0, N + 1, dtype=torch.float64)
    (expected,) = torch.autograd.grad((diagonals(CHAINS[name], x) * weights).sum(), x)
    (got,) = torch.autograd.grad((Field(CHAINS[name], diagonal=True)(x) * weights).sum(), x)
    torch.testing.assert_close(got, expected)


def test_second_derivatives() -> None:
    x = X.clone().requires_grad_()

    def twice(y: Tensor) -> Tensor:
        (g,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), TWO[2].weight)[0]

    torch.testing.assert_close(twice(Field(TWO, diagonal=False)(x)), twice(diagonals(TWO, x).sum(1)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_types(dtype: torch.dtype) -> None:
    W = MATRIX.to(dtype)
    for diagonal in (False, True):
        found = Field(lambda x: torch.tanh(x @ W) @ W, diagonal)(X.to(dtype))
        expected = diagonals(lambda x: torch.tanh(x @ W.double()) @ W.double(), X.to(dtype).double())
        expected = expected if diagonal else expected.sum(1)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=60 * torch.finfo(dtype).eps)


def test_a_norm_has_the_derivative_zero_at_zero() -> None:
    for f in (lambda x: x * x.norm(dim=-1, keepdim=True), lambda x: x * x.std(-1, keepdim=True)):
        assert Field(f, diagonal=False)(torch.zeros(2, 3)).tolist() == [0, 0]


def test_nothing_depends_on_x() -> None:
    constant = torch.ones(5, N, dtype=torch.float64)
    assert Field(lambda x: constant, diagonal=True)(X).tolist() == torch.zeros(5, N).tolist()
    assert Field(lambda x: constant, diagonal=False)(X).tolist() == [0] * 5
    assert Field(lambda x: x.detach(), diagonal=False)(X).tolist() == [0] * 5
    assert Field(lambda x: x, diagonal=False)(X).tolist() == [N] * 5


def test_a_constant_that_differs_from_point_to_point() -> None:
    t = torch.linspace(0, 1, 5, dtype=torch.float64).unsqueeze(1)
    each = torch.randn(5, N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(Field(lambda x: t * x, diagonal=False)(X), t.squeeze(1) * N)
    torch.testing.assert_close(Field(lambda x: (each * (x @ MATRIX)) @ MATRIX, True)(X), _scaled_products(each))
    # As many axes as hide that the constant is one for each point.
    torch.testing.assert_close(Field(lambda x: (x.unsqueeze(0) * each).squeeze(0), diagonal=True)(X), each)


def _scaled_products(each: Tensor) -> Tensor:
    return torch.einsum("ij,bj,ji->bi", MATRIX, each, MATRIX)


def test_as_many_points_as_coordinates_are_no_reason_to_take_the_one_for_the_other() -> None:
    x = torch.randn(N, N, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for points in (x, x[:4]):
        with pytest.raises(UnsupportedError, match="permute does not act on each point alone and alike"):
            Field(lambda x: (MATRIX @ x.T.sin()).T, diagonal=True)(points)


def test_outer_transforms() -> None:
    field = Field(THREE, diagonal=False)
    field.prepared(X)
    x = X.clone().requires_grad_()
    (expected,) = torch.autograd.grad(diagonals(THREE, x).sum(), x)
    torch.testing.assert_close(torch.func.grad(lambda x: field(x).sum())(X), expected)
    stacked = torch.stack((X, 2 * X))
    torch.testing.assert_close(torch.func.vmap(field)(stacked)[1], diagonals(THREE, 2 * X).sum(1))
    with pytest.raises(UnsupportedError, match="called inside a torch.func transform; prepare outside of it"):
        torch.func.grad(lambda x: Field(THREE, diagonal=False)(x).sum())(X)


TIMED = {
    "times": lambda x, t: t * TWO(x),
    "over": lambda x, t: TWO(x) / (1 + t),
    "a function of it": lambda x, t: torch.exp(-t) * TWO(x) * 3,
    "within": lambda x, t: TWO(torch.tanh(t * THREE(x)) * t) * t,
    "residual": lambda x, t: x + t * TWO(x) - TWO(x) / t,
    "of x itself": lambda x, t: t * x,
    "under it": lambda x, t: t / (2 + TWO(x).square()),
    "wide": lambda x, t: (t * (x @ MATRIX)).view(-1, 1, N).sum(1).sin(),
}


@pytest.mark.parametrize("name", TIMED)
def test_a_number_that_changes_at_each_call_is_an_input(name: str) -> None:
    f = TIMED[name]
    fields = [Field(f, diagonal) for diagonal in (False, True)]
    for number in (0.7, 1.3):
        t = torch.tensor(number, dtype=torch.float64, requires_grad=True)
        expected = diagonals(lambda x, t=t: f(x, t), X)
        for field, truth in zip(fields, (expected.sum(1), expected), strict=True):
            found = field(X, t)
            torch.testing.assert_close(found, truth)
            torch.testing.assert_close(
                torch.autograd.grad(found.square().sum(), t, retain_graph=True)[0],
                torch.autograd.grad(truth.square().sum(), t, retain_graph=True)[0],
            )
            torch.testing.assert_close(field(X, number), truth.detach())


@pytest.mark.parametrize("name", ["times", "over", "a function of it"])
def test_a_number_times_a_layer_is_no_stage_of_its_own(name: str) -> None:
    field = Field(TIMED[name], diagonal=False)
    t = torch.tensor(0.7, dtype=torch.float64)
    assert field.prepared(X, (t,)) == Field(lambda x: TIMED[name](x, t), diagonal=False).prepared(X)
