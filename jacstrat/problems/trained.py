"""Networks of sizes that people train, named as `jacstrat.problems.trained:tanh_50_256x4`.

They are no entries of PROBLEMS: every strategy on every one of those is a test, for which these are too wide. The sizes
are those of the tables in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from jacstrat.problems.base import Problem
from jacstrat.problems.networks import tanh_slope

TOKENS = 16
Weights = Mapping[str, np.ndarray]


def _layers(widths: Sequence[int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """W_l (h_l, h_{l-1}) and b_l (h_l,), normal with variance 1/h_{l-1}."""
    layers = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        layers[f"W{number}"] = rng.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in)
        layers[f"b{number}"] = rng.standard_normal(fan_out) / np.sqrt(fan_in)
    return layers


def _tanh(x: Tensor, **layers: Tensor) -> Tensor:
    depth = len(layers) // 2
    for number in range(1, depth):
        x = torch.tanh(linear(x, layers[f"W{number}"], layers[f"b{number}"]))
    return linear(x, layers[f"W{depth}"], layers[f"b{depth}"]).squeeze(-1)


def _tanh_diagonal(x: np.ndarray, **layers: np.ndarray) -> np.ndarray:
    # As `networks._tanh_outputs_diagonal`, with as many layers as there are: H_ii = sum_l (g_l s''(z_l))^T T_l^2 with
    # T_l = W_l D_{l-1} T_{l-1} forward, g_{l-1} = W_l^T D_l g_l back, s'' = -2 s s'.
    depth = len(layers) // 2
    W = [layers[f"W{number}"] for number in range(1, depth + 1)]
    b = [layers[f"b{number}"] for number in range(1, depth + 1)]

    def point(x: np.ndarray) -> np.ndarray:
        z = W[0] @ x + b[0]
        T, seen = W[0], []
        for k in range(1, depth):
            d = tanh_slope(z)
            seen.append((np.tanh(z), d, T))
            z = W[k] @ np.tanh(z) + b[k]
            T = (W[k] * d) @ T
        g, total = W[-1][0], np.zeros_like(x)
        for k in reversed(range(depth - 1)):
            a, d, T = seen[k]
            total = total + (-2 * g * a * d) @ T**2
            g = (g * d) @ W[k]
        return total

    return np.apply_along_axis(point, -1, x)


def _network(n: int, *hidden: int) -> Problem:
    same = len(set(hidden)) == 1
    shape = f"{hidden[0]}x{len(hidden)}" if same else "_".join(map(str, hidden))

    def widths(n: int) -> tuple[int, ...]:
        return (n, *hidden, 1)

    return Problem(
        name=f"tanh_{n}_{shape}",
        kind="scalar",
        formula=f"W_L tanh(... tanh(W_1 x + b_1) ...) + b_L, hidden layers of {', '.join(map(str, hidden))}",
        answer="sum_l sum_j g_lj s''(z_lj) |grad z_lj|^2",
        function=_tanh,
        diagonal=_tanh_diagonal,
        structure="dense",
        parameters=lambda n, rng: _layers(widths(n), rng),
        sizes=(n,),
        widths=widths,
    )


tanh_3_32x4 = _network(3, *(32,) * 4)
tanh_10_64x3 = _network(10, *(64,) * 3)
tanh_50_256x4 = _network(50, *(256,) * 4)
tanh_200_64x4 = _network(200, *(64,) * 4)
tanh_1000_128x3 = _network(1000, *(128,) * 3)
tanh_50_768_768_512_512 = _network(50, 768, 768, 512, 512)


def _residual(x: Tensor, **weights: Tensor) -> Tensor:
    h = linear(x, weights["W_in"], weights["b_in"])
    for block in range(1, 1 + sum(name.startswith("U") for name in weights)):
        normed = layer_norm(h, h.shape[-1:], weights[f"scale{block}"], weights[f"shift{block}"])
        inner = gelu(linear(normed, weights[f"U{block}"], weights[f"b{block}"]))
        h = h + linear(inner, weights[f"V{block}"])
    return (layer_norm(h, h.shape[-1:]) * weights["out"]).sum(-1)


def _residual_weights(n: int, rng: np.random.Generator, width: int = 128, blocks: int = 3) -> Weights:
    weights = {"W_in": rng.standard_normal((width, n)) / np.sqrt(n), "b_in": rng.standard_normal(width) / np.sqrt(n)}
    for block in range(1, blocks + 1):
        weights[f"scale{block}"] = rng.uniform(0.5, 1.5, width)
        weights[f"shift{block}"] = rng.uniform(-0.5, 0.5, width)
        weights |= {f"{letter}{block}": rng.standard_normal((width, width)) / np.sqrt(width) for letter in "UV"}
        weights[f"b{block}"] = rng.standard_normal(width) / np.sqrt(width)
    return weights | {"out": rng.standard_normal(width) / np.sqrt(width)}


residual_64_128x3 = Problem(
    name="residual_64_128x3",
    kind="scalar",
    formula="sum w LayerNorm(h_3), h_l = h_{l-1} + V gelu(U LayerNorm(h_{l-1}) + b), h_0 = W x + b, of 128 features",
    answer="none known: the reference is a dense autograd matrix",
    function=_residual,
    diagonal=None,
    structure="dense",
    parameters=_residual_weights,
    sizes=(64,),
)


def _attention(x: Tensor, **weights: Tensor) -> Tensor:
    h = linear(x.unflatten(-1, (TOKENS, -1)), weights["W_in"]) + weights["position"]
    query, key, value = (linear(h, weights[name]) for name in ("W_query", "W_key", "W_value"))
    h = h + torch.softmax(query @ key.transpose(-2, -1) / key.shape[-1] ** 0.5, -1) @ value
    return (torch.tanh(linear(h, weights["W_hidden"], weights["b_hidden"])) * weights["out"]).sum((-2, -1))


def _attention_weights(n: int, rng: np.random.Generator, width: int = 32) -> Weights:
    features = n // TOKENS
    return {
        "W_in": rng.standard_normal((width, features)) / np.sqrt(features),
        "position": rng.standard_normal((TOKENS, width)) / 2,
        **{name: rng.standard_normal((width, width)) / np.sqrt(width) for name in ("W_query", "W_key", "W_value")},
        "W_hidden": rng.standard_normal((2 * width, width)) / np.sqrt(width),
        "b_hidden": rng.standard_normal(2 * width) / np.sqrt(width),
        "out": rng.standard_normal(2 * width) / np.sqrt(2 * width * TOKENS),
    }


attention_16x4_32 = Problem(
    name="attention_16x4_32",
    kind="scalar",
    formula="one head of 32 features over 16 tokens of n / 16 coordinates, a tanh layer, a weighted sum",
    answer="none known: the reference is a dense autograd matrix",
    function=_attention,
    diagonal=None,
    structure="dense",
    parameters=_attention_weights,
    refuse=lambda n: None if n % TOKENS == 0 else f"n must be a multiple of {TOKENS}, the tokens",
    sizes=(64,),
)
