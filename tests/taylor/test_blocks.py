"""Matrix products of sparse tangents: as right as dense ones, and the ways that are taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from jacstrat import laplacian
from jacstrat.taylor.blocks import Outer, Paired
from jacstrat.taylor.program import TaylorProgram
from tests.taylor.functions import seeded
from tests.taylor.test_sparse import program_of, run, work

B, TOKENS, WIDTH = 3, 4, 3
N = TOKENS * WIDTH
X = torch.rand(B, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.2
W = torch.randn(3, WIDTH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) / 2
MIX = torch.randn(TOKENS, TOKENS, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) / 2
LAYER = seeded(lambda: nn.Linear(N, 5))
NARROW = seeded(lambda: nn.Linear(TOKENS, 2))


def tokens(x: Tensor) -> Tensor:
    return x.unflatten(-1, (TOKENS, WIDTH)).sin()


def scores(x: Tensor) -> Tensor:
    h = tokens(x)
    return ((h @ W[0]) @ (h @ W[1]).mT).exp().sum((-2, -1))


def attention(x: Tensor) -> Tensor:
    h = tokens(x)
    p = torch.softmax((h @ W[0]) @ (h @ W[1]).mT, -1)
    return (h + p @ (h @ W[2])).tanh().square().sum((-2, -1))


def attention_turned(x: Tensor) -> Tensor:
    """The same with points of tokens behind features, so that values stand on the left."""
    h = tokens(x).mT
    p = torch.softmax((W[0] @ h).mT @ (W[1] @ h), -1)
    return (h + (W[2] @ h) @ p.mT).tanh().square().sum((-2, -1))


def mixed(x: Tensor) -> Tensor:
    return (MIX @ (tokens(x) @ W[0])).tanh().sum((-2, -1))


def mixed_right(x: Tensor) -> Tensor:
    return NARROW((tokens(x) @ W[0]).mT).tanh().sum((-2, -1))


def entries_first(x: Tensor) -> Tensor:
    return LAYER(x.sin()).tanh().prod(-1)


def repeated(x: Tensor) -> Tensor:
    """Each coordinate twice, in other places."""
    return (torch.cat((x.sin(), x.flip(-1).cos()), -1) @ torch.cat((LAYER.weight, LAYER.weight), 1).mT).tanh().prod(-1)


def some_of_them(x: Tensor) -> Tensor:
    return (x[:, 3:].sin() @ LAYER.weight[:, 3:].mT + x[:, :5]).tanh().prod(-1)


def unscaled_sum(x: Tensor) -> Tensor:
    """A summand that depends on x, and factors: left to the rule."""
    h = tokens(x)
    return torch.baddbmm(h, MIX.expand(B, -1, -1), h, beta=0.5, alpha=2).tanh().sum((-2, -1))


WAYS: dict[Callable[[Tensor], Tensor], list[type]] = {
    scores: [Paired],
    attention: [Paired, Outer],
    attention_turned: [Paired, Outer],
    mixed: [Outer],
    mixed_right: [Outer],
    entries_first: [Outer],
    repeated: [Outer],
    some_of_them: [Outer],
    unscaled_sum: [],
}


def ways(program: TaylorProgram) -> list[type]:
    plans = [node.plan for node in program.nodes if node.plan is not None]
    return [type(plan.instead) for plan in plans if isinstance(plan.instead, (Paired, Outer))]


@pytest.mark.parametrize("f", WAYS)
def test_values_gradients_and_the_way(f: Callable[[Tensor], Tensor]) -> None:
    sparse, dense = program_of(f, X), program_of(f, X, is_sparse=False)
    assert ways(sparse) == WAYS[f]
    assert ways(dense) == []
    x = X.clone().requires_grad_()
    found, expected = run(sparse, x), run(dense, x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found, laplacian(f, X, "vmap"))
    torch.testing.assert_close(
        *(
            torch.autograd.grad(value.square().sum(), (x, *LAYER.parameters()), allow_unused=True)
            for value in (found, expected)
        )
    )


@pytest.mark.parametrize("f", [scores, attention, entries_first])
def test_a_product_is_of_fewer_multiplications(f: Callable[[Tensor], Tensor]) -> None:
    assert work(program_of(f, X), X).flops < 0.7 * work(program_of(f, X, is_sparse=False), X).flops


def test_a_single_point() -> None:
    def f(x: Tensor) -> Tensor:
        h = x.unflatten(-1, (TOKENS, WIDTH)).sin()
        return ((h @ W[0]) @ (h @ W[1]).mT).exp().sum((-2, -1))

    program = program_of(f, X[0])
    assert ways(program) == [Paired]
    torch.testing.assert_close(run(program, X[0]), laplacian(scores, X[:1], "vmap")[0])


indices = st.lists(st.lists(st.integers(0, 7), min_size=3, max_size=3), min_size=2, max_size=3)


@settings(max_examples=40, deadline=None)
@given(indices, indices, st.booleans(), st.booleans())
def test_any_coordinates_agree_with_dense_tangents(
    rows: list[list[int]], columns: list[list[int]], by_row: bool, by_column: bool
) -> None:
    """Of entries that each depend on a coordinate of their own, or on all those of their row or column."""
    left, right = torch.tensor(rows), torch.tensor(columns).mT
    x = torch.rand(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) + 0.2

    def f(x: Tensor) -> Tensor:
        a, b = x[:, left].sin(), x[:, right].cos()
        a = a @ W[0] if by_row else a
        b = W[1] @ b if by_column else b
        return (a @ b).tanh().sum((-2, -1))

    torch.testing.assert_close(run(program_of(f, x), x), run(program_of(f, x, is_sparse=False), x))
