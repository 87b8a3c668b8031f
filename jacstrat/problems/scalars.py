"""Scalar fields with a Hessian diagonal in closed form; sums run over the coordinates, r2 = |x|^2, r = |x|.

Constants in the closed forms are the very doubles of the functions: math.pi is a double in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jacstrat.problems.base import Problem, uniform
from jacstrat.problems.fields import at_least, matrix, softmax_diagonal


def _near_centre(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    # A spread of 1/sqrt n keeps the product of n sines of order one for every n.
    return 0.5 + rng.uniform(-0.5, 0.5, (batch, n)) / np.sqrt(n)


def _shell(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    # Away from r = 0, and not so far out that exp(-r) vanishes in float32.
    draw = rng.uniform(-1.0, 1.0, (batch, n))
    return np.copysign(0.5 + np.abs(draw), draw) / np.sqrt(n)


def _ball(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    # By division and square root alone, which every machine rounds alike; a norm's sum depends on the order of it.
    return rng.uniform(-1.0, 1.0, (batch, n)) / np.sqrt(n)


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


def _two_body(x: Tensor, c: Tensor) -> Tensor:
    a, b = x[..., :-1], x[..., 1:]
    S = (c * torch.sin(a + torch.cos(b) + b * torch.cos(a))).sum(-1)
    return (1 - _r2(x)) * S


def _two_body_diagonal(x: np.ndarray, c: np.ndarray) -> np.ndarray:
    a, b = x[..., :-1], x[..., 1:]
    p = a + np.cos(b) + b * np.cos(a)
    p_a, p_b = 1 - b * np.sin(a), np.cos(a) - np.sin(b)
    p_aa, p_bb = -b * np.cos(a), -np.cos(b)
    sine, cosine = c * np.sin(p), c * np.cos(p)
    first, second = np.zeros_like(x), np.zeros_like(x)
    first[..., :-1] += cosine * p_a
    first[..., 1:] += cosine * p_b
    second[..., :-1] += cosine * p_aa - sine * p_a**2
    second[..., 1:] += cosine * p_bb - sine * p_b**2
    return _in_ball(x, sine.sum(-1, keepdims=True), first, second)


def _three_body(x: Tensor, c: Tensor) -> Tensor:
    S = (c * torch.exp(x[..., :-2] * x[..., 1:-1] * x[..., 2:])).sum(-1)
    return (1 - _r2(x)) * S


def _three_body_diagonal(x: np.ndarray, c: np.ndarray) -> np.ndarray:
    n = x.shape[-1]
    neighbours = [x[..., k : n - 2 + k] for k in range(3)]
    terms = c * np.exp(neighbours[0] * neighbours[1] * neighbours[2])
    first, second = np.zeros_like(x), np.zeros_like(x)
    for k in range(3):
        # d/dx of exp(x q) is q exp(x q), q the product of the two others: its square comes with the second.
        q = neighbours[(k + 1) % 3] * neighbours[(k + 2) % 3]
        first[..., k : n - 2 + k] += terms * q
        second[..., k : n - 2 + k] += terms * q**2
    return _in_ball(x, terms.sum(-1, keepdims=True), first, second)


def _in_ball(x: np.ndarray, S: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """H_ii of (1 - r2) S from S, S_i and S_ii, by the product rule."""
    return (1 - (x * x).sum(-1, keepdims=True)) * second - 4 * x * first - 2 * S


def _coefficients(bodies: int) -> Callable[[int, np.random.Generator], dict[str, np.ndarray]]:
    """One coefficient a term, (n - bodies + 1,), normal."""
    return lambda n, rng: {"c": rng.standard_normal(n - bodies + 1)}


STDE = "Shi, Hu, Lin, Kawaguchi 2024, Stochastic Taylor Derivative Estimator, NeurIPS; the terms are not periodic"

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
        domain="(1/2, ..., 1/2) + [-1/2, 1/2)^n / sqrt n",
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
    Problem(
        name="two_body",
        kind="scalar",
        formula="u(x) = (1 - r2) S, S = sum c_i sin(x_i + cos x_{i+1} + x_{i+1} cos x_i) over i < n",
        answer="(1 - r2) lap S - 4 x.grad S - 2 n S",
        function=_two_body,
        diagonal=_two_body_diagonal,
        structure="dense",
        parameters=_coefficients(2),
        points=_ball,
        domain="[-1, 1)^n / sqrt n, inside the unit ball",
        origin=STDE,
        refuse=at_least(2),
        sizes=(2, 4, 8, 16, 32, 64),
    ),
    Problem(
        name="three_body",
        kind="scalar",
        formula="u(x) = (1 - r2) S, S = sum c_i exp(x_i x_{i+1} x_{i+2}) over i < n - 1",
        answer="(1 - r2) lap S - 4 x.grad S - 2 n S",
        function=_three_body,
        diagonal=_three_body_diagonal,
        structure="dense",
        parameters=_coefficients(3),
        points=_ball,
        domain="[-1, 1)^n / sqrt n, inside the unit ball",
        origin=STDE,
        refuse=at_least(3),
        sizes=(3, 4, 8, 16, 32, 64),
    ),
)
