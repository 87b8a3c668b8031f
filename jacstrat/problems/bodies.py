"""Scalars of the STDE paper: sums over neighbouring coordinates, made to vanish on the unit sphere; r2 = |x|^2."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jacstrat.problems.base import Problem, at_least

STDE = "Shi, Hu, Lin, Kawaguchi 2024, Stochastic Taylor Derivative Estimator, NeurIPS; the terms are not periodic"


def ball(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    """A sampler of points inside the unit ball, (B, n)."""
    # By division and square root alone, which every machine rounds alike; a norm's sum depends on the order of it.
    return rng.uniform(-1.0, 1.0, (batch, n)) / np.sqrt(n)


def _r2(x: Tensor) -> Tensor:
    return (x * x).sum(-1)


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
    return in_ball(x, sine.sum(-1, keepdims=True), first, second)


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
    return in_ball(x, terms.sum(-1, keepdims=True), first, second)


def in_ball(x: np.ndarray, S: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """H_ii of (1 - r2) S from S, S_i and S_ii, by the product rule."""
    return (1 - (x * x).sum(-1, keepdims=True)) * second - 4 * x * first - 2 * S


def _coefficients(bodies: int) -> Callable[[int, np.random.Generator], dict[str, np.ndarray]]:
    """One coefficient a term, (n - bodies + 1,), normal."""
    return lambda n, rng: {"c": rng.standard_normal(n - bodies + 1)}


BODIES = (
    Problem(
        name="two_body",
        kind="scalar",
        formula="u(x) = (1 - r2) S, S = sum c_i sin(x_i + cos x_{i+1} + x_{i+1} cos x_i) over i < n",
        answer="(1 - r2) lap S - 4 x.grad S - 2 n S",
        function=_two_body,
        diagonal=_two_body_diagonal,
        structure="dense",
        parameters=_coefficients(2),
        points=ball,
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
        points=ball,
        domain="[-1, 1)^n / sqrt n, inside the unit ball",
        origin=STDE,
        refuse=at_least(3),
        sizes=(3, 4, 8, 16, 32, 64),
    ),
)
