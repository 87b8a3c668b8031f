"""Logarithms of wavefunctions, whose Laplacian and gradient are the kinetic part of the local energy.

LayerNorm and the determinant are written out. With torch 2.13's own the Laplacian is wrong, and no error says so, by
forward_over_forward (`layer_norm`: the forward-mode rule may not be differentiated again) and by forward_over_forward,
jacfwd and hessian (`linalg.slogdet`: nor may its, and under vmap it is wrong at once).
Source: github.com/pytorch/pytorch, issues 192540, 196697, 196700 and 198017.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from jacstrat.problems.base import Problem
from jacstrat.problems.particles import lattice, perturbed_lattice, whole_particles

WIDTH = 32
# Distances are sqrt(d^2 + SOFT^2): smooth where two electrons meet, and where an electron meets itself.
SOFT = 0.1
SPACING = 1.5
EPSILON = 1e-5


def _wavefunction(x: Tensor, **weights: Tensor) -> Tensor:
    r = x.unflatten(-1, (-1, 3))
    to_nuclei = _distance(r.unsqueeze(-2) - weights["nuclei"]).squeeze(-1)
    apart = r.unsqueeze(-2) - r.unsqueeze(-3)
    distance = _distance(apart)
    # Each electron's distances from the nuclei, and the mean of its features with every electron, as in FermiNet.
    pairs = torch.tanh(linear(torch.cat((apart, distance), -1), weights["W_pair"], weights["b_pair"]))
    h = linear(to_nuclei, weights["W_one"], weights["b_one"]) + pairs.mean(-2)
    h = h + _attention(_normalised(h, weights["scale"], weights["shift"]), weights)
    # Orbital k at electron i, (N, N), falls off from nucleus k.
    orbitals = linear(h, weights["W_orbital"], weights["b_orbital"]) * torch.exp(-weights["decay"] * to_nuclei)
    return _log_determinant(orbitals) + _jastrow(distance, weights["cusp"])


def _distance(d: Tensor) -> Tensor:
    """The softened length of vectors (..., 3), (..., 1)."""
    return torch.sqrt(d.square().sum(-1, keepdim=True) + SOFT**2)


def _normalised(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """LayerNorm over the features."""
    centred = h - h.mean(-1, keepdim=True)
    return centred * (scale * torch.rsqrt(centred.square().mean(-1, keepdim=True) + EPSILON)) + shift


def _attention(h: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """Electrons attend to each other; a single head needs no matrix after its values."""
    query, key, value = (linear(h, weights[name]) for name in ("W_query", "W_key", "W_value"))
    return torch.softmax(query @ key.mT / WIDTH**0.5, -1) @ value


def _log_determinant(A: Tensor) -> Tensor:
    """log|det A| by the pivots of its LU factors."""
    return torch.linalg.lu_factor(A).LU.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)


def _jastrow(distances: Tensor, cusp: Tensor) -> Tensor:
    """-1/4 sum a^2/(a + r_ij), a = cusp, over pairs of like spin, with its constant i = j: the cusp of Psiformer."""
    return -(cusp * cusp / (cusp + distances)).sum((-3, -2, -1)) / 8


def _log_psi(x: Tensor, charge: Tensor, decay: Tensor) -> Tensor:
    r = x.unflatten(-1, (-1, 3))
    N = r.shape[-2]
    i, j = torch.triu_indices(N, N, 1, device=x.device)
    to_nucleus = r.square().sum(-1).sqrt()
    distances = (r.index_select(-2, i) - r.index_select(-2, j)).square().sum(-1).sqrt()
    return (distances / (2 + 2 * decay * distances)).sum(-1) - charge * to_nucleus.sum(-1)


def _log_psi_diagonal(x: np.ndarray, charge: np.ndarray, decay: np.ndarray) -> np.ndarray:
    # Of U(r), r = |d|, the second derivative to d_a is U'/r + d_a^2 (U'' - U'/r) / r^2.
    r = x.reshape(*x.shape[:-1], -1, 3)
    length = np.sqrt((r * r).sum(-1, keepdims=True))
    H = charge * (r**2 / length**2 - 1) / length
    for shift in range(1, r.shape[-2]):
        # Particle i against i + shift, around the ring of particles: each meets every other once.
        d = r - np.roll(r, shift, -2)
        length = np.sqrt((d * d).sum(-1, keepdims=True))
        slope = 1 / (2 * (1 + decay * length) ** 2 * length)
        curvature = -decay / (1 + decay * length) ** 3
        H = H + slope + d**2 * (curvature - slope) / length**2
    return H.reshape(x.shape)


def _weights(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Matrices (out, in) and biases normal with variance 1/in, LayerNorm about 1 and 0, and the nuclei on the lattice.

    The orbitals' own are about 2 with a small slope, and decay at a rate of 1 to 2: each is largest at its nucleus, so
    that the determinant is seldom near 0, where the Laplacian of its logarithm has no digits in float32.
    """

    def normal(*shape: int, fan_in: int) -> np.ndarray:
        return rng.standard_normal(shape) / np.sqrt(fan_in)

    N = n // 3
    return {
        "W_one": normal(WIDTH, N, fan_in=N),
        "b_one": normal(WIDTH, fan_in=N),
        "W_pair": normal(WIDTH, 4, fan_in=4),
        "b_pair": normal(WIDTH, fan_in=4),
        "scale": rng.uniform(0.5, 1.5, WIDTH),
        "shift": rng.uniform(-0.5, 0.5, WIDTH),
        "W_query": normal(WIDTH, WIDTH, fan_in=WIDTH),
        "W_key": normal(WIDTH, WIDTH, fan_in=WIDTH),
        "W_value": normal(WIDTH, WIDTH, fan_in=WIDTH),
        "W_orbital": normal(N, WIDTH, fan_in=16 * WIDTH),
        "b_orbital": rng.uniform(1.5, 2.5, N),
        "decay": rng.uniform(1.0, 2.0, N),
        "nuclei": lattice(N, SPACING),
        "cusp": np.array(rng.uniform(0.5, 1.5)),
    }


