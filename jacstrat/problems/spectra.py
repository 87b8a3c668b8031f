"""Functions made for their spectrum: what estimators of a trace live on."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from jacstrat.problems.base import Problem


def _decaying_matrix(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A = U diag(1, 1/4, 1/9, ...) U^T, (n, n), U orthogonal and drawn at random, so that no axis is an eigenvector."""
    U, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return {"A": (U / np.arange(1, n + 1) ** 2.0) @ U.T}


def _decaying(x: Tensor, A: Tensor) -> Tensor:
    return 0.5 * ((x @ A.mT) * x).sum(-1)


def _decaying_diagonal(x: np.ndarray, A: np.ndarray) -> np.ndarray:
    # H = (A + A^T) / 2.
    return np.zeros_like(x) + np.diagonal(A)


SPECTRA = (
    Problem(
        name="decaying",
        kind="scalar",
        formula="u(x) = x^T A x / 2, A symmetric with eigenvalues 1/i^2",
        answer="tr A = sum 1/i^2",
        function=_decaying,
        diagonal=_decaying_diagonal,
        structure="dense",
        parameters=_decaying_matrix,
        origin="a positive definite Hessian of quickly decaying spectrum: the rest after a small sketch is small",
        sizes=(1, 2, 4, 8, 16, 32, 64, 256, 1024),
    ),
)
