"""Whether `auto` is as fast as the fastest exact strategy, and what its first call costs."""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .figure import Figure, table

# How much slower than the fastest exact strategy auto may be, and in which share of the cells.
WITHIN, SHARE = 1.10, 0.95
# What the first call may take beside CALLS calls of the fastest.
CALLS, ALLOWANCE_S = 5, 0.2
EXIT_MISSED = 1


@dataclass(frozen=True)
class Found:
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


def judge(found: Sequence[Found]) -> list[Figure]:
    """The figures, with the cells that missed in their notes."""
    slow = [one for one in found if one.over_fastest > WITHIN]
    dear = [one for one in found if one.beside_calls_s > ALLOWANCE_S]
    share = 1 - len(slow) / len(found)
    largest_s = max(one.beside_calls_s for one in found)
    return [
        Figure("auto", "cells within 10 % of the fastest", share, SHARE, "%", at_least=True, note=_cells(slow, found)),
        Figure("auto", "first call beside 5 of the fastest", largest_s, ALLOWANCE_S, "ms", note=_cells(dear, found)),
    ]


def _cells(missed: Sequence[Found], found: Sequence[Found]) -> str:
    return f"{len(missed)} of {len(found)} cells missed" + "".join(f"; {one}" for one in missed)


def measured(keys: Iterable[str] = (), sample_s: float = 0.25) -> Iterator[Found]:
    """Every cell of the default sweep, or those whose key contains one of the texts.

    Each cell in this process, its choices of before forgotten, no file of choices read; what torch imports once a
    process is imported by a first choice that is not counted.
    """
    import torch

    from jacstrat import parse_strategy
    from jacstrat.harness.bench import set_up, surroundings
    from jacstrat.harness.sweep import load_sweep
    from jacstrat.strategies.auto.strategy import RECALL

    os.environ["JACSTRAT_CACHE"] = "off"
    parse_strategy("auto").prepare("laplacian", lambda x: x.sin().sum(-1), torch.ones(2, 3))(torch.ones(2, 3))
    for cell in load_sweep("default").cells():
        if keys and not any(key in cell.key for key in keys):
            continue
        with surroundings(cell):
            bench = set_up(cell)
            RECALL.forget()
            begin = time.perf_counter()
            prepared = bench.prepare("auto", bench.instance.f)
            bench.work(prepared)()
            first_s = time.perf_counter() - begin
            yield _compared(cell, bench, prepared, first_s, sample_s)


def _compared(cell, bench, prepared, first_s: float, sample_s: float) -> Found:  # type: ignore[no-untyped-def]
    """Auto beside the exact strategies of its cell, `coloring` and `taylor`, in the same shuffled rounds."""
    from jacstrat.core.errors import UnsupportedError
    from jacstrat.harness.bench import verdict
    from jacstrat.measure.accuracy import errors
    from jacstrat.measure.clocks import clock_for
    from jacstrat.measure.sampling import Settings, sample
    from jacstrat.statistics import ratio

    reference, instance = bench.reference, bench.instance
    works = {"auto": bench.work(prepared)}
    for spec in dict.fromkeys((*cell.strategies, "coloring", "taylor")):
        try:
            evaluate = bench.prepare(spec, instance.f)
            result = evaluate(instance.x, *instance.args)
        except UnsupportedError:
            continue
        found = errors(result, reference.value(bench.operator), reference.scale(bench.operator))
        if verdict(found, bench)[0] == "ok":
            works[spec] = bench.work(evaluate)
    series = sample(works, clock_for(cell.device), Settings(limit_s=sample_s), random.Random(cell.key))
    fastest = min((spec for spec in works if spec != "auto"), key=lambda spec: series[spec].summary.median)
    compared = ratio(series["auto"].seconds, series[fastest].seconds)
    assert compared is not None
    return Found(
        cell.key,
        prepared.strategy.spec,
        fastest,
        compared.median,
        math.nan if compared.low is None else compared.low,
        math.nan if compared.high is None else compared.high,
        first_s,
        series[fastest].summary.median,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line a cell and the table; exit code 0 where both targets were met, else 1."""
    parser = argparse.ArgumentParser(description="Measure auto against the fastest exact strategy.")
    parser.add_argument("cells", nargs="*", help="texts, one of which the key of a cell contains [every cell]")
    parser.add_argument("--quick", action="store_true", help="sample briefly, to try the script")
    given = parser.parse_args(arguments)

    from jacstrat.measure.environment import snapshot

    from .program import QUICK, essentials

    environment = snapshot()
    found = []
    for one in measured(given.cells, sample_s=0.02 if given.quick else 0.25):
        found.append(one)
        print(one, file=sys.stderr, flush=True)
    if not found:
        parser.error(f"no cell of the default sweep has {' or '.join(given.cells)} in its key")
    figures = judge(found)
    print(f"{QUICK}\n" if given.quick else "", end="")
    print(f"{essentials(environment)}\n\n{table(figures)}", end="")
    sys.exit(0 if all(figure.met for figure in figures) else EXIT_MISSED)
