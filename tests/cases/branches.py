"""Functions that branch on what they compute, and loops of which nobody knows the length."""

from __future__ import annotations

import torch

from tests.cases.case import DIVERGENCE, LAPLACIAN, case


@case(DIVERGENCE, "a branch on a value of the whole batch", "torchode#32", n=3)
def branch(x, c):
    y = torch.tanh(c * x)
    if (y > 5).any():
        y = y * 0
    return y * x.sum(-1, keepdim=True)


@case(LAPLACIAN, "Newton's iteration until it has converged", "torchode#32", n=2)
def newton(x, c):
    y = torch.ones_like(x)
    for _ in range(50):
        residual = y**3 + y - c * x
        y = y - residual / (3 * y**2 + 1)
        if residual.abs().max() < 1e-13:
            break
    return (y**2).sum(-1)


@case(LAPLACIAN, "a seed that f sets by itself: a recording would draw other numbers")
def seed_inside(x, c):
    torch.manual_seed(5)
    noise = torch.randn(x.shape[-1], dtype=x.dtype)
    return (c * x * noise).sin().sum(-1)
