"""What a trial times: a call as it will be used, in training with the way back; nothing of the caller's is touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from jacstrat.strategies.cuts import nodes_of
from jacstrat.trace.arguments import Args, Function


@dataclass(frozen=True, eq=False)
class Workload:
    """Points to call with, and the tensors that a gradient is wanted for.

    Fields:
        x, args: The caller's points and further arguments, cut off from the graph that made them.
        leaves: Where gradients of f end, x among them where it requires grad; empty where nothing is tracked.
    """

    x: Tensor
    args: Args
    leaves: tuple[Tensor, ...]

    @classmethod
    def of(cls, f: Function, x: Tensor, args: Args = ()) -> Workload:
        """The workload of calls like the present one: training where gradients are tracked and f has any.

        Args:
            f: Row-wise, evaluated once where gradients are tracked: every strategy's result depends on no other leaves.
            x: The points.
            args: Further arguments of f.
        """
        points, *point_args = (
            one.detach().requires_grad_(one.requires_grad) if isinstance(one, Tensor) else one for one in (x, *args)
        )
        leaves = tuple(leaves_of(f(points, *point_args))) if torch.is_grad_enabled() else ()
        return cls(points, tuple(point_args), leaves)

    @property
    def name(self) -> str:
        """ "train" or "evaluate", as in a sweep."""
        return "train" if self.leaves else "evaluate"

    def call(self, evaluate: Function) -> float | None:
        """One call of it, ended when this returns. Fills no .grad, and keeps the graph of what f closes over.

        Returns:
            Seconds by the device's own clock, from its being idle to the end of the last operation: launches that it
            waits for are in it, and waiting for the end is not. None on a CPU, whose clock is the caller's, and on a
            device without a clock.
        """
        device = self.x.device
        if device.type == "cpu":
            self._run(evaluate)
            return None
        torch.accelerator.synchronize(device)
        begin = _stamp(device)
        self._run(evaluate)
        end = _stamp(device)
        torch.accelerator.synchronize(device)
        return None if begin is None or end is None else float(begin.elapsed_time(end)) / 1e3

    def _run(self, evaluate: Function) -> None:
        result = evaluate(self.x, *self.args)
        if self.leaves and result.requires_grad:
            torch.autograd.grad(result.sum(), self.leaves, retain_graph=True, allow_unused=True)


def _stamp(device: torch.device) -> torch.Event | None:
    """The time at which the device gets here; None where it tells none."""
    try:
        event = torch.Event(device, enable_timing=True)
        event.record(torch.accelerator.current_stream(device))
    except (RuntimeError, NotImplementedError):
        return None
    return event


@contextmanager
def same_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave torch's generators as they were: that f was called more often must not change what it draws later."""
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            yield
    else:
        with torch.random.fork_rng(devices=[device], device_type=device.type):
            yield


def leaves_of(y: Tensor) -> Iterator[Tensor]:
    """Tensors that require grad in which the graph of y ends."""
    for node in nodes_of(y):
        if (variable := getattr(node, "variable", None)) is not None:
            yield variable
