"""What operators beyond divergence and Laplacian cost, against their parts and what one writes by hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor

from jacstrat import (
    Operator,
    parse_operator,
    parse_strategy,
    value_and_divergence,
)
from jacstrat.graphs import Work
from jacstrat.measure.counters import count

from .figure import Figure

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# Targets: of the Laplacian alone; of the products of all coordinates; of the prepared operator, and that of what is
# written by hand.
TOGETHER, SHARE, DIRECT, PREPARED, NOISE, PLATE = 1.10, 0.1, 1.30, 1.10, 1.05, 1.0
ROUNDS, ROUND_S, BATCH = 15, 0.1, 64


def ratio(one: Work, other: Work, quick: bool) -> tuple[float, str]:
    """The median over interleaved rounds of the time of one over that of the other, and its quartiles in words."""
    works = (one, other)
    for work in works:
        work()
    start = time.perf_counter()
    one()
    calls = max(round(ROUND_S / max(time.perf_counter() - start, 1e-6)), 1)
    ratios = []
    for round_ in range(3 if quick else ROUNDS):
        seconds = [0.0, 0.0]
        for which in (0, 1) if round_ % 2 == 0 else (1, 0):
            start = time.perf_counter()
            for _ in range(1 if quick else calls):
                works[which]()
            seconds[which] = time.perf_counter() - start
        ratios.append(seconds[0] / seconds[1])
    low, median, high = statistics.quantiles(ratios, n=4)
    return median, f"quartiles {low:.3f} to {high:.3f}"


def _network(*widths: int) -> torch.nn.Module:
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        layers += [torch.nn.Linear(a, b), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1]).double().requires_grad_(False)


def _points(n: int) -> Tensor:
    return torch.randn(BATCH, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _pairs(x: Tensor) -> Tensor:
    """log psi of particles in three dimensions that repel each other."""
    p = x.unflatten(-1, (-1, 3))
    i, j = torch.triu_indices(p.shape[-2], p.shape[-2], 1)
    return -(p[..., i, :] - p[..., j, :]).square().sum(-1).add(1).rsqrt().sum(-1) - p.square().sum((-1, -2))


def together(quick: bool) -> list[Figure]:
    """Value, gradient and Laplacian in one pass over the Laplacian alone, by `taylor`."""
    cases = {
        "10 -> 128 -> 128 -> 1": (_network(10, 128, 128, 1), 10),
        "50 -> 256 -> 256 -> 256 -> 1": (_network(50, 256, 256, 256, 1), 50),
        "200 -> 64 -> 64 -> 1": (_network(200, 64, 64, 1), 200),
        "log psi of 10 particles": (_pairs, 30),
    }
    figures = []
    for name, (u, n) in cases.items():
        x = _points(n)
        prepared = parse_strategy("taylor").prepare("laplacian", u, x)
        value, note = ratio(partial(prepared.together, x), partial(prepared, x), quick)
        figures.append(Figure("together", f"over the Laplacian alone, {name}", value, TOGETHER, note=note))
    return figures


def coordinates(quick: bool) -> list[Figure]:
    """Products of 2 of 50 coordinates over those of all, and of a weight of rank 1 at n = 200."""
    figures = []
    u, x = _network(50, 64, 64, 1), _points(50)
    some = parse_operator("laplacian:coordinates=0+1")
    for spec in ("identity", "vmap", "jvp", "coloring", "jacfwd", "forward_over_forward", "taylor"):
        products = [_products(spec, operator, u, x) for operator in (some, parse_operator("laplacian"))]
        calls = [partial(parse_strategy(spec).prepare(o, u, x), x) for o in (some, parse_operator("laplacian"))]
        value, note = ratio(*calls, quick)
        share = products[0] / products[1]
        note = f"{products[0]} of {products[1]} products; time {value:.3f} of all, {note}"
        figures.append(Figure("coordinates", f"2 of 50, {spec}", share, SHARE, note=note))
    u, x, v = _network(200, 64, 1), _points(200), torch.randn(200, dtype=torch.float64)
    weighted = Operator("laplacian", "scalar", 2, "trace", weight=torch.outer(v, v))
    figures.append(Figure("coordinates", "tangents of rank 1, n = 200", _products("taylor", weighted, u, x), 1))
    return figures


def _products(spec: str, operator: Operator, u: Callable[[Tensor], Tensor], x: Tensor) -> int:
    passes = parse_strategy(spec).prepare(operator, u, x).contraction.passes
    if passes is not None:
        return passes.jvp_products

    def make(f: Callable[[Tensor], Tensor]) -> Work:
        prepared = parse_strategy(spec).prepare(operator, f, x)
        prepared(x)
        return lambda: prepared(x)

    counts = count(make, u, x)
    return counts.vjp_products + counts.jvp_products


class _Velocity(torch.nn.Module):
    """A field of (x, t), as of a continuous flow."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.inner = _network(n + 1, 64, 64, n)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.inner(torch.cat((x, t.expand(len(x), 1)), -1))


