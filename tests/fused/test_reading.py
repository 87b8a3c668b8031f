"""Tapes as networks: what is folded, what is refused, and the passes by torch against autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat.chain.discover import Opaque
from jacstrat.fused.network import LinearVector, PointwiseVector
from tests.fused import samples
from tests.fused.samples import D, N, X


@pytest.mark.parametrize(
    ("f", "kinds"),
    [
        (samples.plain, "Input Linear Pointwise Linear Pointwise Linear"),
        (samples.scaled_input, "Input Linear Pointwise Linear Pointwise Linear"),
        (samples.fourier, "Input Linear Pointwise Pointwise Linear Pointwise Linear"),
    ],
)
def test_what_is_linear_folds_into_the_next_layer(f: Callable[[Tensor], Tensor], kinds: str) -> None:
    read, _ = samples.taken(f, X)
    assert [type(vector).__name__.removesuffix("Vector") for vector in read.network.vectors] == kinds.split()


def test_a_residual_sum_meets_the_next_matrix_once() -> None:
    read, _ = samples.taken(samples.residual, X)
    dense = [term for v in read.network.vectors if isinstance(v, LinearVector) for term in v.terms if term.is_dense]
    # Into, two blocks, and the mean of their sum with what was before.
    assert len(dense) <= 5
    assert sum(isinstance(vector, PointwiseVector) for vector in read.network.vectors) == 3


def test_weights_are_read_where_they_lie() -> None:
    layer = torch.nn.Linear(N, 3, dtype=D)
    _, ready = samples.taken(lambda x: layer(x).tanh().sum(-1), X)
    assert any(operand.data_ptr() == layer.weight.data_ptr() for operand in ready.operands)


W = samples.randn(N, N)


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda x: x.softmax(-1).square().sum(-1), "_softmax is neither linear nor pointwise"),
        (lambda x: torch.atan(x).sum(-1), "atan is a pointwise function without a kernel"),
        (lambda x: (x**1.5).sum(-1), "pow.Tensor_Scalar is a pointwise function without a kernel"),
        (lambda x: (x.detach().sin() * x).sum(-1), "detach takes numbers of x without their derivative|alias"),
        (lambda x: (x.unflatten(-1, (N, 1)) @ W[:1]).sin().sum((-1, -2)), "mm acts on several rows of a point|bmm"),
        (lambda x: torch.einsum("bi,ij,bj->b", x, W, x), "bmm|sum"),
        (lambda x: x.float().sin().sum(-1).double(), "it changes the type of its numbers"),
    ],
)
def test_what_is_no_network_is_refused_by_name(f: Callable[[Tensor], Tensor], reason: str) -> None:
    with pytest.raises(Opaque, match=reason):
        samples.taken(f, X)


def test_of_no_points_nothing_is_read() -> None:
    with pytest.raises(Opaque, match="there are no points, by whose shapes it is read"):
        samples.taken(samples.residual, X[:0])
