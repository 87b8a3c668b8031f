"""Functions that people differentiate, networks above all, of 14 kinds, at sizes from 2 to 4096 drawn by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

SEED = 2026
# Sizes of one network of each kind, and batches of any: a draw from each band.
BANDS = ((2, 4, 8), (8, 16, 32), (32, 64, 128), (128, 256, 512), (1024, 2048, 4096))
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
# Numbers in the n^2 of all points, of which more would fill memory and take seconds.
MOST = 2**21


@dataclass(frozen=True, eq=False)
class DrawnNetwork:
    """A function at a size, with what it is called.

    Fields:
        key: Kind, operator, n, batch, dtype and workload, in this order.
        operator: "divergence" of a field, "laplacian" of a scalar.
        f, x, args: It, its points and further arguments.
        train: A call goes back to the parameters.
    """

    key: str
    operator: str
    f: Callable[..., Tensor]
    x: Tensor
    args: tuple[Any, ...] = ()
    train: bool = False
    parameters: tuple[Tensor, ...] = field(default=(), repr=False)


class Residual(nn.Module):
    """x + W act(V x), block after block: a flow."""

    def __init__(self, n: int, width: int, blocks: int, act: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(mlp(n, width, n, act=act) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


class TimeConditioned(nn.Module):
    """A function of (x, t), t beside the coordinates."""

    def __init__(self, inner: nn.Module, is_scalar: bool = False) -> None:
        super().__init__()
        self.inner, self.is_scalar = inner, is_scalar

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        y: Tensor = self.inner(torch.cat((x, t.expand(*x.shape[:-1], 1)), -1))
        return y.squeeze(-1) if self.is_scalar else y


class Attention(nn.Module):
    """One head over tokens of d coordinates each."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d, self.qkv, self.out = d, nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x.unflatten(-1, (-1, self.d))).chunk(3, -1)
        weights = (q @ k.mT / self.d**0.5).softmax(-1)
        return self.out(weights @ v).flatten(-2)


class Convolution(nn.Module):
    """Periodic convolutions over a grid, channels between: J has a band."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, channels, 3, padding=1, padding_mode="circular")
        self.last = nn.Conv1d(channels, 1, 3, padding=1, padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x.unsqueeze(-2)).tanh()).squeeze(-2)


class Reaction(nn.Module):
    """Diffusion on a ring and a reaction at each site, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(1, -1) + x.roll(-1, -1) - 2 * x + self.rate * x * (1 - x.square())


class Pairs(nn.Module):
    """log psi of particles on a plane: a network of each pair's distance, and a trap."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(1, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        p = x.unflatten(-1, (-1, 2))
        i, j = torch.triu_indices(p.shape[-2], p.shape[-2], 1, device=x.device)
        apart = (p[..., i, :] - p[..., j, :]).square().sum(-1, keepdim=True)
        return self.net((1 + apart).sqrt()).sum((-1, -2)) - x.square().sum(-1) / 2


class Messages(nn.Module):
    """A graph network over a ring of nodes of d coordinates: each hears its neighbours."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d, self.message, self.update = d, mlp(2 * d, 16, 16), mlp(d + 16, 16, d)

    def forward(self, x: Tensor) -> Tensor:
        h = x.unflatten(-1, (-1, self.d))
        heard = [self.message(torch.cat((h, h.roll(shift, -2)), -1)) for shift in (1, -1)]
        return self.update(torch.cat((h, heard[0] + heard[1]), -1)).flatten(-2)


class Separable(nn.Module):
    """A network of one coordinate, of each by itself: J is diagonal."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(1, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.unsqueeze(-1)).squeeze(-1)


class ScalarNetwork(nn.Module):
    """The one output of a network, (B, n) -> (B,)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y.squeeze(-1)


def mlp(*widths: int, act: Callable[[], nn.Module] = nn.Tanh, norm: bool = False) -> nn.Sequential:
    """Linear layers of these widths with activations between them, behind layer norms where asked for."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), *([nn.LayerNorm(b)] if norm else []), act()]
    return nn.Sequential(*layers[: -3 if norm else -1], *([layers[-3]] if norm else []))


Make = Callable[[int, random.Random], nn.Module]


def _act(draw: random.Random) -> Callable[[], nn.Module]:
    return draw.choice((nn.SiLU, nn.GELU))


def _width(draw: random.Random) -> int:
    return draw.choice((32, 64, 128))


def _timed(n: int, draw: random.Random) -> nn.Module:
    w = _width(draw)
    return TimeConditioned(mlp(n + 1, w, w, n, act=draw.choice((nn.Tanh, nn.SiLU))))


# Each kind: the operator, the most coordinates, and what makes one. What grows as n^2 by itself ends earlier.
KINDS: Mapping[str, tuple[str, int, Make]] = MappingProxyType(
    {
        "mlp": ("divergence", 4096, lambda n, draw: mlp(n, _width(draw), n)),
        "deep": ("divergence", 4096, lambda n, draw: mlp(n, _width(draw), _width(draw), n, act=_act(draw))),
        "flow": ("divergence", 4096, lambda n, draw: Residual(n, _width(draw), 2, _act(draw))),
        "timed": ("divergence", 4096, _timed),
        "norm": ("divergence", 4096, lambda n, draw: mlp(n, 64, 64, n, act=_act(draw), norm=True)),
        "attention": ("divergence", 128, lambda n, draw: Attention(2 if n < 16 else 8)),
        "convolution": ("divergence", 4096, lambda n, draw: Convolution(8)),
        "reaction": ("divergence", 4096, lambda n, draw: Reaction()),
        "graph": ("divergence", 512, lambda n, draw: Messages(2)),
        "separable": ("divergence", 4096, lambda n, draw: Separable()),
        "pinn": ("laplacian", 4096, lambda n, draw: ScalarNetwork(mlp(n, _width(draw), _width(draw), 1))),
        "smooth": ("laplacian", 4096, lambda n, draw: ScalarNetwork(mlp(n, 64, 64, 64, 1, act=_act(draw)))),
        "heat": ("laplacian", 4096, lambda n, draw: TimeConditioned(mlp(n + 1, 64, 64, 1), is_scalar=True)),
        "pairs": ("laplacian", 64, lambda n, draw: Pairs()),
    }
)


def networks(seed: int = SEED) -> Iterator[DrawnNetwork]:
    """One of each kind and band of sizes, with batch, dtype and workload drawn; the same for the same seed."""
    for kind, (operator, most, make) in KINDS.items():
        for band in BANDS:
            # Of its own, so that a kind that is added or left out changes no other.
            draw = random.Random(f"{seed} {kind} {band}")
            if band[0] > most:
                continue
            n = draw.choice([n for n in band if n <= most])
            batch = draw.choice([B for B in BATCHES if n * n * B <= MOST] or [1])
            dtype = draw.choice((torch.float32, torch.float64))
            yield _network(kind, operator, make, n, batch, dtype, draw.random() < 1 / 3, draw)


def _network(
    kind: str, operator: str, make: Make, n: int, batch: int, dtype: torch.dtype, train: bool, draw: random.Random
) -> DrawnNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw.randrange(2**31))
        net = make(n, draw).to(dtype).requires_grad_(train)
        x = torch.randn(batch, n, dtype=dtype)
    args = (torch.tensor(0.3, dtype=dtype),) if isinstance(net, TimeConditioned) else ()
    name = str(dtype).removeprefix("torch.")
    key = f"{kind}/{operator}/n={n}/B={batch}/{name}/{'train' if train else 'evaluate'}"
    return DrawnNetwork(key, operator, net, x, args, train, tuple(net.parameters()) if train else ())
