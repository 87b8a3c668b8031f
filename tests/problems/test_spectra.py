"""The spectra are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jacstrat import PROBLEMS


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_eigenvalues_of_decaying_are_inverse_squares_whatever_the_seed(n: int) -> None:
    for seed in (0, 1):
        instance = PROBLEMS["decaying"].instance(n, 1, seed=seed)
        H = torch.func.hessian(instance.f)(instance.x[0]).detach().numpy()
        np.testing.assert_allclose(np.linalg.eigvalsh(H)[::-1], 1 / np.arange(1, n + 1) ** 2.0, atol=1e-14)
        assert instance.reference("laplacian").value("laplacian")[0] == pytest.approx(
            sum(1 / i**2 for i in range(1, n + 1))
        )


def test_no_axis_of_decaying_is_an_eigenvector() -> None:
    A = PROBLEMS["decaying"].instance(16, 1).parameters["A"]
    off = A - torch.diag(A.diagonal())
    assert bool((off.norm(dim=0) > 0.02).all())
