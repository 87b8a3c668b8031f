"""Every strategy agrees with the closed forms on the accelerator."""

from __future__ import annotations

import pytest
import torch

from jacstrat import PROBLEMS, STRATEGIES, UnsupportedError, parse_strategy
from jacstrat.core.operator import Operator, parse_operator
from jacstrat.measure.accuracy import errors
from jacstrat.problems.base import Instance, Problem
from jacstrat.strategies import Prepared, Strategy

pytestmark = pytest.mark.gpu

EXACT = [kind() for kind in STRATEGIES.values() if kind.exact_when.startswith("always")]
BATCH = 5
# What reads a function and refuses what it cannot read, by the words of that.
READING = ("chain", "fused")
VMAP = parse_strategy("vmap")


def dtypes(device: str) -> tuple[torch.dtype, ...]:
    """Those that the accelerator computes in; Metal has no float64."""
    return (torch.float32,) if device == "mps" else (torch.float32, torch.float64)


def sizes(problem: Problem) -> list[int]:
    return [n for n in (1, 3, 17) if problem.refuse(n) is None] or list(problem.sizes[:3])


def prepared(strategy: Strategy, operator: Operator, instance: Instance) -> Prepared:
    """Skips, with its words, what a strategy cannot read that reads functions."""
    try:
        return strategy.prepare(operator, instance.f, instance.x, args=instance.args)
    except UnsupportedError as reason:
        if strategy.name not in READING:
            raise
        pytest.skip(str(reason))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda problem: problem.name)
@pytest.mark.parametrize("strategy", EXACT, ids=str)
def test_exact_strategies_agree_with_closed_forms(strategy: Strategy, problem: Problem, device: str) -> None:
    for dtype in dtypes(device):
        for n in sizes(problem):
            instance = problem.instance(n, BATCH, dtype, device)
            for operator in map(instance.operator, problem.operators):
                if strategy.refuse(operator) is None:
                    reference = instance.reference(operator)
                    with torch.no_grad():
                        result = prepared(strategy, operator, instance)(instance.x, *instance.args)
                    assert result.device.type == device
                    found = errors(result, reference.value(operator), reference.scale(operator))
                    assert found.within, f"n={n} {dtype} {operator}: {found}"


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda problem: problem.name)
@pytest.mark.parametrize("strategy", EXACT, ids=str)
def test_gradients_of_the_parameters_agree_with_those_of_the_cpu(
    strategy: Strategy, problem: Problem, device: str
) -> None:
    n, dtype = sizes(problem)[-1], dtypes(device)[-1]
    tolerance = 1e-3 if dtype == torch.float32 else 1e-9
    for operator in problem.operators:
        if strategy.refuse(parse_operator(operator)) is not None:
            continue
        gradients = []
        for place in ("cpu", device):
            instance = problem.instance(n, BATCH, dtype, place)
            parameters = tuple(instance.parameters.values())
            # Kernels of a device's own have none on the CPU.
            here = VMAP if place == "cpu" and strategy.name == "fused" else strategy
            result = prepared(here, instance.operator(operator), instance)(instance.x, *instance.args)
            loss = result.abs().square().mean()
            if parameters and loss.requires_grad:
                gradients.append(torch.autograd.grad(loss, parameters, allow_unused=True))
        if gradients:
            expected, found = gradients
            for mine, its in zip(found, expected, strict=True):
                assert (mine is None) == (its is None)
                if mine is not None:
                    assert (mine.cpu() - its).norm() <= tolerance * (its.norm() + 1)


@pytest.mark.parametrize("spec", ["hutchinson", "hutchinson:fixed=true", "hutch++", "xtrace", "xnystrace"])
def test_a_seed_gives_the_same_estimate_on_the_accelerator_as_on_the_cpu(spec: str, device: str) -> None:
    strategy = parse_strategy(spec)
    values = []
    for place in ("cpu", device):
        instance = PROBLEMS["decaying"].instance(40, BATCH, torch.float32, place)
        with torch.no_grad():
            estimate = strategy.prepare("laplacian", instance.f, instance.x, torch.Generator().manual_seed(0))
            values.append(estimate(instance.x).cpu())
    torch.testing.assert_close(values[1], values[0], rtol=1e-2, atol=0)
