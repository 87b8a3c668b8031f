"""Sparse tangents: as right as dense ones, and as few as there are."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from jacstrat import PROBLEMS, laplacian
from jacstrat.strategies.auto.counting import OpCounts, _Counter
from jacstrat.taylor import preparation
from jacstrat.taylor.engine import propagate
from jacstrat.taylor.jet import Jet
from jacstrat.taylor.preparation import ready
from jacstrat.taylor.program import TaylorProgram
from jacstrat.trace import record
from tests.taylor.functions import seeded

B, PARTICLES = 3, 4
N = 3 * PARTICLES
X = torch.rand(B, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.2
W = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) / 2
FIRST, SECOND = torch.triu_indices(PARTICLES, PARTICLES, 1)
LAYERS = seeded(lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh()))


def program_of(f: Callable[[Tensor], Tensor], x: Tensor, is_sparse: bool = True) -> TaylorProgram:
    least = preparation.LEAST
    preparation.LEAST = least if is_sparse else x.shape[-1] + 1
    try:
        return ready(record(f, x), x, ())
    finally:
        preparation.LEAST = least


def laplacian_of(y: Jet | Tensor) -> Tensor:
    assert isinstance(y, Jet)
    assert y.laplacian is not None
    return y.laplacian


def run(program: TaylorProgram, x: Tensor) -> Tensor:
    return laplacian_of(propagate(program, Jet(x, None, is_point=True), True, None))


def work(program: TaylorProgram, x: Tensor) -> OpCounts:
    with torch.no_grad(), _Counter(rows=1) as counter:
        propagate(program, Jet(x, None, is_point=True), False, None)
    return counter.work


def particles(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, 3))


def deep_set(x: Tensor) -> Tensor:
    return LAYERS(particles(x)).mean(-2).square().sum(-1).exp()


def pairs(x: Tensor) -> Tensor:
    r = particles(x)
    return (-(r[:, FIRST] - r[:, SECOND]).norm(dim=-1)).exp().sum(-1).tanh()


def all_pairs(x: Tensor) -> Tensor:
    r = particles(x)
    d = ((r.unsqueeze(1) - r.unsqueeze(2)).square().sum(-1) + 0.1).sqrt()
    return (torch.cat((d, r @ W), -1).sin().sum(-1) * torch.softmax(r, -1)[..., 0]).prod(-1)


def stencil(x: Tensor) -> Tensor:
    y = nn.functional.pad(x, (1, 1))
    return ((y[:, 2:] - 2 * y[:, 1:-1] + y[:, :-2]) * x.sin() + x.roll(1, -1) ** 3 * x.flip(-1)).square().sum(-1)


def branches(x: Tensor) -> Tensor:
    # A dense part, a sparse one, x itself and a constant, put together in every way.
    dense = (x @ torch.ones(N, N, dtype=x.dtype)).sin()
    y = torch.stack((x.sin(), dense, x, torch.ones_like(x)), -1)
    z = torch.where(x > 0.5, x**2, x.exp()).masked_fill(x > 1.1, 0.0)
    return (y.prod(-1) + torch.cat((x, z.cos()), -1).cumsum(-1)[:, N - 2 : -2]).sin().prod(-1)


def joined(x: Tensor) -> Tensor:
    # With a constant, one that is made in the function, and another number of directions.
    ones = torch.ones(3, dtype=x.dtype, device=x.device).expand(x.shape[0], 3)
    y = torch.cat((x, ones, x * x.roll(1, -1), x.new_zeros(x.shape)), -1)
    return torch.stack((y, y.sin()), 1).square().sum((1, 2)).sqrt()


def layer_normed(x: Tensor) -> Tensor:
    return nn.functional.layer_norm(particles(x), (3,)).logsumexp(-1).norm(dim=-1)


FUNCTIONS = (deep_set, pairs, all_pairs, stencil, branches, joined, layer_normed)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_agrees_with_dense_tangents_and_with_vmap(f: Callable[[Tensor], Tensor]) -> None:
    expected = laplacian(f, X, "vmap") if f is not layer_normed else run(program_of(f, X, is_sparse=False), X)
    torch.testing.assert_close(run(program_of(f, X), X), expected)
    torch.testing.assert_close(run(program_of(f, X, is_sparse=False), X), expected)
    with torch.no_grad():
        torch.testing.assert_close(laplacian(f, X, "taylor"), expected)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_gradients(f: Callable[[Tensor], Tensor]) -> None:
    x = X.clone().requires_grad_()
    got, expected = (
        torch.autograd.grad(run(program_of(f, X, is_sparse), x).sum(), x)[0] for is_sparse in (True, False)
    )
    torch.testing.assert_close(got, expected)


# From (B, PARTICLES, k) to the same with another k, for any k.
STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "sin": torch.sin,
    "square": lambda x: x * x,
    "layer": lambda x: x @ W.repeat(x.shape[-1] // 3 + 1, 1)[: x.shape[-1]],
    "neighbour": lambda x: x - x.roll(1, -2),
    "turned": lambda x: x.flip(-2) * x,
    "twice": lambda x: torch.cat((x, x.cos()), -1),
    "softmax": lambda x: x.softmax(-1),
    "sum": lambda x: x * x.sum(-1, keepdim=True),
    "over particles": lambda x: x + x.mean(-2, keepdim=True),
    "less": lambda x: x[..., ::2],
    "ordered": lambda x: x.reshape(x.shape[0], -1).view(x.shape[0], x.shape[2], x.shape[1]).mT,
    "norm": lambda x: torch.cat((x, x.norm(dim=-1, keepdim=True)), -1),
    "quotient": lambda x: x / (2 + x.roll(1, -1) ** 2),
    "product": lambda x: x * x.exp().prod(-1, keepdim=True).tanh(),
    "lower": lambda x: (x.mT.tril() + x.mT).mT,
    "shift": lambda x: nn.functional.pad(x, (0, 0, 1, 0))[:, :-1] + 0.5 * x,
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=5))
def test_any_chain_of_steps_agrees_with_dense_tangents(names: list[str]) -> None:
    def f(x: Tensor) -> Tensor:
        y = particles(x)
        for name in names:
            y = STEPS[name](y)
        return y.tanh().sum((-2, -1)).sin()

    torch.testing.assert_close(run(program_of(f, X), X), run(program_of(f, X, is_sparse=False), X))


@pytest.mark.parametrize(
    ("name", "n", "directions"),
    [
        ("rosenbrock", 64, 2),
        ("bilinear", 64, 2),
        ("cosine_sum", 64, 1),
        ("lennard_jones", 60, 6),
        ("three_body", 64, 3),
    ],
)
def test_as_many_directions_as_an_entry_depends_on(name: str, n: int, directions: int) -> None:
    instance = PROBLEMS[name].instance(n, B)
    sparse, dense = (program_of(instance.f, instance.x, is_sparse) for is_sparse in (True, False))
    assert sparse.largest <= directions * max(node.numel for node in sparse.nodes if node.wants_tangents)
    assert dense.largest == n * dense.numel
    few, many = work(sparse, instance.x), work(dense, instance.x)
    # Both have the value and its Laplacian, and two derivatives of each function.
    assert few.bytes < many.bytes / 5
    torch.testing.assert_close(run(sparse, instance.x), run(dense, instance.x))


def test_bytes_of_a_stencil_grow_as_n() -> None:
    def written(n: int) -> float:
        instance = PROBLEMS["rosenbrock"].instance(n, 1)
        return work(program_of(instance.f, instance.x), instance.x).bytes

    assert written(4096) < 2.1 * written(2048)


def test_a_layer_of_each_particle_has_three_directions() -> None:
    x = torch.rand(B, 3 * 16, dtype=torch.float64)
    sparse, dense = (work(program_of(deep_set, x, is_sparse), x) for is_sparse in (True, False))
    # Value, Laplacian and 3 tangents in the place of 48, of the second layer; those of the first are no products.
    assert sparse.flops < dense.flops * (3 + 3) / (48 + 2)


def test_an_index_that_is_written_to_is_followed() -> None:
    i, j = FIRST.clone(), SECOND.clone()

    def f(x: Tensor) -> Tensor:
        r = particles(x)
        return (r.index_select(1, i) * r.index_select(1, j)).sum(-1).sin().sum(-1)

    program = program_of(f, X)
    assert program.is_planned
    torch.testing.assert_close(run(program, X), laplacian(f, X, "vmap"))
    i.copy_(i.flip(0))
    assert not program.is_planned
    torch.testing.assert_close(run(program, X), laplacian(f, X, "vmap"))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x[..., 1:] * x[..., :-1]).sin().sum(-1),
        lambda x: x.sin().sum(-1).exp(),
        lambda x: x.square().mean(-1).sqrt() + x[..., 0] ** 3 * x[..., 1],
        lambda x: particles(x).norm(dim=-1).cos().sum(-1).exp(),
        lambda x: (x.cos().logsumexp(-1) + x.cumsum(-1)[..., 1] ** 2) * x[..., :2].prod(-1),
    ],
)
def test_a_single_point(f: Callable[[Tensor], Tensor]) -> None:
    program = program_of(f, X[0])
    assert program.total < program_of(f, X[0], is_sparse=False).total
    torch.testing.assert_close(run(program, X[0]), laplacian(f, X[0], "vmap"))
    torch.testing.assert_close(run(program_of(f, X), X), laplacian(f, X, "vmap"))


def test_other_directions_are_dense() -> None:
    V = torch.randn(2, B, N, dtype=torch.float64)
    program = program_of(stencil, X)
    found = laplacian_of(propagate(program, Jet(X, V), True, None))
    H = torch.func.vmap(torch.func.hessian(lambda row: stencil(row[None])[0]))(X)
    torch.testing.assert_close(found, torch.einsum("kbi,bij,kbj->b", V, H, V))


@pytest.mark.parametrize("f", [deep_set, stencil, joined])
def test_without_numbers_the_plans_are_the_same(f: Callable[[Tensor], Tensor]) -> None:
    layers = copy.deepcopy(LAYERS).to("meta")

    def on_meta(x: Tensor) -> Tensor:
        return layers(particles(x)).mean(-2).square().sum(-1).exp()

    x = X.to("meta")
    found, expected = program_of(on_meta if f is deep_set else f, x), program_of(f, X)
    assert (found.largest, found.total) == (expected.largest, expected.total)
    assert run(found, x).shape == (B,)
