"""Every strategy on every problem without data: on the meta device no tensor of the CPU strays into the work.

Operations on an accelerator refuse a CPU tensor, or copy it at each call; on the meta device both are seen without one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from jacstrat import PROBLEMS, STRATEGIES, UnsupportedError
from jacstrat.problems.base import Instance, Problem
from jacstrat.strategies import Strategy
from jacstrat.strategies.fused import Fused
from tests.share import shared

pytestmark = pytest.mark.long(but_one_in=5)

BATCH = 2
# A graph is captured on a device that is there, and kernels are launched on one; what a graph captures is one of the
# others.
HERE = [kind() for kind in STRATEGIES.values() if not (kind.captures or kind is Fused)]
# What proves nothing without numbers, and how it says so.
REFUSED = {
    ("chain", "graph_diffusion"): "index_select has a tensor without values, on the meta device",
    ("chain", "korteweg_de_vries"): "neither linear nor pointwise",
}


class StrayError(Exception):
    """A tensor of the CPU where none belongs."""


class OnMeta(TorchDispatchMode):
    """Fails at an operation that takes a CPU tensor beside those of the meta device; in the work, at any CPU tensor.

    Preparing may make some there and bring them over: that is done once, as drawing the same probes on all devices is.
    A tensor without an axis stands for a number, which kernels take as they take any other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.in_work = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        taken = tensors((args, kwargs))
        if self.in_work or any(tensor.is_meta for tensor in taken):
            self._check(func, "takes", taken)
        out = func(*args, **(kwargs or {}))
        if self.in_work:
            self._check(func, "makes", tensors(out))
        return out

    def _check(self, func: Any, what: str, seen: list[Tensor]) -> None:
        for tensor in seen:
            if tensor.device.type == "cpu" and tensor.dim() > 0:
                raise StrayError(f"{func} {what} a CPU tensor of shape {tuple(tensor.shape)}")


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def size(problem: Problem) -> int:
    """A small n that the problem takes."""
    return next(n for n in (3, 4, *problem.sizes) if problem.refuse(n) is None)


def run(strategy: Strategy, operator: str, instance: Instance, train: bool) -> list[Tensor]:
    """Prepare, then call once as a cell does, with the way back to the parameters where it trains; what comes out."""
    with torch.set_grad_enabled(train), OnMeta() as guard:
        args, generator = instance.args, torch.Generator().manual_seed(0)
        evaluate = strategy.prepare(instance.operator(operator), instance.f, instance.x, generator, args=args)
        guard.in_work = True
        result = evaluate(instance.x, *args)
        loss = result.square().mean()
        parameters = tuple(instance.parameters.values())
        # A result that no parameter enters has nothing to send back.
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else ()
    return tensors((result, gradients))


@pytest.mark.parametrize(
    ("strategy", "problem"),
    [
        pytest.param(strategy, problem, id=f"{strategy}-{name}")
        for row, strategy in enumerate(HERE)
        for column, (name, problem) in enumerate(PROBLEMS.items())
        if shared(row, column)
    ],
)
def test_no_tensor_of_the_cpu_strays_into_the_work(strategy: Strategy, problem: Problem) -> None:
    for dtype in (torch.float32, torch.float64):
        instance = problem.instance(size(problem), BATCH, dtype, device="meta")
        for operator in problem.operators:
            if strategy.refuse(instance.operator(operator)) is None:
                for train in (False, True) if instance.parameters else (False,):
                    if reason := REFUSED.get((strategy.name, problem.name)):
                        with pytest.raises(UnsupportedError, match=reason):
                            run(strategy, operator, instance, train)
                        continue
                    found = run(strategy, operator, instance, train)
                    assert {(tensor.device.type, tensor.dtype) for tensor in found} == {("meta", dtype)}


def problem_of(function: Callable[[Tensor], Tensor]) -> Problem:
    kind = "scalar" if function(torch.ones(3)).dim() == 0 else "field"
    return Problem("mine", kind, "", "", function, None, "unknown")


@pytest.mark.parametrize("strategy", HERE, ids=str)
def test_a_tensor_of_the_cpu_in_f_is_seen_through_every_strategy(strategy: Strategy) -> None:
    made_before = torch.ones(3)
    for function in (
        lambda x: x.sin() * torch.ones(3),
        lambda x: x.sin() * made_before,
        lambda x: (x.sin() * torch.ones(3)).sum(-1),
        lambda x: (x.sin() * made_before).sum(-1),
    ):
        instance = problem_of(function).instance(3, BATCH, torch.float32, device="meta")
        for operator in instance.problem.operators:
            if strategy.refuse(instance.operator(operator)) is None:
                # A trace meets it first, and gives it as the reason why it proves nothing.
                with pytest.raises(
                    (StrayError, UnsupportedError), match=r"aten\.\S+ (takes|makes) a CPU tensor of shape \(3,\)"
                ):
                    run(strategy, operator, instance, train=False)


def test_the_guard_lets_preparing_bring_tensors_over_and_numbers_pass() -> None:
    x = torch.ones(3, device="meta")
    with OnMeta() as guard:
        probes = torch.eye(3).to("meta")
        with pytest.raises(StrayError, match=r"aten\.mul\.Tensor takes a CPU tensor of shape \(3, 3\)$"):
            x * torch.eye(3)
        guard.in_work = True
        assert (x @ probes * torch.tensor(2.0)).is_meta
        with pytest.raises(StrayError, match=r"makes a CPU tensor of shape \(3, 3\)$"):
            torch.eye(3)
