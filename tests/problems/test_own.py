"""A problem of one's own: what -p takes, and what @problem describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import jacstrat
from jacstrat import Problem, ShapeError, UsageError, problem
from jacstrat.problems.load import find_problem
from jacstrat.problems.own import SIZES

FILE = Path(__file__)


class Fixed(nn.Module):
    """Made without arguments."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 3)

    def forward(self, x):
        return torch.tanh(self.body(x))


class Sized(nn.Module):
    """Made with n, which has a default, as its width has."""

    def __init__(self, n=2, width=7):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n, width), nn.Tanh(), nn.Linear(width, n))

    def forward(self, x):
        return self.body(x)


class OfWidth(nn.Module):
    def __init__(self, width):
        super().__init__()


def network(n, width=5):
    return nn.Sequential(nn.Linear(n, width), nn.Tanh(), nn.Linear(width, n))


def scaled(n):
    return lambda x: n * x


def power(x, exponent=2):
    return x**exponent


instance = Fixed()


@problem
def bare(n):
    return nn.Linear(n, n)


@problem(
    name="heat",
    kind="field",
    reference=lambda x: np.exp(x) - 2,
    sizes=[2, 5],
    points=lambda n, batch, rng: rng.uniform(3.0, 4.0, (batch, n)),
    domain="[3, 4)^n",
    structure="tridiagonal",
    formula="F(x)_i = x_{i-1} - 2 x_i + x_{i+1} + exp x_i",
    answer="sum exp x_i - 2 n",
    origin="Bratu",
)
def heat(x):
    padded = nn.functional.pad(x, (1, 1))
    return padded[..., 2:] - 2 * x + padded[..., :-2] + torch.exp(x)


@problem(reference=lambda x, parameters: np.zeros_like(x) + np.diagonal(parameters["weight"]))
def linear(n):
    return nn.Linear(n, n)


def find(attribute: str) -> Problem:
    return find_problem(f"{FILE}:{attribute}")


@pytest.mark.parametrize(
    ("attribute", "n", "factory"),
    [("Fixed", 3, True), ("Sized", 4, True), ("network", 4, True), ("instance", 3, False), ("power", 4, False)],
)
def test_what_p_takes(attribute: str, n: int, factory: bool) -> None:
    found = find(attribute)
    assert (found.name, found.kind, found.sizes, found.factory) == (f"{FILE}:{attribute}", None, SIZES, factory)
    assert found.formula == (f"{attribute}(n)(x)" if factory else f"{attribute}(x)")
    for dtype in (torch.float32, torch.float64):
        one = found.instance(n, 2, dtype)
        assert one.f(one.x).shape == (2, n)
        assert one.f(one.x).dtype == dtype
        assert len(one.parameters) == {"Fixed": 2, "instance": 2, "power": 0}.get(attribute, 4)


def test_a_factory_of_a_function() -> None:
    one = find("scaled").instance(4, 2)
    assert torch.equal(one.f(one.x), 4 * one.x)


@pytest.mark.parametrize("attribute", ["Fixed", "Sized", "network", "bare"])
def test_weights_are_the_seeds_and_torchs_generator_is_left_alone(attribute: str) -> None:
    found = find(attribute)
    n = 3
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, another = (list(found.instance(n, 2, seed=seed).parameters.values()) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(10)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, another, strict=True))
    single = list(found.instance(n, 2, torch.float32).parameters.values())
    assert all(torch.equal(a, b.double()) for a, b in zip(first, single, strict=True))


