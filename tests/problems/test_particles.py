"""The lattice, the pair potential by its pairs, and what both wavefunction and potential are symmetric in."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.problems import PROBLEMS
from jacstrat.problems.particles import lattice


def distances(x: np.ndarray) -> list[np.ndarray]:
    r = x.reshape(len(x), -1, 3)
    return [np.sqrt(((r[:, i] - r[:, j]) ** 2).sum(-1)) for i, j in combinations(range(r.shape[1]), 2)]


def test_lattice_is_centred_and_fills_the_smallest_cube() -> None:
    assert lattice(2, 4.0).tolist() == [[-2, -2, -2], [2, -2, -2]]
    assert sorted(map(tuple, lattice(8, 2.0).tolist())) == [
        (a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)
    ]
    assert lattice(9, 1.0).max() == 1
    assert len(set(map(tuple, lattice(64, 1.0).tolist()))) == 64


@pytest.mark.parametrize(("name", "nearest"), [("lennard_jones", 1.25 - 0.2), ("wavefunction", 1.5 - 0.8)])
def test_no_two_particles_are_near(name: str, nearest: float) -> None:
    for n in (6, 24, 96):
        x = PROBLEMS[name].instance(n, batch=50).x.numpy()
        assert min(d.min() for d in distances(x)) > nearest
    assert not np.array_equal(x[0], x[1])


@settings(max_examples=20, deadline=None)
@given(N=st.integers(2, 9), seed=st.integers(0, 2**32))
def test_laplacian_is_that_of_the_pairs(N: int, seed: int) -> None:
    instance = PROBLEMS["lennard_jones"].instance(3 * N, batch=2, seed=seed)
    reference = instance.reference("laplacian")
    # f'' + 2 f'/r of f = 4 (r^-12 - r^-6), for each of the two.
    r = distances(instance.x.numpy().astype(np.longdouble))
    expected = sum((8 * (132 / d**14 - 30 / d**8) for d in r), np.zeros(2, np.longdouble))
    error = np.abs(reference.value("laplacian") - expected)
    assert (error <= 64 * np.finfo(np.longdouble).eps * reference.scale("laplacian")).all()


def test_two_particles_by_hand() -> None:
    function = PROBLEMS["lennard_jones"].function
    one, two = torch.tensor([0.0, 0, 0, 1, 0, 0]), torch.tensor([0.0, 0, 0, 0, 2, 0])
    assert function(one).item() == 0
    assert function(two).item() == pytest.approx(4 * (2.0**-12 - 2.0**-6))
    at_the_bottom = torch.tensor([0.0, 0, 0, 0, 0, 2 ** (1 / 6)], dtype=torch.float64)
    assert function(at_the_bottom).item() == pytest.approx(-1, rel=1e-14)


@pytest.mark.parametrize("name", ["lennard_jones", "wavefunction"])
def test_particles_are_alike(name: str) -> None:
    instance = PROBLEMS[name].instance(12, batch=3)
    order = torch.tensor([2, 0, 3, 1])
    swapped = instance.x.unflatten(-1, (4, 3))[:, order].flatten(-2)
    torch.testing.assert_close(instance.f(swapped), instance.f(instance.x), rtol=1e-12, atol=1e-12)


def test_moving_all_particles_changes_the_potential_not_and_the_wavefunction_does() -> None:
    moved = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64).repeat(4)
    for name, alike in (("lennard_jones", True), ("wavefunction", False)):
        instance = PROBLEMS[name].instance(12, batch=3)
        difference = (instance.f(instance.x + moved) - instance.f(instance.x)).abs().detach()
        assert (float(difference.max()) < 1e-12) == alike


def test_the_wavefunction_is_no_product_of_orbitals() -> None:
    # Pairs, attention and determinant couple the electrons: every mixed derivative is there.
    instance = PROBLEMS["wavefunction"].instance(9, batch=1)
    H = torch.func.hessian(instance.f)(instance.x[0]).detach()
    assert float(H[:3, 3:6].abs().min()) > 1e-5


def test_numbers_are_pinned() -> None:
    x = PROBLEMS["lennard_jones"].instance(6, batch=1).x
    assert x[0, :2].tolist() == [
        -0.5470522417443732,
        -0.6135723899587547,
    ]
    w = PROBLEMS["wavefunction"].instance(6, batch=1).parameters
    assert w["decay"].tolist() == [1.345842344486901, 1.4276783672292443]
    assert w["nuclei"].tolist() == [[-0.75, -0.75, -0.75], [0.75, -0.75, -0.75]]
