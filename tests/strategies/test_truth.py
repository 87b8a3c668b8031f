"""What plain autograd says, and where differences say otherwise, or say it in its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.truth import Question, Truth

D = torch.float64
X = torch.randn(2, 4, dtype=D, generator=torch.Generator().manual_seed(0))


def asked(f: Callable[[Tensor], Tensor], x: Tensor = X, operator: str = "laplacian") -> Question:
    return Question(OPERATORS[operator], f, x, torch.eye(x.shape[-1], dtype=x.dtype))


def plain(truth: Truth) -> bool:
    """Whether all is by autograd."""
    exact = not bool(truth.noise.any())
    return bool(truth.is_known.all()) and not bool(truth.by_differences.any() | truth.is_nan.any()) and exact


def test_forms_of_a_scalar_are_those_of_its_hessian() -> None:
    truth = asked(lambda x: (x**3).prod(-1)).answer()
    expected = 6 * X * ((X**3).prod(-1, keepdim=True) / X**3)
    assert plain(truth)
    torch.testing.assert_close(truth.forms, expected.T)
    torch.testing.assert_close(truth.size, expected.abs().sum(-1))
    torch.testing.assert_close(asked(lambda x: (x**3).prod(-1), X[0]).answer().forms, expected[0])


def test_forms_of_a_field_are_those_of_its_jacobian() -> None:
    A = torch.randn(4, 4, dtype=D, generator=torch.Generator().manual_seed(1))
    V = torch.randn(3, 4, dtype=D, generator=torch.Generator().manual_seed(2))
    truth = Question(OPERATORS["divergence"], lambda x: x @ A.T, X, V).answer()
    assert plain(truth)
    torch.testing.assert_close(truth.forms, torch.einsum("ki,ij,kj->k", V, A, V).unsqueeze(-1).expand(3, 2))


def test_what_is_infinite_elsewhere_spoils_no_entry() -> None:
    # J has a column of infinities; entry 1 of the diagonal is 1.
    x = torch.tensor([[0.0, 2.0]], dtype=D)
    truth = asked(lambda x: x[:, :1].sqrt() + x, x, "divergence").answer()
    assert truth.forms[1].tolist() == [1.0]
    assert truth.is_known.tolist() == [[False], [True]]
    assert truth.is_nan.tolist() == [[True], [False]]
    assert truth.size.tolist() == [1.0]


def test_autograd_is_contradicted_where_a_rule_of_torch_is_wrong() -> None:
    x = X.clone()
    x[0, 1] = 1e-16  # by which the derivative of cumprod divides

    question = asked(lambda x: x.cumprod(-1).exp().sum(-1), x)
    truth = question.answer()
    assert bool(truth.by_differences.all() & truth.is_known.all()), "if not at one place, then at none"
    # At x_1 = 0: the square of what x_1 is multiplied with, in each product that has it.
    x0, _, x2, x3 = x[0]
    exact = x0.square() * (1 + x2.square() * (1 + x3.square()))
    assert (truth.forms[1, 0] - exact).abs() <= truth.noise[1, 0]
    assert (question.by_autograd(x)[1, 0] - exact).abs() > 1
    others = truth.forms[:, 1] - question.by_autograd(x)[:, 1]
    assert (others.abs() <= truth.noise[:, 1]).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_at_an_edge_that_a_square_makes_smooth_the_convention_of_autograd_holds(dtype: torch.dtype) -> None:
    x = torch.tensor([[0.0, 0.7], [0.3, -0.2]], dtype=dtype)
    question = asked(lambda x: (x * (x - 2)).abs().square().sum(-1), x)
    truth = question.answer()
    assert bool(truth.is_known.all())
    assert not bool(truth.by_differences.any())
    assert truth.forms[0, 0] == 0.0, "and not 8, as of the square"
    torch.testing.assert_close(truth.forms[0, 1], (12 * x * (x - 2) + 8)[1, 0])


def test_autograd_that_is_wrong_somewhere_is_believed_nowhere() -> None:
    x = X.clone()
    x[1, 3] = 0.0
    twice = torch.tensor([2, 2])

    def f(x: Tensor) -> Tensor:
        # Of two numbers written to one place one stays, and torch's derivative goes to both.
        return x.index_copy(-1, twice, x[:, :2].sin()).exp().prod(-1) + x[:, 3] * x[:, 3].abs()

    truth = asked(f, x).answer()
    # Where there is a kink differences do not know, either.
    assert truth.is_known.T.tolist() == [[True] * 4, [True, True, True, False]]
    assert torch.equal(truth.by_differences, truth.is_known)
    assert not bool(truth.is_nan.any())


def distances(x: Tensor) -> Tensor:
    """Of each particle in the plane to each, itself included, where the norm has no derivative."""
    points = x.unflatten(-1, (-1, 2))
    return (points.unsqueeze(-2) - points.unsqueeze(-3)).norm(dim=-1)


def test_where_reverse_mode_gives_none_and_f_is_smooth_differences_do() -> None:
    truth = asked(lambda x: distances(x).square().sum((-1, -2))).answer()
    # |r_1 - r_2|^2 twice: each of the coordinates has the second derivative 2 in each of both.
    assert bool(truth.by_differences.all() & truth.is_known.all())
    assert not bool(truth.is_nan.any())
    assert ((truth.forms - 4).abs() <= truth.noise).all()
    assert truth.noise.max() <= 1e-4 * 4


def test_at_an_edge_nothing_is_known_but_that_there_is_none() -> None:
    x = torch.cat((torch.zeros(1, 4, dtype=D), X))
    truth = asked(lambda x: x.norm(dim=-1), x).answer()
    assert truth.is_nan.T.tolist() == [[True] * 4, [False] * 4, [False] * 4]
    assert truth.is_known.T.tolist() == [[False] * 4, [True] * 4, [True] * 4]
    assert truth.size[0] == 0
    torch.testing.assert_close(truth.size[1:], 3 / X.norm(dim=-1))


def test_where_f_itself_is_no_number_nothing_is_said() -> None:
    truth = asked(lambda x: (x - 9).sqrt().sum(-1)).answer()
    assert not bool(truth.is_known.any() | truth.is_nan.any())
    field = asked(lambda x: (x - 9).sqrt(), operator="divergence").answer()
    assert not bool(field.is_known.any() | field.is_nan.any())


class Straight(torch.autograd.Function):
    """Rounding, with the derivative of the identity: a backward as it is meant."""

    @staticmethod
    def forward(ctx, x):
        return (8 * x).round() / 8

    @staticmethod
    def backward(ctx, g):
        return g


def weighted(x: Tensor) -> Tensor:
    with torch.no_grad():
        weight = x.exp()
    return (weight * x**3).sum(-1)


CUT: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "no_grad": (weighted, lambda x: 6 * x.exp() * x),
    "detach": (lambda x: (x.detach().exp() * x**3).sum(-1), lambda x: 6 * x.exp() * x),
    "backward": (lambda x: (Straight.apply(x) * x.detach() * x).sum(-1), lambda x: 2 * x),
}


@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_off_on_purpose_is_not_contradicted(name: str) -> None:
    f, expected = CUT[name]
    truth = asked(f).answer()
    assert plain(truth)
    torch.testing.assert_close(truth.forms, expected(X).T)


@pytest.mark.parametrize("f", [lambda x: x.relu().pow(3), lambda x: x.abs() ** 3, lambda x: 0.02 * x.relu() ** 2])
def test_a_kink_of_a_derivative_contradicts_nothing(f) -> None:
    x = X.clone()
    x[0, 1], x[1] = 0.0, 0.0
    assert plain(asked(lambda x: (f(x) + x.cos()).sum(-1), x).answer())


class OneWay(torch.autograd.Function):
    """A square that has no way back."""

    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass


def test_where_autograd_refuses_differences_answer() -> None:
    question = asked(lambda x: OneWay.apply(x).sum(-1))
    truth = question.answer()
    assert bool(truth.by_differences.all() & truth.is_known.all())
    assert ((truth.forms - 2).abs() <= truth.noise).all()
    assert not bool(question.rounding().any())
    kinked = asked(lambda x: OneWay.apply(x).sum(-1) + (x - X).abs().sum(-1)).answer()
    assert not bool(kinked.is_known.any() | kinked.is_nan.any())


def test_half_precision_knows_what_autograd_gives() -> None:
    truth = asked(lambda x: x.pow(3).sum(-1), X.half()).answer()
    assert plain(truth)
    assert truth.forms.dtype == torch.float16
    torch.testing.assert_close(truth.forms, 6 * X.half().T)
    assert not bool(asked(lambda x: OneWay.apply(x).sum(-1), X.half()).answer().is_known.any())


def test_the_total_weighs_what_is_known() -> None:
    p = torch.full((4,), 2.0, dtype=D, requires_grad=True)
    x = torch.cat((torch.zeros(1, 4, dtype=D), X))
    weights = torch.linspace(1, 2, 3, dtype=D).expand(4, 3)
    question = asked(lambda x: (p * x).norm(dim=-1) + (p * x**3).sum(-1), x)
    truth = question.answer()
    total = question.total(x, truth, weights)
    expected = torch.where(truth.is_known, truth.forms, 0)
    torch.testing.assert_close(total, (expected * weights).sum())


def test_the_total_is_by_differences_where_the_truth_is() -> None:
    question = asked(lambda x: OneWay.apply(x).sum(-1))
    assert float(question.total(X, question.answer(), torch.ones(4, 2, dtype=D))) == pytest.approx(16, rel=1e-6)


def test_rounding_is_what_a_unit_in_the_last_place_changes() -> None:
    assert not bool(asked(lambda x: (x * x).sum(-1)).rounding().any())
    found = asked(lambda x: (1e6 * x).sin().sum(-1)).rounding()
    # The third derivative, 1e18, times eps of x.
    assert found.max() > 1e18 * 1e-17
    assert found.shape == (4, 2)


def test_what_autograd_leaves_of_terms_that_cancel_is_rounding() -> None:
    # 0 for x > 0, where the derivative is (1 - w) + w - 1.
    w = torch.linspace(0.01, 0.99, 40, dtype=D)
    question = asked(lambda x: torch.lerp(x, x.abs(), w) - x, X.new_full((2, 40), 0.5), "divergence")
    assert bool((question.by_autograd(question.points) != 0).any())
    assert plain(question.answer())
    size = torch.tensor([1e-15, 1.0], dtype=D)
    assert (question.least(size) > 0).tolist() == [True, False]


def test_a_function_that_is_nothing_but_rounding_has_no_say_about_its_last_places() -> None:
    def centred(x: Tensor) -> Tensor:
        return x * (x - x.mean(-1, keepdim=True)).mean(-1, keepdim=True).sin()

    x = torch.tensor([[-0.9521, -0.3997, 0.7677], [0.6904, 0.2367, 0.4605]], dtype=D)
    size = torch.full((2,), 1e-16, dtype=D)
    assert (asked(centred, x, "divergence").least(size) > 1e-15).all()
    assert not bool((asked(lambda x: 1e-16 * x.sin(), x, "divergence").least(size) > 1e-15).any())


def test_differences_beside_a_kink_are_followed_by_the_step_that_sees_them() -> None:
    # The first point is smooth by steps of h / 8 alone, and torch's derivative of a product is wrong at both.
    x = X.clone()
    x[:, 0], x[:, 1], near = torch.tensor([0.3, -0.3]), 1e-16, 0.3 + 0.01

    def f(x: Tensor) -> Tensor:
        return x.cumprod(-1).exp().sum(-1) + 3 * (x[:, 0] - near).relu()

    question = asked(f, x)
    truth = question.answer()
    assert bool(truth.by_differences.any())
    weights = torch.ones(2, dtype=D)
    expected = torch.where(truth.is_known, truth.forms, 0).sum()
    torch.testing.assert_close(question.total(x, truth, weights), expected)


@pytest.mark.parametrize("operator", ["divergence", "laplacian"])
def test_smooth_along_every_line_is_not_yet_differentiable(operator: str) -> None:
    # The median of three equal entries moves by the median of what they move by; autograd takes one of them.
    x = X.new_tensor([[0.5, 0.5, 0.5, -1.0, 1.0]])

    def f(x: Tensor) -> Tensor:
        m = x.median(-1, keepdim=True).values
        return x * m if operator == "divergence" else ((m - 0.5).square() + x.sin()).sum(-1)

    question = asked(f, x, operator)
    by_autograd, by_differences = question.by_autograd(x), question.by_differences(x, is_steady=True)
    assert bool(by_differences.is_smooth.all())
    assert float((by_autograd.detach() - by_differences.value).abs().max()) > 0.1
    assert plain(question.answer())
    assert not question._is_differentiable().any()
    assert asked(lambda x: (x @ torch.ones(5, 5, dtype=D)).sin(), x, "divergence")._is_differentiable().all()


def test_a_jump_of_the_derivative_at_an_edge_is_no_rounding() -> None:
    x = torch.tensor([[0.0, 0.5, -0.3]], dtype=D)
    jumping = asked(lambda x: x + 1e-3 * x.relu(), x, "divergence")
    assert jumping.rounding().tolist() == [[0.0], [0.0], [0.0]]
    large = 1e9
    ill = asked(lambda x: torch.sin(large * x) / large, x + 0.1, "divergence")
    assert bool((ill.rounding() > 1e-9).all())
