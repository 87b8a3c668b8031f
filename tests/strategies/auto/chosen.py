"""Functions that `auto` chooses for, and the trials that take place."""

from __future__ import annotations

import torch

from jacstrat.strategies.auto.strategy import Auto

B, N = 3, 6
X = torch.linspace(-1, 1, B * N, dtype=torch.float64).reshape(B, N)
W = torch.linspace(0.1, 1, N * N, dtype=torch.float64).reshape(N, N).sin()


def dense(x):
    return torch.tanh(x @ W)


def scalar(x):
    return dense(x).square().sum(-1)


def tridiagonal(x):
    return x.sin() + x.roll(1, -1) * torch.tensor([0.0] + [1.0] * (N - 1)).to(x)


def trace_of(f, x=X):
    return torch.stack([torch.func.jacrev(lambda p: f(p[None])[0])(p).trace() for p in x.detach()])


def prepare(f, x=X, operator="divergence", **parameters):
    return Auto(**parameters).prepare(operator, f, x)
