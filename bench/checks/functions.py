"""The networks of the cells in torch, for points (B, n) or (n,)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

TOKENS = 16


def tanh(x: Tensor, **layers: Tensor) -> Tensor:
    """A scalar W_L tanh(... tanh(W_1 x + b_1) ...) + b_L."""
    return tanh_field(x, **layers).squeeze(-1)


def tanh_field(x: Tensor, **layers: Tensor) -> Tensor:
    """The same with as many outputs as W_L has."""
    depth = len(layers) // 2
    for number in range(1, depth):
        x = torch.tanh(linear(x, layers[f"W{number}"], layers[f"b{number}"]))
    return linear(x, layers[f"W{depth}"], layers[f"b{depth}"])


def residual(x: Tensor, **weights: Tensor) -> Tensor:
    """Blocks h + V gelu(U LayerNorm(h) + b) between a linear layer and a sum of the features, with weights."""
    h = linear(x, weights["W_in"], weights["b_in"])
    for block in range(1, 1 + sum(name.startswith("U") for name in weights)):
        normed = layer_norm(h, h.shape[-1:], weights[f"scale{block}"], weights[f"shift{block}"])
        inner = gelu(linear(normed, weights[f"U{block}"], weights[f"b{block}"]))
        h = h + linear(inner, weights[f"V{block}"])
    return (layer_norm(h, h.shape[-1:]) * weights["out"]).sum(-1)


def attention(x: Tensor, **weights: Tensor) -> Tensor:
    """Tokens of n / TOKENS coordinates attend to each other in one head; then a tanh layer, a sum of all features."""
    h = linear(x.unflatten(-1, (TOKENS, -1)), weights["W_in"]) + weights["position"]
    query, key, value = (linear(h, weights[name]) for name in ("W_query", "W_key", "W_value"))
    h = h + torch.softmax(query @ key.transpose(-2, -1) / key.shape[-1] ** 0.5, -1) @ value
    return (torch.tanh(linear(h, weights["W_hidden"], weights["b_hidden"])) * weights["out"]).sum((-2, -1))


FUNCTIONS = {"tanh": tanh, "residual": residual, "attention": attention}
