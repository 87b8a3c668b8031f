"""The passes of a network by torch, against autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.fused import evaluate
from tests.fused import samples
from tests.fused.samples import N, X


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
