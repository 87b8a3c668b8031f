"""The networks: shapes of their weights, and their traces by the formulas that never form a diagonal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import grad, vmap

from jacstrat.problems import PROBLEMS, Instance


def wide(instance: Instance) -> dict[str, np.ndarray]:
    return {key: value.detach().numpy().astype(np.longdouble) for key, value in instance.parameters.items()}


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("tanh_field", {"W1": (64, 5), "b1": (64,), "W2": (64, 64), "b2": (64,), "W3": (5, 64), "b3": (5,)}),
        (
            "tanh_scalar",
            {"W1": (64, 5), "b1": (64,), "W2": (64, 64), "b2": (64,), "W3": (64, 64), "b3": (64,)}
            | {"W4": (1, 64), "b4": (1,)},
        ),
    ],
)
def test_weights_have_the_shapes_of_linear_layers(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    parameters = PROBLEMS[name].instance(5, batch=1).parameters
    assert {key: tuple(value.shape) for key, value in parameters.items()} == shapes
    assert all(value.requires_grad for value in parameters.values())
    assert float(parameters["W2"].detach().std()) == pytest.approx(1 / 8, rel=0.05)
    assert float(parameters["W1"].detach().std()) == pytest.approx(1 / np.sqrt(5), rel=0.15)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_divergence_by_the_cyclic_trace(n: int, seed: int) -> None:
    instance = PROBLEMS["tanh_field"].instance(n, batch=2, seed=seed)
    w, x = wide(instance), instance.x.numpy().astype(np.longdouble)
    a1 = np.tanh(x @ w["W1"].T + w["b1"])
    a2 = np.tanh(a1 @ w["W2"].T + w["b2"])
    # tr(W3 D2 W2 D1 W1) = s'(z2)^T (W2 * (W1 W3)^T) s'(z1).
    expected = np.einsum("bj,jk,bk->b", 1 - a2**2, w["W2"] * (w["W1"] @ w["W3"]).T, 1 - a1**2)
    reference = instance.reference("divergence")
    error = np.abs(reference.value("divergence") - expected)
    # The sums run over 64^2 products of either sign, which add up to less than their size.
    assert (error <= 1024 * np.finfo(np.longdouble).eps * np.maximum(1, reference.scale("divergence"))).all()


def test_laplacian_by_differences_of_the_gradient() -> None:
    instance = PROBLEMS["tanh_scalar"].instance(4, batch=3)
    slope, h = vmap(grad(instance.f)), 1e-5
    rows = [
        (slope(instance.x + h * e) - slope(instance.x - h * e)) / (2 * h) for e in torch.eye(4, dtype=torch.float64)
    ]
    expected = torch.stack(rows, 1).diagonal(dim1=1, dim2=2).detach().numpy()
    assert np.abs(instance.reference("laplacian").diagonal - expected).max() < 1e-9


def test_without_curvature_the_laplacian_is_zero() -> None:
    # tanh''(0) = 0: at x = 0 without biases every layer is at its point of inflection.
    instance = PROBLEMS["tanh_scalar"].instance(3, batch=1)
    w = {key: value * 0 if key.startswith("b") else value for key, value in wide(instance).items()}
    function = instance.problem.diagonal
    assert function is not None
    assert (function(np.zeros((1, 3), np.longdouble), **w) == 0).all()
    assert np.abs(instance.reference("laplacian").diagonal).min() > 1e-6


def test_slope_keeps_its_digits_where_tanh_saturates() -> None:
    # One unit a layer and z_1 = 20, where 1 - tanh(20)^2 = 1.7e-17 has few digits left even in longdouble.
    function = PROBLEMS["tanh_field"].diagonal
    assert function is not None
    one, zero = np.ones((1, 1), np.longdouble), np.zeros(1, np.longdouble)
    (value,) = function(20 * one[0], W1=one, b1=zero, W2=one, b2=zero, W3=one, b3=zero)
    z1, e = np.longdouble(20), np.exp(np.longdouble(-20))
    expected = (2 * e / (1 + e**2)) ** 2 / np.cosh(np.tanh(z1)) ** 2
    assert abs(value / expected - 1) <= 64 * np.finfo(np.longdouble).eps
