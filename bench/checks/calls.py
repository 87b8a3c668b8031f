"""What direct calls cost: the divergence in evaluations of f, and a function made anew at each call."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

import torch
from torch import Tensor, nn

from jacstrat import divergence, laplacian, parse_strategy
from jacstrat.graphs import Work

from .figure import Figure
from .networks import Residual, ScalarNetwork, TimeConditioned, mlp
from .operators import one_thread

# Evaluations of f that the divergence of a field of one or two hidden layers may take.
EVALUATIONS, SIZES, BATCH, WIDTH = 8.0, (16, 64, 256, 1024, 4096), 64, 64
# What a direct call may take beside the prepared operator, and of it.
DIRECT_S, SHARE = 20e-6, 1.05
ROUNDS, ROUND_S = 30, 0.02

FIELDS: Mapping[str, Callable[[int], tuple[nn.Module, tuple[Tensor, ...]]]] = MappingProxyType(
    {
        "one layer, tanh": lambda n: (mlp(n, WIDTH, n), ()),
        "two layers, tanh": lambda n: (mlp(n, WIDTH, WIDTH, n), ()),
        "two layers, SiLU": lambda n: (mlp(n, WIDTH, WIDTH, n, act=nn.SiLU), ()),
        "residual flow": lambda n: (Residual(n, WIDTH, 1, nn.Tanh), ()),
        "time-conditioned": lambda n: (TimeConditioned(mlp(n + 1, WIDTH, WIDTH, n)), (torch.tensor(0.3),)),
    }
)


def seconds(calls: Mapping[str, Work], quick: bool) -> dict[str, list[float]]:
    """Seconds of a call of each, by rounds that take one block of each in turn, each round begun by another."""
    names = list(calls)
    blocks = {}
    for name, call in calls.items():
        for _ in range(3):
            call()
        start = time.perf_counter()
        call()
        blocks[name] = 1 if quick else max(round(ROUND_S / len(names) / (time.perf_counter() - start)), 1)
    times: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(3 if quick else ROUNDS):
        shift = round_ % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.perf_counter()
            for _ in range(blocks[name]):
                calls[name]()
            times[name].append((time.perf_counter() - start) / blocks[name])
    return times


def evaluations(texts: Sequence[str] = (), quick: bool = False) -> list[Figure]:
    """The time of `divergence(f, x)` over that of f(x), nothing named and nothing prepared, from the second call on."""
    figures = []
    with one_thread(), torch.no_grad():
        for name, make in FIELDS.items():
            for n in SIZES:
                key = f"{name}, n = {n}"
                if texts and not any(text in key for text in texts):
                    continue
                torch.manual_seed(0)
                (f, args), x = make(n), torch.randn(BATCH, n)
                f.requires_grad_(False)
                times = seconds(
                    {
                        "f": lambda f=f, x=x, args=args: f(x, *args),
                        "direct": lambda f=f, x=x, args=args: divergence(f, x, args=args),
                    },
                    quick,
                )
                ratio = statistics.median(map(_over, times["direct"], times["f"]))
                figures.append(shown(Figure("evaluations", key, ratio, EVALUATIONS, note=_median("f", times))))
    return figures


class _Held:
    """An object with a number in it."""

    def __init__(self, value: float) -> None:
        self.value = value


# What changes from call to call, at call k. It is made within the time that is taken, as it is in a loop.
CHANGING: Mapping[str, Callable[[int], object]] = MappingProxyType(
    {
        "float": lambda k: 1 + k / 7,
        "int": lambda k: 1 + k % 5,
        "tensor": lambda k: torch.tensor(1 + k / 7),
        "object": lambda k: _Held(1 + k / 7),
    }
)


def direct(texts: Sequence[str] = (), quick: bool = False) -> list[Figure]:
    """A direct call of a lambda made anew with a value that changes, beside the operator prepared for one of them.

    Not for the value 1, by which nothing is multiplied where that is known.

    And how many recordings of f the later calls make, of which there are to be none.
    """
    torch.manual_seed(0)
    functions = {
        "divergence of a field": (divergence, "divergence", mlp(64, WIDTH, WIDTH, 64), 64),
        "divergence of a diagonal field": (divergence, "divergence", torch.sin, 64),
        "Laplacian of a network": (laplacian, "laplacian", ScalarNetwork(mlp(16, WIDTH, WIDTH, 1)), 16),
    }
    figures = []
    with one_thread(), torch.no_grad():
        for name, (operator, spec, inner, n) in functions.items():
            x = torch.randn(BATCH, n)
            for kind, changing in CHANGING.items():
                key = f"{name}, {kind}"
                if texts and not any(text in key for text in texts):
                    continue
                count = 0

                def call(operator=operator, inner=inner, x=x, changing=changing) -> Tensor:
                    nonlocal count
                    count += 1
                    return operator(_with_value(inner, changing(count)), x)

                with recordings() as recorded:
                    prepared = parse_strategy("auto").prepare(spec, _with_value(inner, changing(1)), x)
                    for _ in range(3):
                        call()
                    before = len(recorded)
                    times = seconds({"prepared": lambda p=prepared, x=x: p(x), "direct": call}, quick)
                    anew = len(recorded) - before
                over = statistics.median(d - SHARE * p for d, p in zip(times["direct"], times["prepared"], strict=True))
                note = f"{prepared.strategy}; {_median('prepared', times)}"
                figures.append(shown(Figure("direct", f"beside 1.05 prepared, {key}", over, DIRECT_S, "us", note=note)))
                figures.append(shown(Figure("direct", f"recordings in {count} calls, {key}", anew, 0)))
    return figures


def _with_value(inner: Callable[[Tensor], Tensor], value: object) -> Callable[[Tensor], Tensor]:
    if isinstance(value, _Held):
        return lambda x: value.value * inner(x)
    return lambda x: value * inner(x)  # type: ignore[operator, no-any-return]


@contextmanager
def recordings() -> Iterator[list[object]]:
    """Collects what is recorded: the functions, in their order."""
    from jacstrat.trace import cache

    recorded: list[object] = []
    original = cache.record

    def record(f: object, *rest: object, **options: object) -> object:
        recorded.append(f)
        return original(f, *rest, **options)  # type: ignore[arg-type]

    cache.record = record  # type: ignore[assignment]
    try:
        yield recorded
    finally:
        cache.record = original


def _over(one: float, other: float) -> float:
    return one / other


def _median(name: str, times: Mapping[str, Sequence[float]]) -> str:
    return f"{name} takes {1e6 * statistics.median(times[name]):.3g} us"


def shown(figure: Figure) -> Figure:
    """The figure, a line of it printed while others are measured."""
    print(" | ".join(figure.cells), figure.note, sep=" | ", file=sys.stderr, flush=True)
    return figure
