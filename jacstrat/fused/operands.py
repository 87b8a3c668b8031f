"""What a network is given at a call: operands, and seeds made of them, by torch.

Weights are read where they lie, so that what is written into them is seen. What is made of them (a folded matrix, seeds
that were compressed) is kept as long as the tensors that f holds are the same in place and version; on the CPU, where
numbers may be written past both, it is made at every call. So it is while a graph is captured, which is replayed with
other weights: there directions are not made fewer, as no decomposition can be captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jacstrat.chain.values import Values, run
from jacstrat.fused.evaluate import seeds
from jacstrat.fused.network import ConstantVector, Network
from jacstrat.fused.reading import ReadNetwork
from jacstrat.trace import Node, leaves
from jacstrat.trace.arguments import Args

# Below this share of the directions it is worth it to make them fewer; fewer than LEAST are not.
WORTH, LEAST = 0.8, 8


@dataclass(frozen=True, eq=False)
class Ready:
    """What a kernel reads beside x.

    Fields:
        operands, seeds: In their order.
        directions: Rows of the seeds.
        strides: Of both, one after the other.
    """

    operands: tuple[Tensor, ...]
    seeds: tuple[Tensor, ...]
    directions: int
    strides: tuple[tuple[int, int], ...]

    @property
    def requires_grad(self) -> tuple[bool, ...]:
        """Of both, one after the other."""
        return tuple(one.requires_grad for one in (*self.operands, *self.seeds))

    def detached(self) -> Ready:
        """The same numbers without a graph."""
        operands, seed_tangents = (tuple(one.detach() for one in some) for some in (self.operands, self.seeds))
        return replace(self, operands=operands, seeds=seed_tangents)


class Operands:
    """Operands of a tape at one shape of x, and its seeds.

    Args:
        values: The tape.
        read: Its network.
        seeded: The vectors that have seeds.
        may_compress: Whether sums of squares over directions are all that is wanted of them.
    """

    def __init__(self, values: Values, read: ReadNetwork, seeded: Sequence[int], may_compress: bool) -> None:
        self.read, self.seeded, self.may_compress = read, tuple(seeded), may_compress
        self._values = values
        self._like = values.sample[0].new_empty(())
        idle = [node for node in values.nodes if not values.varying.intersection(_outs(node))]
        self._constant = [node for node in idle if not values.moving.intersection(_outs(node))]
        self._moving = [node for node in idle if values.moving.intersection(_outs(node))]
        operands = (leaf for node in values.nodes for leaf in leaves((node.args, *node.kwargs.values())))
        self.constants = tuple({id(leaf): leaf for leaf in operands if isinstance(leaf, Tensor)}.values())
        self._versioned = [one for one in self.constants if not one.is_inference()]
        self._cached: tuple[Any, list[Any], list[Tensor | None], Ready | None] | None = None
        self._size = len(values.sample)

    def at(self, x: Tensor, args: Args, V: Tensor | None = None) -> Ready:
        """Those for a call; seeds are those of directions V, (K, n), or of the unit vectors."""
        if _is_captured(x):
            environment, constants, _ = self._constants_now()
            return self._completed(environment, constants, x, args, V, may_compress=False)
        state = self._state() if x.device.type != "cpu" else None
        if state is None or self._cached is None or self._cached[0] != state:
            self._cached = (state, *self._constants_now())
        _, environment, constants, ready = self._cached
        if V is None and ready is not None:
            return ready
        ready = self._completed(environment, constants, x, args, V, self.may_compress)
        if V is None and not any(self.read.moving):
            self._cached = (state, environment, constants, ready)
        return ready

    def tracked(self, x: Tensor, args: Args, V: Tensor | None = None) -> Ready:
        """Those for a call with the graph that leads to them from what f holds and from arguments."""
        with torch.enable_grad():
            environment: list[Any] = [None] * self._size
            for slot, tensor in self._values.fixed.items():
                environment[slot] = tensor
            self._values.placed(environment, x.detach(), args)
            _fill(environment, self._constant)
            _fill(environment, self._moving)
            may_compress = self.may_compress and not _is_captured(x)
            return self._ready([operand(environment) for operand in self.read.operands], V, may_compress)

    def _completed(
        self,
        environment: list[Any],
        constants: list[Tensor | None],
        x: Tensor,
        args: Args,
        V: Tensor | None,
        may_compress: bool,
    ) -> Ready:
        """Operands with those that arguments make, and seeds."""
        if any(self.read.moving):
            environment = list(environment)
            self._values.placed(environment, x, args)
            _fill(environment, self._moving)
        operands = [
            operand(environment) if constant is None else constant
            for operand, constant in zip(self.read.operands, constants, strict=True)
        ]
        return self._ready(operands, V, may_compress)

    def _state(self) -> tuple[list[int], list[int]]:
        return [one._version for one in self._versioned], [one.data_ptr() for one in self.constants]

    def _constants_now(self) -> tuple[list[Any], list[Tensor | None], Ready | None]:
        environment: list[Any] = [None] * self._size
        for slot, tensor in self._values.fixed.items():
            environment[slot] = tensor
        _fill(environment, self._constant)
        makers = zip(self.read.operands, self.read.moving, strict=True)
        return environment, [None if moves else operand(environment) for operand, moves in makers], None

    def _ready(self, operands: list[Tensor], V: Tensor | None, may_compress: bool) -> Ready:
        seed_tangents = seeds(self.read.network, operands, V, self.seeded, self._like)
        directions = self.read.network.n if V is None else len(V)
        widths = [seed.shape[1] for seed in seed_tangents]
        if may_compress and directions >= LEAST and 0 < sum(widths) <= WORTH * directions:
            seed_tangents = list(compressed(torch.cat(seed_tangents, 1)).split(widths, 1))
            directions = len(seed_tangents[0])
        whole = (*operands, *seed_tangents)
        return Ready(
            tuple(operands), tuple(seed_tangents), directions, tuple((one.stride(0), one.stride(1)) for one in whole)
        )


def rows_of(ready: Ready, network: Network, rows: slice) -> Ready:
    """Operands of some of the points."""
    each = {vector.operand for vector in network.vectors if isinstance(vector, ConstantVector) and vector.of_points}
    operands = tuple(one[rows] if number in each else one for number, one in enumerate(ready.operands))
    return replace(ready, operands=operands)


def compressed(T: Tensor) -> Tensor:
    """R with R^T R = T^T T, of as many rows as T has columns: sums of squares over directions are the same.

    T = Q R with columns of Q that are orthonormal. Of T + dT the part Q Q^T dT is all that adds to these sums in first
    order, so that R = Q^T T with Q held has their gradient.
    """
    exact = T if T.dtype in (torch.float32, torch.float64) else T.float()
    if T.requires_grad:
        Q = torch.linalg.qr(exact.detach()).Q
        return (Q.mT @ exact).to(T.dtype)
    return torch.linalg.qr(exact, mode="r").R.to(T.dtype)


def _is_captured(x: Tensor) -> bool:
    return x.is_cuda and torch.cuda.is_current_stream_capturing()


def _outs(node: Node) -> list[int]:
    return [slot for slot in node.outs if slot is not None]


def _fill(environment: list[Any], nodes: Sequence[Node]) -> None:
    for node in nodes:
        for slot, out in zip(node.outs, run(node, environment), strict=True):
            if slot is not None:
                environment[slot] = out
