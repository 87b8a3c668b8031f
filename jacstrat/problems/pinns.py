"""Networks of physics-informed learning, whose Laplacian is the residual; r2 = |x|^2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from jacstrat.problems.base import Problem
from jacstrat.problems.bodies import ball, in_ball
from jacstrat.problems.networks import WIDTH, dense_layers, layer_widths, tanh_slope

FREQUENCY = 30.0
WAVENUMBER = 4.0
ActivationToCurvature = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _pinn(x: Tensor, activation: Callable[[Tensor], Tensor], layers: Mapping[str, Tensor]) -> Tensor:
    a, depth = x, len(layers) // 2
    for number in range(1, depth):
        a = activation(linear(a, layers[f"W{number}"], layers[f"b{number}"]))
    N = linear(a, layers[f"W{depth}"], layers[f"b{depth}"]).squeeze(-1)
    return (1 - (x * x).sum(-1)) * N


def _pinn_diagonal(x: np.ndarray, curve: ActivationToCurvature, layers: Mapping[str, np.ndarray]) -> np.ndarray:
    # Each layer carries its value a, tangents T_ji = da_j/dx_i and curvatures C_ji = d2a_j/dx_i2, (h, n):
    # T -> s' W T, C -> s' W C + s'' (W T)^2. Point by point, so that memory does not grow with B.
    depth = len(layers) // 2

    def point(x: np.ndarray) -> np.ndarray:
        a, T = x, np.eye(len(x), dtype=x.dtype)
        C = np.zeros_like(T)
        for number in range(1, depth):
            W = layers[f"W{number}"]
            a, first, second = curve(W @ a + layers[f"b{number}"])
            T, C = W @ T, W @ C
            C = first[:, None] * C + second[:, None] * T**2
            T = first[:, None] * T
        W = layers[f"W{depth}"]
        return in_ball(x, W @ a + layers[f"b{depth}"], (W @ T)[0], (W @ C)[0])

    return np.apply_along_axis(point, -1, x)


def _pinn_tanh(x: Tensor, **layers: Tensor) -> Tensor:
    return _pinn(x, torch.tanh, layers)


def _pinn_tanh_diagonal(x: np.ndarray, **layers: np.ndarray) -> np.ndarray:
    return _pinn_diagonal(x, _tanh_curve, layers)


def _tanh_curve(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """tanh, its slope and its curvature -2 tanh tanh'."""
    s, slope = np.tanh(z), tanh_slope(z)
    return s, slope, -2 * s * slope


def _pinn_sine(x: Tensor, **layers: Tensor) -> Tensor:
    return _pinn(x, torch.sin, layers)


def _pinn_sine_diagonal(x: np.ndarray, **layers: np.ndarray) -> np.ndarray:
    return _pinn_diagonal(x, _sine_curve, layers)


def _sine_curve(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sin, cos and -sin."""
    return np.sin(z), np.cos(z), -np.sin(z)


def _siren_layers(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n -> 64 -> 64 -> 1: the first W within 30/n, the others within sqrt(6/64), the b of the sines within pi."""
    layers = {}
    for number, (fan_in, fan_out) in enumerate(pairwise((n, WIDTH, WIDTH, 1)), start=1):
        bound = FREQUENCY / n if number == 1 else np.sqrt(6 / WIDTH)
        layers[f"W{number}"] = rng.uniform(-bound, bound, (fan_out, fan_in))
        layers[f"b{number}"] = rng.uniform(-np.pi, np.pi, fan_out)
    return layers


def plane_waves(x: Tensor, W: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return (c * torch.sin(linear(x, W, b))).sum(-1)


def plane_waves_diagonal(x: np.ndarray, W: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return -(c * np.sin(x @ W.T + b)) @ W**2


def _waves(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """64 waves: directions W of length k, (64, n), phases b within pi, amplitudes c with variance 1/64."""
    W = rng.standard_normal((WIDTH, n))
    # A running sum adds in the one order on every machine; a plain sum need not.
    length = np.sqrt(np.cumsum(W * W, -1)[:, -1:])
    b = rng.uniform(-np.pi, np.pi, WIDTH)
    return {"W": WAVENUMBER * W / length, "b": b, "c": rng.standard_normal(WIDTH) / np.sqrt(WIDTH)}


RAISSI = "Raissi, Perdikaris, Karniadakis 2019, Physics-informed neural networks"
SITZMANN = (
    "Sitzmann, Martel, Bergman, Lindell, Wetzstein 2020, Implicit neural representations with periodic activations"
)
POISSON = "an ansatz for lap u = -2 n with u = 0 on the unit sphere, which u = 1 - r2 (N = 1) solves"

PINNS = (
    Problem(
        name="pinn_tanh",
        kind="scalar",
        formula="u(x) = (1 - r2) N(x), N = W4 tanh(W3 tanh(W2 tanh(W1 x + b1) + b2) + b3) + b4, hidden widths 64",
        answer="(1 - r2) lap N - 4 x.grad N - 2 n N, lap N layer by layer",
        function=_pinn_tanh,
        diagonal=_pinn_tanh_diagonal,
        structure="dense",
        parameters=dense_layers(hidden=3, outputs=1),
        widths=layer_widths(hidden=3, outputs=1),
        points=ball,
        domain="[-1, 1)^n / sqrt n, inside the unit ball",
        origin=f"{RAISSI}; {POISSON}",
    ),
    Problem(
        name="pinn_sine",
        kind="scalar",
        formula="u(x) = (1 - r2) N(x), N = W3 sin(W2 sin(W1 x + b1) + b2) + b3, hidden widths 64, |W1| <= 30/n",
        answer="(1 - r2) lap N - 4 x.grad N - 2 n N, lap N layer by layer",
        function=_pinn_sine,
        diagonal=_pinn_sine_diagonal,
        structure="dense",
        parameters=_siren_layers,
        widths=layer_widths(hidden=2, outputs=1),
        points=ball,
        domain="[-1, 1)^n / sqrt n, inside the unit ball",
        origin=f"{SITZMANN}, their frequency of 30 put into the weights; {POISSON}",
    ),
    Problem(
        name="plane_waves",
        kind="scalar",
        formula="u(x) = sum c_j sin(w_j . x + b_j), 64 waves with |w_j| = k = 4",
        answer="-k^2 u",
        function=plane_waves,
        diagonal=plane_waves_diagonal,
        structure="dense",
        parameters=_waves,
        widths=layer_widths(hidden=1, outputs=1),
        origin="one sine layer that solves Helmholtz' equation lap u = -k^2 u exactly: a network with known answer; "
        "Rahimi, Recht 2007, Random features for large-scale kernel machines, of one length",
    ),
)
