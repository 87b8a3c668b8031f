"""The command line of bench/frontier.py."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from .figure import Figure, table

if TYPE_CHECKING:
    from jacstrat.records import RecordWriter

    from .cells import Network
    from .measured import Measured
    from .peers import Comparison

ROOT = Path(__file__).parents[2]
FIGURES, PEERS = "figures.json", "peers.json"


@dataclass
class Plan:
    """What was asked for, and the cells that several parts read.

    Fields:
        cells: Texts, one of which the name of a network contains; none for every network.
        quick: A little of everything.
        records: Where the default sweep's records are.
        writer: Takes rows and samples as they come.
        comparisons: Those with peers, as they come.
    """

    cells: tuple[str, ...]
    quick: bool
    records: Path
    writer: RecordWriter | None = None
    comparisons: list[Comparison] = field(default_factory=list)

    @cached_property
    def laplacians(self) -> list[Measured]:
        from .laplacian import STRATEGIES

        return self._measured(self.networks, STRATEGIES)

    @property
    def networks(self) -> tuple[Network, ...]:
        """Those with a Laplacian."""
        from .cells import LAPLACIANS, SMALL_LAPLACIANS

        return self._asked(SMALL_LAPLACIANS if self.quick else LAPLACIANS)

    @property
    def fields(self) -> tuple[Network, ...]:
        """Those with a divergence."""
        from .cells import DIVERGENCES, SMALL_DIVERGENCES

        return self._asked(SMALL_DIVERGENCES if self.quick else DIVERGENCES)

    def _asked(self, networks: Sequence[Network]) -> tuple[Network, ...]:
        names = self.cells or ("",)
        return tuple(one for one in networks if any(name in f"{one.problem.name} n={one.n}" for name in names))

    def _measured(self, networks: Sequence[Network], strategies: Sequence[str]) -> list[Measured]:
        from jacstrat.measure.sampling import Settings

        from .measured import measured

        settings = Settings(limit_s=0.02, warmup_s=0.01) if self.quick else Settings(limit_s=10.0)
        return list(measured(networks, strategies, settings, self.writer))

    def fields_measured(self) -> list[Measured]:
        from .divergence import STRATEGIES

        return self._measured(self.fields, STRATEGIES)

    def compared(self, peer: str) -> list[Comparison]:
        from .peers import Turns, compared

        turns = Turns(least=2, most=2) if self.quick else Turns()
        found = list(compared(peer, self.networks, turns))
        self.comparisons += found
        return found


def hessian(plan: Plan) -> list[Figure]:
    from .laplacian import hessian

    return hessian(plan.laplacians)


def floor(plan: Plan) -> list[Figure]:
    from .laplacian import floor

    return floor(plan.laplacians)


def divergence(plan: Plan) -> list[Figure]:
    from .divergence import divergence

    return divergence(plan.fields_measured())


def memory(plan: Plan) -> list[Figure]:
    from .memory import memory

    return memory(plan.networks)


def sweep(plan: Plan) -> list[Figure]:
    from .swept import sweep

    return sweep(plan.records)


def jet(plan: Plan) -> list[Figure]:
    from .peers import jet

    return jet(plan.compared("jet"))


def folx(plan: Plan) -> list[Figure]:
    from .peers import folx

    return folx(plan.compared("folx"))


PARTS: Mapping[str, Callable[[Plan], list[Figure]]] = MappingProxyType(
    {
        "hessian": hessian,
        "floor": floor,
        "divergence": divergence,
        "memory": memory,
        "sweep": sweep,
        "jet": jet,
        "folx": folx,
    }
)
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType({"all": tuple(PARTS), "peers": ("jet", "folx")})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table; exit code 0 where every target was met, 1 where one was missed, 2 on wrong use."""
    parser = argparse.ArgumentParser(description="Measure how fast the Laplacian and the divergence of networks are.")
    parser.add_argument("part", nargs="*", default=["all"], metavar="PART", help=", ".join((*GROUPS, *PARTS)))
    parser.add_argument("--out", type=Path, metavar="DIR", help="write figures.json, peers.json and the records there")
    parser.add_argument("--cells", nargs="+", default=(), metavar="TEXT", help="of those whose name contains one")
    parser.add_argument(
        "--records", type=Path, default=ROOT / "results" / "latest", metavar="DIR", help="of a default sweep, for sweep"
    )
    parser.add_argument("--quick", action="store_true", help="a little of everything, to try the script")
    given = parser.parse_args(arguments)
    if unknown := [part for part in given.part if part not in PARTS and part not in GROUPS]:
        parser.error(f"no part is called {unknown[0]}; there are {', '.join((*GROUPS, *PARTS))}")
    parts = dict.fromkeys(part for named in given.part for part in GROUPS.get(named, (named,)))

    from jacstrat.core.errors import JacstratError
    from jacstrat.measure.environment import snapshot

    from .program import EXIT_MISSED, QUICK, essentials

    environment = snapshot()
    plan = Plan(tuple(given.cells), given.quick, given.records)
    figures: list[Figure] = []
    with _writing(given.out, plan):
        try:
            for part in parts:
                figures += PARTS[part](plan)
        except JacstratError as error:
            parser.error(str(error))
        finally:
            if given.out:
                found = [figure.to_json() for figure in figures]
                _write(given.out / FIGURES, {"environment": environment.at_end().to_json(), "figures": found})
                _write(given.out / PEERS, [asdict(comparison) for comparison in plan.comparisons])
    print(f"{QUICK}\n" if given.quick else "", end="")
    print(f"{essentials(environment)}\n\n{table(figures)}", end="")
    sys.exit(0 if all(figure.met for figure in figures) else EXIT_MISSED)


@contextmanager
def _writing(directory: Path | None, plan: Plan) -> Iterator[None]:
    """Rows and samples go to the directory, as those of a run do."""
    if directory is None:
        yield
        return
    from jacstrat.records import RecordWriter

    directory.mkdir(parents=True, exist_ok=True)
    with RecordWriter(directory) as writer:
        plan.writer = writer
        yield


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
