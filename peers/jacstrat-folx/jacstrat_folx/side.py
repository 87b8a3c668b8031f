"""JAX's side: folx's forward Laplacian, or JAX's Hessian, over the batch by vmap, jitted.

Run by `jacstrat.peers.serve` in a Python that has folx, and neither jacstrat nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from folx import batched_vmap, forward_laplacian
from operations import function

jax.config.update("jax_enable_x64", True)

# JAX's names of what float32 products round to; its own default on a card is TF32.
PRECISIONS = {"float32": "highest", "float64": "highest", "tf32": "tensorfloat32"}


def software(task: Any) -> dict[str, str]:
    found = {name: version(name) for name in ("folx", "jax", "jaxlib")}
    return found | {"precision": f"jax_default_matmul_precision={PRECISIONS[task.precision]}"}


class Jitted:
    """A call: the operator at each point, mapped over the points, jitted; weights are arguments of it."""

    def __init__(self, task: Any) -> None:
        jax.config.update("jax_default_matmul_precision", PRECISIONS[task.precision])
        self._device = jax.devices()[0]
        self._waits = task.device == "cpu"
        self._inputs: tuple[Any, ...] = ()
        at_point = _at_point(task)
        goes = tuple(0 if its else None for its in task.goes)
        tile = task.options.get("tile", "all")
        vmap = jax.vmap if tile == "all" or tile >= task.batch else partial(batched_vmap, max_batch_size=tile)
        self._jitted = jax.jit(vmap(at_point, in_axes=(None, 0, goes)))

    def place(self, arrays: Mapping[str, np.ndarray]) -> None:
        placed = {name: jax.device_put(jnp.asarray(array), self._device) for name, array in arrays.items()}
        x = placed.pop("x")
        args = tuple(placed.pop(f"arg{number}") for number in range(sum(name.startswith("arg") for name in placed)))
        self._inputs = (placed, x, args)

    def __call__(self) -> jax.Array:
        result = self._jitted(*self._inputs)
        # On the CPU JAX would go on with the next call before this one has ended.
        return result.block_until_ready() if self._waits else result

    def wait(self, result: jax.Array) -> None:
        result.block_until_ready()

    def numbers(self, result: jax.Array) -> np.ndarray:
        return np.asarray(result)


def _at_point(task: Any) -> Any:
    """(constants, point, args) -> the operator there."""
    f = function(task.program, task.goes)

    def hessian(constants: Any, x: jax.Array, args: Any) -> jax.Array:
        diagonal = jnp.diagonal(jax.hessian(partial(f, constants))(x, *args))
        return diagonal.sum() if task.operator == "laplacian" else diagonal

    def forward(constants: Any, x: jax.Array, args: Any) -> jax.Array:
        u = lambda x: f(constants, x, *args)  # noqa: E731
        return forward_laplacian(u, task.options["sparsity"])(x).laplacian

    return forward if "sparsity" in task.options else hessian


prepare = Jitted
