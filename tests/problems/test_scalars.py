"""The Laplacians of the scalars, simplified, against the sums of their diagonals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.problems import PROBLEMS
from jacstrat.problems.bodies import BODIES
from jacstrat.problems.scalars import SCALARS

Weights = Mapping[str, np.ndarray]
PI = np.longdouble(math.pi)


def r2(x: np.ndarray) -> np.ndarray:
    return (x**2).sum(-1)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def gaussian(x: np.ndarray, w: Weights) -> np.ndarray:
    n = x.shape[-1]
    a = np.longdouble(1) / (2 * n)
    return (4 * a**2 * r2(x) - 2 * a * n) * np.exp(-a * r2(x))


def exponential(x: np.ndarray, w: Weights) -> np.ndarray:
    r = np.sqrt(r2(x))
    return (1 - (x.shape[-1] - 1) / r) * np.exp(-r)


def rosenbrock(x: np.ndarray, w: Weights) -> np.ndarray:
    return (1200 * x[:, :-1] ** 2 - 400 * x[:, 1:] + 202).sum(-1)


def two_body(x: np.ndarray, w: Weights) -> np.ndarray:
    c, a, b = w["c"], x[:, :-1], x[:, 1:]
    p = a + np.cos(b) + b * np.cos(a)
    p_a, p_b = 1 - b * np.sin(a), np.cos(a) - np.sin(b)
    p_aa, p_bb = -b * np.cos(a), -np.cos(b)
    lap = (c * (np.cos(p) * (p_aa + p_bb) - np.sin(p) * (p_a**2 + p_b**2))).sum(-1)
    radial = (c * np.cos(p) * (a * p_a + b * p_b)).sum(-1)
    return (1 - r2(x)) * lap - 4 * radial - 2 * x.shape[-1] * (c * np.sin(p)).sum(-1)


def three_body(x: np.ndarray, w: Weights) -> np.ndarray:
    a, b, d = x[:, :-2], x[:, 1:-1], x[:, 2:]
    e = w["c"] * np.exp(a * b * d)
    lap = (e * ((b * d) ** 2 + (a * d) ** 2 + (a * b) ** 2)).sum(-1)
    return (1 - r2(x)) * lap - 4 * (3 * e * a * b * d).sum(-1) - 2 * x.shape[-1] * e.sum(-1)


LAPLACIANS: dict[str, Callable[[np.ndarray, Weights], np.ndarray]] = {
    "sine_product": lambda x, w: -x.shape[-1] * PI**2 * np.sin(PI * x).prod(-1),
    "cosine_sum": lambda x, w: -(PI**2) * np.cos(PI * x).sum(-1),
    "bilinear": lambda x, w: np.zeros_like(x[:, 0]),
    "log_quadratic": lambda x, w: 2 * x.shape[-1] / (1 + r2(x)) - 4 * r2(x) / (1 + r2(x)) ** 2,
    "gaussian": gaussian,
    "logsumexp": lambda x, w: 1 - (softmax(x) ** 2).sum(-1),
    "quadratic": lambda x, w: np.full(len(x), 2 * np.trace(w["A"])),
    "rosenbrock": rosenbrock,
    "exponential": exponential,
    "inverse_distance": lambda x, w: (3 - x.shape[-1]) / np.sqrt(r2(x)) ** 3,
    "two_body": two_body,
    "three_body": three_body,
}


def test_every_scalar_has_a_laplacian_here() -> None:
    assert list(LAPLACIANS) == [problem.name for problem in (*SCALARS, *BODIES)]


@pytest.mark.parametrize("name", LAPLACIANS)
@settings(max_examples=25, deadline=None)
@given(half=st.integers(2, 12), seed=st.integers(0, 2**32))
def test_laplacian_is_the_simplified_one(name: str, half: int, seed: int) -> None:
    # bilinear has even n only; the others have odd n as well.
    n = 2 * half if name == "bilinear" else 2 * half - 1 + seed % 2
    instance = PROBLEMS[name].instance(n, batch=3, seed=seed)
    reference = instance.reference("laplacian")
    weights = {key: value.detach().numpy().astype(np.longdouble) for key, value in instance.parameters.items()}
    expected = LAPLACIANS[name](instance.x.numpy().astype(np.longdouble), weights)
    assert expected.dtype == np.longdouble
    error = np.abs(reference.value("laplacian") - expected)
    # The terms of either formula are larger than what they add up to; the coefficients c say by how much at most.
    terms = reference.scale("laplacian") + 2 * n * sum(np.abs(c).sum() for key, c in weights.items() if key == "c")
    assert (error <= 64 * np.finfo(np.longdouble).eps * terms).all()


def test_inverse_distance_is_harmonic_in_three_dimensions() -> None:
    reference = PROBLEMS["inverse_distance"].instance(3, batch=20).reference("laplacian")
    scale = reference.scale("laplacian")
    assert (np.abs(reference.value("laplacian")) <= 16 * np.finfo(np.longdouble).eps * scale).all()
    assert scale.min() > 0.1


def test_a_few_numbers_by_hand() -> None:
    def diagonal(name: str, *x: float) -> list[float]:
        function = PROBLEMS[name].diagonal
        assert function is not None
        return function(np.array([x])).tolist()[0]

    assert diagonal("log_quadratic", 1, 0) == [2 / 2 - 4 / 4, 2 / 2]
    assert diagonal("rosenbrock", 1, 1) == [802, 200]
    assert diagonal("rosenbrock", 1, 2, 3) == [1200 - 800 + 2, 200 + 4800 - 1200 + 2, 200]
    assert diagonal("inverse_distance", 2, 0) == [2 / 8, -1 / 8]
    assert diagonal("bilinear", 5, 7) == [0, 0]
    assert diagonal("exponential", 2, 0) == pytest.approx([math.exp(-2), -math.exp(-2) / 2], rel=1e-15)
    assert diagonal("sine_product", 0.5) == pytest.approx([-(math.pi**2)], rel=1e-15)
    assert diagonal("gaussian", 0, 0) == [-0.5, -0.5]


def test_values_by_hand() -> None:
    def value(name: str, *x: float, **weights: list) -> float:
        tensors = {key: torch.tensor(w, dtype=torch.float64) for key, w in weights.items()}
        return float(PROBLEMS[name].function(torch.tensor(x, dtype=torch.float64), **tensors))

    assert value("bilinear", 2, 3, 5, 7) == 41
    assert value("rosenbrock", 1, 1, 1) == 0
    assert value("rosenbrock", 0, 2) == 401
    assert value("inverse_distance", 3, 4) == pytest.approx(0.2, rel=1e-15)
    assert value("exponential", 3, 4) == pytest.approx(math.exp(-5), rel=1e-15)
    assert value("quadratic", 1, 2, A=[[1, 2], [3, 4]]) == 1 + 4 + 6 + 16
    assert value("two_body", 0, 0, c=[2]) == pytest.approx(2 * math.sin(1), rel=1e-15)
    assert value("three_body", 0, 0, 0.5, 0, c=[2, 3]) == pytest.approx(0.75 * 5, rel=1e-15)


def test_points_lie_in_their_domains() -> None:
    for n in (3, 40):
        r = {name: PROBLEMS[name].instance(n, batch=200).x.norm(dim=-1) for name in ("exponential", "inverse_distance")}
        assert all(0.5 <= float(v.min()) < float(v.max()) <= 1.5 for v in r.values())
        assert all(
            float(PROBLEMS[name].instance(n, 200).x.norm(dim=-1).max()) < 1 for name in ("two_body", "three_body")
        )
        x = PROBLEMS["sine_product"].instance(n, batch=200).x
        assert float((x - 0.5).abs().max()) <= 0.5 / math.sqrt(n)
    assert float(PROBLEMS["exponential"].instance(8, batch=50).x.min()) < 0


def test_coefficients_have_one_entry_a_term() -> None:
    for name, terms in (("two_body", 7), ("three_body", 6)):
        (c,) = PROBLEMS[name].instance(8, batch=1).parameters.values()
        assert c.shape == (terms,)
        assert len(set(c.tolist())) == terms


def test_numbers_are_pinned() -> None:
    x = PROBLEMS["exponential"].instance(2, batch=1).x
    assert x.tolist() == [[0.9047272750017081, 0.4343587961224738]]
    c = PROBLEMS["two_body"].instance(4, batch=1).parameters["c"]
    assert c.tolist() == pytest.approx([0.1257302210933933, -0.1321048632913019, 0.6404226504432821], rel=1e-15)
