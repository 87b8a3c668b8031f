"""Fewer directions are as good: sum_k t_k t_k^T is what it was, for all jets at once, once differentiable."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import UnsupportedError
from jacstrat.taylor.compress import Memory, compressed
from jacstrat.taylor.jet import Jet

K = 12


def tangents(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(K, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def jets(*parts: Tensor) -> list[Jet]:
    return [Jet(torch.zeros(part.shape[1:], dtype=part.dtype), part, owned=True) for part in parts]


def gram(parts: list[Tensor | None]) -> Tensor:
    T = torch.cat([part.reshape(len(part), -1) for part in parts if part is not None], 1)
    return T.mT @ T


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-4), (torch.bfloat16, 0.3)])
def test_products_of_all_pairs_are_what_they_were(dtype: torch.dtype, atol: float) -> None:
    parts = [tangents(2, 2, seed=0, dtype=dtype), tangents(3, seed=1, dtype=dtype)]
    given = jets(*parts)
    assert compressed(given, K, Memory(), 0, is_fixed=False) is not None
    assert [jet.directions for jet in given] == [7, 7]
    assert not any(jet.owned for jet in given)
    torch.testing.assert_close(gram([jet.tangents for jet in given]).double(), gram(parts).double(), atol=atol, rtol=0)


def test_the_basis_gives_the_tangents_along_all_directions_back() -> None:
    part = tangents(3, seed=0)
    found = compressed(jets(part), K, Memory(with_bases=True), 0, is_fixed=False)
    assert found is not None
    assert found.basis is not None
    torch.testing.assert_close(found.basis @ found.tangents[0], part)


@pytest.mark.parametrize(
    "given",
    [
        [],
        jets(tangents(10, seed=0)),
        [*jets(tangents(2, seed=0)), Jet(torch.zeros(2), None)],
        [Jet(torch.zeros(2), None, is_point=True)],
    ],
    ids=["none", "as many numbers as directions", "one without tangents", "the point"],
)
def test_where_nothing_is_won_they_keep_theirs(given: list[Jet]) -> None:
    assert compressed(given, K, Memory(), 0, is_fixed=True) is None


def test_what_does_not_depend_on_the_points_is_decomposed_once_for_each_place() -> None:
    memory = Memory()
    first = compressed(jets(tangents(3, seed=0)), K, memory, 0, is_fixed=True)
    other = memory.copy()
    assert compressed(jets(tangents(3, seed=1)), K, memory, 0, is_fixed=True) is first
    compressed(jets(tangents(3, seed=1)), K, memory, 1, is_fixed=True)
    compressed(jets(tangents(3, seed=1)), K, memory, 2, is_fixed=False)
    assert sorted(memory.by_index) == [0, 1]
    assert sorted(other.by_index) == [0]


def test_it_is_differentiable_once_whatever_the_rank_and_says_so_the_second_time() -> None:
    base = tangents(3, seed=0)
    base[:, 2] = base[:, 1]
    part = base.clone().requires_grad_()
    weights = torch.linspace(1, 2, 9, dtype=torch.float64).view(3, 3)
    given = jets(part)
    compressed(given, K, Memory(), 0, is_fixed=False)
    (found,) = torch.autograd.grad((gram([given[0].tangents]) * weights).sum(), part, create_graph=True)
    (expected,) = torch.autograd.grad((gram([part]) * weights).sum(), part)
    torch.testing.assert_close(found, expected)
    with pytest.raises(UnsupportedError, match="use taylor:compress=false"):
        found.sum().backward()
