"""Potentials of N particles in space, n = 3 N coordinates x, y, z of one particle after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jacstrat.problems.base import Problem


def lattice(N: int, spacing: float) -> np.ndarray:
    """The first N sites of the smallest cubic lattice about 0 that has so many, (N, 3)."""
    site = np.arange(N)
    edge = next(m for m in range(1, N + 1) if m**3 >= N)
    return spacing * (np.stack((site % edge, site // edge % edge, site // edge**2), -1) - (edge - 1) / 2)


def perturbed_lattice(spacing: float, jitter: float) -> Callable[[int, int, np.random.Generator], np.ndarray]:
    """A sampler of n/3 particles about the sites of a lattice, (B, n).

    Each coordinate is off its site by less than `jitter`, so that no two particles are nearer than spacing - 2 jitter.
    """

    def points(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
        return lattice(n // 3, spacing).reshape(-1) + rng.uniform(-jitter, jitter, (batch, n))

    return points


def whole_particles(n: int) -> str | None:
    """The rule of a function of two particles or more."""
    return None if n % 3 == 0 and n >= 6 else "n must be a multiple of 3, at least 6: three coordinates a particle"


def _lennard_jones(x: Tensor) -> Tensor:
    r = x.unflatten(-1, (-1, 3))
    N = r.shape[-2]
    i, j = torch.triu_indices(N, N, 1, device=x.device)
    s = (r.index_select(-2, i) - r.index_select(-2, j)).square().sum(-1)
    inverse = 1 / (s * s * s)
    return 4 * (inverse * inverse - inverse).sum(-1)


def _lennard_jones_diagonal(x: np.ndarray) -> np.ndarray:
    # A pair adds g(s) = 4 (s^-6 - s^-3), s = |d|^2, d = r_i - r_j, with d2/dd_a2 = 2 g' + 4 d_a^2 g''.
    r = x.reshape(*x.shape[:-1], -1, 3)
    H = np.zeros_like(r)
    for shift in range(1, r.shape[-2]):
        # Particle i against i + shift, around the ring of particles: each meets every other once.
        d = r - np.roll(r, shift, -2)
        s = (d * d).sum(-1, keepdims=True)
        slope = 4 * (3 / s**4 - 6 / s**7)
        curvature = 4 * (42 / s**8 - 12 / s**5)
        H = H + 2 * slope + 4 * d * d * curvature
    return H.reshape(x.shape)


PARTICLES = (
    Problem(
        name="lennard_jones",
        kind="scalar",
        formula="u(x) = sum 4 (r^-12 - r^-6) over the pairs of n/3 particles, r their distance",
        answer="sum 8 (132 r^-14 - 30 r^-8) over the pairs",
        function=_lennard_jones,
        diagonal=_lennard_jones_diagonal,
        structure="dense",
        points=perturbed_lattice(spacing=1.25, jitter=0.1),
        domain="a cubic lattice of spacing 1.25 about 0, each coordinate off its site by less than 0.1",
        origin="Jones 1924, On the determination of molecular fields; no net force: the ones vector gives 0",
        refuse=whole_particles,
        sizes=(6, 12, 24, 48, 96, 192),
    ),
)
