"""Graphs of a device that is none: operations are recorded while they are captured, and done again by a replay.

As on a device, what a capture allocates has no numbers until the graph is replayed, a replay writes where the capture
did, inputs are read where they lay, and who asks for a number while capturing spoils it; so does a tensor made of
numbers of the host, which is copied to the device.
"""

from __future__ import annotations

import math
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from jacstrat.graphs import Work
from jacstrat.zeros import called

_ASKING = ("_local_scalar_dense", "equal", "nonzero", "is_nonzero", "allclose")
# What torch.tensor, as_tensor, new_tensor and an index that is a list end in.
_COPYING = ("lift_fresh",)


class RecordedGraph(TorchDispatchMode):
    """A graph: the operations of a capture, with the tensors that they were given and gave."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple, dict, list[Tensor]]] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name.split("::")[1] in _ASKING:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        if func._schema.name.split("::")[1] in _COPYING:
            raise RuntimeError("Cannot copy between CPU and CUDA tensors during CUDA graph capture")
        out = called(func, args, kwargs)
        self.calls.append((func, args, kwargs or {}, _tensors(out)))
        return out

    def spoil(self) -> None:
        """Have what was allocated hold no numbers."""
        for func, args, _, outs in self.calls:
            given = {leaf.untyped_storage()._cdata for leaf in _tensors(args)}
            for out in outs:
                if not (func.is_view or out.untyped_storage()._cdata in given or out._is_zerotensor()):
                    out.data.fill_(math.nan if out.is_floating_point() or out.is_complex() else 0)

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, outs in self.calls:
            for new, out in zip(_tensors(called(func, args, kwargs)), outs, strict=True):
                if not (out._is_zerotensor() or new.data_ptr() == out.data_ptr()):
                    out.data.copy_(new)

    def reset(self) -> None:
        self.calls.clear()


class Recorder:
    """A backend of `jacstrat.graphs`.

    Fields:
        graphs: Those that were captured.
        warmed: Calls before captures.
    """

    BYTES = 1000

    def __init__(self) -> None:
        self.graphs: list[RecordedGraph] = []
        self.warmed = 0

    def warm_up(self, work: Work, calls: int) -> object:
        self.warmed += calls
        return [work() for _ in range(calls)][-1]

    def capture(self, work: Work) -> tuple[RecordedGraph, object, int]:
        graph = RecordedGraph()
        cuda = patch.multiple(torch.cuda, is_initialized=lambda: True, is_current_stream_capturing=lambda: True)
        with cuda, graph:
            result = work()
        graph.spoil()
        self.graphs.append(graph)
        return graph, result, self.BYTES

    def synchronize(self) -> None:
        pass


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
