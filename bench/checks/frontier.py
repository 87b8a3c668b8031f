"""The command line of bench/frontier.py."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from .deadline import Deadline
from .figure import Figure, table

if TYPE_CHECKING:
    from jacstrat.harness.plan.cases import Cell
    from jacstrat.records import RecordWriter

    from .cells import CellNetwork
    from .measured import MeasuredCell

ROOT = Path(__file__).parents[2]
FIGURES = "figures.json"


@dataclass
class Plan:
    """What was asked for, and the cells that several parts read.

    Fields:
        cells: Texts, one of which the name of a network contains; none for every network.
        quick: A little of everything.
        records: Where the default sweep's records are.
        device: Where all of it is done; on a card all is compiled first, then each cell is timed alone.
        clock: Tells how much of the time is left.
        writer: Takes rows and samples as they come.
    """

    cells: tuple[str, ...]
    quick: bool
    records: Path
    device: str = "cpu"
    clock: Deadline = field(default_factory=Deadline)
    writer: RecordWriter | None = None

    @property
    def on_card(self) -> bool:
        return self.device != "cpu"

    @cached_property
    def laplacians(self) -> list[MeasuredCell]:
        """Of every network, with the peers where they have a card to themselves."""
        return self._measured(self.networks, self.laplacian_strategies)

    @property
    def laplacian_strategies(self) -> tuple[str, ...]:
        from . import laplacian, peers

        return (*laplacian.CARD_STRATEGIES, *peers.CARD_JET, *peers.CARD_FOLX) if self.on_card else laplacian.STRATEGIES

    @property
    def networks(self) -> tuple[CellNetwork, ...]:
        """Those with a Laplacian."""
        from . import cells

        return self._asked(cells.SMALL_LAPLACIANS, cells.LAPLACIANS, cells.CARD_LAPLACIANS)

    @property
    def fields(self) -> tuple[CellNetwork, ...]:
        """Those with a divergence."""
        from . import cells

        return self._asked(cells.SMALL_DIVERGENCES, cells.DIVERGENCES, cells.CARD_DIVERGENCES)

    @property
    def plates(self) -> tuple[CellNetwork, ...]:
        """Those with a bilaplacian."""
        from . import cells

        return self._asked(cells.SMALL_BILAPLACIANS, cells.BILAPLACIANS, cells.CARD_BILAPLACIANS)

    def _asked(
        self, small: Sequence[CellNetwork], cpu: Sequence[CellNetwork], card: Sequence[CellNetwork]
    ) -> tuple[CellNetwork, ...]:
        networks = small if self.quick else card if self.on_card else cpu
        names = self.cells or ("",)
        return tuple(one for one in networks if any(name in f"{one.problem.name} n={one.n}" for name in names))

    def _measured(self, networks: Sequence[CellNetwork], strategies: Sequence[str]) -> list[MeasuredCell]:
        from jacstrat.measure.sampling import Settings

        from .measured import measured

        limit_s = CARD_LIMIT_S if self.on_card else 10.0
        settings = Settings(limit_s=0.02, warmup_s=0.01) if self.quick else Settings(limit_s=limit_s)
        return list(measured(networks, strategies, settings, self.writer, self.device, self.clock.is_over))

    def fields_measured(self) -> list[MeasuredCell]:
        from . import divergence

        return self._measured(self.fields, divergence.CARD_STRATEGIES if self.on_card else divergence.STRATEGIES)

    def plates_measured(self) -> list[MeasuredCell]:
        from .bilaplacian import STRATEGIES

        return self._measured(self.plates, STRATEGIES)

    def against(self, peer: Sequence[str]) -> list[MeasuredCell]:
        """Ours beside the settings of a peer."""
        from .laplacian import OURS

        return self._measured(self.networks, (*OURS, *peer))

    def cells_of(self, parts: Iterable[str]) -> Iterator[Cell]:
        """What the parts will measure, for what is to be compiled before any of it is timed."""
        from . import bilaplacian, divergence

        asked = (
            (LAPLACIAN_PARTS, self.networks, self.laplacian_strategies),
            (("divergence",), self.fields, divergence.CARD_STRATEGIES),
            (("bilaplacian",), self.plates, bilaplacian.STRATEGIES),
        )
        for names, networks, strategies in asked:
            if set(names) & set(parts):
                for network in networks:
                    for dtype in network.precisions:
                        yield network.cell(dtype, strategies, self.device)


# Seconds to sample a strategy on a card, where a call is short and there are ten minutes for all.
CARD_LIMIT_S = 0.3
LAPLACIAN_PARTS = ("hessian", "floor", "jet", "folx")


def hessian(plan: Plan) -> list[Figure]:
    from .laplacian import CARD_OURS, OURS, hessian

    return hessian(plan.laplacians, CARD_OURS if plan.on_card else OURS)


def floor(plan: Plan) -> list[Figure]:
    from .laplacian import CARD_OURS, OURS, floor

    return floor(plan.laplacians, CARD_OURS if plan.on_card else OURS)


def divergence(plan: Plan) -> list[Figure]:
    from .divergence import divergence

    return divergence(plan.fields_measured())


def bilaplacian(plan: Plan) -> list[Figure]:
    from .bilaplacian import bilaplacian

    return bilaplacian(plan.plates_measured())


def memory(plan: Plan) -> list[Figure]:
    from .memory import memory

    return memory(plan.networks, plan.device)


def sweep(plan: Plan) -> list[Figure]:
    from .swept import sweep

    return sweep(plan.records)


def jet(plan: Plan) -> list[Figure]:
    from . import peers

    return peers.on_card(plan.laplacians, "jet") if plan.on_card else peers.jet(plan.against(peers.JET))


def folx(plan: Plan) -> list[Figure]:
    from . import peers

    if not plan.on_card:
        return peers.folx(plan.against(peers.FOLX))
    return [figure for peer in peers.CARD_FOLX for figure in peers.on_card(plan.laplacians, peer)]


PARTS: Mapping[str, Callable[[Plan], list[Figure]]] = MappingProxyType(
    {
        "hessian": hessian,
        "floor": floor,
        "divergence": divergence,
        "bilaplacian": bilaplacian,
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
    parser.add_argument("--out", type=Path, metavar="DIR", help="write figures.json and the records there")
    parser.add_argument("--cells", nargs="+", default=(), metavar="TEXT", help="of those whose name contains one")
    parser.add_argument(
        "--records", type=Path, default=ROOT / "results" / "latest", metavar="DIR", help="of a default sweep, for sweep"
    )
    parser.add_argument("--quick", action="store_true", help="a little of everything, to try the script")
    parser.add_argument("--device", default="cpu", help="cpu, or a card, where all is compiled before any is timed")
    parser.add_argument(
        "--limit",
        type=float,
        metavar="S",
        help="seconds after which no further cell is begun [on a card 540, else none]",
    )
    options = parser.parse_args(arguments)
    if unknown := [part for part in options.part if part not in PARTS and part not in GROUPS]:
        parser.error(f"no part is called {unknown[0]}; there are {', '.join((*GROUPS, *PARTS))}")
    parts = tuple(dict.fromkeys(part for named in options.part for part in GROUPS.get(named, (named,))))

    from jacstrat.core.errors import JacstratError
    from jacstrat.harness.plan.devices import missing_device
    from jacstrat.measure.environment import snapshot
    from jacstrat.peers.process import end_all

    from .program import EXIT_MISSED, QUICK, essentials

    if missing := missing_device(options.device):
        parser.error(missing)
    on_card = options.device != "cpu"
    if on_card and options.part == ["all"]:
        # The default sweep is that of the CPU.
        parts = tuple(part for part in parts if part != "sweep")
    limit_s = options.limit or (CARD_TOTAL_S if on_card else math.inf)
    environment = snapshot()
    plan = Plan(tuple(options.cells), options.quick, options.records, options.device, Deadline(limit_s))
    figures: list[Figure] = []
    with _writing(options.out, plan):
        try:
            if on_card:
                from .warm import warm

                warm(plan.cells_of(parts), plan.clock.share(WARM_SHARE))
            for part in parts:
                figures += PARTS[part](plan)
        except JacstratError as error:
            parser.error(str(error))
        finally:
            end_all()
            if options.out:
                plain = [figure.to_json() for figure in figures]
                _write(options.out / FIGURES, {"environment": environment.at_end().to_json(), "figures": plain})
    print(f"{QUICK}\n" if options.quick else "", end="")
    print(f"{essentials(environment)}\n\n{table(figures)}", end="")
    sys.exit(0 if all(figure.met for figure in figures) else EXIT_MISSED)


# Of a command that may take ten minutes; and how much of the time compiling may take.
CARD_TOTAL_S, WARM_SHARE = 540.0, 0.6


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
