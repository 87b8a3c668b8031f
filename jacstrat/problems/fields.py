"""Vector fields whose coordinates are coupled all to all, with a Jacobian diagonal in closed form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jacstrat.problems.base import Problem, uniform


def matrix(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A dense, unsymmetric A, (n, n), normal with variance 1/n, so that A x is of the order of x."""
    return {"A": rng.standard_normal((n, n)) / np.sqrt(n)}


def _linear(x: Tensor, A: Tensor) -> Tensor:
    return x @ A.T


def _linear_diagonal(x: np.ndarray, A: np.ndarray) -> np.ndarray:
    return np.zeros_like(x) + np.diagonal(A)


def _softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def softmax_diagonal(x: np.ndarray) -> np.ndarray:
    """p - p^2, p = softmax(x): the diagonal of J = diag(p) - p p^T."""
    e = np.exp(x - x.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return p * (1 - p)


def _cubic(x: Tensor) -> Tensor:
    return x * (x * x).sum(-1, keepdim=True)


def _cubic_diagonal(x: np.ndarray) -> np.ndarray:
    # J = r2 I + 2 x x^T.
    return (x * x).sum(-1, keepdims=True) + 2 * x * x


FIELDS = (
    Problem(
        name="linear",
        kind="field",
        formula="F(x) = A x, A dense",
        answer="tr A",
        function=_linear,
        diagonal=_linear_diagonal,
        structure="dense",
        parameters=matrix,
        origin="the Jacobian itself, the same at every point",
    ),
    Problem(
        name="softmax",
        kind="field",
        formula="F(x) = softmax x",
        answer="1 - sum softmax(x)_i^2",
        function=_softmax,
        diagonal=softmax_diagonal,
        structure="dense",
        points=uniform(-2.0, 2.0),
        domain="[-2, 2)^n",
        origin="every row and column of the Jacobian sums to 0: the ones vector gives 0",
        sizes=(2, 4, 8, 16, 32, 64),
    ),
    Problem(
        name="cubic",
        kind="field",
        formula="F(x) = x r2, r2 = |x|^2",
        answer="(n + 2) r2",
        function=_cubic,
        diagonal=_cubic_diagonal,
        structure="dense",
        origin="a central force that grows with the cube of the distance",
    ),
)
