"""Fields as people write them, (B, 6) -> (B, 6) or (6,) -> (6,), in float64."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.taylor.functions import Sine

N = 6


def seeded(make: Any) -> Any:
    """A module in float64 with weights that are the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().double()


def network(*widths: int, activation: Any = nn.Tanh) -> nn.Sequential:
    """A network of these widths."""

    def make() -> nn.Sequential:
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), activation())]
        return nn.Sequential(*layers[:-1])

    return seeded(make)


MATRIX = torch.randn(N, N, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SCALE = torch.linspace(-1, 2, N, dtype=torch.float64)
ONE = network(N, 9, N)
TWO = network(N, 9, 7, N, activation=nn.GELU)
THREE = network(N, 9, 4, 8, N, activation=nn.SiLU)
WIDE = network(N, 9, 8, 7, N, activation=nn.Softplus)
BLOCKS = seeded(lambda: nn.ModuleList([network(N, 5, N), network(N, 4, N), network(N, 3, N)]))
GATE, NARROW, BACK = network(N, N), network(N, 3), network(3, N)
NORMED = seeded(lambda: nn.Sequential(nn.LayerNorm(N), nn.Linear(N, 7), nn.Tanh(), nn.Linear(7, N)))
STORED = seeded(lambda: nn.BatchNorm1d(N)).eval()
GROUPED = seeded(lambda: nn.GroupNorm(2, N))
TIMED = network(N + 1, 8, N)
COUPLING = network(N // 2, 8, N // 2)
CONVOLUTION = seeded(lambda: nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), nn.Tanh(), nn.Conv1d(2, 1, 3, padding=1)))
PARTICLES = network(2, 5, 2)


def residual(x: Tensor) -> Tensor:
    for block in BLOCKS:
        x = x + block(x)
    return x


def coupling(x: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat((a, b * torch.exp(torch.tanh(COUPLING(a))) + COUPLING(a)), -1).flip(-1)


def timed(x: Tensor) -> Tensor:
    return TIMED(torch.cat((x, torch.full_like(x[..., :1], 0.3)), -1))


def written_in_place(x: Tensor) -> Tensor:
    y = x.sin()
    y += 2 * x
    y[..., 0] = x[..., 1] * x[..., 0]
    return y


def detached(x: Tensor) -> Tensor:
    with torch.no_grad():
        weight = x.exp()
    return weight * x * x.detach() + (x > 0) * x


# Read as chains.
CHAINS = {
    "sine": torch.sin,
    "linear": lambda x: x @ MATRIX * SCALE + 3,
    "one": ONE,
    "two": TWO,
    "three": THREE,
    "wide": WIDE,
    "residual": residual,
    "plus_itself": lambda x: x + ONE(x),
    "gated": lambda x: x * torch.sigmoid(x) * SCALE - torch.sigmoid(GATE(x)) * torch.tanh(GATE(x)),
    "hand_written": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()) + x.pow(3) / (1 + x * x).sqrt(),
    "nested": lambda x: torch.sin(x * torch.cos(x) + 0.5 * torch.tanh(ONE(x))) @ MATRIX,
    "normed": NORMED,
    "softmax": lambda x: torch.softmax(x @ MATRIX, -1) + torch.log_softmax(x, -1),
    "norm": lambda x: x * (x * x).sum(-1, keepdim=True).sqrt() + x.mean(-1, keepdim=True),
    "norms": lambda x: x / (1 + x.norm(dim=-1, keepdim=True)) + x * x.std(-1, keepdim=True) + GROUPED(x),
    "batch_norm": lambda x: STORED(x).tanh(),
    "glu": lambda x: functional.glu(torch.cat((x @ MATRIX, x.sin()), -1)),
    "gradient": lambda x: torch.func.grad(lambda z: (z @ MATRIX).tanh().pow(3).sum())(x),
    "timed": timed,
    "coupling": coupling,
    "moves": lambda x: torch.stack((x.roll(1, -1) * x.flip(-1), x[..., [1, 0, 2, 3, 5, 4]].tanh()), -2).sum(-2),
    "shuffled": lambda x: torch.channel_shuffle(x.sin().reshape(-1, N, 1), 2).reshape(x.shape) * x,
    "stencil": lambda x: functional.pad(x, (1, 1))[..., 2:] - 2 * x.sin() + x.roll(1, -1).cumsum(-1) * x,
    "convolution": lambda x: CONVOLUTION(x.unsqueeze(-2)).squeeze(-2),
    "particles": lambda x: PARTICLES(x.unflatten(-1, (3, 2))).flatten(-2),
    "einsum": lambda x: torch.einsum("ij,...j->...i", MATRIX, torch.sin(torch.einsum("...i,ij->...j", x, MATRIX))),
    "pieces": lambda x: torch.where(x > 0, x.square(), functional.leaky_relu(x)) + functional.elu(x).relu() + x.abs(),
    "special": lambda x: torch.erf(x) + torch.atan2(x, x.roll(1, -1) + 9) + functional.logsigmoid(x) ** 2,
    "written_in_place": written_in_place,
    "detached": detached,
    "constant": lambda x: x * 0 + SCALE,
}
# Not chains, and narrow in one place.
NARROW_FUNCTIONS = {
    "sorted": lambda x: BACK(torch.sort(NARROW(x), -1).values).tanh(),
    "custom": lambda x: BACK(Sine.apply(NARROW(x.sin()))),
    "running sums": lambda x: BACK(NARROW(x).logcumsumexp(-1)),
}
# Neither, with what is said of them.
REFUSED = {
    "sorted": (lambda x: torch.sort(x, -1).values, "sort is neither linear nor pointwise"),
    "custom": (lambda x: Sine.apply(x), "the custom Function Sine is neither linear nor pointwise"),
    "attention": (lambda x: torch.einsum("...i,...i,...j->...j", x, x @ MATRIX, x), "bmm is neither linear nor"),
    "branch": (lambda x: x if x.sum() > 0 else 2 * x, "cannot trace this function: DataDependentOutputException"),
    "random": (lambda x: functional.dropout(x, 0.5), "draws random numbers"),
    "chosen": (lambda x: torch.gather(x, -1, x.detach().argsort(-1)).sin(), "gather has an argument that depends on x"),
    "stacked": (lambda x: torch.stack((x.sin(), x)).sum(0), "stack does not act on each point alone and alike"),
}
