"""Random compositions of operations: the traced pattern is a superset of the true one, or the answer is "sampled"."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.structure.truth import assert_superset, points

pytestmark = pytest.mark.long(but_one_in=2)

N = 6
Step = Callable[[Tensor], Tensor]


def constant(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


W, MASK, ORDER = constant(N, N), torch.tensor([True, False, True, True, False, False]), torch.tensor([2, 0, 5, 1, 4, 3])
BLOCKS, KERNEL, CHANNELS = constant(3, 2, 2), constant(1, 1, 3), constant(2, 1, 2)
TWICE = torch.tensor([0, 0, 3, 3, 4, 5])


def scan(x: Tensor) -> Tensor:
    state, states = torch.zeros_like(x[..., 0]), []
    for i in range(N):
        state = torch.tanh(0.5 * state + x[..., i])
        states.append(state)
    return torch.stack(states, -1)


def assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[..., 1:3] *= x[..., 4:6]
    y[..., 5] = 0
    y[..., [0, 4]] += x[..., [4, 0]]
    return y


def added(x: Tensor) -> Tensor:
    return x.new_zeros(x.shape).index_add(-1, TWICE, x)


def written(x: Tensor) -> Tensor:
    return x.scatter(-1, TWICE.expand(x.shape), x.flip(-1))


def convolved(x: Tensor) -> Tensor:
    return torch.conv1d(x.unsqueeze(1), KERNEL, padding=2, dilation=2).squeeze(1)


def ring(x: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(x.unsqueeze(1), (1, 1), mode="circular")
    return torch.conv1d(padded, KERNEL).squeeze(1)


def up_and_down(x: Tensor) -> Tensor:
    low = torch.conv1d(x.unsqueeze(1), CHANNELS, stride=2)
    return torch.conv_transpose1d(low, CHANNELS, stride=2).squeeze(1)


def masked(x: Tensor) -> Tensor:
    # How many a mask has is a value, also where the mask is a constant.
    y = x.clone()
    y[..., MASK] = 1
    return y + torch.cat([x[..., MASK], x[..., ~MASK]], -1)


def branches(x: Tensor) -> Tensor:
    return x.sin() if x.sum() > 0 else x.roll(1, -1)


def loops(x: Tensor) -> Tensor:
    while x.abs().max() > 0.5:
        x = x * 0.5 + 0.1 * x.roll(1, -1)
    return x


STEPS: dict[str, Step] = {
    "sin": torch.sin,
    "square": lambda x: x * x,
    "abs": torch.abs,
    "relu": torch.relu,
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "where": lambda x: torch.where(x > 0, x, x.roll(1, -1)),
    "where known": lambda x: torch.where(MASK, x, x.flip(-1)),
    "masked_fill": lambda x: x.masked_fill(MASK, 1.0),
    "masked_fill by value": lambda x: x.masked_fill(x > 0.2, 0.0),
    "maximum": lambda x: torch.maximum(x, x.roll(2, -1)),
    "less max": lambda x: x - x.amax(-1, keepdim=True),
    "max values": lambda x: x * x.max(-1, keepdim=True).values,
    "sort": lambda x: x.sort(-1).values,
    "topk": lambda x: x.topk(N, -1).values,
    "cummax": lambda x: x.cummax(-1).values,
    "permutation": lambda x: x[..., ORDER],
    "permutation list": lambda x: x[..., [5, 4, 3, 2, 1, 0]],
    "gather known": lambda x: x.gather(-1, TWICE.expand(x.shape)),
    "gather computed": lambda x: x.gather(-1, x.argsort(-1)),
    "index computed": lambda x: x[..., (x[0] > 0).long()],
    "take computed": lambda x: torch.take_along_dim(x, (x > 0).long() + 2, -1),
    "scatter computed": lambda x: torch.zeros_like(x).scatter(-1, x.argsort(-1), x),
    "index_select": lambda x: x.index_select(-1, ORDER),
    "reshape": lambda x: x.reshape(*x.shape[:-1], 2, 3).transpose(-1, -2).reshape(x.shape),
    "cat": lambda x: torch.cat([x[..., 3:], x[..., :3].cos()], -1),
    "roll": lambda x: x.roll(1, -1),
    "pad": lambda x: torch.nn.functional.pad(x, (1, 0))[..., :-1],
    "reflect": lambda x: torch.nn.functional.pad(x, (1, 1), mode="reflect")[..., 2:],
    "unfold": lambda x: torch.nn.functional.pad(x, (0, 2)).unfold(-1, 3, 1).prod(-1),
    "convolution": convolved,
    "ring": ring,
    "up and down": up_and_down,
    "matmul": lambda x: x @ W,
    "blocks": lambda x: torch.einsum("...ij,ijk->...ik", x.unflatten(-1, (3, 2)), BLOCKS).flatten(-2),
    "outer": lambda x: (x.unsqueeze(-1) * x.unsqueeze(-2)).tril(-1).sum(-1),
    "cumsum": lambda x: x.cumsum(-1),
    "cumprod": lambda x: x.cumprod(-1),
    "scan": scan,
    "assigned": assigned,
    "index_add": added,
    "scatter": written,
    "softmax": lambda x: x.softmax(-1),
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, (N,)),
    "pair norm": lambda x: x / x.unflatten(-1, (3, 2)).norm(dim=-1).repeat_interleave(2, -1),
    "detached": lambda x: x * x.detach().roll(1, -1),
    "vmapped": lambda x: torch.vmap(lambda row: row * row.flip(0))(x),
    "its own derivative": lambda x: torch.func.vjp(scan, x)[1](x)[0],
    "branch": branches,
    "loop": loops,
    "item": lambda x: x * x.sum().item(),
    "mask": masked,
}
BY_VALUE = ("branch", "loop", "item", "mask")
X = points(N)

steps = st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=3)
pairs = st.sampled_from([torch.add, torch.mul, torch.maximum])


def composed(names: list[str]) -> Step:
    def f(x: Tensor) -> Tensor:
        for name in names:
            x = STEPS[name](x)
        return x

    return f


@pytest.mark.parametrize("operator", ["divergence", "laplacian"])
@pytest.mark.parametrize("name", STEPS)
def test_each_step(name: str, operator: str) -> None:
    step = STEPS[name]
    f = (lambda x: (step(x) * step(x.cos())).sum(-1)) if operator == "laplacian" else step
    assert assert_superset(f, X, operator).source == ("sampled" if name in BY_VALUE else "traced")


@settings(max_examples=30, deadline=None)
@given(steps, steps, pairs)
def test_a_composed_field(first: list[str], second: list[str], pair: Callable[[Tensor, Tensor], Tensor]) -> None:
    one, other = composed(first), composed(second)
    found = assert_superset(lambda x: pair(one(x), other(x)), X)
    assert found.source == ("sampled" if {*first, *second} & {*BY_VALUE} else "traced")


@settings(max_examples=20, deadline=None)
@given(steps, st.sampled_from(["sin", "square", "cumprod", "softmax", "unfold"]))
def test_a_composed_scalar(names: list[str], last: str) -> None:
    f = composed([*names, last])
    found = assert_superset(lambda x: f(x).sum(-1), X, "laplacian")
    assert found.source == ("sampled" if {*names} & {*BY_VALUE} else "traced")
