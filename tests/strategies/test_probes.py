"""Contractions against the dense matrix they stand for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat import UnsupportedError, parse_strategy
from jacstrat.strategies import default_strategies
from jacstrat.strategies.probes import fixed_diagonal, unit_diagonal, unit_vectors


def product(J):
    """v -> J v for a J a point, (..., n, n), as `products` have it."""
    return lambda v: (J @ v.unsqueeze(-1)).squeeze(-1)


def matrix(*shape: int):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


sizes = st.integers(1, 7)
chunks = st.integers(1, 9) | st.just("all")


@given(sizes, st.none() | st.integers(1, 3), chunks)
def test_unit_vectors_give_the_diagonal(n: int, batch: int | None, chunk_size) -> None:
    J = matrix(n, n) if batch is None else matrix(batch, n, n)
    x = J[..., 0]
    got = unit_diagonal(product(J), x, chunk_size)
    assert torch.equal(got, J.diagonal(dim1=-2, dim2=-1))
    assert got.is_contiguous()


@given(sizes, st.integers(1, 5), st.none() | st.integers(1, 3), chunks)
def test_fixed_probes_give_the_diagonal_of_j_m(n: int, count: int, batch: int | None, chunk_size) -> None:
    J = matrix(n, n) if batch is None else matrix(batch, n, n)
    V = matrix(count, n)
    got = fixed_diagonal(product(J), V, chunk_size)
    M = V.T @ V
    torch.testing.assert_close(got, (J @ M).diagonal(dim1=-2, dim2=-1))


@pytest.mark.parametrize("chunk_size", [1, 2, "all"])
def test_what_is_infinite_elsewhere_does_not_spoil_an_entry(chunk_size) -> None:
    J = torch.tensor([[1.0, torch.inf, 0], [torch.nan, 2, 0], [0, 0, 3]])
    got = unit_diagonal(lambda v: torch.where(v.bool(), J, 0).sum(-1), J[0], chunk_size)
    assert got.tolist() == [1, 2, 3]


@given(sizes, st.data())
def test_unit_vectors_are_rows_of_the_identity(n: int, data) -> None:
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    x = torch.zeros(2, n, dtype=torch.float32)
    V = unit_vectors(x, start, stop)
    assert torch.equal(V, torch.eye(n)[start:stop])
    assert V.dtype == x.dtype


@pytest.mark.parametrize("spec", [*default_strategies(), "jvp:chunk_size=all", "vmap:chunk_size=2"])
@pytest.mark.parametrize("operator", ["divergence", "laplacian"])
def test_no_call_writes_the_numbers_of_a_tensor_down(operator: str, spec: str, monkeypatch) -> None:
    """torch.func.vmap asks for the text of what it maps, where that has no name: milliseconds for a few points."""
    x, W = matrix(4, 6), matrix(6, 6)
    f = (lambda x: (x @ W).tanh()) if operator == "divergence" else (lambda x: (x @ W).tanh().sum(-1))
    try:
        prepared = parse_strategy(spec).prepare(operator, f, x, torch.Generator().manual_seed(0))
    except UnsupportedError as error:
        pytest.skip(str(error))
    written = []
    monkeypatch.setattr(torch.Tensor, "__repr__", lambda self, **_: written.append(1) or "tensor")
    prepared(x)
    assert not written
