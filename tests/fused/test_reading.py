"""Tapes as networks: what is folded, what is refused, and the passes by torch against autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.chain.discover import Opaque
from jacstrat.fused import evaluate
from jacstrat.fused.network import LinearVector, PointwiseVector
from tests.fused import samples
from tests.fused.samples import D, N, X


@pytest.mark.parametrize("f", samples.SCALARS, ids=lambda f: f.__name__)
def test_the_passes_of_a_scalar_give_its_laplacian(f: Callable[[Tensor], Tensor]) -> None:
    read, ready = samples.taken(f, X)
    found = evaluate.laplacian(read.network, ready.operands, X)
    torch.testing.assert_close(found, samples.laplacian(f, X))
    at = evaluate.forward(read.network, ready.operands, X)
    torch.testing.assert_close(at.values[-1].squeeze(-1), f(X))


@pytest.mark.parametrize(("f", "arg"), samples.TIMED_SCALARS)
def test_arguments_are_read_at_each_call(f: Callable[..., Tensor], arg: Any) -> None:
    found = samples.values(f, X, (arg,))
    read, _ = samples.taken(f, X, (arg,))
    assert any(read.moving)
    other = 2 * arg
    operands = samples.Operands(found, samples.read(found), (), may_compress=False).at(X, (other,))
    laplacian = evaluate.laplacian(read.network, operands.operands, X)
    torch.testing.assert_close(laplacian, samples.laplacian(f, X, (other,)))


@pytest.mark.parametrize("f", samples.FIELDS, ids=lambda f: f.__name__)
def test_the_pass_of_a_field_gives_the_diagonal_of_its_jacobian(f: Callable[[Tensor], Tensor]) -> None:
    read, ready = samples.taken(f, X, wanted="jacobian_diagonal")
    found = evaluate.diagonal(read.network, ready.operands, X)
    torch.testing.assert_close(found, samples.diagonal(f, X))


def test_a_single_point_is_a_batch_of_one() -> None:
    read, ready = samples.taken(samples.fourier, X[0])
    found = evaluate.laplacian(read.network, ready.operands, X[:1])
    torch.testing.assert_close(found, samples.laplacian(samples.fourier, X[:1]))


def test_directions_are_those_that_are_given() -> None:
    read, ready = samples.taken(samples.plain, X)
    V = samples.randn(3, N)
    H = torch.autograd.functional.hessian(lambda x: samples.plain(x).sum(), X)
    expected = torch.stack([torch.einsum("ki,ij,kj->", V, H[row, :, row], V) for row in range(len(X))])
    torch.testing.assert_close(evaluate.laplacian(read.network, ready.operands, X, V), expected)


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
