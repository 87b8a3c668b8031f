"""jet-for-pytorch's side: its collapsed Laplacian over the batch by vmap, as it is, simplified, and compiled.

Run in an environment of its own, which scripts/peers/setup makes.
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from functions import FUNCTIONS, TOKENS
from jet import capture_graph, common_subexpression_elimination, laplacian
from protocol import Settings, Work, serve
from torch import Tensor

TILES = (16, 64)


def attention(x: Tensor, **weights: Tensor) -> Tensor:
    """functions.attention at one point in operations that jet has rules for: its softmax is that of the logarithm."""
    h = x.view(TOKENS, -1) @ weights["W_in"].t() + weights["position"]
    query, key, value = (h @ weights[name].t() for name in ("W_query", "W_key", "W_value"))
    scores = query @ key.t() / key.shape[-1] ** 0.5
    h = h + torch.exp(torch.log_softmax(scores, -1)) @ value
    return (torch.tanh(h @ weights["W_hidden"].t() + weights["b_hidden"]) * weights["out"]).sum()


def settings(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> Settings:
    """Eager; as a graph without common subexpressions; compiled, also with some points at a time."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    x = tensors.pop("x")
    f = partial({**FUNCTIONS, "attention": attention}[request["kind"]], **tensors)
    batched = torch.func.vmap(laplacian(f, (torch.zeros_like(x[0]),)))

    def eager() -> Work:
        return lambda: batched(x)

    def graph() -> Work:
        module = _graph(batched, x)
        return lambda: module(x)

    def compiled() -> Work:
        module = torch.compile(_graph(batched, x))
        return lambda: module(x)

    def compiled_tiles(tile: int) -> Work:
        module = torch.compile(_graph(batched, x[:tile]))
        return lambda: torch.cat([module(part) for part in x.split(tile)])

    tiles = {f"compiled, {tile} points at a time": partial(compiled_tiles, tile) for tile in TILES if tile < len(x)}
    return {"eager": eager, "graph": graph, "compiled": compiled, **tiles}


def _graph(batched: Any, x: Tensor) -> torch.fx.GraphModule:
    module, _ = capture_graph(batched, (x,))
    common_subexpression_elimination(module.graph)
    module.recompile()
    return module


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    serve(settings, {name: version(name) for name in ("jet-for-pytorch", "torch")})