def flow(quick: bool) -> list[Figure]:
    """100 steps of Runge and Kutta with the divergence at each stage: direct, prepared, and written by hand."""
    steps = 3 if quick else 100
    figures = []
    for n in (2, 8, 32, 64):
        f, x = _Velocity(n), _points(n)
        t = torch.zeros((), dtype=torch.float64)
        prepared = parse_strategy("auto").prepare("divergence", f, x, args=(t,))

        def by_prepared(x: Tensor, t: Tensor, prepared=prepared) -> tuple[Tensor, Tensor]:
            together = prepared.together(x, t)
            return together.value, together.result

        by_direct = partial(_direct, f)
        by_hand = partial(_by_hand, f)
        loops = [partial(_runge_kutta, each, x, steps) for each in (by_direct, by_prepared, by_hand)]
        with torch.no_grad():
            value, note = ratio(loops[0], loops[1], quick)
            figures.append(
                Figure("flow", f"direct over prepared, n = {n}", value, DIRECT, note=f"{prepared.strategy}; {note}")
            )
            value, note = ratio(loops[1], loops[2], quick)
            figures.append(Figure("flow", f"prepared over by hand, n = {n}", value, PREPARED, note=note))
        noise = 2.0 * torch.randint(2, (1, *x.shape), generator=torch.Generator().manual_seed(0)).double() - 1
        spec = parse_strategy("hutchinson:probes=1,fixed=true")
        random = spec.prepare("divergence", f, x, torch.Generator().manual_seed(0), args=(t,))

        def by_noise(x: Tensor, t: Tensor, random=random) -> tuple[Tensor, Tensor]:
            together = random.together(x, t)
            return together.value, together.result

        loops = [partial(_runge_kutta, each, x, steps) for each in (by_noise, partial(_noise_by_hand, f, noise))]
        with torch.no_grad():
            value, note = ratio(*loops, quick)
        figures.append(Figure("flow", f"fixed noise over by hand, n = {n}", value, NOISE, note=note))
    return figures


def _direct(f: Callable[..., Tensor], x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return value_and_divergence(f, x, args=(t,))


def _by_hand(f: Callable[..., Tensor], x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """What one writes: one torch.func.vjp, its value taken, its pullback of all unit vectors batched."""
    y, pull = torch.func.vjp(lambda x: f(x, t), x)
    units = torch.eye(x.shape[-1], dtype=x.dtype)
    products = torch.func.vmap(lambda v: pull(v.expand_as(y))[0])(units)
    return y, products.diagonal(dim1=0, dim2=2).sum(-1)


def _noise_by_hand(f: Callable[..., Tensor], noise: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    y, pull = torch.func.vjp(lambda x: f(x, t), x)
    return y, (noise[0] * pull(noise[0])[0]).sum(-1)


def _runge_kutta(
    step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """x and the logarithm of its density at t = 1, by the classical method of order four."""
    h, total = 1 / steps, torch.zeros(len(x), dtype=x.dtype)
    for k in range(steps):
        t = torch.tensor(k * h, dtype=x.dtype)
        a, da = step(x, t)
        b, db = step(x + 0.5 * h * a, t + 0.5 * h)
        c, dc = step(x + 0.5 * h * b, t + 0.5 * h)
        d, dd = step(x + h * c, t + h)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
        total = total - h / 6 * (da + 2 * db + 2 * dc + dd)
    return x, total


def plate(quick: bool) -> list[Figure]:
    """The bilaplacian of 5 -> 768 -> 768 -> 512 -> 512 -> 1 against two nested Laplacians by hand."""
    u, x = (_network(5, 16, 1) if quick else _network(5, 768, 768, 512, 512, 1)), _points(5)[:16]
    figures = []

    def by_hand(x: Tensor) -> Tensor:
        def twice(g: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
            return lambda x: torch.func.hessian(g)(x).trace()

        return torch.func.vmap(twice(twice(lambda x: u(x).squeeze(-1))))(x)

    with torch.no_grad():
        for spec in ("taylor", "vmap", "auto"):
            prepared = parse_strategy(spec).prepare("bilaplacian", u, x)
            torch.testing.assert_close(prepared(x).squeeze(-1), by_hand(x))
            value, note = ratio(partial(prepared, x), partial(by_hand, x), quick)
            figures.append(Figure("plate", f"{spec} over nested torch.func.hessian", value, PLATE, note=note))
    return figures


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _alone(check: Callable[[bool], list[Figure]]) -> Callable[[bool], list[Figure]]:
    def run(quick: bool) -> list[Figure]:
        with one_thread():
            return check(quick)

    return run


CHECKS: Mapping[str, Callable[[bool], list[Figure]]] = MappingProxyType(
    {check.__name__: _alone(check) for check in (together, coordinates, flow, plate)}
)