WAVEFUNCTIONS = (
    Problem(
        name="wavefunction",
        kind="scalar",
        formula="u(x) = log|det orbitals_k(r_i)| + Jastrow, of n/3 electrons: pairs, LayerNorm, attention, width 32",
        answer="none known: the reference is a dense autograd Hessian",
        function=_wavefunction,
        diagonal=None,
        structure="dense",
        parameters=_weights,
        points=perturbed_lattice(SPACING, jitter=0.4),
        domain="the nuclei on a cubic lattice of spacing 1.5 about 0, each coordinate off one by less than 0.4",
        origin="von Glehn, Spencer, Pfau 2023, A self-attention ansatz (Psiformer); Pfau, Spencer, Matthews, Foulkes "
        "2020, FermiNet; Li et al. 2024, A computational framework (LapNet): their Laplacian is the kinetic energy",
        refuse=whole_particles,
        sizes=(6, 12, 24, 48),
    ),
    Problem(
        name="log_psi",
        kind="scalar",
        formula="u(x) = -Z sum r_i + sum r_ij / (2 + 2 b r_ij) over the pairs of n/3 electrons about one nucleus",
        answer="-2 Z sum 1/r_i + 2 sum (U'' + 2 U'/r_ij), U' = 1/2 (1 + b r_ij)^-2, U'' = -b (1 + b r_ij)^-3",
        function=_log_psi,
        diagonal=_log_psi_diagonal,
        structure="dense",
        parameters=lambda n, rng: {"charge": np.array(rng.uniform(1.0, 2.0)), "decay": np.array(rng.uniform(0.5, 1.5))},
        points=perturbed_lattice(SPACING, jitter=0.4),
        domain="a cubic lattice of spacing 1.5 about 0, each coordinate off its site by less than 0.4",
        origin="Slater 1930 and Jastrow 1955, the form of Foulkes, Mitas, Needs, Rajagopal 2001, Quantum Monte Carlo: "
        "the kinetic energy is -1/2 (lap u + |grad u|^2)",
        refuse=whole_particles,
        sizes=(6, 12, 24, 48),
    ),
)
