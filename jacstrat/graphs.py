"""Graphs: work captured once on an accelerator and replayed as one launch, without the host time of its operations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from jacstrat.core.errors import UnsupportedError

Work = Callable[[], object]

# Calls before a capture, as torch.cuda.make_graphed_callables makes them: libraries set themselves up in the first.
WARM_UPS = 3

# The graphs that torch's device modules have. torch.accelerator.Graph of torch 2.13 has no CUDA behind it.
KINDS = ("CUDAGraph", "XPUGraph")


class Graph(Protocol):
    """A captured graph."""

    def replay(self) -> None:
        """Queue what was captured."""
        ...

    def reset(self) -> None:
        """Let go of what was captured, and of its memory."""
        ...


class Backend(Protocol):
    """What captures work on one device; torch's, or a fake in tests."""

    def warm_up(self, work: Work, calls: int) -> object:
        """Call the work on the stream that captures it; what the last call returned."""
        ...

    def capture(self, work: Work) -> tuple[Graph, object, int]:
        """Call the work once without running it; its graph, the result that a replay writes, bytes of the graph."""
        ...

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        ...


class DeviceGraph:
    """Captured work: a call replays it and returns the result, which is the same tensors each time, written anew.

    Attributes:
        bytes: Memory that the graph keeps from others as long as it lives.
    """

    def __init__(self, graph: Graph, result: object, size: int = 0) -> None:
        self._graph: Graph | None = graph
        self._result = result
        self.bytes = size

    def __call__(self) -> object:
        if self._graph is None:
            raise RuntimeError("the graph is closed; capture the work again")
        self._graph.replay()
        return self._result

    def close(self) -> None:
        """Free the graph. Its memory goes back to torch's allocator."""
        if self._graph is not None:
            self._graph.reset()
        self._graph = self._result = None


def captured(work: Work, device: str | torch.device, backend: Backend | None = None) -> DeviceGraph:
    """Capture work in a graph of the device.

    What the work reads is read at the same addresses by every replay: with inputs that do not change a replay
    computes the same again, and that it does is checked once.

    Args:
        work: Runs on the device alone.
        device: An accelerator.
        backend: What captures there; by default torch.

    Raises:
        UnsupportedError: The device has no graphs; or the work synchronises, needs the CPU, or has shapes or numbers
            that differ from call to call.
    """
    device = torch.device(device)
    backend = backend_for(device) if backend is None else backend
    expected = backend.warm_up(work, WARM_UPS)
    replay = recorded(work, backend)
    result = replay()
    backend.synchronize()
    if reason := _difference(_tensors(result), _tensors(expected), device):
        replay.close()
        raise UnsupportedError(reason)
    return replay


def recorded(work: Work, backend: Backend) -> DeviceGraph:
    """Capture work that was called before, on the stream of the capture; what it gives is not looked at.

    Raises:
        UnsupportedError: It cannot be captured; says why.
    """
    failures: list[Exception] = []

    def watched() -> object:
        try:
            return work()
        except Exception as error:
            # Ending a capture that has failed raises again, and says less.
            failures.append(error)
            raise

    try:
        return DeviceGraph(*backend.capture(watched))
    except Exception as error:
        raise _refusal(failures.pop() if failures else error) from error


def _refusal(cause: Exception) -> Exception:
    if isinstance(cause, torch.OutOfMemoryError):
        return cause
    return UnsupportedError(f"it cannot be captured in a graph: {_headline(cause)}")


def _headline(error: Exception) -> str:
    return str(error).strip().split("\n")[0].removesuffix(".") or type(error).__name__


def _tensors(result: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


def _difference(result: list[Tensor], expected: list[Tensor], device: torch.device) -> str | None:
    """Why a replay is not the call that it was captured from, or None where it is."""
    for tensor in result:
        if tensor.device.type != device.type:
            return f"its result is on {tensor.device.type}, which a graph of {device.type} does not compute again"
    try:
        torch.testing.assert_close(result, expected, equal_nan=True)
    except AssertionError:
        return "a replay of its graph has another result than the call: does it draw random numbers?"
    return None


class TorchGraphs:
    """The graphs of a device module of torch, torch.cuda or torch.xpu.

    All are captured on one side stream, each into a pool of memory of its own. A pool that several share holds only
    where they are replayed in the order of their capture; in any other order, as in rounds that are shuffled, a replay
    ends in an illegal memory access, after which the process can do nothing more on the device.
    """

    def __init__(self, module: Any, device: torch.device) -> None:
        self._module = module
        self._device = device
        self._kind = next(getattr(module, kind) for kind in KINDS if hasattr(module, kind))
        self._stream = module.Stream(device)

    def warm_up(self, work: Work, calls: int) -> object:
        module, side, result = self._module, self._stream, None
        with module.device(self._device):
            side.wait_stream(module.current_stream())
            with module.stream(side):
                for _ in range(calls):
                    result = work()
            module.current_stream().wait_stream(side)
        return result

    def capture(self, work: Work) -> tuple[Graph, object, int]:
        module, graph = self._module, self._kind()
        side = self._stream
        # What is free is given back first, so that what a graph takes from the device is its pool.
        module.empty_cache()
        before = module.memory_reserved(self._device)
        # The graph enters the side stream by itself, and leaves it current where the end of a failed capture raises.
        with module.device(self._device), module.stream(side):
            try:
                with module.graph(graph, stream=side):
                    result = work()
            except Exception:
                self._recover()
                raise
        return graph, result, max(module.memory_reserved(self._device) - before, 0)

    def _recover(self) -> None:
        """Have torch's generator leave a capture that has failed: it does so at the end of one that has not.

        Until then whoever draws random numbers on the device is told that a capture is under way.
        """
        module, side = self._module, self._stream
        with suppress(RuntimeError), module.stream(side), module.graph(self._kind(), stream=side):
            torch.zeros(1, device=self._device)

    def synchronize(self) -> None:
        self._module.synchronize(self._device)


def backend_for(device: torch.device) -> Backend:
    """What captures on a device of this machine.

    Raises:
        UnsupportedError: The device has no graphs, or is not here.
    """
    if not has_graphs(device):
        raise UnsupportedError(f"device {device} has no graphs here; cuda and xpu have them")
    return _torch_graphs(device)


def is_capturing() -> bool:
    """Whether the current stream is being captured: nothing may wait for the device then, nor be copied there."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def has_graphs(device: torch.device) -> bool:
    """Whether the device is here, and torch has graphs for it."""
    here = torch.accelerator.current_accelerator(check_available=True)
    if here is None or here.type != device.type:
        return False
    return any(hasattr(torch.get_device_module(here), kind) for kind in KINDS)


@cache
def _torch_graphs(device: torch.device) -> TorchGraphs:
    return TorchGraphs(torch.get_device_module(device), device)
