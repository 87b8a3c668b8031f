"""Whether `auto` is as fast as the fastest exact strategy, and what its first call costs.

    python bench/auto.py [default|full|networks|evaluations|direct|leaks] [--quick] [--one-in N] [TEXT...]

`default` and `full` are the cells of these sweeps that have an exact strategy, `networks` those of networks.py, with a
line a cell; of these, those whose key has one of the texts, and of many one in N, drawn by a seed. `evaluations` and
`direct` are in calls.py, `leaks` in leaks.py.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from .figure import Figure, table

if TYPE_CHECKING:
    from jacstrat.strategies import Prepared

    from .networks import DrawnNetwork

C = TypeVar("C")
# How much slower than the fastest exact strategy auto may be, in which share of the cells, and in any.
WITHIN, SHARE, WORST = 1.10, 0.97, 1.5
# What the first call may take beside CALLS calls of the fastest.
CALLS, ALLOWANCE_S = 5, 0.15
# What stands beside auto: every exact strategy, in the forms that users choose among.
EXACT = (
    *("identity", "ones", "coloring", "coloring:product=forward", "vmap", "vmap:chunk_size=32", "jvp"),
    *("jvp:chunk_size=all", "jvp:chunk_size=32", "jacrev", "jacfwd", "forward_over_forward", "hessian", "taylor"),
    *("taylor:compress=false", "chain"),
)
# How far off a result may be that is the same, of the largest: sums of float32 in another order.
ALIKE = 1e-3
# What one call of takes so many times that of the fastest so far is not sampled; and seconds of n products through f,
# by f's own time, above which nothing is tried that takes n of them.
BEHIND, PATIENCE_S, FEW = 3.0, 0.5, ("ones", "coloring", "chain", "taylor")
EXIT_MISSED = 1


@dataclass(frozen=True)
class AutoOutcome:
    """What was found in a cell.

    Fields:
        cell: Its key.
        chosen, fastest: Specs of auto's choice and of the fastest exact strategy beside it.
        over_fastest: Median over rounds of auto's time over the fastest's in the same round.
        low, high: Its 95 % interval; not numbers where the rounds were too few.
        first_s: Time of auto's first call, preparation and trial included, seconds.
        fastest_s: Median time of a call of the fastest, seconds.
    """

    cell: str
    chosen: str
    fastest: str
    over_fastest: float
    low: float
    high: float
    first_s: float
    fastest_s: float

    @property
    def beside_calls_s(self) -> float:
        """What the first call took beside CALLS calls of the fastest, seconds."""
        return self.first_s - CALLS * self.fastest_s

    def __str__(self) -> str:
        return (
            f"{self.cell}: {self.chosen} takes {self.over_fastest:.2f} [{self.low:.2f}, {self.high:.2f}] times as long "
            f"as {self.fastest}, {1e6 * self.fastest_s:.4g} us; first call {1e3 * self.first_s:.4g} ms"
        )


def judge(outcomes: Sequence[AutoOutcome]) -> list[Figure]:
    """The figures, with the cells that missed in their notes."""
    slow = [one for one in outcomes if one.over_fastest > WITHIN]
    dear = [one for one in outcomes if one.beside_calls_s > ALLOWANCE_S]
    share = 1 - len(slow) / len(outcomes)
    worst = max(outcomes, key=lambda one: one.over_fastest)
    largest_s = max(one.beside_calls_s for one in outcomes)
    return [
        Figure(
            "auto", "cells within 10 % of the fastest", share, SHARE, "%", at_least=True, note=_cells(slow, outcomes)
        ),
        Figure("auto", "over the fastest, the worst cell", worst.over_fastest, WORST, note=worst.cell),
        Figure("auto", "first call beside 5 of the fastest", largest_s, ALLOWANCE_S, "ms", note=_cells(dear, outcomes)),
    ]


def _cells(missed: Sequence[AutoOutcome], outcomes: Sequence[AutoOutcome]) -> str:
    return f"{len(missed)} of {len(outcomes)} cells missed" + "".join(f"; {one}" for one in missed)


def measured(
    keys: Iterable[str] = (), sample_s: float = 0.25, one_in: int = 1, sweep: str = "default"
) -> Iterator[AutoOutcome]:
    """Every cell of a sweep that compares exact strategies, or those whose key contains one of the texts, or a share.

    Each cell in this process, its choices of before forgotten, no file of choices read; what torch imports once a
    process is imported by a first choice that is not counted.
    """
    from jacstrat import UnsupportedError
    from jacstrat.harness.cell.setup import set_up
    from jacstrat.harness.cell.surroundings import surroundings
    from jacstrat.harness.plan.sweep import load_sweep

    _begin()
    cells = [cell for cell in load_sweep(sweep).cells() if set(cell.strategies) & set(EXACT)]
    for cell in drawn(cells, keys, one_in):
        with surroundings(cell):
            try:
                bench = set_up(cell)
            except UnsupportedError:  # it has nothing to train, or cannot have this n
                continue
            prepared, first_s = _first(partial(bench.prepare, "auto", bench.instance.f), bench.work)
            works = {"auto": bench.work(prepared)}
            for spec in dict.fromkeys((*(one for one in cell.strategies if one in EXACT), "coloring", "taylor")):
                if (work := _right(spec, bench)) is not None:
                    works[spec] = work
            yield _compared(cell.key, cell.device, works, prepared, first_s, sample_s)


def _right(spec: str, bench: Any) -> Callable[[], object] | None:
    """Calls of an exact strategy of a cell; None where it cannot serve it, or is wrong there."""
    from jacstrat.core.errors import UnsupportedError
    from jacstrat.harness.cell.verdicts import verdict
    from jacstrat.measure.accuracy import errors

    reference, instance = bench.reference, bench.instance
    try:
        evaluate = bench.prepare(spec, instance.f)
        result = evaluate(instance.x, *instance.args)
    except UnsupportedError:
        return None
    off = errors(result, reference.value(bench.operator), reference.scale(bench.operator))
    return bench.work(evaluate) if verdict(off, bench)[0] == "ok" else None


def drawn(cells: Iterable[C], keys: Iterable[str], one_in: int) -> Iterator[C]:
    """Those whose key contains one of the texts, all where there are none; of these one in so many, in their order."""
    keys, generator = tuple(keys), random.Random(one_in)
    found = [cell for cell in cells if not keys or any(key in cell.key for key in keys)]
    places = generator.sample(range(len(found)), -(-len(found) // one_in))
    return (found[place] for place in sorted(places))


def measured_networks(keys: Iterable[str] = (), sample_s: float = 0.25, one_in: int = 1) -> Iterator[AutoOutcome]:
    """Every network of `networks`, or those whose key contains one of the texts, or a share, against all of EXACT.

    On one thread, since two that wait for each other on a machine that others use take many times as long. What
    prepares is right: it was held against a witness, in its gradients, too; but for `ones`, which claims a sum.
    """
    import torch

    from jacstrat import parse_strategy

    from .networks import networks
    from .operators import one_thread

    with one_thread():
        _begin()
        for net in drawn(networks(), keys, one_in):
            with torch.set_grad_enabled(net.train):
                prepare = partial(parse_strategy("auto").prepare, net.operator, net.f, net.x, args=net.args)
                prepared, first_s = _first(prepare, partial(_call, net))
                works = {"auto": _call(net, prepared), **_beside(net, prepared)}
                yield _compared(net.key, "cpu", works, prepared, first_s, sample_s)


def _begin() -> None:
    import torch

    from jacstrat import parse_strategy

    os.environ["JACSTRAT_CACHE"] = "off"
    for operator, f in (("laplacian", lambda x: x.sin().sum(-1)), ("divergence", lambda x: x @ torch.eye(8))):
        parse_strategy("auto").prepare(operator, f, torch.ones(2, 8))(torch.ones(2, 8))


def _first(prepare: Callable[[], Prepared], work: Callable[[Prepared], Callable[[], object]]) -> tuple[Prepared, float]:
    """What auto prepares, nothing known of before, and the seconds of that and of the first call."""
    from jacstrat.strategies.auto.strategy import CHOICE_CACHE

    CHOICE_CACHE.forget()
    begin = time.perf_counter()
    prepared = prepare()
    work(prepared)()
    return prepared, time.perf_counter() - begin


def _call(net: DrawnNetwork, evaluate: Callable[..., Any]) -> Callable[[], object]:
    """What one call of a network's workload does."""
    import torch

    if not net.train:
        return lambda: evaluate(net.x, *net.args)
    return lambda: torch.autograd.grad(
        evaluate(net.x, *net.args).square().mean(), net.parameters, allow_unused=True, materialize_grads=True
    )


