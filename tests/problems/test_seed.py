"""The facts of the post, and the one where its identity cotangent misleads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import grad, jacrev, vmap

from jacstrat.problems import PROBLEMS


def test_sine_starts_at_the_grid_of_the_post() -> None:
    for name in ("sin", "sin_sum"):
        x = PROBLEMS[name].instance(1001, batch=3).x
        assert torch.equal(x[0], torch.from_numpy(np.linspace(0, 1, 1001)))
        assert x[0, [0, 1, 500, 1000]].tolist() == [0.0, 0.001, 0.5, 1.0]
        assert x[1:].min() >= 0
        assert x[1:].max() < 1
        assert not torch.equal(x[1], x[2])


def test_sine_of_one_variable_is_the_point_zero_of_the_post() -> None:
    field, scalar = PROBLEMS["sin"].instance(1, batch=1), PROBLEMS["sin_sum"].instance(1, batch=1)
    assert field.x.tolist() == [[0.0]]
    assert field.reference("divergence").value("divergence").tolist() == [1]
    assert scalar.reference("laplacian").value("laplacian").tolist() == [0]


def test_divergence_of_sine_on_the_grid() -> None:
    # sum cos(k h) over k = 0..1000, h = 1/1000, is sin(1001 h/2) cos(1/2) / sin(h/2).
    h = np.longdouble(1) / 1000
    expected = np.sin(1001 * h / 2) * np.cos(np.longdouble(0.5)) / np.sin(h / 2)
    reference = PROBLEMS["sin"].instance(1001, batch=1).reference("divergence")
    # The grid is rounded to float64.
    assert abs(reference.value("divergence")[0] - expected) < 1e-13
    lap = PROBLEMS["sin_sum"].instance(1001, batch=1).reference("laplacian").value("laplacian")[0]
    assert abs(lap + np.sin(1001 * h / 2) * np.sin(np.longdouble(0.5)) / np.sin(h / 2)) < 1e-13


def test_autograd_of_sine_is_exact() -> None:
    x = PROBLEMS["sin"].instance(1001, batch=1).x
    (slope,) = torch.func.vjp(PROBLEMS["sin"].function, x)[1](torch.ones_like(x))
    assert torch.equal(slope, torch.cos(x))


def test_product_has_partials_5_and_8_and_laplacian_2() -> None:
    instance = PROBLEMS["seed_product"].instance(2, batch=2)
    assert instance.x[0].tolist() == [1.0, 2.0]
    assert grad(instance.f)(instance.x[0]).tolist() == [5.0, 8.0]
    reference = instance.reference("laplacian")
    assert reference.diagonal.tolist() == [[0, 2], [0, 2]]
    assert reference.value("laplacian").tolist() == [2, 2]


def test_squared_norm_has_divergence_of_gradient_6_by_ones_and_by_identity() -> None:
    instance = PROBLEMS["squared_norm"].instance(3, batch=1)
    assert instance.x.tolist() == [[1.0, 1.0, 1.0]]
    H = jacrev(grad(instance.f))(instance.x[0])
    assert float(H.sum()) == 6
    assert float(H.trace()) == 6
    assert instance.reference("laplacian").value("laplacian").tolist() == [6]


def test_coupled_has_trace_62_where_ones_gives_92() -> None:
    instance = PROBLEMS["seed_coupled"].instance(3, batch=2)
    assert instance.x[0].tolist() == [1.0, 1.0, 1.0]
    x = instance.x[:1].requires_grad_()
    (by_ones,) = torch.autograd.grad(instance.f(x), x, torch.ones(1, 3, dtype=torch.float64))
    assert float(by_ones.sum()) == 92
    reference = instance.reference("divergence")
    assert reference.diagonal[0].tolist() == [7, 20, 35]
    assert reference.value("divergence")[0] == 62


def test_coupled_takes_the_eye_for_the_ones_where_shapes_are_summed() -> None:
    # libtorch sums a (3, 3) cotangent to the output's shape (3,); Python refuses it.
    instance = PROBLEMS["seed_coupled"].instance(3, batch=1)
    x = instance.x[0].requires_grad_()
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.equal(eye.sum(0), torch.ones(3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        torch.autograd.grad(instance.f(x), x, eye)
    (rows,) = torch.autograd.grad(instance.f(x), x, eye, is_grads_batched=True)
    assert float(rows.trace()) == 62


def test_other_rows_vary_about_the_origin() -> None:
    for name, n in (("seed_product", 2), ("seed_coupled", 3), ("squared_norm", 4)):
        x = PROBLEMS[name].instance(n, batch=200).x[1:]
        assert -1 <= float(x.min()) < -0.9
        assert 0.9 < float(x.max()) < 1


def test_sum_of_the_coupled_jacobian_is_that_of_ones_in_every_row() -> None:
    instance = PROBLEMS["seed_coupled"].instance(3, batch=4)
    J = vmap(jacrev(instance.f))(instance.x).detach()
    A = instance.parameters["A"].detach()
    # J_ij = A_ij x_i + (A x)_i [i = j]: its entries add up to twice the sum of A x, its trace does not.
    torch.testing.assert_close(J.sum((1, 2)), (instance.x @ A.T + instance.x * A.sum(1)).sum(1))
