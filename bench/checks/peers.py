"""jacstrat and another library on the same weights and points, in processes of their own, in turns.

Two processes that are timed in turns drift together; blocks have the same number of calls on both sides and last 10 ms
at least (MEASURING: with blocks of each side's own size the ratio is off by 5 to 10 %). Both sides have the same cores.
"""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jacstrat.statistics import Summary, ratio, summarise

from .cells import PRECISIONS, THREADS, Network
from .figure import Figure
from .laplacian import least, mean
from .measured import NOT_THERE, shown
from .side import Side

OURS = ("taylor", "compiled(taylor)")
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
BLOCK_S, WARMUP_S = 0.01, 0.2
# Threads that have just computed spin for a moment before they sleep; the other side starts after that.
SETTLE_S = 0.005
JET_MEAN, JET_LEAST, FOLX_MEAN = 2.0, 1.0, 1.0


@dataclass(frozen=True)
class Turns:
    """When a comparison is good enough: rounds at least and at most, and seconds of a cell after the least."""

    least: int = 12
    most: int = 60
    limit_s: float = 10.0


@dataclass(frozen=True)
class Comparison:
    """Both sides on one cell.

    Fields:
        name: Of the cell, with its dtype.
        seconds: Seconds of a call by round, for each side's settings: {"jacstrat": {"taylor": {0: 1e-3}}, ...}.
        faults: For each side why a setting has no right result, by setting.
        versions: Of each side.
    """

    name: str
    seconds: Mapping[str, Mapping[str, Mapping[int, float]]]
    faults: Mapping[str, Mapping[str, str]]
    versions: Mapping[str, Mapping[str, str]]

    def best(self, side: str) -> str | None:
        """The setting of a side that is the fastest with a right result."""
        times = {name: summarise(list(series.values())).median for name, series in self.seconds[side].items()}
        return min(times, key=lambda name: times[name], default=None)

    def ratio(self, peer: str, ours: str | None) -> Summary | None:
        """The time of a peer at its best setting over that of one of ours, by round."""
        best = self.best(peer)
        if best is None or ours not in self.seconds["jacstrat"]:
            return None
        return ratio(self.seconds[peer][best], self.seconds["jacstrat"][ours])

    def line(self, peer: str, ours: str | None) -> str:
        """What was compared, for a note."""
        parts = [
            f"{side} {name} {summarise(list(series.values())).median * 1e3:.3g} ms"
            for side in ("jacstrat", peer)
            for name, series in self.seconds[side].items()
        ]
        for side, faults in self.faults.items():
            # What is wrong with all of a side's settings is said once.
            reasons = {why: [name for name in faults if faults[name] == why] for why in faults.values() if why}
            parts += [f"{side} {' and '.join(names)}: {why}" for why, names in reasons.items()]
        return f"{self.name}: {shown(self.ratio(peer, ours))} times faster ({', '.join(parts)})"


def compared(peer: str, networks: Iterable[Network], turns: Turns) -> Iterator[Comparison]:
    """Each network in each precision, in turns with the peer.

    Raises:
        UsageError: The peer has no environment.
    """
    with same_cores():
        for network in networks:
            for dtype in PRECISIONS:
                print(f"{peer}: {network.problem.name} {dtype} ...", file=sys.stderr, flush=True)
                yield compare(peer, network, dtype, turns)


def compare(peer: str, network: Network, dtype: str, turns: Turns, ours: Sequence[str] = OURS) -> Comparison:
    """One cell in fresh processes, so that neither side carries anything over."""
    instance = network.instance(dtype)
    reference = instance.reference("laplacian")
    expected, scale = reference.value("laplacian"), reference.scale("laplacian")
    arrays = {name: value.detach().numpy() for name, value in instance.parameters.items()}
    with tempfile.TemporaryDirectory() as folder, Side("jacstrat") as mine, Side(peer) as theirs:
        file = Path(folder) / "cell.npz"
        np.savez(file, x=instance.x.numpy(), **arrays)
        faults, versions = {}, {}
        for side in (mine, theirs):
            values = Path(folder) / f"{side.name}.npz"
            request = {"prepare": str(file), "kind": network.kind, "dtype": dtype, "values": str(values)}
            answer = side.prepare(request | {"strategies": tuple(ours)})
            versions[side.name] = answer["versions"]
            faults[side.name] = dict(answer["settings"])
            with np.load(values) as kept:
                for name in kept.files:
                    faults[side.name][name] = disagreement(kept[name], expected, scale, TOLERANCE[dtype])
        faults["jacstrat"] = dict.fromkeys(ours, NOT_THERE) | faults["jacstrat"]
        players = [(side, name) for side in (mine, theirs) for name, why in faults[side.name].items() if not why]
        seconds = take_turns(players, turns)
    name = f"{network.problem.name} n={network.n} B={network.batch} {dtype}"
    return Comparison(name, {side: seconds.get(side, {}) for side in ("jacstrat", peer)}, faults, versions)


