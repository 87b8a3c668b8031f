"""Functions made anew for each number, as loops of users make them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

D = torch.float64
X = torch.rand(5, 4, dtype=D, generator=torch.Generator().manual_seed(0)) + 0.1
torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D).requires_grad_(False)


@dataclass
class Field:
    """As people write one: a network, and what changes."""

    net: nn.Module
    t: float
    calls: int = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.t * self.net(x)

    def scalar(self, x: Tensor) -> Tensor:
        return self(x).square().sum(-1)


def with_float(k: int) -> Callable[[Tensor], Tensor]:
    t = 0.5 + k
    return lambda x: t * NET(x)


def with_number_of_numpy(k: int) -> Callable[[Tensor], Tensor]:
    t, power = np.linspace(0.1, 1.0, 9)[k], np.int64(k + 1)
    return lambda x: t * NET(x) ** power


def with_matrix_of_one_row(k: int) -> Callable[[Tensor], Tensor]:
    row = torch.full((1, 4), 0.3 * k + 0.1, dtype=D)
    return lambda x: (NET(x).unsqueeze(-2) * row).sum(-2)


def with_integer(k: int) -> Callable[[Tensor], Tensor]:
    return lambda x: NET(x) ** (k + 2) / (k + 3)


def with_tensor(k: int) -> Callable[[Tensor], Tensor]:
    shift = torch.full((4,), 0.1 * k, dtype=D)
    return lambda x: NET(x + shift)


def with_rows(k: int) -> Callable[[Tensor], Tensor]:
    of_rows = torch.linspace(0.1, 1 + k, len(X), dtype=D).unsqueeze(-1)
    return lambda x: of_rows * NET(x)


def with_number_of_no_axes(k: int) -> Callable[[Tensor], Tensor]:
    t = torch.tensor(0.3 * k + 0.2, dtype=D)
    return lambda x: NET(x) * t.exp()


def with_object(k: int) -> Callable[[Tensor], Tensor]:
    return Field(NET, 0.7 * k + 0.1)


def with_method(k: int) -> Callable[[Tensor], Tensor]:
    return Field(NET, 0.7 * k + 0.1).__call__


def with_default(k: int) -> Callable[[Tensor], Tensor]:
    def f(x: Tensor, t: float = 0.2 * k) -> Tensor:
        return (NET(x) + t).tanh()

    return f


def with_partial(k: int) -> Callable[[Tensor], Tensor]:
    return functools.partial(lambda t, x: NET(x * t), 0.3 * k + 0.2)


def with_inner(k: int) -> Callable[[Tensor], Tensor]:
    inner = with_float(k)
    return lambda x: inner(x).sin()


def with_dict(k: int) -> Callable[[Tensor], Tensor]:
    settings = {"scale": 0.4 * k + 0.1, "steps": [1, 2.0 * k]}
    return lambda x: NET(x) * settings["scale"] + settings["steps"][1] * x


class Conditioned(nn.Module):
    """A module whose time is an attribute, as flows have it, with one of its own within."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.t, self.calls = inner, 0.0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(x) * (1 + self.t)


CONDITIONED = Conditioned(NET)
NESTED = Conditioned(CONDITIONED)


def with_attribute_of_a_module(k: int) -> Callable[[Tensor], Tensor]:
    CONDITIONED.t = 0.3 * k
    return CONDITIONED


def with_attribute_of_a_module_within(k: int) -> Callable[[Tensor], Tensor]:
    CONDITIONED.t, NESTED.t = 0.3 * k, 0.1 * k
    return lambda x: NESTED(x)


def with_global(k: int) -> Callable[[Tensor], Tensor]:
    global TIME
    TIME = 0.4 * k + 0.1
    return _of_global_time


def _of_global_time(x: Tensor) -> Tensor:
    return NET(x) * _time()


def _time() -> float:
    return TIME + 1


def with_size(k: int) -> Callable[[Tensor], Tensor]:
    return lambda x: sum(NET(x) for _ in range(1 + k % 3))  # no fraction will do


def with_branch(k: int) -> Callable[[Tensor], Tensor]:
    return lambda x: NET(x).sin() if k % 2 else NET(x).exp()


MAKERS = [
    with_float,
    with_number_of_numpy,
    with_matrix_of_one_row,
    with_integer,
    with_tensor,
    with_rows,
    with_number_of_no_axes,
    with_object,
    with_method,
    with_default,
    with_partial,
    with_inner,
    with_dict,
    with_attribute_of_a_module,
    with_attribute_of_a_module_within,
    with_global,
    with_size,
    with_branch,
]


def scalar(make: Callable[[int], Callable[[Tensor], Tensor]], k: int) -> Callable[[Tensor], Tensor]:
    f = make(k)
    return lambda x: f(x).square().sum(-1)
