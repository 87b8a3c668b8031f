"""The terms of partial differential equations: what each is for, beside the tests of all problems."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jacstrat import PROBLEMS, UsageError, divergence, laplacian, value_gradient_laplacian
from jacstrat.problems.equations import VISCOSITY


def test_the_weight_of_the_heat_equation_is_full_symmetric_and_positive() -> None:
    one = PROBLEMS["heat"].instance(6, 2)
    assert one.weight.shape == (6, 6)
    assert torch.equal(one.weight, one.weight.T)
    assert float(torch.linalg.eigvalsh(one.weight)[0]) >= 1
    single = PROBLEMS["heat"].instance(6, 2, torch.float32)
    assert torch.equal(single.weight, one.weight.float())
    assert not torch.equal(PROBLEMS["heat"].instance(6, 2, seed=1).weight, one.weight)


def test_the_weight_of_fokker_planck_is_another_at_each_point() -> None:
    one = PROBLEMS["fokker_planck"].instance(4, 3)
    A = one.weight(one.x)
    assert A.shape == (3, 4, 4)
    assert torch.equal(A[0], A[0].T)
    assert not torch.equal(A[0], A[1])
    direct = laplacian(one.f, one.x, weight=one.weight)
    expected = one.reference("laplacian:weight=own").value("laplacian").astype(float)
    assert direct.tolist() == pytest.approx(expected.tolist(), rel=1e-13)


def test_poisson_is_the_divergence_of_a_times_the_gradient() -> None:
    one = PROBLEMS["poisson"].instance(5, 3)
    W1, b1, W2 = (one.parameters[name].detach() for name in ("W1", "b1", "W2"))

    def u(x):
        return torch.tanh(x @ W1.T + b1) @ W2[0]

    a = 1 + one.x.square().mean(-1) / 2
    slopes = torch.func.vmap(torch.func.grad(u))(one.x)
    expected = a * laplacian(u, one.x) + (one.x / 5 * slopes).sum(-1)
    torch.testing.assert_close(divergence(one.f, one.x).detach(), expected, rtol=1e-12, atol=1e-12)


def test_the_vortices_of_taylor_and_green_solve_navier_stokes() -> None:
    one = PROBLEMS["taylor_green"].instance(3, 8)
    # u_t + (u . grad) u + grad p - nu lap u = 0 for both velocities, lap over space alone.
    J = torch.func.vmap(torch.func.jacfwd(one.f))(one.x)
    velocity = one.value()[:, :2]
    for i in (0, 1):
        viscous = VISCOSITY * laplacian(lambda x, i=i: one.f(x)[..., i], one.x, coordinates=(0, 1))
        residual = J[:, i, 2] + (J[:, i, :2] * velocity).sum(-1) + J[:, 2, i] - viscous
        assert residual.abs().max() < 1e-14
    reference = one.reference("divergence:coordinates=0+1")
    assert np.abs(reference.value("divergence")).max() == 0
    assert reference.scale("divergence").min() > 0
    assert reference.cancellation("divergence") == np.inf


def test_the_soliton_solves_korteweg_de_vries() -> None:
    one = PROBLEMS["korteweg_de_vries"].instance(2, 8)
    assert divergence(one.f, one.x).detach().abs().max() < 1e-13
    along_x = one.reference("divergence:coordinates=0").value("divergence")
    assert np.abs(along_x).min() > 1e-3
    u_t = divergence(one.f, one.x, coordinates=(1,)).detach().numpy()
    assert np.abs(along_x + u_t).max() < 1e-13


def test_a_plate_bends_by_the_laplacian_of_the_laplacian() -> None:
    one = PROBLEMS["plate"].instance(3, 4)
    twice = laplacian(lambda x: laplacian(one.f, x, "identity"), one.x, "identity").detach().numpy()
    reference = one.reference("bilaplacian")
    assert reference.source == "closed form in numpy.longdouble"
    assert twice == pytest.approx(reference.value("bilaplacian").astype(float), rel=1e-11)


def test_log_psi_has_the_kinetic_energy_of_psi() -> None:
    one = PROBLEMS["log_psi"].instance(9, 4)

    def psi(x):
        return torch.exp(one.f(x))

    expected = -(laplacian(psi, one.x, "identity") / psi(one.x) / 2).detach()
    for strategy in ("auto", "identity", "jvp", "taylor"):
        _, slope, second = value_gradient_laplacian(one.f, one.x, strategy)
        torch.testing.assert_close(-(second + slope.square().sum(-1)).detach() / 2, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_kinetic_energy_of_an_exponential(n: int) -> None:
    a, x = 1.3, torch.rand(5, n, dtype=torch.float64) + 0.2
    length = x.norm(dim=-1)
    _, slope, second = value_gradient_laplacian(lambda x: -a * x.square().sum(-1).sqrt(), x)
    torch.testing.assert_close(second + slope.square().sum(-1), a**2 - (n - 1) * a / length, rtol=1e-12, atol=1e-12)


def test_a_problem_without_a_weight_says_so() -> None:
    with pytest.raises(UsageError) as raised:
        PROBLEMS["sin_sum"].instance(3, 1).operator("laplacian:weight=own")
    assert str(raised.value) == (
        "sin_sum names no weight for laplacian:weight=own; give numbers, weight=1+2, or Problem(weight=...)"
    )
