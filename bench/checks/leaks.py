"""What a thousand functions leave behind, each called once or twice by the default call."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import psutil
import torch
from torch import Tensor

from jacstrat import divergence, laplacian

from .calls import BATCH, shown
from .figure import Figure
from .networks import ScalarNetwork, mlp
from .operators import one_thread

# Functions that fill all that is kept, and those that come after.
FIRST, LATER = 1200, 1000
N, WIDTH = 8, 32
# What one function may leave: objects of Python's allocator, whose own pools breathe, and bytes of the process.
BLOCKS, BYTES = 1.0, 1000.0


def _code(k: int) -> Callable[[Tensor], Tensor]:
    """A function whose code is its own."""
    scope: dict[str, object] = {"torch": torch}
    exec(f"def f(x):\n    return torch.tanh(x * {1 + k / 7}) + {k} * x.roll(1, -1)", scope)
    return scope["f"]  # type: ignore[return-value]


def _network(k: int) -> Callable[[Tensor], Tensor]:
    """A network of its own, behind the same code."""
    network = mlp(N, WIDTH, N)
    return lambda x: network(x) * (1 + k % 3)


def _trained(k: int) -> Callable[[Tensor], Tensor]:
    """A scalar network whose Laplacian is trained through."""
    return ScalarNetwork(mlp(N, WIDTH, WIDTH, 1))


KINDS: Mapping[str, tuple[Callable[..., Tensor], Callable[[int], Callable[[Tensor], Tensor]], bool]] = MappingProxyType(
    {
        "code of its own": (divergence, _code, False),
        "a network of its own": (divergence, _network, False),
        "a Laplacian that is trained": (laplacian, _trained, True),
    }
)


def leaks(texts: Sequence[str] = (), quick: bool = False) -> list[Figure]:
    """What each of LATER functions leaves behind FIRST of the same kind: tensors, objects, bytes."""
    figures = []
    first, later = (5, 10) if quick else (FIRST, LATER)
    with one_thread():
        for name, (operator, make, trained) in KINDS.items():
            if texts and not any(text in name for text in texts):
                continue
            torch.manual_seed(0)
            x = torch.randn(BATCH, N)
            with torch.set_grad_enabled(trained):
                _call(operator, make, x, range(first))
                before = _left()
                _call(operator, make, x, range(first, first + later))
                after = _left()
            tensors, blocks, resident = ((b - a) / later for a, b in zip(before, after, strict=True))
            figures += [
                shown(Figure("leaks", f"tensors a function, {name}", tensors, 0, note=f"{after[0]} are alive")),
                shown(Figure("leaks", f"objects a function, {name}", blocks, BLOCKS)),
                shown(Figure("leaks", f"bytes a function, {name}", resident, BYTES)),
            ]
    return figures


def _call(
    operator: Callable[..., Tensor],
    make: Callable[[int], Callable[[Tensor], Tensor]],
    x: Tensor,
    numbers: range,
) -> None:
    for k in numbers:
        f = make(k)
        for _ in range(1 + k % 2):
            result = operator(f, x)
        if result.requires_grad:
            result.square().mean().backward()


def _left() -> tuple[int, int, int]:
    """Tensors that are alive, blocks of Python's allocator, and resident bytes."""
    gc.collect()
    tensors = sum(issubclass(type(one), Tensor) for one in gc.get_objects())
    return tensors, sys.getallocatedblocks(), psutil.Process().memory_info().rss
