"""folx's side: its forward Laplacian over the batch by vmap, jitted; with sparse Jacobians, and some points at a time.

Run in an environment of its own, which scripts/peers/setup makes. The networks are those of functions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from folx import batched_vmap, forward_laplacian
from protocol import Settings, Work, serve

TOKENS, EPSILON = 16, 1e-5
# Above this share of non-zero rows a Jacobian is dense: what its documentation recommends.
SPARSITY = 0.6
TILES = (16, 64)
Weights = dict[str, jax.Array]


def tanh(weights: Weights, x: jax.Array) -> jax.Array:
    depth = len(weights) // 2
    for number in range(1, depth):
        x = jnp.tanh(weights[f"W{number}"] @ x + weights[f"b{number}"])
    return (weights[f"W{depth}"] @ x + weights[f"b{depth}"])[0]


def residual(weights: Weights, x: jax.Array) -> jax.Array:
    h = weights["W_in"] @ x + weights["b_in"]
    for block in range(1, 1 + sum(name.startswith("U") for name in weights)):
        normed = _normed(h) * weights[f"scale{block}"] + weights[f"shift{block}"]
        inner = jax.nn.gelu(weights[f"U{block}"] @ normed + weights[f"b{block}"], approximate=False)
        h = h + weights[f"V{block}"] @ inner
    return (_normed(h) * weights["out"]).sum()


def _normed(h: jax.Array) -> jax.Array:
    centred = h - h.mean()
    return centred * jax.lax.rsqrt((centred * centred).mean() + EPSILON)


def attention(weights: Weights, x: jax.Array) -> jax.Array:
    h = x.reshape(TOKENS, -1) @ weights["W_in"].T + weights["position"]
    query, key, value = (h @ weights[name].T for name in ("W_query", "W_key", "W_value"))
    h = h + jax.nn.softmax(query @ key.T / key.shape[-1] ** 0.5, axis=-1) @ value
    return (jnp.tanh(h @ weights["W_hidden"].T + weights["b_hidden"]) * weights["out"]).sum()


FUNCTIONS: dict[str, Callable[[Weights, jax.Array], jax.Array]] = {
    "tanh": tanh,
    "residual": residual,
    "attention": attention,
}


def settings(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> Settings:
    """Jitted, dense and sparse, each also with some points at a time."""
    weights = {name: jnp.asarray(array) for name, array in arrays.items()}
    x = weights.pop("x")
    f = FUNCTIONS[request["kind"]]

    def make(sparsity: float, tile: int) -> Work:
        def laplacian(weights: Weights, x: jax.Array) -> jax.Array:
            return forward_laplacian(partial(f, weights), sparsity)(x).laplacian

        vmap = partial(batched_vmap, max_batch_size=tile) if tile < len(x) else jax.vmap
        jitted = jax.jit(vmap(laplacian, in_axes=(None, 0)))
        return lambda: jitted(weights, x).block_until_ready()

    return {
        f"{name}, {tile} points at a time" if tile < len(x) else name: partial(make, sparsity, tile)
        for name, sparsity in (("jit", 0), ("sparse", SPARSITY))
        for tile in (len(x), *(tile for tile in TILES if tile < len(x)))
    }


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    serve(settings, {name: version(name) for name in ("folx", "jax", "jaxlib")})
