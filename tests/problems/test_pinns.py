"""The networks of physics-informed learning: what they solve, and the shapes and bounds of their weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from jacstrat.problems import PROBLEMS

EPS = np.finfo(np.longdouble).eps


@pytest.mark.parametrize("name", ["pinn_tanh", "pinn_sine"])
def test_vanishes_on_the_unit_sphere_and_not_inside(name: str) -> None:
    instance = PROBLEMS[name].instance(5, batch=8)
    on_sphere = instance.x / instance.x.norm(dim=-1, keepdim=True)
    assert float(instance.f(on_sphere).detach().abs().max()) < 1e-14
    assert float(instance.x.norm(dim=-1).max()) < 1
    assert float(instance.f(instance.x).detach().abs().min()) > 1e-6


@pytest.mark.parametrize("name", ["pinn_tanh", "pinn_sine"])
def test_with_a_constant_network_it_is_the_solution_of_its_equation(name: str) -> None:
    problem = PROBLEMS[name]
    instance = problem.instance(6, batch=3)
    weights = {key: value.detach().numpy() for key, value in instance.parameters.items()}
    last = len(weights) // 2
    weights |= {f"W{last}": 0 * weights[f"W{last}"], f"b{last}": np.ones(1)}
    assert problem.diagonal is not None
    assert problem.diagonal(instance.x.numpy(), **weights).sum(-1).tolist() == [-12.0] * 3
    u = problem.function(instance.x, **{key: torch.from_numpy(value) for key, value in weights.items()})
    torch.testing.assert_close(u, 1 - instance.x.square().sum(-1))


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_plane_waves_solve_the_equation_of_helmholtz(n: int) -> None:
    instance = PROBLEMS["plane_waves"].instance(n, batch=4)
    u = instance.f(instance.x).detach().numpy()
    laplacian = instance.reference("laplacian").value("laplacian")
    assert np.abs(laplacian + 16 * u).max() <= 1e-13 * 16
    W = instance.parameters["W"].detach()
    torch.testing.assert_close(W.norm(dim=-1), torch.full((64,), 4.0, dtype=torch.float64), rtol=1e-14, atol=0)


def test_the_sines_are_as_fast_as_their_bounds() -> None:
    w = {key: value.detach() for key, value in PROBLEMS["pinn_sine"].instance(3, batch=1).parameters.items()}
    assert {key: tuple(value.shape) for key, value in w.items()} == {
        "W1": (64, 3), "b1": (64,), "W2": (64, 64), "b2": (64,), "W3": (1, 64), "b3": (1,),
    }  # fmt: skip
    for key, bound in (("W1", 10.0), ("W2", math.sqrt(6 / 64)), ("b1", math.pi), ("b2", math.pi)):
        assert 0.9 * bound < float(w[key].abs().max()) < bound


def test_numbers_are_pinned() -> None:
    # Uniform draws are the same everywhere; a product of two doubles is, too.
    W = PROBLEMS["pinn_sine"].instance(2, batch=1).parameters["W1"]
    assert W[0].tolist() == [4.108850619643629, -6.90639858708389]
    c = PROBLEMS["plane_waves"].instance(2, batch=1).parameters["c"]
    assert c[:2].tolist() == pytest.approx([0.13585384809604542, -0.006325507888917801], rel=1e-14)
