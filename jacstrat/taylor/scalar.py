"""A scalar prepared for its Laplacian: traced at each shape of x that it meets, and applied tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from jacstrat.available import KEPT_BYTES, available_bytes, keep_freed_memory
from jacstrat.caches import tile_bytes
from jacstrat.core.modelled import META, kind_of, modelled
from jacstrat.taylor.compress import Memory
from jacstrat.taylor.engine import propagate, remember
from jacstrat.taylor.jet import Jet
from jacstrat.taylor.preparation import ready, ready_for_gradients
from jacstrat.taylor.program import TaylorProgram, weak_factory
from jacstrat.trace import Tapes, Untraceable
from jacstrat.trace.arguments import Args, split
from jacstrat.trace.tracers import is_transformed

# Tangents of an operation in a tile, in the mean, over the largest: of a function of many operations on little, tiles
# are larger. The largest are not more than the allocator keeps a few of.
MEAN_SHARE = 1 / 2
LARGEST_BYTES = KEPT_BYTES // 4
# Tiles of so much of that size are as good.
EVEN = 2 / 3
# On an accelerator, the share of its free memory: a rule has three such tensors alive, a residual sum one more. Whoever
# needs less than MODEST_BYTES is not made to ask for it.
MEMORY_SHARE = 1 / 8
MODEST_BYTES = 2**26

Tile = int | Literal["auto", "all"]
Checkpoint = bool | Literal["auto"]
# From the jet of the result, and the points, to what is wanted of it.
Readout = Callable[[Jet, Tensor], tuple[Any, ...]]


class Scalar:
    """A row-wise scalar and its tapes, by shape, dtype and device of x, made when they are first asked for.

    Args:
        f: Row-wise scalar, (B, n) -> (B,) or (B, m), each output by itself; called as f(x, *args).
        compress: Whether n directions become fewer where fewer do.
        tile: Points at a time; "auto" for as many as the cache of a CPU or the memory of an accelerator holds.
        checkpoint: Whether tiles are computed again on the way back instead of being kept; "auto" where memory is what
            tiles are for: their size was given, or they are on an accelerator, or all of them would fill the memory.
    """

    def __init__(
        self,
        f: Callable[..., Tensor],
        compress: bool = True,
        tile: Tile = "auto",
        checkpoint: Checkpoint = "auto",
    ) -> None:
        self.f = f
        self.compress = compress
        self.tile = tile
        self.checkpoint = checkpoint
        self._tapes = Tapes(f, ready, weak_factory=weak_factory)
        self._whole = Tapes(f, ready_for_gradients, weak_factory=weak_factory)
        keep_freed_memory()

    def tape(self, x: Tensor, args: Args = ()) -> TaylorProgram | Untraceable:
        """The tape at points like x, ready to be run, or why there is none."""
        return self._tapes.at(x, args)

    @property
    def constants(self) -> tuple[Tensor, ...]:
        """Tensors that the tapes recorded so far have as they are."""
        return (*self._tapes.constants.values(), *self._whole.constants.values())

    def is_traced(self, x: Tensor, args: Args = ()) -> bool:
        """Whether the tapes for x are there already, perhaps from an earlier call for a function that is the same."""
        if not self._tapes.is_shared(x, args):  # tiles would record it
            return False
        return all(self._tapes.is_shared(*part) for part in self.tiles(x, args))

    def tiles(
        self, x: Tensor, args: Args = (), directions: int | None = None, is_program: bool = False
    ) -> list[tuple[Tensor, Args]]:
        """x in parts of as many points as are done at a time, each with its arguments.

        Args:
            x: Points.
            args: Further arguments.
            directions: How many; the n unit vectors where not given.
            is_program: Whether operations are put together, so that starting them takes next to nothing.
        """
        size = self._tile_size(x, args, directions, is_program)
        return [(x, args)] if size is None else list(zip(x.split(size), split(x, args, size), strict=True))

    def _tile_size(self, x: Tensor, args: Args, directions: int | None, is_program: bool) -> int | None:
        if x.dim() == 1 or self.tile == "all" or len(x) < 2:
            return None
        if self.tile != "auto":
            return self.tile
        tape = self.tape(x, args)
        if isinstance(tape, Untraceable) or tape.bound:
            return None
        if directions:
            largest = directions * tape.numel
        elif self.compress:  # directions behind a layer are at most its units
            largest = min(tape.largest, tape.numel // len(x) * tape.numel)
        else:
            largest = tape.largest
        mean = math.inf if directions or is_program else tape.total / max(tape.operations, 1)
        number = _tiles(largest * x.element_size(), x.device, mean * x.element_size())
        return _even(len(x), -(-len(x) // number)) if number > 1 else None

    def apart(self, x: Tensor, args: Args = ()) -> list[tuple[Tensor, Args]]:
        """The tiles of x for a program, where these have nothing in common; else x as one part."""
        program = self.tape(x, args)
        return [(x, args)] if self._is_compressed(program) else self.tiles(x, args, is_program=True)

    def _is_compressed(self, program: TaylorProgram | Untraceable) -> bool:
        """Whether directions become fewer for all points at once."""
        return self.compress and not isinstance(program, Untraceable) and program.shared > 0

    def laplacian(self, x: Tensor, *args: Any, V: Tensor | None = None) -> Tensor:
        """The Laplacian at each point, (B,), or () for a single point; (B, m) of m outputs.

        Args:
            x: Points, (B, n) or (n,).
            args: Further arguments of the scalar.
            V: Directions of each point, (K, ...) with the axes of x behind, for sum_k v_k^T H v_k in its place; they
                are overwritten where no graph is recorded.
        """
        (laplacian,) = self._through(x, args, V, lambda y, x: (y.laplacian,))
        return laplacian

    def together(self, x: Tensor, *args: Any) -> tuple[Tensor, Tensor | None, Tensor]:
        """Value, gradient (..., n) and Laplacian, in the one pass that the Laplacian takes.

        Tangents of the result along the unit vectors are its gradient. None where they become fewer directions and a
        graph is recorded: what these span is a constant to it, by which derivatives of the Laplacian alone are right.
        """
        program = self.tape(x, args)
        if not isinstance(program, Untraceable) and self._is_compressed(program) and _is_tracked(program, x, args):
            value, laplacian = self._through(x, args, None, lambda y, _: (y.value, y.laplacian))
            return value, None, laplacian
        value, gradient, laplacian = self._through(x, args, None, _all_of, is_whole=True)
        return value, gradient, laplacian

    def _through(
        self, x: Tensor, args: Args, V: Tensor | None, read: Readout, is_whole: bool = False
    ) -> tuple[Tensor, ...]:
        """What is read off the jet of each tile, put together."""
        is_kept = is_whole and not self._is_compressed(self.tape(x, args))  # what is compressed then are single points
        memory = Memory(with_bases=is_whole) if self.compress and V is None and not is_kept else None
        parts = self.tiles(x, args, None if V is None else len(V))
        directions = [None] * len(parts) if V is None else V.split([len(part) for part, _ in parts], 1)
        if self._is_checkpointed(x, parts):
            done = self._checkpointed(parts, directions, memory, read, is_whole)
        else:
            done = [self._read(*part, V, memory, read, is_whole) for part, V in zip(parts, directions, strict=True)]
        return done[0] if len(done) == 1 else tuple(map(torch.cat, zip(*done, strict=True)))

    def _is_checkpointed(self, x: Tensor, parts: list[tuple[Tensor, Args]]) -> bool:
        if self.checkpoint is False or x.dim() == 1 or torch.compiler.is_compiling():
            return False
        if is_transformed():  # which refuse hooks on what is saved
            return False
        first, args = parts[0]
        program = self.tape(first, args)
        if isinstance(program, Untraceable) or not _is_tracked(program, x, args):
            return False
        if self.checkpoint is True or len(parts) == 1:
            return self.checkpoint is True
        if self.tile != "auto" or kind_of(x.device) != "cpu":
            return True
        return len(parts) * program.total * x.element_size() > MEMORY_SHARE * available_bytes()

    def _checkpointed(
        self,
        parts: list[tuple[Tensor, Args]],
        directions: Sequence[Tensor | None],
        memory: Memory | None,
        read: Readout,
        is_whole: bool,
    ) -> list[tuple[Tensor, ...]]:
        """What is read of each tile, of which only x is kept. What tiles have in common is computed before, once."""
        # All traces before: a trace saves tensors of its own, which the second time would not find.
        tapes = self._whole if is_whole else self._tapes
        for part in parts:
            tapes.at(*part)
        program = self.tape(*parts[0])
        if memory is not None and not isinstance(program, Untraceable):
            first, args = parts[0]
            remember(program, Jet(first, None, is_point=True), memory, args)

        def again(x: Tensor, V: Tensor | None, *args: Any) -> tuple[Tensor, ...]:
            # A copy of the memory, so that the second time finds what the first found. Under a graph V stays as it is.
            return self._read(x, args, V, None if memory is None else memory.copy(), read, is_whole)

        return [
            checkpoint(again, x, V, *args, use_reentrant=False) for (x, args), V in zip(parts, directions, strict=True)
        ]

    def _read(
        self, x: Tensor, args: Args, V: Tensor | None, memory: Memory | None, read: Readout, is_whole: bool
    ) -> tuple[Tensor, ...]:
        tape = (self._whole if is_whole else self._tapes).at(x, args)
        if isinstance(tape, Untraceable):
            return _by_products(self.f, x, args, V, is_whole)
        seed = Jet(x, None, is_point=True) if V is None else Jet(x, V, owned=True)
        y = propagate(tape, seed, _is_tracked(tape, x, args), memory, args)
        jet = y if isinstance(y, Jet) else Jet(y, None)
        if jet.laplacian is None:
            jet.laplacian = torch.zeros_like(jet.value)
        return read(jet, x)


def _all_of(y: Jet, x: Tensor) -> tuple[Tensor, ...]:
    """Value, gradient, with the coordinates behind the axes of the value, and Laplacian."""
    assert y.laplacian is not None
    if y.tangents is None:
        return y.value, y.value.new_zeros(*y.value.shape, x.shape[-1]), y.laplacian
    return y.value, y.full().movedim(0, -1), y.laplacian


def _tiles(tangents_bytes: int, device: torch.device, mean_bytes: float = math.inf) -> int:
    """In how many tiles to take points whose largest tangents have so many bytes together, and those in the mean."""
    if kind_of(device) == "cpu":
        room = tile_bytes(torch.get_num_threads())
        return round(max(min(tangents_bytes / room, mean_bytes / (MEAN_SHARE * room)), tangents_bytes / LARGEST_BYTES))
    if tangents_bytes <= MODEST_BYTES or (free_bytes := _free_bytes(device)) is None:
        return 1
    return math.ceil(tangents_bytes / max(MEMORY_SHARE * free_bytes, MODEST_BYTES))


@lru_cache(maxsize=1024)
def _even(points: int, size: int) -> int:
    """A size of tiles near one at most so large, by which all are alike: f is recorded at each size that there is."""
    return next((one for one in range(size, int(EVEN * size), -1) if points % one == 0), size)


def _free_bytes(device: torch.device) -> int | None:
    """Memory that an accelerator has free, or the one that the meta device stands for; None where it does not say."""
    if device.type == META:
        return modelled().free_bytes
    try:
        return int(torch.accelerator.get_memory_info(device)[0])
    except (RuntimeError, NotImplementedError, AttributeError):
        return None


def _by_products(
    f: Callable[..., Tensor], x: Tensor, args: Args, V: Tensor | None, is_whole: bool
) -> tuple[Tensor, ...]:
    """The same by VJPs of the gradient, for a function whose operations are not to be had; each output by itself."""

    def outputs(x: Tensor) -> Tensor:
        """One after the other, (m, ...)."""
        y = f(x, *args)
        return y.unsqueeze(0) if y.dim() < x.dim() else y.movedim(-1, 0)

    directions = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) if V is None else V
    value = f(x, *args)
    gradients, laplacians = [], []
    for number in range(1 if value.dim() < x.dim() else value.shape[-1]):
        gradient = torch.func.grad(lambda x, number=number: outputs(x)[number].sum())
        g, pull, *_ = torch.func.vjp(gradient, x)
        forms = torch.func.vmap(lambda v, pull=pull: (pull(v.expand_as(x))[0] * v).sum(-1))(directions)
        gradients.append(g)
        laplacians.append(forms.sum(0))
    is_one = value.dim() < x.dim()
    laplacian = laplacians[0] if is_one else torch.stack(laplacians, -1)
    return (value, gradients[0] if is_one else torch.stack(gradients, -2), laplacian) if is_whole else (laplacian,)


def _is_tracked(program: TaylorProgram, x: Tensor, args: Args) -> bool:
    """Whether a graph may be recorded of what is done to x, so that no tensor may be written to again."""
    if is_transformed():
        return True
    tensors = (x, *(arg for arg in args if isinstance(arg, Tensor)), *program.constants)
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