def test_an_instance_keeps_its_own_weights() -> None:
    one = find("instance").instance(3, 2, seed=5)
    found = find("instance").function
    assert torch.equal(one.parameters["body.weight"], found.body.weight.double())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{FILE}:OfWidth", f"{FILE}:OfWidth needs width to be made; name an instance, or a factory: "),
        (f"{FILE}:SIZES", f"{FILE}:SIZES is a tuple, neither a Problem nor a function of x"),
        (f"{FILE}:Path", f"{FILE}:Path is a class, and no nn.Module; name an instance of it, or a function of x"),
    ],
)
def test_what_is_nothing_to_differentiate(name: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_problem(name)
    assert str(raised.value).startswith(message)


def test_problem_without_arguments() -> None:
    found = find("bare")
    assert isinstance(found, Problem)
    assert (found.name, found.kind, found.factory, found.sizes) == ("bare", None, True, SIZES)
    assert found.operators == ("divergence", "jacobian_diagonal", "laplacian")
    assert found.instance(3, 2).reference("divergence").source == "dense autograd in float64"
    assert jacstrat.problem is problem


def test_problem_with_all_of_them() -> None:
    found = find("heat")
    assert (found.name, found.operators) == ("heat", ("divergence", "jacobian_diagonal"))
    assert (found.sizes, found.domain, found.structure) == ((2, 5), "[3, 4)^n", "tridiagonal")
    assert (found.formula[:4], found.answer, found.origin) == ("F(x)", "sum exp x_i - 2 n", "Bratu")
    one = found.instance(5, 3)
    assert one.x.min() >= 3
    reference = one.reference("divergence")
    assert reference.source == "closed form in numpy.longdouble"
    expected = torch.func.vmap(torch.func.jacrev(one.f))(one.x).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(torch.from_numpy(reference.diagonal.astype(float)), expected, rtol=1e-14, atol=1e-14)


def test_a_reference_may_take_the_parameters() -> None:
    one = find("linear").instance(3, 2, torch.float32)
    expected = one.parameters["weight"].diagonal().double().tolist()
    assert one.reference("divergence").diagonal.tolist() == [expected, expected]


def test_modules_and_classes_may_be_described() -> None:
    net = Fixed()
    assert problem(net).name == "Fixed"
    assert problem(net, name="mine").function is net
    assert problem(Sized, sizes=(3,)).instance(3, 1).f.body[0].in_features == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "a b"}, "the name of a problem is letters, digits, _, . and -, got 'a b'; give @problem(name=...)"),
        (
            {"name": "f.py:a"},
            "the name of a problem is letters, digits, _, . and -, got 'f.py:a'; give @problem(name=...)",
        ),
        (
            {"kind": "vector"},
            "kind of power must be 'field' or 'scalar', got 'vector'; leave it out to say by operator",
        ),
        ({"structure": "diag"}, "power: unknown structure 'diag'; did you mean diagonal?"),
        ({"reference": 3}, "reference of power must be a function reference(x), got int"),
        ({"points": [1.0]}, "points of power must be a function points(n, batch, rng), got list"),
        ({"sizes": ()}, "sizes of power must be positive integers, rising, such as (2, 4, 8); got ()"),
        ({"sizes": (4, 2)}, "sizes of power must be positive integers, rising, such as (2, 4, 8); got (4, 2)"),
        ({"sizes": (0, 2)}, "sizes of power must be positive integers, rising, such as (2, 4, 8); got (0, 2)"),
        ({"sizes": (True,)}, "sizes of power must be positive integers, rising, such as (2, 4, 8); got (True,)"),
        ({"sizes": 4}, "sizes of power must be positive integers, rising, such as (2, 4, 8); got 4"),
        ({"origin": "a\nb"}, "origin of power must be one line of text, got 'a\\nb'"),
        ({"formula": 3}, "formula of power must be one line of text, got 3"),
    ],
)
def test_a_wrong_description_is_one_line(arguments, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        problem(**arguments)(power)
    assert str(raised.value) == message


def test_what_cannot_be_described() -> None:
    with pytest.raises(UsageError, match="the name of a problem is letters, digits, _, . and -, got '<lambda>'"):
        problem(lambda x: x)
    with pytest.raises(UsageError, match="^int is a int, neither a Problem nor a function of x$"):
        problem(3)
    with pytest.raises(UsageError, match="^OfWidth needs width to be made; "):
        problem(OfWidth)


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        (
            lambda x: x.sum(-1),
            ShapeError,
            "the reference of power must map (2, 3) to (2, 3), the diagonal in each row; got (2,)",
        ),
        (lambda x: x > 0, UsageError, "the reference of power must give numbers, got bool"),
        (lambda x: 1 // 0, UsageError, "the reference of power fails: ZeroDivisionError: "),
    ],
)
def test_a_wrong_reference_is_one_line(reference, error, message: str) -> None:
    with pytest.raises(error) as raised:
        problem(power, reference=reference).instance(3, 2).reference("divergence")
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        (
            lambda n, batch, rng: rng.uniform(size=n),
            ShapeError,
            "points of power must have shape (batch, n) = (2, 3), got (3,)",
        ),
        (
            lambda n, batch, rng: np.full((batch, n), np.inf),
            UsageError,
            "points of power must be finite, got inf at n = 3",
        ),
        (lambda n: n, UsageError, "points of power fail at n = 3, batch = 2: TypeError: "),
    ],
)
def test_wrong_points_are_one_line(points, error, message: str) -> None:
    with pytest.raises(error) as raised:
        problem(power, points=points).instance(3, 2)
    assert str(raised.value).startswith(message)
