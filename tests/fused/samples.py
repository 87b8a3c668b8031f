"""Networks as people write them, small and with odd widths, and what autograd says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from jacstrat.chain.values import Values, values_of
from jacstrat.core.operator import OPERATORS
from jacstrat.fused.operands import Operands, Ready
from jacstrat.fused.reading import ReadNetwork, read
from jacstrat.fused.spec import Spec
from jacstrat.trace import record
from jacstrat.trace.arguments import lifted

D = torch.float64
_GENERATOR = torch.Generator().manual_seed(0)


def randn(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, dtype=D, generator=_GENERATOR)


def layers(*widths: int, act: Callable[[Tensor], Tensor] = torch.tanh) -> Callable[[Tensor], Tensor]:
    """Linear layers with a function between them."""
    weights = [(randn(out, width, scale=width**-0.5), randn(out, scale=0.1)) for width, out in pairwise(widths)]

    def network(x: Tensor) -> Tensor:
        for number, (W, b) in enumerate(weights):
            x = nn.functional.linear(x if number == 0 else act(x), W.to(x), b.to(x))
        return x

    return network


N = 5
X = randn(4, N)
NET, FIELD, PAIRED, TIMED = layers(N, 9, 7, 1), layers(N, 9, 7, N), layers(12, 9, 1), layers(N + 1, 8, 1)
LOW, WAVES, INTO, BLOCK = randn(N), randn(6, N), layers(N, 8), layers(8, 8)


def plain(x: Tensor) -> Tensor:
    return NET(x).squeeze(-1)


def scaled_input(x: Tensor) -> Tensor:
    return NET(2 * (x - LOW.to(x)) / 3 - 1).squeeze(-1)


def fourier(x: Tensor) -> Tensor:
    phase = math.pi * x @ WAVES.to(x).mT
    return PAIRED(torch.cat([phase.sin(), phase.cos()], -1))[..., 0]


def factor_behind(x: Tensor) -> Tensor:
    return (1 - x.square().sum(-1)) * NET(x).squeeze(-1)


def envelope(x: Tensor) -> Tensor:
    return (torch.exp(-0.5 * x.square().sum(-1, keepdim=True)) * NET(x)).squeeze(-1)


def quotient(x: Tensor) -> Tensor:
    return NET(x).squeeze(-1) / (1 + x.square().sum(-1))


def residual(x: Tensor) -> Tensor:
    h = INTO(x).tanh()
    h = h + BLOCK(h).tanh()
    return (h + 0.5 * BLOCK(h).sin()).mean(-1)


def scaled_features(x: Tensor) -> Tensor:
    return (INTO(x).tanh() * BLOCK(torch.ones(8).to(x))).square().sum(-1)


def gauss(x: Tensor) -> Tensor:
    return torch.exp(-x.square().sum(-1))


SCALARS = (plain, scaled_input, fourier, factor_behind, envelope, quotient, residual, scaled_features, gauss)


def field(x: Tensor) -> Tensor:
    return FIELD(x)


def residual_field(x: Tensor) -> Tensor:
    return x + 0.5 * FIELD(x) - 1


def cubic(x: Tensor) -> Tensor:
    return x * x.square().sum(-1, keepdim=True)


def gated(x: Tensor) -> Tensor:
    return x.sin() * FIELD(x) + x.exp()


FIELDS = (field, residual_field, cubic, gated)


def timed(x: Tensor, t: Tensor) -> Tensor:
    return TIMED(torch.cat([x, t], -1)).squeeze(-1)


def faded(x: Tensor, t: Any) -> Tensor:
    return NET(x).squeeze(-1) * t + t


def shifted(x: Tensor, t: Tensor) -> Tensor:
    return NET(x + t).squeeze(-1)


# Each with arguments: one for each point, one for all, a fraction.
TIMED_SCALARS: tuple[tuple[Callable[..., Tensor], Any], ...] = (
    (timed, randn(4, 1)),
    (faded, randn(4)),
    (faded, torch.tensor(0.3, dtype=D)),
    (faded, 0.3),
    (shifted, randn(4, N)),
    (shifted, randn(1, N)),
)


def laplacian(f: Callable[..., Tensor], x: Tensor, args: tuple[Any, ...] = ()) -> Tensor:
    """By autograd: f is row-wise, so that the Hessian of the sum of its rows has those of all of them."""
    H = torch.autograd.functional.hessian(lambda x: f(x, *args).sum(), x)
    assert isinstance(H, Tensor)
    return torch.stack([H[row, :, row].trace() for row in range(len(x))])


def diagonal(f: Callable[..., Tensor], x: Tensor, args: tuple[Any, ...] = ()) -> Tensor:
    J = torch.autograd.functional.jacobian(lambda x: f(x, *args), x)
    assert isinstance(J, Tensor)
    return torch.stack([J[row, :, row].diagonal() for row in range(len(x))])


def values(f: Callable[..., Tensor], x: Tensor, args: tuple[Any, ...] = ()) -> Values:
    return values_of(record(f, x, args), x, lifted(args))


def taken(
    f: Callable[..., Tensor], x: Tensor, args: tuple[Any, ...] = (), wanted: str = "laplacian"
) -> tuple[ReadNetwork, Ready]:
    """The network of a function, and its operands at x."""
    found = values(f, x, args)
    network = read(found)
    blank = Spec(network.network, OPERATORS[wanted], False, False, (), "float64", "ieee")
    return network, Operands(found, network, blank.seeded, may_compress=False).at(x, args)
