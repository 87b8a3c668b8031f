"""The divergences of the stencils, simplified, against the sums of their diagonals; and what the stencils conserve."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import jacrev, jvp

from jacstrat.problems import PROBLEMS
from jacstrat.problems.stencils import STENCILS, VISCOSITY

Weights = Mapping[str, np.ndarray]


def graph_diffusion(x: np.ndarray, w: Weights) -> np.ndarray:
    n = x.shape[-1]
    edges = [(s, (s + 1) % n) for s in range(n)] + [(s, (2 * s + 1) % n) for s in range(n - 1)]
    slopes = [k * (1 - np.tanh(x[:, t] - x[:, s]) ** 2) for k, (s, t) in zip(w["k"], edges, strict=True)]
    return -2 * sum(slopes, np.zeros(len(x), np.longdouble))


def convolution(x: np.ndarray, w: Weights) -> np.ndarray:
    n, total = x.shape[-1], np.zeros(len(x), np.longdouble)
    for c in range(8):
        for m in range(n):
            z = w["b"][c] + sum(w["A"][c, 0, k] * x[:, (m + k - 1) % n] for k in range(3))
            # Unit m takes x_{m+k-1} by A_k and gives it back by C_{2-k}.
            total = total + (1 - np.tanh(z) ** 2) * sum(w["A"][c, 0, k] * w["C"][0, c, 2 - k] for k in range(3))
    return total


DIVERGENCES: dict[str, Callable[[np.ndarray, Weights], np.ndarray]] = {
    "lorenz96": lambda x, w: np.full(len(x), -np.longdouble(x.shape[-1])),
    "bratu": lambda x, w: (np.exp(x) - 2).sum(-1),
    "burgers": lambda x, w: np.full(len(x), -2 * x.shape[-1] * np.longdouble(VISCOSITY)),
    "bratu_2d": lambda x, w: (np.exp(x) - 4).sum(-1),
    "graph_diffusion": graph_diffusion,
    "convolution": convolution,
}


def test_every_stencil_has_a_divergence_here() -> None:
    assert list(DIVERGENCES) == [problem.name for problem in STENCILS]


@pytest.mark.parametrize("name", DIVERGENCES)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(4, 24), seed=st.integers(0, 2**32))
def test_divergence_is_the_simplified_one(name: str, n: int, seed: int) -> None:
    n = (n % 4 + 1) ** 2 if name == "bratu_2d" else n
    instance = PROBLEMS[name].instance(n, batch=3, seed=seed)
    reference = instance.reference("divergence")
    weights = {key: value.detach().numpy().astype(np.longdouble) for key, value in instance.parameters.items()}
    expected = DIVERGENCES[name](instance.x.numpy().astype(np.longdouble), weights)
    assert expected.dtype == np.longdouble
    error = np.abs(reference.value("divergence") - expected)
    # 1: the products that convolution adds up, of either sign, are larger than their sum.
    assert (error <= 64 * np.finfo(np.longdouble).eps * (1 + reference.scale("divergence"))).all()


def test_a_few_numbers_by_hand() -> None:
    def diagonal(name: str, *x: float, **weights: list) -> list[float]:
        function = PROBLEMS[name].diagonal
        assert function is not None
        return function(np.array([x]), **{key: np.array(w) for key, w in weights.items()}).tolist()[0]

    assert diagonal("lorenz96", 1, 2, 3, 4) == [-1, -1, -1, -1]
    assert diagonal("bratu", 0, 0) == [-1, -1]
    assert diagonal("burgers", 1, 2, 4) == pytest.approx([1 - 0.02, -1.5 - 0.02, 0.5 - 0.02], abs=1e-15)
    assert diagonal("bratu_2d", 0, 0, 0, 0) == [-3, -3, -3, -3]
    # Edges 0-1, 1-2, 2-0 around and 0-1, 1-0 to the double; tanh'(0) = 1.
    assert diagonal("graph_diffusion", 5, 5, 5, k=[1, 2, 4, 8, 16]) == [-(1 + 4 + 8 + 16), -(1 + 2 + 8 + 16), -(2 + 4)]
    one = {"A": [[[2, 3, 5]]], "b": [0], "C": [[[7, 11, 13]]], "e": [0]}
    assert diagonal("convolution", 0, 0, 0, **one) == [2 * 13 + 3 * 11 + 5 * 7] * 3


def test_values_by_hand() -> None:
    def value(name: str, *x: float, **weights: list) -> list[float]:
        tensors = {key: torch.tensor(w, dtype=torch.float64) for key, w in weights.items()}
        return PROBLEMS[name].function(torch.tensor(x, dtype=torch.float64), **tensors).tolist()

    # i = 1: (x_2 - x_4)(x_5) - x_1 + 8.
    assert value("lorenz96", 1, 2, 4, 7, 11) == [
        (2 - 7) * 11 - 1 + 8,
        (4 - 11) * 1 - 2 + 8,
        (7 - 1) * 2 - 4 + 8,
        (11 - 2) * 4 - 7 + 8,
        (1 - 4) * 7 - 11 + 8,
    ]
    assert value("bratu", 0, 0) == [1, 1]
    assert value("bratu", 0) == [1]
    assert value("burgers", 1, 2, 4) == pytest.approx(
        [-1 * (2 - 4) / 2 + 0.01 * 4, -2 * (4 - 1) / 2 + 0.01, -4 * (1 - 2) / 2 - 0.01 * 5]
    )
    assert value("bratu_2d", *[0] * 9) == [1] * 9
    # A grid of two by two, each node with two neighbours.
    grid = value("bratu_2d", 1, 2, 3, 5)
    assert grid == pytest.approx([np.e + 1, np.exp(2) - 2, np.exp(3) - 6, np.exp(5) - 15])
    tanh = np.tanh(1)
    assert value("graph_diffusion", 1, 0, 0, k=[1, 0, 0, 0, 0]) == pytest.approx([-tanh, tanh, 0])
    assert value("graph_diffusion", 0, 0, 1, k=[0, 0, 1, 0, 0]) == pytest.approx([tanh, 0, -tanh])
    one = {"A": [[[0, 0, 1]]], "b": [0], "C": [[[1, 0, 0]]], "e": [3]}
    # A looks ahead, C back, and both go around.
    assert value("convolution", 1, 0, 0, **one) == pytest.approx([3 + tanh, 3, 3])
    assert value("convolution", 1, 0, 0, **one | {"C": [[[0, 1, 0]]]}) == pytest.approx([3, 3, 3 + tanh])


def test_what_flows_out_of_one_node_flows_into_another() -> None:
    instance = PROBLEMS["graph_diffusion"].instance(17, batch=4)
    torch.testing.assert_close(instance.f(instance.x).sum(-1), torch.zeros(4, dtype=torch.float64))
    J = jacrev(instance.f)(instance.x[0]).detach()
    torch.testing.assert_close(J, J.T)
    torch.testing.assert_close(J.sum(0), torch.zeros(17, dtype=torch.float64), rtol=0, atol=1e-14)


def test_a_convolution_moves_with_the_ring() -> None:
    instance = PROBLEMS["convolution"].instance(9, batch=2)
    torch.testing.assert_close(instance.f(instance.x.roll(2, -1)), instance.f(instance.x).roll(2, -1))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_thousands_of_coordinates(name: str) -> None:
    problem = PROBLEMS[name]
    assert problem.sizes[-1] == 4096
    instance = problem.instance(4096, batch=1)
    diagonal = instance.reference("divergence").diagonal[0]
    assert diagonal.shape == (4096,)
    for i in (0, 1, 63, 64, 2047, 4094, 4095):
        e = torch.zeros(1, 4096, dtype=torch.float64)
        e[0, i] = 1
        product = jvp(instance.f, (instance.x,), (e,))[1][0].tolist()
        assert product[i] == pytest.approx(float(diagonal[i]), rel=1e-13, abs=1e-13)
