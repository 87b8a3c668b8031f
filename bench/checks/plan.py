"""What bench/frontier.py was asked for, and the cells that several of its parts read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .deadline import Deadline

if TYPE_CHECKING:
    from jacstrat.harness.dispatch.children import Children
    from jacstrat.harness.plan.cases import Cell
    from jacstrat.records import RecordWriter

    from .cells import CellNetwork
    from .measured import MeasuredCell

# Seconds to sample a strategy on a card, where a call is short and there are ten minutes for all.
CARD_LIMIT_S = 0.3
LAPLACIAN_PARTS = ("hessian", "floor", "jet", "folx", "fused")


@dataclass
class Plan:
    """What was asked for, and the cells that several parts read.

    Fields:
        cells: Texts, one of which the name of a network contains; none for every network.
        quick: A little of everything.
        records: Where the default sweep's records are.
        device: Where all of it is done; on a card all is compiled first, then each cell is timed alone.
        clock: Tells how much of the time is left.
        parts: What will be measured.
        writer: Takes rows and samples as they come.
        out: Where files go; None for nowhere.
    """

    cells: tuple[str, ...]
    quick: bool
    records: Path
    device: str = "cpu"
    clock: Deadline = field(default_factory=Deadline)
    parts: tuple[str, ...] = ()
    writer: RecordWriter | None = None
    out: Path | None = None

    @property
    def on_card(self) -> bool:
        return self.device != "cpu"

    @cached_property
    def children(self) -> Children | None:
        """Processes that measure on a card, so that one that ends the device's context takes nothing else with it."""
        from jacstrat.harness.dispatch.children import Children

        return Children(is_own=lambda problem: True) if self.on_card else None

    def close(self) -> None:
        """End them."""
        if (children := self.__dict__.pop("children", None)) is not None:
            children.close()

    @cached_property
    def laplacians(self) -> list[MeasuredCell]:
        """Of every network, with the peers where they have a card to themselves."""
        return self._measured(self.networks, self.laplacian_strategies)

    @property
    def laplacian_strategies(self) -> tuple[str, ...]:
        from . import laplacian, peers

        if not self.on_card:
            return laplacian.STRATEGIES
        # Eager ones are slow, and no part but these reads them.
        ours = laplacian.CARD_STRATEGIES if {"hessian", "floor"} & {*self.parts} else laplacian.CARD_BEST
        return (*ours, *peers.CARD_JET, *peers.CARD_FOLX)

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
        late = self.clock.is_over
        return list(measured(networks, strategies, settings, self.writer, self.device, late, self.children))

    def fields_measured(self) -> list[MeasuredCell]:
        from . import divergence

        return self._measured(self.fields, divergence.CARD_STRATEGIES if self.on_card else divergence.STRATEGIES)

    def plates_measured(self) -> list[MeasuredCell]:
        from . import bilaplacian

        return self._measured(self.plates, bilaplacian.CARD_STRATEGIES if self.on_card else bilaplacian.STRATEGIES)

    def against(self, peer: Sequence[str]) -> list[MeasuredCell]:
        """Ours beside the settings of a peer."""
        from .laplacian import OURS

        return self._measured(self.networks, (*OURS, *peer))

    def cells_of(self) -> Iterator[Cell]:
        """What the parts will measure on a card, for what is to be compiled before any of it is timed."""
        from . import bilaplacian, divergence

        asked: tuple[tuple[Iterable[str], Sequence[CellNetwork], Sequence[str]], ...] = (
            (LAPLACIAN_PARTS, self.networks, self.laplacian_strategies),
            (("divergence",), self.fields, divergence.CARD_STRATEGIES),
            (("bilaplacian",), self.plates, bilaplacian.CARD_STRATEGIES),
        )
        for names, networks, strategies in asked:
            if {*names} & {*self.parts}:
                for network in networks:
                    for dtype in network.precisions:
                        yield network.cell(dtype, strategies, self.device)
        if "fused" in self.parts:
            yield from self._kernels()

    def _kernels(self) -> Iterator[Cell]:
        """Cells of the kernels that `fused` is tried with, of the networks that it serves."""
        from .fused import FusedCell

        for network in self.networks:
            if network.problem.widths is None:
                continue
            for dtype in network.precisions:
                widths = network.problem.widths(network.n)
                specs = FusedCell("laplacian", widths, network.batch, dtype).specs
                yield network.cell(
                    dtype, [spec for spec in specs if spec.startswith("fused:")] or ["fused"], self.device
                )
