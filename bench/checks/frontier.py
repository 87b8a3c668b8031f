"""The command line of bench/frontier.py."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from .deadline import Deadline
from .figure import Figure, table
from .plan import Plan

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
FIGURES = "figures.json"
# Of a command that may take ten minutes; of `fused` alone, which may take eight; and how much of the time compiling may
# take.
CARD_TOTAL_S, FUSED_TOTAL_S, WARM_SHARE = 540.0, 440.0, 0.6


def hessian(plan: Plan) -> list[Figure]:
    from .laplacian import CARD_OURS, OURS, hessian

    return hessian(plan.laplacians, CARD_OURS if plan.on_card else OURS)


def floor(plan: Plan) -> list[Figure]:
    from .laplacian import CARD_OURS, OURS, floor

    return floor(plan.laplacians, CARD_OURS if plan.on_card else OURS)


def divergence(plan: Plan) -> list[Figure]:
    from .divergence import CARD_OURS, OURS, divergence

    return divergence(plan.fields_measured(), CARD_OURS if plan.on_card else OURS)


def bilaplacian(plan: Plan) -> list[Figure]:
    from .bilaplacian import CARD_OURS, OURS, bilaplacian

    return bilaplacian(plan.plates_measured(), CARD_OURS if plan.on_card else OURS)


def memory(plan: Plan) -> list[Figure]:
    from .memory import memory

    return memory(plan.networks, plan.device)


def sweep(plan: Plan) -> list[Figure]:
    from .swept import sweep

    return sweep(plan.records, plan.device)


def jet(plan: Plan) -> list[Figure]:
    from . import peers

    return peers.on_card(plan.laplacians, "jet") if plan.on_card else peers.jet(plan.against(peers.JET))


def folx(plan: Plan) -> list[Figure]:
    from . import peers

    if not plan.on_card:
        return peers.folx(plan.against(peers.FOLX))
    return [figure for peer in peers.CARD_FOLX for figure in peers.on_card(plan.laplacians, peer)]


def fused(plan: Plan) -> list[Figure]:
    from . import fused, fused_targets

    cells = plan.laplacians if plan.on_card else []
    rows = fused.printed(plan.device, plan.clock.left_s(), plan.quick, plan.out)
    return fused_targets.figures(cells, rows)


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
        "fused": fused,
    }
)
# Kernels are for a card.
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"all": tuple(part for part in PARTS if part != "fused"), "peers": ("jet", "folx")}
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table; exit code 0 where every target was met, 1 where one was missed, 2 on wrong use."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := [part for part in options.part if part not in PARTS and part not in GROUPS]:
        parser.error(f"no part is called {unknown[0]}; there are {', '.join((*GROUPS, *PARTS))}")
    on_card = options.device != "cpu"
    groups = {**GROUPS, "all": tuple(PARTS)} if on_card else GROUPS
    parts = tuple(dict.fromkeys(part for named in options.part for part in groups.get(named, (named,))))
    if "fused" in parts and not on_card and not options.quick:
        parser.error("kernels are for a card: give --device cuda; --quick tries them on the CPU")

    from jacstrat.core.errors import JacstratError
    from jacstrat.harness.plan.devices import missing_device
    from jacstrat.measure.environment import snapshot
    from jacstrat.peers.process import end_all

    from .program import EXIT_MISSED, QUICK, essentials

    if missing := missing_device(options.device):
        parser.error(missing)
    limit_s = options.limit or _limit_s(parts, on_card)
    environment = snapshot()
    records = options.records or _latest(on_card)
    plan = Plan(tuple(options.cells), options.quick, records, options.device, Deadline(limit_s), parts, out=options.out)
    figures: list[Figure] = []
    with _writing(options.out, plan):
        try:
            if on_card:
                from .warm import warm

                warm(plan.cells_of(), plan.clock.share(WARM_SHARE))
            for part in parts:
                figures += PARTS[part](plan)
        except JacstratError as error:
            parser.error(str(error))
        finally:
            plan.close()
            end_all()
            if options.out:
                plain = [figure.to_json() for figure in figures]
                _write(options.out / FIGURES, {"environment": environment.at_end().to_json(), "figures": plain})
    print(f"{QUICK}\n" if options.quick else "", end="")
    print(f"{essentials(environment)}\n\n{table(figures)}", end="")
    sys.exit(0 if all(figure.met for figure in figures) else EXIT_MISSED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure how fast the Laplacian and the divergence of networks are.")
    parser.add_argument("part", nargs="*", default=["all"], metavar="PART", help=", ".join((*GROUPS, *PARTS)))
    parser.add_argument("--out", type=Path, metavar="DIR", help="write figures.json and the records there")
    parser.add_argument("--cells", nargs="+", default=(), metavar="TEXT", help="of those whose name contains one")
    parser.add_argument(
        "--records",
        type=Path,
        metavar="DIR",
        help="of a sweep, for the part sweep [results/latest; on a card the latest results/gpu-*, else results/h100]",
    )
    parser.add_argument("--quick", action="store_true", help="a little of everything, to try the script")
    parser.add_argument("--device", default="cpu", help="cpu, or a card, where all is compiled before any is timed")
    parser.add_argument(
        "--limit",
        type=float,
        metavar="S",
        help="seconds after which no further cell is begun [on a card 540, of fused alone 440; else none]",
    )
    return parser


def _limit_s(parts: tuple[str, ...], on_card: bool) -> float:
    if not on_card:
        return math.inf
    return FUSED_TOTAL_S if parts == ("fused",) else CARD_TOTAL_S


def _latest(on_card: bool) -> Path:
    """The records of the sweep that was run last."""
    if not on_card:
        return RESULTS / "latest"
    # Their names are dates.
    runs = sorted(path.parent for path in RESULTS.glob("gpu-[0-9]*/records.csv"))
    return runs[-1] if runs else RESULTS / "h100"


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