def disagreement(values: np.ndarray, expected: np.ndarray, scale: np.ndarray, tolerance: float) -> str:
    """Why a side's result is wrong, relative to the sum of |H_ii|; "" where it is right."""
    if values.shape != expected.shape:
        return f"wrong: shape {values.shape}, expected {expected.shape}"
    error = float((np.abs(values - expected) / scale).max())
    return "" if error <= tolerance else f"wrong: relative error {error:.2g} is beyond {tolerance:g}"


def take_turns(players: Sequence[tuple[Side, str]], turns: Turns) -> dict[str, dict[str, dict[int, float]]]:
    """Seconds of a call by side, setting and round: a block of each in every round, in random order.

    Blocks have so many calls that the fastest lasts BLOCK_S, the same for all.
    """
    seconds: dict[str, dict[str, dict[int, float]]] = {}
    if not players:
        return seconds
    call_s = []
    for side, name in players:
        spent, once = 0.0, math.inf
        while spent < WARMUP_S:
            once = side.seconds(name, 1)
            spent += once
        call_s.append(once)
        seconds.setdefault(side.name, {})[name] = {}
    calls = max(1, math.ceil(BLOCK_S / min(call_s)))
    rng, begin = random.Random(0), time.monotonic()
    for number in range(turns.most):
        if number >= turns.least and time.monotonic() - begin > turns.limit_s:
            break
        for side, name in rng.sample(players, len(players)):
            time.sleep(SETTLE_S)
            seconds[side.name][name][number] = side.seconds(name, calls) / calls
    return seconds


class same_cores:  # noqa: N801
    """Bind this process, and so its children, to as many cores as there are threads, where the system can."""

    def __enter__(self) -> None:
        self._before = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
        if self._before:
            os.sched_setaffinity(0, sorted(self._before)[:THREADS])

    def __exit__(self, *_: object) -> None:
        if self._before:
            os.sched_setaffinity(0, self._before)


def jet(cells: Sequence[Comparison]) -> list[Figure]:
    """Against jet-for-pytorch: the best of ours over its best setting."""
    ratios, notes = _against("jet", cells, None)
    what = f"times faster than jet at its best setting, {_versions('jet', cells)}"
    return [
        Figure("peers", f"{what}, geometric mean", mean(ratios), JET_MEAN, at_least=True, note="; ".join(notes)),
        Figure("peers", f"{what}, least", least(ratios), JET_LEAST, at_least=True),
    ]


def folx(cells: Sequence[Comparison]) -> list[Figure]:
    """Against folx under jit: `compiled(taylor)` over its best setting."""
    ratios, notes = _against("folx", cells, OURS[1])
    what = f"`{OURS[1]}`, times faster than folx at its best setting, {_versions('folx', cells)}, geometric mean"
    return [Figure("peers", what, mean(ratios), FOLX_MEAN, at_least=True, note="; ".join(notes))]


def _against(peer: str, cells: Sequence[Comparison], ours: str | None) -> tuple[list[float], list[str]]:
    """The ratios of the cells in which the peer has a right result; a cell in which it has none is told of."""
    ratios, notes = [], []
    for cell in cells:
        mine = ours or cell.best("jacstrat")
        found = cell.ratio(peer, mine)
        if cell.best(peer) is not None:
            ratios.append(found.median if found else math.nan)
        notes.append(cell.line(peer, mine))
    return ratios, notes


def _versions(peer: str, cells: Sequence[Comparison]) -> str:
    found = cells[0].versions[peer] if cells else {}
    return ", ".join(f"{name} {version}" for name, version in found.items())
