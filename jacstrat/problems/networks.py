"""Tanh networks, whose diagonals are derived layer by layer; D_l = diag s'(z_l), s = tanh."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from jacstrat.problems.base import Problem

WIDTH = 64
OUTPUTS = 3


def layer_widths(hidden: int, outputs: int | None = None) -> Callable[[int], tuple[int, ...]]:
    """n, hidden layers of 64, and the outputs, or n."""
    return lambda n: (n, *[WIDTH] * hidden, n if outputs is None else outputs)


def dense_layers(
    hidden: int, outputs: int | None = None
) -> Callable[[int, np.random.Generator], dict[str, np.ndarray]]:
    """W_l (h_l, h_{l-1}) and b_l (h_l,) of n -> 64 -> ... -> outputs, or n, normal with variance 1/h_{l-1}."""

    def weights(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        layers = {}
        for number, (fan_in, fan_out) in enumerate(pairwise(layer_widths(hidden, outputs)(n)), start=1):
            layers[f"W{number}"] = rng.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in)
            layers[f"b{number}"] = rng.standard_normal(fan_out) / np.sqrt(fan_in)
        return layers

    return weights


def tanh_slope(z: np.ndarray) -> np.ndarray:
    """s'(z), which keeps its digits where 1 - tanh(z)^2 loses them."""
    return 1 / np.cosh(z) ** 2


def _tanh_field(x: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor, W3: Tensor, b3: Tensor) -> Tensor:
    a = torch.tanh(linear(x, W1, b1))
    a = torch.tanh(linear(a, W2, b2))
    return linear(a, W3, b3)


def _tanh_field_diagonal(
    x: np.ndarray,
    W1: np.ndarray,
    b1: np.ndarray,
    W2: np.ndarray,
    b2: np.ndarray,
    W3: np.ndarray,
    b3: np.ndarray,
) -> np.ndarray:
    # J_ii = sum_j W3_ij d2_j T_ji with T = W2 D1 W1, (64, n): point by point, so that memory does not grow with B.
    def point(x: np.ndarray) -> np.ndarray:
        z1 = W1 @ x + b1
        z2 = W2 @ np.tanh(z1) + b2
        T = (W2 * tanh_slope(z1)) @ W1
        return ((W3 * tanh_slope(z2)).T * T).sum(0)

    return np.apply_along_axis(point, -1, x)


def _tanh_outputs(
    x: Tensor,
    W1: Tensor,
    b1: Tensor,
    W2: Tensor,
    b2: Tensor,
    W3: Tensor,
    b3: Tensor,
    W4: Tensor,
    b4: Tensor,
) -> Tensor:
    a = torch.tanh(linear(x, W1, b1))
    a = torch.tanh(linear(a, W2, b2))
    a = torch.tanh(linear(a, W3, b3))
    return linear(a, W4, b4)


def _tanh_outputs_diagonal(
    x: np.ndarray,
    W1: np.ndarray,
    b1: np.ndarray,
    W2: np.ndarray,
    b2: np.ndarray,
    W3: np.ndarray,
    b3: np.ndarray,
    W4: np.ndarray,
    b4: np.ndarray,
) -> np.ndarray:
    # H_ii = sum_l sum_j g_lj s''(z_lj) (dz_lj/dx_i)^2, g_l the adjoint of a_l, a row an output, and s'' = -2 s s'.
    def point(x: np.ndarray) -> np.ndarray:
        z1 = W1 @ x + b1
        z2 = W2 @ np.tanh(z1) + b2
        z3 = W3 @ np.tanh(z2) + b3
        d1, d2, d3 = tanh_slope(z1), tanh_slope(z2), tanh_slope(z3)
        T2 = (W2 * d1) @ W1
        T3 = (W3 * d2) @ T2
        g3 = W4
        g2 = (g3 * d3) @ W3
        g1 = (g2 * d2) @ W2
        layers = ((g1, z1, d1, W1), (g2, z2, d2, T2), (g3, z3, d3, T3))
        return sum(((-2 * g * np.tanh(z) * d) @ T**2 for g, z, d, T in layers), np.zeros_like(x))

    return np.apply_along_axis(point, -1, x)


def _tanh_scalar(x: Tensor, **layers: Tensor) -> Tensor:
    return _tanh_outputs(x, **layers).squeeze(-1)


def _tanh_scalar_diagonal(x: np.ndarray, **layers: np.ndarray) -> np.ndarray:
    return _tanh_outputs_diagonal(x, **layers)[..., 0, :]


NETWORKS = (
    Problem(
        name="tanh_field",
        kind="field",
        formula="F(x) = W3 tanh(W2 tanh(W1 x + b1) + b2) + b3, hidden widths 64",
        answer="tr(W3 D2 W2 D1 W1) = s'(z2)^T (W2 * (W1 W3)^T) s'(z1)",
        function=_tanh_field,
        diagonal=_tanh_field_diagonal,
        structure="dense",
        parameters=dense_layers(hidden=2),
        widths=layer_widths(hidden=2),
        origin="the field of a continuous normalising flow: Chen et al. 2018, Neural ordinary differential equations",
    ),
    Problem(
        name="tanh_scalar",
        kind="scalar",
        formula="u(x) = W4 tanh(W3 tanh(W2 tanh(W1 x + b1) + b2) + b3) + b4, hidden widths 64",
        answer="sum_l sum_j g_lj s''(z_lj) |grad z_lj|^2, g_l the adjoint of tanh(z_l)",
        function=_tanh_scalar,
        diagonal=_tanh_scalar_diagonal,
        structure="dense",
        parameters=dense_layers(hidden=3, outputs=1),
        widths=layer_widths(hidden=3, outputs=1),
        origin="the ansatz of a physics-informed network: Raissi, Perdikaris, Karniadakis 2019",
    ),
    Problem(
        name="tanh_outputs",
        kind="scalar",
        formula="u(x) = W4 tanh(W3 tanh(W2 tanh(W1 x + b1) + b2) + b3) + b4, hidden widths 64, 3 outputs",
        answer="of each output k sum_l sum_j g_klj s''(z_lj) |grad z_lj|^2, g_kl the adjoint of tanh(z_l)",
        function=_tanh_outputs,
        diagonal=_tanh_outputs_diagonal,
        structure="dense",
        parameters=dense_layers(hidden=3, outputs=OUTPUTS),
        origin="a network for several unknowns, as two velocities and a pressure, each with a Laplacian of its own: "
        "Raissi, Perdikaris, Karniadakis 2019",
    ),
)
