"""The examples of "Some calculus with torch::autograd", at the points that it takes.

Source: L-infinity, 24 Feb 2021. Its Jacobians are diagonal, all but one; `seed_coupled` has one that is not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jacstrat.problems.base import Problem, uniform

POST = 'L-infinity, "Some calculus with torch::autograd", 24 Feb 2021'
PointSampler = Callable[[int, int, np.random.Generator], np.ndarray]


def _starting_at(row: Callable[[int], np.ndarray], others: PointSampler) -> PointSampler:
    """A sampler whose row 0 is row(n); the other rows are those of `others`."""

    def points(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
        x = others(n, batch, rng)
        x[:1] = row(n)
        return x

    return points


def _grid(n: int) -> np.ndarray:
    """0, 1/(n-1), ..., 1: the post's grid at n = 1001, and its single point 0 at n = 1."""
    return np.linspace(0.0, 1.0, n)


def _sin_sum(x: Tensor) -> Tensor:
    return torch.sin(x).sum(-1)


def _sin_sum_diagonal(x: np.ndarray) -> np.ndarray:
    return -np.sin(x)


def _seed_product(x: Tensor) -> Tensor:
    return (x[..., 0] + x[..., 1]) * (x[..., 1] + 3)


def _seed_product_diagonal(x: np.ndarray) -> np.ndarray:
    # (x + y)(y + 3) = xy + 3x + y^2 + 3y has H = [[0, 1], [1, 2]].
    return np.zeros_like(x) + np.array([0, 2], dtype=x.dtype)


def _squared_norm(x: Tensor) -> Tensor:
    return (x * x).sum(-1)


def _squared_norm_diagonal(x: np.ndarray) -> np.ndarray:
    return np.full_like(x, 2)


def _coupling(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"A": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]])}


def _seed_coupled(x: Tensor, A: Tensor) -> Tensor:
    return (x @ A.T) * x


def _seed_coupled_diagonal(x: np.ndarray, A: np.ndarray) -> np.ndarray:
    # J_ij = A_ij x_i + (A x)_i [i = j].
    return np.diagonal(A) * x + x @ A.T


def _must_be(size: int) -> Callable[[int], str | None]:
    return lambda n: None if n == size else f"n must be {size}"


SEED = (
    Problem(
        name="sin",
        kind="field",
        formula="F(x) = sin x, elementwise",
        answer="sum cos x_i",
        function=torch.sin,
        diagonal=np.cos,
        structure="diagonal",
        points=_starting_at(_grid, uniform(0.0, 1.0)),
        domain="row 0 the grid 0, 1/(n-1), ..., 1 (0 at n = 1), the others in [0, 1)^n",
        origin=POST,
        sizes=(1, 4, 16, 64, 256, 1001),
    ),
    Problem(
        name="sin_sum",
        kind="scalar",
        formula="u(x) = sum sin x_i",
        answer="-sum sin x_i",
        function=_sin_sum,
        diagonal=_sin_sum_diagonal,
        structure="diagonal",
        points=_starting_at(_grid, uniform(0.0, 1.0)),
        domain="row 0 the grid 0, 1/(n-1), ..., 1 (0 at n = 1), the others in [0, 1)^n",
        origin=f"{POST}: sin'' of the same grid",
        sizes=(1, 4, 16, 64, 256, 1001),
    ),
    Problem(
        name="seed_product",
        kind="scalar",
        formula="u(x, y) = (x + y)(y + 3)",
        answer="2",
        function=_seed_product,
        diagonal=_seed_product_diagonal,
        structure="dense",
        points=_starting_at(lambda n: np.array([1.0, 2.0]), uniform(-1.0, 1.0)),
        domain="row 0 is (1, 2), the others in [-1, 1)^2",
        origin=POST,
        refuse=_must_be(2),
        sizes=(2,),
    ),
    Problem(
        name="squared_norm",
        kind="scalar",
        formula="u(x) = x . x",
        answer="2 n",
        function=_squared_norm,
        diagonal=_squared_norm_diagonal,
        structure="diagonal",
        points=_starting_at(np.ones, uniform(-1.0, 1.0)),
        domain="row 0 is (1, ..., 1), the others in [-1, 1)^n",
        origin=POST,
        sizes=(1, 2, 3, 4, 8, 16, 32, 64),
    ),
    Problem(
        name="seed_coupled",
        kind="field",
        formula="F(x) = (A x) * x, A = [[1, 2, 3], [4, 5, 6], [7, 8, 10]]",
        answer="sum (A_ii x_i + (A x)_i): 62 at (1, 1, 1), where the ones vector gives 92",
        function=_seed_coupled,
        diagonal=_seed_coupled_diagonal,
        structure="dense",
        parameters=_coupling,
        points=_starting_at(np.ones, uniform(-1.0, 1.0)),
        domain="row 0 is (1, 1, 1), the others in [-1, 1)^3",
        origin=f"the case that {POST} warns of: a Jacobian that is not diagonal",
        refuse=_must_be(3),
        sizes=(3,),
    ),
)