def _beside(net: DrawnNetwork, auto: Prepared) -> Mapping[str, Callable[[], object]]:
    """The exact strategies that serve a network and may be the fastest, by one call of each."""
    import torch

    from jacstrat import UnsupportedError, parse_strategy

    def seconds(work: Callable[[], object]) -> float:
        work()
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    products_s = net.x.shape[-1] * seconds(lambda: net.f(net.x, *net.args))
    expected = auto(net.x, *net.args)
    scale = float(expected.detach().abs().max())
    works, took_s = {}, {}
    for spec in EXACT:
        if products_s > PATIENCE_S and not spec.startswith(FEW):
            continue
        try:
            prepared = parse_strategy(spec).prepare(net.operator, net.f, net.x, args=net.args)
            if not torch.allclose(prepared(net.x, *net.args), expected, rtol=ALIKE, atol=ALIKE * scale):
                continue
            work = _call(net, prepared)
            took_s[spec] = seconds(work)
        except (UnsupportedError, torch.OutOfMemoryError):
            continue
        works[spec] = work
    return {spec: work for spec, work in works.items() if took_s[spec] <= BEHIND * min(took_s.values())}


def _compared(
    key: str,
    device: str,
    works: Mapping[str, Callable[[], object]],
    prepared: Prepared,
    first_s: float,
    sample_s: float,
) -> AutoOutcome:
    """Auto beside the others, in the same shuffled rounds."""
    from jacstrat.measure.sampling import Settings, sample
    from jacstrat.measure.torch_device import clock_for
    from jacstrat.statistics import ratio

    series = sample(works, clock_for(device), Settings(limit_s=sample_s), random.Random(key))
    fastest = min((spec for spec in works if spec != "auto"), key=lambda spec: series[spec].summary.median)
    compared = ratio(series["auto"].seconds, series[fastest].seconds)
    assert compared is not None
    return AutoOutcome(
        key,
        prepared.strategy.spec,
        fastest,
        compared.median,
        math.nan if compared.low is None else compared.low,
        math.nan if compared.high is None else compared.high,
        first_s,
        series[fastest].summary.median,
    )


