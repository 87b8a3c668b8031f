"""The best-known products against algorithms written by hand: their results, and the FLOPs that torch counts."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jacstrat import divergence, laplacian
from jacstrat.measure.counters import OperationCounter
from jacstrat.problems import PROBLEMS
from jacstrat.problems.best import MatrixProduct, best_products

Weights = list[Tensor]


def weights(widths: tuple[int, ...]) -> Weights:
    generator = torch.Generator().manual_seed(0)
    normal = {"generator": generator, "dtype": torch.float64}
    return [torch.randn(after, before, **normal) / math.sqrt(before) for before, after in pairwise(widths)]


def network(x: Tensor, W: Weights) -> Tensor:
    for V in W[:-1]:
        x = torch.tanh(x @ V.T)
    return x @ W[-1].T


def hidden(x: Tensor, W: Weights) -> list[Tensor]:
    """The values of the hidden layers."""
    values = []
    for V in W[:-1]:
        x = torch.tanh(x @ V.T)
        values.append(x)
    return values


def best_laplacian(x: Tensor, W: Weights) -> Tensor:
    """One pass forward, one back, and a stack of tangents of width min(n, h_1)."""
    values = hidden(x, W)
    adjoint = W[-1][0].expand_as(values[-1])
    adjoints = [adjoint]
    for V, s in zip(reversed(W[1:-1]), reversed(values[1:]), strict=True):
        adjoint = (adjoint * (1 - s * s)) @ V
        adjoints.insert(0, adjoint)
    first = W[0] if W[0].shape[0] >= W[0].shape[1] else torch.linalg.qr(W[0].T, mode="r").R.T
    T = first.T.unsqueeze(1)  # (k, 1, h_1): tangents of z_1, the same at every point
    total = torch.zeros(len(x), dtype=x.dtype)
    for layer, (s, g) in enumerate(zip(values, adjoints, strict=True)):
        if layer:
            T = T @ W[layer].T
        slope = 1 - s * s
        total = total + (g * (-2 * s * slope) * T.square().sum(0)).sum(-1)
        T = T * slope
    return total


def best_divergence(x: Tensor, W: Weights, cut: int, folded: tuple[Tensor, ...]) -> Tensor:
    """The trace from a cut.

    Args:
        cut: 0 at n, else the hidden layer.
        folded: What does not depend on the point: () at n, else diag(W_1 W_2), W_2 * (W_1 W_3)^T, or W_1 W_L.
    """
    slopes = [1 - s * s for s in hidden(x, W)]
    if len(slopes) == 1:
        return (slopes[0] * folded[0]).sum(-1)
    if len(slopes) == 2 and cut:
        return (slopes[1] * (slopes[0] @ folded[0].T)).sum(-1)
    # The ring: matrices, and the slopes behind each.
    if cut == 0:
        matrices, behind = W, [*slopes, torch.ones_like(x)]
    else:
        ring = [*W[1:-1], folded[0]]
        matrices, behind = ring[cut - 1 :] + ring[: cut - 1], slopes[cut:] + slopes[:cut]
    T = matrices[0].T.unsqueeze(1)
    for number, V in enumerate(matrices[1:-1]):
        T = (T * behind[number]) @ V.T
    closed = (T * behind[-2] * matrices[-1].unsqueeze(1)).sum(-1)
    return (closed * behind[-1].T).sum(0)


def fold(W: Weights) -> tuple[Tensor, ...]:
    if len(W) == 2:
        return ((W[0] * W[1].T).sum(-1),)
    return (W[1] * (W[0] @ W[2]).T,) if len(W) == 3 else (W[0] @ W[-1],)


def counted(work: object, *args: object) -> tuple[Tensor, int]:
    with OperationCounter() as counter:
        result = work(*args)  # type: ignore[operator]
    return result, counter.flops


def flops(products: tuple[MatrixProduct, ...], points: int) -> int:
    return sum(product.flops(points) for product in products)


width = st.integers(2, 9)


@settings(max_examples=25, deadline=None)
@given(n=width, inner=st.lists(width, min_size=1, max_size=4), points=st.integers(2, 4))
def test_laplacian(n: int, inner: list[int], points: int) -> None:
    widths = (n, *inner, 1)
    W, x = weights(widths), torch.linspace(-1, 1, points * n, dtype=torch.float64).reshape(points, n)
    result, found = counted(best_laplacian, x, W)
    torch.testing.assert_close(result, laplacian(lambda x: network(x, W).squeeze(-1), x, "vmap"))
    products = best_products("laplacian", widths)
    assert products is not None
    assert found == flops(products, points)


@settings(max_examples=40, deadline=None)
@given(n=width, inner=st.lists(width, min_size=1, max_size=5), points=st.integers(2, 4))
def test_divergence_from_every_cut_and_the_cheapest_of_them(n: int, inner: list[int], points: int) -> None:
    widths = (n, *inner, n)
    W, x = weights(widths), torch.linspace(-1, 1, points * n, dtype=torch.float64).reshape(points, n)
    expected, costs = divergence(lambda x: network(x, W), x, "vmap"), []
    for cut in range(min(len(inner), 2) if len(inner) < 3 else len(inner) + 1):
        result, found = counted(best_divergence, x, W, cut, fold(W))
        torch.testing.assert_close(result, expected)
        costs.append(found)
    products = best_products("divergence", widths)
    assert products is not None
    assert min(costs) == flops(products, points)


def test_a_narrow_layer_is_the_cut() -> None:
    products = best_products("divergence", (100, 64, 3, 64, 32, 100))
    assert products is not None
    # From the layer of 3: 64 -> 32 and, by W_1 W_5, 32 -> 64; the two layers at the cut take none.
    assert products[4:] == (MatrixProduct(3, 64, 32), MatrixProduct(3, 32, 64))


def test_the_figures_of_the_published_comparison() -> None:
    # n -> 768 -> 768 -> 512 -> 512 -> 1: collapsed Taylor mode, n + 2 passes, against this.
    for n, times in ((50, 1.03), (1000, 2.1), (10_000, 92)):
        widths = (n, 768, 768, 512, 512, 1)
        products = best_products("laplacian", widths)
        assert products is not None
        passes = (n + 2) * sum(before * after for before, after in pairwise(widths))
        assert 2 * passes / flops(products, 1) == pytest.approx(times, rel=0.1)


@pytest.mark.parametrize(("operator", "widths"), [("jacobian_diagonal", (3, 4, 3)), ("divergence", (3, 3))])
def test_where_none_is_known(operator: str, widths: tuple[int, ...]) -> None:
    assert best_products(operator, widths) is None


@pytest.mark.parametrize("name", [name for name, problem in PROBLEMS.items() if problem.widths])
@pytest.mark.parametrize("n", [2, 7])
def test_problems_have_the_widths_that_they_say(name: str, n: int) -> None:
    problem = PROBLEMS[name]
    assert problem.widths is not None
    widths = problem.widths(n)
    assert widths[0] == n
    assert widths[-1] == (n if problem.kind == "field" else 1)
    shapes = [tuple(value.shape) for value in problem.instance(n, 1).parameters.values() if value.dim() == 2]
    matrices = [(after, before) for before, after in pairwise(widths)]
    # plane_waves has its last layer as a vector of amplitudes.
    assert shapes == (matrices[:-1] if name == "plane_waves" else matrices)


def test_the_networks_are_found() -> None:
    found = {name for name, problem in PROBLEMS.items() if problem.widths}
    assert found == {"tanh_field", "tanh_scalar", "pinn_tanh", "pinn_sine", "plane_waves", "flow"}
