"""Vector fields with a Jacobian diagonal in closed form; sums and shifts run over the coordinates."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jacstrat.problems.base import Problem, at_least, uniform

VISCOSITY = 0.01


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


def _lorenz96(x: Tensor) -> Tensor:
    return (x.roll(-1, -1) - x.roll(2, -1)) * x.roll(1, -1) - x + 8


def _lorenz96_diagonal(x: np.ndarray) -> np.ndarray:
    # For n >= 4 the neighbours i+1, i-1, i-2 all differ from i, so that -x_i alone is left.
    return np.full_like(x, -1)


def _bratu(x: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(x, (1, 1))
    return padded[..., 2:] - 2 * x + padded[..., :-2] + torch.exp(x)


def _bratu_diagonal(x: np.ndarray) -> np.ndarray:
    return np.exp(x) - 2


def _burgers(x: Tensor) -> Tensor:
    after, before = x.roll(-1, -1), x.roll(1, -1)
    return -x * (after - before) / 2 + VISCOSITY * (after - 2 * x + before)


def _burgers_diagonal(x: np.ndarray) -> np.ndarray:
    return (np.roll(x, 1, -1) - np.roll(x, -1, -1)) / 2 - 2 * VISCOSITY


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
    Problem(
        name="lorenz96",
        kind="field",
        formula="F_i = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + 8, periodic",
        answer="-n",
        function=_lorenz96,
        diagonal=_lorenz96_diagonal,
        structure="banded",
        points=uniform(-4.0, 8.0),
        domain="[-4, 8)^n",
        origin="Lorenz 1996, Predictability: a problem partly solved; the rate at which volumes contract",
        refuse=at_least(4),
        sizes=(4, 8, 16, 32, 64),
    ),
    Problem(
        name="bratu",
        kind="field",
        formula="F_i = x_{i+1} - 2 x_i + x_{i-1} + exp x_i, x_0 = x_{n+1} = 0",
        answer="sum (exp x_i - 2)",
        function=_bratu,
        diagonal=_bratu_diagonal,
        structure="tridiagonal",
        origin="Bratu 1914, Sur les équations intégrales non linéaires; on a grid of unit spacing",
    ),
    Problem(
        name="burgers",
        kind="field",
        formula="F_i = -x_i (x_{i+1} - x_{i-1})/2 + nu (x_{i+1} - 2 x_i + x_{i-1}), periodic, nu = 0.01",
        answer="-2 n nu: the differences cancel around the ring",
        function=_burgers,
        diagonal=_burgers_diagonal,
        structure="banded",
        origin="Burgers 1948, A mathematical model illustrating the theory of turbulence; on a grid of unit spacing",
        refuse=at_least(3),
        sizes=(4, 8, 16, 32, 64),
    ),
)
