"""Maps, against the matrices that they are."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from jacstrat.chain.maps import MAX_PICKS, Map, bilinear, hadamard, identity
from jacstrat.chain.picks import Pick

GENERATOR = torch.Generator().manual_seed(0)
LIKE = torch.empty((), dtype=torch.float64)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


def pick(rows: int, columns: int) -> Pick:
    return Pick.at(torch.randint(columns, (rows,), generator=GENERATOR), normal(rows))


def maps(rows: int, columns: int) -> list[Map]:
    """One of each kind, zero among them."""
    found = [
        Map(rows, columns),
        Map(rows, columns, (pick(rows, columns), pick(rows, columns))),
        Map(rows, columns, dense=normal(rows, columns)),
        Map(rows, columns, (pick(rows, columns),), normal(rows, columns)),
    ]
    for count in (2, 4):
        if rows % count == columns % count == 0:
            block = normal(rows // count, columns // count)
            found += [Map(rows, columns, block=block), replace(found[3], block=block)]
    return [*found, identity(rows, LIKE)] if rows == columns else found


@pytest.mark.parametrize(("p", "q", "r"), [(3, 4, 2), (3, 3, 3), (4, 8, 12), (4, 4, 4)])
def test_sums_products_and_what_they_give(p: int, q: int, r: int) -> None:
    v = normal(2, 5, q)
    for A in maps(p, q):
        M = A.matrix(LIKE)
        torch.testing.assert_close(A(v), v @ M.mT)
        torch.testing.assert_close(A.scaled(factor := normal(p)).matrix(LIKE), factor.unsqueeze(1) * M)
        torch.testing.assert_close(A.scaled(torch.tensor(2.0).double()).matrix(LIKE), 2 * M)
        if not A.is_zero:
            torch.testing.assert_close(A.row_sums, M.sum(1))
        if not A.has_diagonal:
            assert not M.diagonal().any()
        for B in maps(q, r):
            torch.testing.assert_close((A @ B).matrix(LIKE), M @ B.matrix(LIKE))
        for B in maps(p, q):
            torch.testing.assert_close((A + B).matrix(LIKE), M + B.matrix(LIKE))


@pytest.mark.parametrize(("p", "q"), [(3, 4), (3, 3)])
def test_what_makes_a_trace(p: int, q: int) -> None:
    d, e = normal(2, p), normal(2, q)
    for C, R in product(maps(p, q), maps(q, p)):
        K = hadamard(C, R)
        torch.testing.assert_close(K.matrix(LIKE), C.matrix(LIKE) * R.matrix(LIKE).mT)
        product_ = C.matrix(LIKE) @ (e.unsqueeze(2) * R.matrix(LIKE))
        torch.testing.assert_close(bilinear(d, K, e), torch.einsum("bi,bii->b", d, product_))
        square = (C @ R).diagonal(LIKE)
        torch.testing.assert_close(square, (C.matrix(LIKE) @ R.matrix(LIKE)).diagonal())


def test_picks_that_never_meet_are_nothing() -> None:
    shift = Map(4, 4, (Pick.at(torch.tensor([1, 2, 3, 0]), torch.ones(4).double()),))
    assert hadamard(shift, identity(4, LIKE)).is_zero
    assert not hadamard(identity(4, LIKE), identity(4, LIKE)).is_zero


def test_many_picks_become_a_matrix() -> None:
    one = Map(3, 3, tuple(pick(3, 3) for _ in range(MAX_PICKS)))
    both = one + Map(3, 3, (pick(3, 3),))
    assert len(one.picks) == MAX_PICKS
    assert both.picks == ()
    assert both.dense is not None
