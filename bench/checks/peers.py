"""jacstrat and another library side by side in one cell of the harness, the library as the strategy that its package
registers; see `jacstrat.peers` for how processes take turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .figure import Figure
from .laplacian import CARD_BEST, OURS, least, mean
from .measured import MeasuredCell, shown

# Each at every setting of which the fastest counts.
TILES = (16, 64)
JET = ("jet", "jet:form=graph", "jet:form=compiled", *(f"jet:form=compiled,tile={tile}" for tile in TILES))
FOLX = tuple(
    f"folx:{options}".rstrip(":")
    for sparsity in ("", "sparsity=0.6")
    for options in (sparsity, *(",".join(filter(None, (sparsity, f"tile={tile}"))) for tile in TILES))
)
# On a card all points are done at once, and a launch is dear.
CARD_JET = ("jet:form=compiled", "jet:form=replayed")
CARD_FOLX = ("folx", "jax_hessian")
JET_MEAN, JET_LEAST, FOLX_MEAN = 2.0, 1.0, 1.0
CARD_MEAN, CARD_LEAST = 1.0, 1.0


def jet(cells: Sequence[MeasuredCell]) -> list[Figure]:
    """Against jet-for-pytorch: the best of ours over its best setting."""
    ratios, notes = _against("jet", cells, OURS)
    what = f"times faster than jet at its best setting, {_versions('jet', cells)}"
    return [
        Figure("peers", f"{what}, geometric mean", mean(ratios), JET_MEAN, at_least=True, note="; ".join(notes)),
        Figure("peers", f"{what}, least", least(ratios), JET_LEAST, at_least=True),
    ]


def folx(cells: Sequence[MeasuredCell]) -> list[Figure]:
    """Against folx under jit: `compiled(taylor)` over its best setting."""
    ratios, notes = _against("folx", cells, OURS[1:])
    what = f"`{OURS[1]}`, times faster than folx at its best setting, {_versions('folx', cells)}, geometric mean"
    return [Figure("peers", what, mean(ratios), FOLX_MEAN, at_least=True, note="; ".join(notes))]


def on_card(cells: Sequence[MeasuredCell], peer: str) -> list[Figure]:
    """The best of ours over the best setting of a peer, on a card."""
    ratios, notes = _against(peer, cells, CARD_BEST)
    what = f"the best of ours, times faster than {peer} at its best setting, {_versions(peer, cells)}"
    return [
        Figure("peers", f"{what}, geometric mean", mean(ratios), CARD_MEAN, at_least=True, note="; ".join(notes)),
        Figure("peers", f"{what}, least", least(ratios), CARD_LEAST, at_least=True),
    ]


def best(cell: MeasuredCell, names: Sequence[str]) -> str | None:
    """The fastest of those with a right result; None where there is none."""
    times = {name: cell.records[name].median_s or math.inf for name in names if not cell.fault(name)}
    return min(times, key=lambda name: times[name], default=None)


def ratios_over(
    cells: Sequence[MeasuredCell], ours: Sequence[str], others_of: Callable[[MeasuredCell], Sequence[str]]
) -> tuple[list[float], list[str]]:
    """How many times faster the best of ours is than the best of others, a cell each, and a note of each cell.

    A cell in which none of the others is right is told of and not counted; one in which none of ours is has nan.
    """
    ratios, notes = [], []
    for cell in cells:
        others = others_of(cell)
        mine, theirs = best(cell, ours), best(cell, others)
        if theirs is None:
            notes.append(f"{cell.name}: not compared, {'; '.join(f'{one} is {cell.fault(one)}' for one in others)}")
            continue
        summary = cell.ratio(theirs, mine) if mine else None
        ratios.append(summary.median if summary else math.nan)
        notes.append(f"{cell.name}: {mine} against {theirs}, {shown(summary)} times")
    return ratios, notes


def _against(peer: str, cells: Sequence[MeasuredCell], ours: Sequence[str]) -> tuple[list[float], list[str]]:
    """The ratios of the cells in which the peer has a right result; a cell in which it has none is told of."""
    ratios, notes = [], []
    for cell in cells:
        settings = [name for name in cell.records if _peer_of(name) == peer]
        mine, theirs = best(cell, ours), best(cell, settings)
        summary = cell.ratio(theirs, mine) if theirs and mine else None
        if theirs is not None:
            ratios.append(summary.median if summary else math.nan)
        notes.append(f"{cell.name}: {shown(summary)} times faster ({_times(cell, (*ours, *settings))})")
    return ratios, notes


def _peer_of(spec: str) -> str:
    return spec.partition(":")[0]


def _times(cell: MeasuredCell, names: Sequence[str]) -> str:
    """Milliseconds of each, or why it has none; what is the matter with several is said once."""
    parts, reasons = [], dict[str, list[str]]()
    for name in names:
        if fault := cell.fault(name):
            reasons.setdefault(fault, []).append(name)
        elif (median_s := cell.records[name].median_s) is not None:
            parts.append(f"{name} {median_s * 1e3:.3g} ms")
    return ", ".join(parts + [f"{' and '.join(names)}: {fault}" for fault, names in reasons.items()])


def _versions(peer: str, cells: Sequence[MeasuredCell]) -> str:
    """What its process said that it computes with."""
    for cell in cells:
        for name, samples in cell.samples.items():
            if _peer_of(name) == peer and "software" in samples:
                return ", ".join(f"{key} {value}" for key, value in samples["software"].items())
    return "not installed"
