"""jet-for-pytorch's side: its collapsed Taylor mode over the batch by vmap, as it is, as a graph, compiled, replayed.

Run by `jacstrat.peers.serve` in a Python that has jet-for-pytorch, and not jacstrat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import jet
import numpy as np
import torch
from program import function
from torch import Tensor

OPERATORS = {"laplacian": jet.laplacian, "bilaplacian": jet.bilaplacian}
# Calls before a capture, on a stream of their own, as torch's notes on CUDA graphs have it.
WARM_UPS = 3


def software(task: Any) -> dict[str, str]:
    found = {name: version(name) for name in ("jet-for-pytorch", "torch")}
    return found | {"precision": f"float32_matmul_precision={torch.get_float32_matmul_precision()}"}


class Batched:
    """A call: the operator at each point under vmap, in one of its forms, some points at a time or all."""

    def __init__(self, task: Any) -> None:
        torch.set_grad_enabled(False)
        torch.set_num_threads(task.threads)
        torch.set_float32_matmul_precision("high" if task.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = task.precision == "tf32"
        if any(task.goes):
            raise NotImplementedError(
                "jet's operators are of functions of one tensor, and arguments go with the points"
            )
        self._task = task
        self._device = torch.device(task.device)
        self._tensors: dict[str, Tensor] = {}
        self._programs: dict[tuple[int, ...], Callable[[Tensor], Tensor]] = {}
        tile = task.options["tile"]
        self._tile = None if tile == "all" else tile

    def place(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            given, held = torch.from_numpy(array).to(self._device), self._tensors.get(name)
            # Programs and graphs have the very tensors that they were made with.
            if held is not None and held.shape == given.shape:
                held.copy_(given)
            else:
                self._tensors[name] = given.clone()
                if name != "x":
                    self._programs.clear()

    def __call__(self) -> Tensor:
        x = self._tensors["x"]
        if self._tile is None or self._tile >= len(x):
            return self._program(x)(x)
        return torch.cat([self._program(part)(part) for part in x.split(self._tile)])

    def wait(self, result: Tensor) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def numbers(self, result: Tensor) -> np.ndarray:
        return result.cpu().numpy()

    def _program(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """What serves points of this shape."""
        key = tuple(x.shape)
        if key not in self._programs:
            self._programs[key] = self._made(x)
        return self._programs[key]

    def _made(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        form = self._task.options["form"]
        f = function(self._task.program, self._tensors, self._device)
        batched = torch.func.vmap(OPERATORS[self._task.operator](f, (torch.zeros_like(x[0]),)))
        if form == "eager":
            return batched
        module, _ = jet.capture_graph(batched, (x,))
        jet.common_subexpression_elimination(module.graph)
        module.recompile()
        if form == "graph":
            return module
        compiled = torch.compile(module)
        return compiled if form == "compiled" else _replayed(compiled, x)


def _replayed(call: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[Tensor], Tensor]:
    """A CUDA graph of the call, on a copy of x; it has a pool of its own."""
    if x.device.type != "cuda":
        raise NotImplementedError(f"form=replayed is for a card; {x.device.type} has no graphs")
    placed, stream = x.clone(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            call(placed)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call(placed)

    def replay(x: Tensor) -> Tensor:
        placed.copy_(x)
        graph.replay()
        return result

    return replay


prepare = Batched
