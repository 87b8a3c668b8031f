"""Scalar fields with a Hessian diagonal in closed form; sums run over the coordinates, r2 = |x|^2, r = |x|.

Constants in the closed forms are the very doubles of the functions: math.pi is a double in both.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from jacstrat.problems.base import Problem, at_least, uniform
from jacstrat.problems.fields import matrix, softmax_diagonal


def _near_centre(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    # A spread of 1/sqrt n keeps the product of n sines of order one for every n. At n = 1, too, it ends well inside
    # the cube: on its faces u and its Laplacian are 0, and the derivatives of a product lose what they divide by.
    return 0.5 + rng.uniform(-0.25, 0.25, (batch, n)) / np.sqrt(n)


def _shell(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    # Away from r = 0, and not so far out that exp(-r) vanishes in float32.
    draw = rng.uniform(-1.0, 1.0, (batch, n))
    return np.copysign(0.5 + np.abs(draw), draw) / np.sqrt(n)


def _r2(x: Tensor) -> Tensor:
    return (x * x).sum(-1)


def _sine_product(x: Tensor) -> Tensor:
    return torch.sin(math.pi * x).prod(-1)


def _sine_product_diagonal(x: np.ndarray) -> np.ndarray:
    u = np.sin(math.pi * x).prod(-1, keepdims=True)
    # pi by pi by u: the square of a Python float would be rounded to float64.
    return np.zeros_like(x) - math.pi * (math.pi * u)


def _cosine_sum(x: Tensor) -> Tensor:
    return torch.cos(math.pi * x).sum(-1)


def _cosine_sum_diagonal(x: np.ndarray) -> np.ndarray:
    return -math.pi * (math.pi * np.cos(math.pi * x))


def _bilinear(x: Tensor) -> Tensor:
    return (x[..., 0::2] * x[..., 1::2]).sum(-1)


def _log_quadratic(x: Tensor) -> Tensor:
    return torch.log((1 + _r2(x)) / 2)


def _log_quadratic_diagonal(x: np.ndarray) -> np.ndarray:
    s = 1 + (x * x).sum(-1, keepdims=True)
    return 2 / s - (2 * x / s) ** 2


def _gaussian(x: Tensor) -> Tensor:
    return torch.exp(-_r2(x) / (2 * x.shape[-1]))


def _gaussian_diagonal(x: np.ndarray) -> np.ndarray:
    # H_ii = (4 a^2 x_i^2 - 2 a) u with 2 a = 1/n; n divides an array, as 1/n alone would be a float64.
    n = x.shape[-1]
    u = np.exp(-(x * x).sum(-1, keepdims=True) / (2 * n))
    return (x * x / n - 1) / n * u


def _logsumexp(x: Tensor) -> Tensor:
    # Its gradient is softmax, so that its Hessian is the Jacobian of that.
    return torch.logsumexp(x, -1)


def _quadratic(x: Tensor, A: Tensor) -> Tensor:
    return (x * (x @ A.T)).sum(-1)


def _quadratic_diagonal(x: np.ndarray, A: np.ndarray) -> np.ndarray:
    # H = A + A^T.
    return np.zeros_like(x) + 2 * np.diagonal(A)


def _rosenbrock(x: Tensor) -> Tensor:
    a, b = x[..., :-1], x[..., 1:]
    rise, run = b - a * a, 1 - a
    return (100 * (rise * rise) + run * run).sum(-1)


def _rosenbrock_diagonal(x: np.ndarray) -> np.ndarray:
    # Each term 100 (b - a^2)^2 + (1 - a)^2 adds 1200 a^2 - 400 b + 2 at a and 200 at b.
    a, b = x[..., :-1], x[..., 1:]
    H = np.zeros_like(x)
    H[..., :-1] += 1200 * a * a - 400 * b + 2
    H[..., 1:] += 200
    return H


def _exponential(x: Tensor) -> Tensor:
    return torch.exp(-torch.sqrt(_r2(x)))


def _exponential_diagonal(x: np.ndarray) -> np.ndarray:
    # u' = -u, u'' = u along r, and H_ii = u'' (x_i/r)^2 + (u'/r) (1 - (x_i/r)^2).
    r = np.sqrt((x * x).sum(-1, keepdims=True))
    radial = (x / r) ** 2
    return np.exp(-r) * (radial - (1 - radial) / r)


def _inverse_distance(x: Tensor) -> Tensor:
    return torch.rsqrt(_r2(x))


def _inverse_distance_diagonal(x: np.ndarray) -> np.ndarray:
    r2 = (x * x).sum(-1, keepdims=True)
    return (3 * x * x / r2 - 1) / (r2 * np.sqrt(r2))


SCALARS = (
    Problem(
        name="sine_product",
        kind="scalar",
        formula="u(x) = prod sin(pi x_i)",
        answer="-n pi^2 u",
        function=_sine_product,
        diagonal=_sine_product_diagonal,
        structure="dense",
        points=_near_centre,
        domain="(1/2, ..., 1/2) + [-1/4, 1/4)^n / sqrt n",
        origin="the lowest Dirichlet eigenfunction of the Laplacian on the unit cube",
    ),
    Problem(
        name="cosine_sum",
        kind="scalar",
        formula="u(x) = sum cos(pi x_i)",
        answer="-pi^2 u",
        function=_cosine_sum,
        diagonal=_cosine_sum_diagonal,
        structure="diagonal",
        origin="a Neumann eigenfunction of the Laplacian on the unit cube",
    ),
    Problem(
        name="bilinear",
        kind="scalar",
        formula="u(x) = sum x_{2i-1} x_{2i}",
        answer="0",
        function=_bilinear,
        diagonal=np.zeros_like,
        structure="tridiagonal",
        origin="a harmonic polynomial: every H_ii is 0, and the ones vector gives n",
        refuse=lambda n: None if n % 2 == 0 else "n must be even",
        sizes=(2, 4, 8, 16, 32, 64),
    ),
    Problem(
        name="log_quadratic",
        kind="scalar",
        formula="u(x) = log((1 + r2)/2)",
        answer="2 n/(1 + r2) - 4 r2/(1 + r2)^2",
        function=_log_quadratic,
        diagonal=_log_quadratic_diagonal,
        structure="dense",
        # At n = 1 the answer is 0 at |x| = 1, and has no digits near it.
        points=uniform(-0.75, 0.75),
        domain="[-3/4, 3/4)^n",
        origin="Han, Jentzen, E 2018, Solving high-dimensional partial differential equations using deep learning",
    ),
    Problem(
        name="gaussian",
        kind="scalar",
        formula="u(x) = exp(-a r2), a = 1/(2 n)",
        answer="(4 a^2 r2 - 2 a n) u",
        function=_gaussian,
        diagonal=_gaussian_diagonal,
        structure="dense",
        # At n = 1 the answer is 0 at |x| = 1, and has no digits near it.
        points=uniform(-0.75, 0.75),
        domain="[-3/4, 3/4)^n",
        origin="a radial basis function, its width scaled so that u stays of order one",
    ),
    Problem(
        name="logsumexp",
        kind="scalar",
        formula="u(x) = log sum exp x_i",
        answer="1 - sum softmax(x)_i^2",
        function=_logsumexp,
        diagonal=softmax_diagonal,
        structure="dense",
        points=uniform(-2.0, 2.0),
        domain="[-2, 2)^n",
        origin="the potential of softmax; every row of the Hessian sums to 0: the ones vector gives 0",
        sizes=(2, 4, 8, 16, 32, 64),
    ),
    Problem(
        name="quadratic",
        kind="scalar",
        formula="u(x) = x^T A x, A dense and not symmetric",
        answer="2 tr A",
        function=_quadratic,
        diagonal=_quadratic_diagonal,
        structure="dense",
        parameters=matrix,
        origin="the Hessian A + A^T itself, the same at every point",
    ),
    Problem(
        name="rosenbrock",
        kind="scalar",
        formula="u(x) = sum 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2 over i < n",
        answer="sum 1200 x_i^2 - 400 x_{i+1} + 202 over i < n",
        function=_rosenbrock,
        diagonal=_rosenbrock_diagonal,
        structure="tridiagonal",
        points=uniform(-2.0, 2.0),
        domain="[-2, 2)^n",
        origin="Rosenbrock 1960, An automatic method for finding the greatest or least value of a function; chained",
        refuse=at_least(2),
        sizes=(2, 4, 8, 16, 32, 64),
    ),
    Problem(
        name="exponential",
        kind="scalar",
        formula="u(x) = exp(-r)",
        answer="(1 - (n - 1)/r) u",
        function=_exponential,
        diagonal=_exponential_diagonal,
        structure="dense",
        points=_shell,
        domain="coordinates of size 1/2 to 3/2, over sqrt n, and either sign: 1/2 <= r <= 3/2",
        origin="the ground state of hydrogen, up to scale",
    ),
    Problem(
        name="inverse_distance",
        kind="scalar",
        formula="u(x) = 1/r",
        answer="(3 - n)/r^3: 0 at n = 3",
        function=_inverse_distance,
        diagonal=_inverse_distance_diagonal,
        structure="dense",
        points=_shell,
        domain="coordinates of size 1/2 to 3/2, over sqrt n, and either sign: 1/2 <= r <= 3/2",
        origin="the Newtonian potential, harmonic in three dimensions",
        sizes=(1, 2, 3, 4, 8, 16, 32, 64),
    ),
)
