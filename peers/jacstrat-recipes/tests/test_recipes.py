"""Recipes and estimators of other projects: right, right on average, or refused in a line."""

from __future__ import annotations

import pytest
import torch
from jacstrat_recipes import Curvlinops, Deepxde, Ffjord, Functorch

from jacstrat import PROBLEMS, Strategy, UnsupportedError, UsageError, parse_strategy
from jacstrat.core.errors import MissingError

EXACT = (Deepxde(), Functorch())
CASES = [
    ("tanh_scalar", "laplacian"),
    ("tanh_scalar", "hessian_diagonal"),
    ("rosenbrock", "laplacian"),
    ("plate", "bilaplacian"),
    ("heat", "laplacian:weight=own"),
    ("tanh_field", "divergence"),
    ("tanh_field", "jacobian_diagonal"),
    ("conditional_flow", "divergence"),
]
installed = pytest.mark.skipif(Curvlinops().missing is not None, reason=str(Curvlinops().missing))


@pytest.mark.parametrize("strategy", EXACT, ids=str)
@pytest.mark.parametrize(("name", "operator"), CASES)
def test_an_exact_recipe_is_right(name: str, operator: str, strategy: Strategy) -> None:
    problem = PROBLEMS[name]
    instance = problem.instance(n=2 if 2 in problem.sizes else problem.sizes[0], batch=3)
    asked, args = instance.operator(operator), instance.args
    found = strategy.prepare(asked, instance.f, instance.x, args=args)(instance.x, *args).detach().numpy()
    reference = instance.reference(operator)
    assert (abs(found - reference.value(asked)) <= 1e-12 * reference.scale(asked)).all()


@pytest.mark.parametrize("strategy", EXACT, ids=str)
def test_results_carry_the_gradient_of_parameters(strategy: Strategy) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    x = torch.rand(5, 3, dtype=torch.float64)

    def u(x: torch.Tensor) -> torch.Tensor:
        return net(x).squeeze(-1)

    gradients = []
    for one in (strategy, "vmap"):
        result = parse_strategy(one).prepare("laplacian", u, x)(x)
        gradients.append(torch.autograd.grad(result.sum(), net[0].weight)[0])
    assert torch.allclose(*gradients)


def test_deepxde_takes_no_gradient_of_a_constant() -> None:
    with pytest.raises(UnsupportedError, match=r"autograd\.grad takes nothing that does not depend on x"):
        Deepxde().prepare("laplacian", lambda x: x.sum(-1), torch.rand(2, 3))


ESTIMATORS = [Ffjord(), Ffjord("rademacher")]
ESTIMATORS += [pytest.param(Curvlinops(*one), marks=installed) for one in (("hutchinson",), ("hutch++",), ("xtrace",))]


@pytest.mark.parametrize("strategy", ESTIMATORS, ids=str)
@pytest.mark.parametrize(("name", "operator"), [("tanh_scalar", "laplacian"), ("tanh_field", "divergence")])
def test_an_estimator_is_right_on_average_and_repeats_for_a_seed(name: str, operator: str, strategy: Strategy) -> None:
    instance = PROBLEMS[name].instance(n=8, batch=2)
    x = instance.x

    def draws(count: int) -> torch.Tensor:
        prepared = strategy.prepare(operator, instance.f, x, torch.Generator().manual_seed(1))
        return torch.stack([prepared(x) for _ in range(count)]).detach()

    # curvlinops takes points one after the other.
    count = 30 if isinstance(strategy, Curvlinops) else 100
    found = draws(count)
    expected = torch.from_numpy(instance.reference(operator).value(operator).astype("float64"))
    assert ((found.mean(0) - expected).abs() <= 6 * found.std(0) / count**0.5 + 1e-12).all()
    assert torch.equal(found[:2], draws(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ffjord("cauchy"), "distribution must be normal or rademacher, got 'cauchy'"),
        (lambda: Curvlinops("hutch"), "estimator must be one of hutchinson, hutch\\+\\+, xtrace, got 'hutch'"),
        (lambda: Curvlinops("hutch++", 4), "probes must be a multiple of 3 for hutch\\+\\+, got 4"),
        (lambda: Curvlinops(probes=0), "probes must be a positive integer, got 0"),
    ],
)
def test_a_bad_parameter_says_the_remedy(make, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_an_estimator_has_no_diagonal_and_no_bilaplacian() -> None:
    with pytest.raises(UnsupportedError, match="it gives a trace; use hutchinson"):
        Ffjord().prepare("jacobian_diagonal", torch.sin, torch.zeros(2))
    with pytest.raises(UnsupportedError, match="it would differentiate its own draws; use taylor"):
        Ffjord().prepare("bilaplacian", lambda x: x.sum(-1), torch.zeros(2))


def test_curvlinops_says_what_it_needs() -> None:
    if Curvlinops().missing is None:
        with pytest.raises(UnsupportedError, match="curvlinops takes fewer products than coordinates, and n = 4"):
            Curvlinops().prepare("divergence", torch.sin, torch.zeros(2, 4))
    else:
        with pytest.raises(MissingError, match="run `pip install curvlinops-for-pytorch`"):
            Curvlinops().prepare("divergence", torch.sin, torch.zeros(2, 4))
