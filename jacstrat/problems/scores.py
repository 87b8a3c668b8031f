"""Score networks with residual blocks: their divergence enters score matching and the likelihood of a diffusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor
from torch.nn.functional import gelu, linear, silu

from jacstrat.problems.base import Problem
from jacstrat.problems.networks import WIDTH

BLOCKS = 2
# 2^k z^(2k+1) / (2k+1)!! for |z| <= 7: at the 160th it is below 1e-23 of their sum.
TERMS = 160
ActivationToSlope = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _score(x: Tensor, activation: Callable[[Tensor], Tensor], layers: Mapping[str, Tensor]) -> Tensor:
    h = linear(x, layers["W_in"], layers["b_in"])
    for block in range(1, BLOCKS + 1):
        h = h + linear(activation(linear(h, layers[f"U{block}"], layers[f"b{block}"])), layers[f"V{block}"])
    return linear(h, layers["W_out"], layers["b_out"])


def _score_diagonal(x: np.ndarray, curve: ActivationToSlope, layers: Mapping[str, np.ndarray]) -> np.ndarray:
    # The tangents T = dh/dx, (64, n), go along: T -> T + V s'(z) U T. Point by point: memory does not grow with B.
    def point(x: np.ndarray) -> np.ndarray:
        h, T = layers["W_in"] @ x + layers["b_in"], layers["W_in"]
        for block in range(1, BLOCKS + 1):
            U, V = layers[f"U{block}"], layers[f"V{block}"]
            s, slope = curve(U @ h + layers[f"b{block}"])
            h, T = h + V @ s, T + (V * slope) @ (U @ T)
        return (layers["W_out"] * T.T).sum(-1)

    return np.apply_along_axis(point, -1, x)


def _score_gelu(x: Tensor, **layers: Tensor) -> Tensor:
    return _score(x, gelu, layers)


def _score_gelu_diagonal(x: np.ndarray, **layers: np.ndarray) -> np.ndarray:
    return _score_diagonal(x, _gelu_curve, layers)


def _gelu_curve(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z P(z) and its slope P(z) + z p(z), P and p the normal distribution and density."""
    root = np.sqrt(np.full_like(z, 2))
    P = (1 + erf(z / root)) / 2
    p = np.exp(-z * z / 2) / (root * np.sqrt(_pi(z)))
    return z * P, P + z * p


def erf(z: np.ndarray) -> np.ndarray:
    """erf in the precision of z: 2 exp(-z^2)/sqrt pi sum 2^k z^(2k+1)/(2k+1)!!, whose terms do not cancel.

    Source: NIST Digital Library of Mathematical Functions, 7.6.2. Beyond 7 it is 1 to every digit of a longdouble.
    """
    z = np.clip(z, -7, 7)
    term = total = z
    for k in range(1, TERMS):
        term = term * (2 * z * z) / (2 * k + 1)
        total = total + term
    return 2 * np.exp(-z * z) / np.sqrt(_pi(z)) * total


def _pi(like: np.ndarray) -> np.ndarray:
    """pi in the precision of an array, which Python's is not."""
    return 4 * np.arctan(np.ones_like(like))


def _score_silu(x: Tensor, **layers: Tensor) -> Tensor:
    return _score(x, silu, layers)


def _score_silu_diagonal(x: np.ndarray, **layers: np.ndarray) -> np.ndarray:
    return _score_diagonal(x, _silu_curve, layers)


def _silu_curve(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z g(z) and its slope g + z g (1 - g), g = 1/(1 + exp(-z))."""
    g = 1 / (1 + np.exp(-z))
    return z * g, g + z * g * (1 - g)


def _residual_layers(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """W_in (64, n), the blocks' U and V (64, 64), W_out (n, 64) and biases, normal with variance 1/fan-in."""

    def normal(*shape: int, fan_in: int) -> np.ndarray:
        return rng.standard_normal(shape) / np.sqrt(fan_in)

    layers = {"W_in": normal(WIDTH, n, fan_in=n), "b_in": normal(WIDTH, fan_in=n)}
    for block in range(1, BLOCKS + 1):
        layers[f"U{block}"] = normal(WIDTH, WIDTH, fan_in=WIDTH)
        layers[f"b{block}"] = normal(WIDTH, fan_in=WIDTH)
        layers[f"V{block}"] = normal(WIDTH, WIDTH, fan_in=WIDTH)
    return layers | {"W_out": normal(n, WIDTH, fan_in=WIDTH), "b_out": normal(n, fan_in=WIDTH)}


HYVARINEN = "Hyvärinen 2005, Estimation of non-normalized statistical models by score matching, whose loss has tr J"
HE = "He, Zhang, Ren, Sun 2016, Deep residual learning"

SCORES = (
    Problem(
        name="score_gelu",
        kind="field",
        formula="F(x) = W_out h2 + b_out, h_l = h_{l-1} + V_l gelu(U_l h_{l-1} + b_l), h0 = W_in x + b_in, width 64",
        answer="tr(W_out (I + V2 D2 U2) (I + V1 D1 U1) W_in), D = diag gelu', gelu with erf",
        function=_score_gelu,
        diagonal=_score_gelu_diagonal,
        structure="dense",
        parameters=_residual_layers,
        origin=f"{HYVARINEN}; {HE}; Hendrycks, Gimpel 2016, Gaussian error linear units",
    ),
    Problem(
        name="score_silu",
        kind="field",
        formula="F(x) = W_out h2 + b_out, h_l = h_{l-1} + V_l silu(U_l h_{l-1} + b_l), h0 = W_in x + b_in, width 64",
        answer="tr(W_out (I + V2 D2 U2) (I + V1 D1 U1) W_in), D = diag silu'",
        function=_score_silu,
        diagonal=_score_silu_diagonal,
        structure="dense",
        parameters=_residual_layers,
        origin="Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole 2021, Score-based generative modeling through "
        f"stochastic differential equations, whose likelihood has tr J; {HE}",
    ),
)