# From texts, whether to be quick, and of how many cells one is taken.
Check = Callable[[Sequence[str], bool, int], list[Figure]]
SETS: Mapping[str, Callable[..., Iterator[AutoOutcome]]] = {
    "default": measured,
    "full": partial(measured, sweep="full"),
    "networks": measured_networks,
}


def _of_cells(name: str) -> Check:
    def check(texts: Sequence[str], quick: bool, one_in: int) -> list[Figure]:
        outcomes = []
        for one in SETS[name](texts, sample_s=0.02 if quick else 0.25, one_in=one_in):
            outcomes.append(one)
            print(one, file=sys.stderr, flush=True)
        return judge(outcomes) if outcomes else []

    return check


def _of_calls(module: str, name: str) -> Check:
    def check(texts: Sequence[str], quick: bool, one_in: int) -> list[Figure]:
        os.environ["JACSTRAT_CACHE"] = "off"
        figures: list[Figure] = getattr(import_module(f"{__package__}.{module}"), name)(texts, quick)
        return figures

    return check


CHECKS: Mapping[str, Check] = {
    **{name: _of_cells(name) for name in SETS},
    **{name: _of_calls("calls", name) for name in ("evaluations", "direct")},
    "leaks": _of_calls("leaks", "leaks"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line a cell and the table; exit code 0 where every target was met, else 1."""
    parser = argparse.ArgumentParser(description="Measure auto against the fastest exact strategy.")
    parser.add_argument(
        "cells",
        nargs="*",
        metavar="WHAT",
        help=f"{', '.join(CHECKS)} [default], and texts, one of which the key of a cell contains [every cell]",
    )
    parser.add_argument("--quick", action="store_true", help="sample briefly, to try the script")
    parser.add_argument(
        "--one-in", type=int, default=1, metavar="N", help="of the cells of a set one in N, drawn by a seed [all]"
    )
    options = parser.parse_args(arguments)
    name, texts = (
        (options.cells[0], options.cells[1:])
        if options.cells[:1] and options.cells[0] in CHECKS
        else ("default", options.cells)
    )

    if options.one_in < 1 or (options.one_in > 1 and name not in SETS):
        parser.error(f"--one-in takes a positive number, and cells: {', '.join(SETS)}")

    from jacstrat.measure.environment import snapshot

    from .program import QUICK, essentials

    environment = snapshot()
    figures = CHECKS[name](texts, options.quick, options.one_in)
    if not figures:
        parser.error(f"no cell of {name} has {' or '.join(texts)} in its key")
    print(f"{QUICK}\n" if options.quick else "", end="")
    print(f"{essentials(environment)}\n\n{table(figures)}", end="")
    sys.exit(0 if all(figure.met for figure in figures) else EXIT_MISSED)
