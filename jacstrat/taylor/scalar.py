"""A scalar prepared for its Laplacian: traced at each shape of x that it meets, and applied tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from jacstrat.available import available_bytes, keep_freed_memory
from jacstrat.tape import Tapes, Untraceable
from jacstrat.taylor.engine import Memory, Program, propagate, ready, remember, weakened
from jacstrat.taylor.jet import Jet

# The largest tangents of a tile: such that they and what is computed from them stay near the core, and that a tile is
# still much work against the time of starting an operation. Measured with tanh networks on a core with 512 KiB of cache
# of its own and 32 MiB shared: a half or twice of it makes no difference of much more than a tenth.
CACHE_BYTES = 2**21
# The tangents of an operation in a tile, in the mean: of a function of many operations on little, tiles are larger.
EACH_BYTES = 2**20
# On an accelerator, the share of its free memory: a rule has three such tensors alive, a residual sum one more. Whoever
# needs less than MODEST_BYTES is not made to ask for it.
MEMORY_SHARE = 1 / 8
MODEST_BYTES = 2**26

Tile = int | Literal["auto", "all"]
Checkpoint = bool | Literal["auto"]


class Scalar:
    """A row-wise scalar and its tapes, by shape, dtype and device of x, made when they are first asked for.

    Args:
        f: Row-wise scalar, (B, n) -> (B,).
        compress: Whether n directions become fewer where fewer do.
        tile: Points at a time; "auto" for as many as the cache of a CPU or the memory of an accelerator holds.
        checkpoint: Whether tiles are computed again on the way back instead of being kept; "auto" where memory is what
            tiles are for: their size was given, or they are on an accelerator, or all of them would fill the memory.
    """

    def __init__(
        self,
        f: Callable[[Tensor], Tensor],
        compress: bool = True,
        tile: Tile = "auto",
        checkpoint: Checkpoint = "auto",
    ) -> None:
        self.f = f
        self.compress = compress
        self.tile = tile
        self.checkpoint = checkpoint
        self._tapes = Tapes(f, ready, weakened=weakened)
        keep_freed_memory()

    def tape(self, x: Tensor) -> Program | Untraceable:
        """The tape at points like x, ready to be run, or why there is none."""
        return self._tapes.at(x)

    def is_traced(self, x: Tensor) -> bool:
        """Whether the tapes for x are there already, perhaps from an earlier call for a function that is the same."""
        return self._tapes.is_shared(x) and all(self._tapes.is_shared(part) for part in self.tiles(x))

    def tiles(self, x: Tensor, directions: int | None = None, is_program: bool = False) -> tuple[Tensor, ...]:
        """x in parts of as many points as are done at a time.

        Args:
            x: Points.
            directions: How many; the n unit vectors where not given.
            is_program: Whether operations are put together, so that starting them takes next to nothing.
        """
        if x.dim() == 1 or self.tile == "all" or len(x) < 2:
            return (x,)
        if self.tile != "auto":
            return x.split(self.tile)
        tape = self.tape(x)
        if isinstance(tape, Untraceable) or tape.bound:
            return (x,)
        if directions:
            largest = directions * tape.numel
        elif self.compress:  # directions behind a layer are at most its units
            largest = min(tape.largest, tape.numel // len(x) * tape.numel)
        else:
            largest = tape.largest
        mean = math.inf if directions or is_program else tape.total / max(tape.operations, 1)
        number = _tiles(largest * x.element_size(), x.device, mean * x.element_size())
        return x.split(-(-len(x) // number)) if number > 1 else (x,)

    def apart(self, x: Tensor) -> tuple[Tensor, ...]:
        """The tiles of x for a program, where these have nothing in common; else x as one part."""
        program = self.tape(x)
        is_shared = self.compress and not isinstance(program, Untraceable) and program.shared > 0
        return (x,) if is_shared else self.tiles(x, is_program=True)

    def laplacian(self, x: Tensor, V: Tensor | None = None) -> Tensor:
        """The Laplacian at each point, (B,), or () for a single point.

        Args:
            x: Points, (B, n) or (n,).
            V: Directions of each point, (K, ...) with the axes of x behind, for sum_k v_k^T H v_k in its place; they
                are overwritten where no graph is recorded.
        """
        memory: Memory | None = {} if self.compress and V is None else None
        tiles = self.tiles(x, None if V is None else len(V))
        directions = [None] * len(tiles) if V is None else V.split([len(part) for part in tiles], 1)
        parts = list(zip(tiles, directions, strict=True))
        if self._is_checkpointed(x, tiles):
            return torch.cat(self._checkpointed(parts, memory))
        if len(tiles) == 1:
            return self._laplacian(x, V, memory)
        return torch.cat([self._laplacian(*part, memory) for part in parts])

    def _is_checkpointed(self, x: Tensor, tiles: tuple[Tensor, ...]) -> bool:
        if self.checkpoint is False or x.dim() == 1 or torch.compiler.is_compiling():
            return False
        if torch._C._are_functorch_transforms_active():  # which refuse hooks on what is saved
            return False
        program = self.tape(tiles[0])
        if isinstance(program, Untraceable) or not _is_tracked(program, x):
            return False
        if self.checkpoint is True or len(tiles) == 1:
            return self.checkpoint is True
        if self.tile != "auto" or x.device.type not in ("cpu", "meta"):
            return True
        return len(tiles) * program.total * x.element_size() > MEMORY_SHARE * available_bytes()

    def _checkpointed(self, parts: list[tuple[Tensor, Tensor | None]], memory: Memory | None) -> list[Tensor]:
        """The Laplacian of each tile, of which only x is kept. What tiles have in common is computed before, once."""
        # All traces before: a trace saves tensors of its own, which the second time would not find.
        program, *_ = [self.tape(x) for x, _ in parts]
        if memory is not None and not isinstance(program, Untraceable):
            remember(program, Jet(parts[0][0], None, is_point=True), memory)

        def again(x: Tensor, V: Tensor | None) -> Tensor:
            # A copy of the memory, so that the second time finds what the first found. Under a graph V stays as it is.
            return self._laplacian(x, V, None if memory is None else dict(memory))

        return [checkpoint(again, *part, use_reentrant=False) for part in parts]

    def _laplacian(self, x: Tensor, V: Tensor | None, memory: Memory | None) -> Tensor:
        tape = self.tape(x)
        if isinstance(tape, Untraceable):
            return _by_products(self.f, x, V)
        seed = Jet(x, None, is_point=True) if V is None else Jet(x, V, owned=True)
        return propagate(tape, seed, _is_tracked(tape, x), memory)


def _tiles(tangents_bytes: int, device: torch.device, mean_bytes: float = math.inf) -> int:
    """In how many tiles to take points whose largest tangents have so many bytes together, and those in the mean."""
    if device.type in ("cpu", "meta"):
        return round(min(tangents_bytes / CACHE_BYTES, mean_bytes / EACH_BYTES))
    if tangents_bytes <= MODEST_BYTES:
        return 1
    try:
        free_bytes = torch.accelerator.get_memory_info(device)[0]
    except (RuntimeError, NotImplementedError, AttributeError):  # a device that does not say
        return 1
    return math.ceil(tangents_bytes / max(MEMORY_SHARE * free_bytes, MODEST_BYTES))


def _by_products(f: Callable[[Tensor], Tensor], x: Tensor, V: Tensor | None) -> Tensor:
    """The sum by VJPs of the gradient, for a function whose operations are not to be had."""

    def total(x: Tensor) -> Tensor:
        return f(x).sum()

    _, pull, *_ = torch.func.vjp(torch.func.grad(total), x)

    def curvature(v: Tensor) -> Tensor:
        return (pull(v.expand_as(x))[0] * v).sum(-1)

    V = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) if V is None else V
    return torch.func.vmap(curvature)(V).sum(0)


def _is_tracked(program: Program, x: Tensor) -> bool:
    """Whether a graph may be recorded of what is done to x, so that no tensor may be written to again."""
    if torch._C._are_functorch_transforms_active():
        return True
    return torch.is_grad_enabled() and (
        x.requires_grad or any(constant.requires_grad for constant in program.constants)
    )
