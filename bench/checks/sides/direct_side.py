"""Seconds of a direct call and of a preparation, for the functions below, as one line of JSON: run by `witness.py`.

It imports whichever jacstrat is first on the path, so that two checkouts can take turns.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from jacstrat import divergence, laplacian, parse_strategy

# Rounds of calls, and seconds of one.
ROUNDS, ROUND_S = 5, 0.05


def network(n: int, out: int, width: int = 64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(n, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, out))


def cases() -> Iterator[tuple[str, Callable[[str], Tensor], str, Callable, Tensor, tuple[str, ...]]]:
    """Name, direct call by a strategy, operator, function, points, strategies."""
    for n, batch in ((4, 64), (16, 256), (64, 256)):
        x = torch.randn(batch, n, generator=torch.Generator().manual_seed(1))
        u, f = nn.Sequential(network(n, 1), nn.Flatten(0)), network(n, n)
        name = f"n = {n}, B = {batch}"
        yield (
            f"Laplacian, {name}",
            lambda s, u=u, x=x: laplacian(u, x, s),
            "laplacian",
            u,
            x,
            ("vmap", "jvp:chunk_size=all", "taylor", "auto"),
        )
        yield (
            f"divergence, {name}",
            lambda s, f=f, x=x: divergence(f, x, s),
            "divergence",
            f,
            x,
            ("vmap", "jvp:chunk_size=all", "auto"),
        )


def seconds_of(call: Callable[[], object]) -> float:
    """The shortest mean time of a round of calls."""
    call()
    call()
    seconds = []
    for _ in range(ROUNDS):
        begin, count = time.perf_counter(), 0
        while (now := time.perf_counter()) - begin < ROUND_S:
            call()
            count += 1
        seconds.append((now - begin) / count)
    return min(seconds)


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    times = {}
    for tracked in (False, True):
        with torch.set_grad_enabled(tracked):
            for name, direct, operator, f, x, strategies in cases():
                for spec in strategies:
                    strategy, key = parse_strategy(spec), f"{name}, {spec}{', gradients tracked' if tracked else ''}"
                    strategy.prepare(operator, f, x)  # what torch imports, and what is found once in a process
                    begin = time.perf_counter()
                    strategy.prepare(operator, f, x)
                    times[key] = {
                        "prepare_s": time.perf_counter() - begin,
                        "direct_s": seconds_of(lambda direct=direct, spec=spec: direct(spec)),
                    }
    json.dump(times, sys.stdout)


if __name__ == "__main__":
    main()
