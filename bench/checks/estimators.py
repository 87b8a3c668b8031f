"""What stochastic estimates cost and how often they cover the truth: counts, the same on every machine."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import torch
from torch import Tensor

from jacstrat.core.operator import parse_operator
from jacstrat.measure.counters import count
from jacstrat.problems import PROBLEMS
from jacstrat.problems.base import Instance
from jacstrat.strategies import Estimate, parse_strategy

from .figure import Figure

ERROR = 1e-2
RATE, MARGIN, PROBES = 0.68, 0.05, 32
DRAWS = 1000
# Draws for an error: it is known to 7 %, and each takes thousands of products.
ERROR_DRAWS = 100
# Steps of a quarter of an octave: an estimator is not told from another by less.
BUDGETS = tuple(dict.fromkeys(round(4 * 2 ** (i / 4)) for i in range(48)))
SPECTRUM, N = "decaying", 64
COVERED = (("decaying", "laplacian"), ("tanh_scalar", "laplacian"), ("tanh_field", "divergence"))


def estimators(draws: int = DRAWS, error_draws: int = ERROR_DRAWS, n: int = N) -> list[Figure]:
    """Products to a relative error, and coverage.

    Args:
        draws: For a coverage.
        error_draws: For an error.
        n: Inputs of the spectrum; elsewhere there are 64.
    """
    return [*products(error_draws, n), *coverage(draws)]


def products(draws: int, n: int) -> list[Figure]:
    """The fewest products with which the root mean square error is within ERROR, against Hutchinson's."""
    instance = PROBLEMS[SPECTRUM].instance(n, 1)
    truth = float(instance.reference("laplacian").value("laplacian")[0])
    products_of = {
        name: fewest(name, instance, truth, draws) for name in ("hutchinson", "hutch++", "xtrace", "xnystrace")
    }
    plain = products_of.pop("hutchinson")
    what = f"products to relative error {ERROR:g} on {SPECTRUM}, n = {n}"
    return [
        Figure("products", f"{name}: {what}", m, plain - 1, note=f"hutchinson: {plain}")
        for name, m in products_of.items()
    ]


def fewest(name: str, instance: Instance, truth: float, draws: int) -> int:
    """The products of the least budget whose root mean square error over the draws is within ERROR of the truth."""

    def short(probes: int) -> bool:
        # Few draws at a time where there are many probes: 2^20 numbers are enough at once.
        part = max(min(draws, 2**20 // (probes * instance.x.numel())), 1)
        squares = []
        for seed in range(-(-draws // part)):
            value = estimate(f"{name}:probes={probes}", "laplacian", instance, part, seed).value
            squares.append((value - truth).square())
        return torch.cat(squares)[:draws].mean().sqrt().item() > ERROR * truth

    probes = BUDGETS[bisect_left(BUDGETS, True, key=lambda probes: not short(probes))]
    strategy = parse_strategy(f"{name}:probes={probes}")

    def work(f: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        prepared = strategy.prepare("laplacian", f, instance.x)
        return lambda: prepared(instance.x)

    return count(work, instance.f, instance.x).vjp_products


def coverage(draws: int) -> list[Figure]:
    """The share of draws within one standard error of the truth."""
    figures = []
    for problem, operator in COVERED:
        instance = PROBLEMS[problem].instance(64, 1)
        truth = float(instance.reference(operator).value(operator)[0])
        for spec in (f"hutchinson:probes={PROBES}", "hutch++:probes=32", "xtrace:probes=32", "xnystrace:probes=32"):
            refused = parse_strategy(spec).refuse(parse_operator(operator))
            if refused or (spec.startswith("xnys") and problem != SPECTRUM):
                continue
            value, std_error = estimate(spec, operator, instance, draws, 0)
            assert std_error is not None
            covered = ((value - truth).abs() <= std_error).double().mean().item()
            figures.append(judge(spec, f"{operator} of {problem}, n = 64", covered, draws))
    return figures


def judge(spec: str, what: str, covered: float, draws: int) -> Figure:
    """Hutchinson's against 68 % +- 5 %; that of the others against what they claim at least."""
    said = f"{covered:.1%} of {draws} draws"
    if spec == f"hutchinson:probes={PROBES}":
        return Figure("coverage", f"{spec}, {what}: off {RATE:.0%}", abs(covered - RATE), MARGIN, "%", note=said)
    rate = parse_strategy(spec).claimed_rate
    assert rate is not None
    return Figure("coverage", f"{spec}, {what}", covered, rate, "%", at_least=True, note=said)


def estimate(spec: str, operator: str, instance: Instance, draws: int, seed: int) -> Estimate:
    """So many draws at the one point of the instance, as a batch of it: points have probes of their own."""
    x = instance.x.expand(draws, -1)
    with torch.no_grad():
        prepared = parse_strategy(spec).prepare(operator, instance.f, x, torch.Generator().manual_seed(seed))
        return prepared.estimate(x)
