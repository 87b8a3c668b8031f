"""Colours of known graphs, and the bounds of any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import block_diag, coo_array, csr_array, diags_array, eye_array, kron, random_array

from jacstrat.structure.color import coloring, neighbours
from tests.structure.truth import assert_coloring


def banded(n: int, *offsets: int, periodic: bool = False) -> csr_array:
    if not periodic:
        return csr_array(diags_array([1.0] * len(offsets), offsets=offsets, shape=(n, n)))
    i = np.arange(n)
    entries = [(i, (i + offset) % n) for offset in offsets]
    rows, columns = (np.concatenate(part) for part in zip(*entries, strict=True))
    return csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(n, n))


def arrow(n: int) -> csr_array:
    i = np.arange(n)
    return csr_array((np.ones(3 * n), (np.concatenate([i, i, 0 * i]), np.concatenate([i, 0 * i, i]))), shape=(n, n))


def five_point(side: int) -> csr_array:
    line, one = banded(side, -1, 0, 1), eye_array(side)
    return csr_array(kron(line, one) + kron(one, line))


CASES = {
    "diagonal": (csr_array(eye_array(50)), 1),
    "nothing": (csr_array((4, 4)), 1),
    "tridiagonal": (banded(50, -1, 0, 1), 2),
    "tridiagonal of two": (banded(2, -1, 0, 1), 2),
    "bidiagonal": (banded(50, 0, 1), 2),
    "ring, even n": (banded(50, -1, 0, 1, periodic=True), 2),
    "ring, odd n": (banded(51, -1, 0, 1, periodic=True), 3),
    "pentadiagonal": (banded(50, -2, -1, 0, 1, 2), 3),
    "arrow": (arrow(50), 2),
    "blocks of 5": (csr_array(block_diag([np.ones((5, 5))] * 7)), 5),
    "five-point stencil": (five_point(7), 2),
    "checkerboard with far ends": (banded(50, -3, -1, 0, 1, 3, 25), 2),
    "dense": (csr_array(np.ones((9, 9))), 9),
    "triangular": (csr_array(np.tril(np.ones((9, 9)))), 9),
    "lorenz96, n = 3 k": (banded(51, -2, -1, 0, 1, periodic=True), 3),
    "lorenz96, n = 3 k + 1": (banded(52, -2, -1, 0, 1, periodic=True), 4),
    "one": (csr_array(np.ones((1, 1))), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_known_graphs(name: str) -> None:
    pattern, colors = CASES[name]
    color = coloring(pattern)
    assert color.max() + 1 == colors
    assert_coloring(pattern.toarray() != 0, color)


def test_components_that_are_bipartite_and_one_that_is_not() -> None:
    pattern = csr_array(block_diag([banded(4, -1, 0, 1), banded(5, -1, 0, 1, periodic=True), np.ones((1, 1))]))
    color = coloring(pattern)
    assert color.max() + 1 == 3
    assert_coloring(pattern.toarray() != 0, color)


@given(st.integers(1, 30), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_a_colouring_of_at_most_the_largest_degree_and_one(n: int, density: float, seed: int) -> None:
    pattern = csr_array(random_array((n, n), density=density, rng=np.random.default_rng(seed)))
    color = coloring(pattern)
    assert_coloring(pattern.toarray() != 0, color)
    degrees = np.diff(neighbours(pattern).indptr)
    assert color.max() <= degrees.max()


@pytest.mark.parametrize("n", [*range(7, 40), 128])
def test_a_ring_of_two_neighbours_a_side_has_the_fewest_colours(n: int) -> None:
    """3 where they go round, else 4: a sum of threes and fours is every number but 5, and 1 and 2."""
    pattern = banded(n, -2, -1, 0, 1, 2, periodic=True)
    color = coloring(pattern)
    assert color.max() + 1 == (3 if n % 3 == 0 else 4)
    assert_coloring(pattern.toarray() != 0, color)


def test_the_same_pattern_has_the_same_colours() -> None:
    pattern = random_array((60, 60), density=0.1, rng=np.random.default_rng(0)).tocsr()
    assert (coloring(pattern) == coloring(pattern)).all()


@given(st.integers(2, 40), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_a_bipartite_graph_has_two_colours(n: int, edges: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    side = rng.permutation(n) % 2
    rows, columns = rng.integers(n, size=(2, edges))
    apart = side[rows] != side[columns]
    pattern = coo_array((np.ones(apart.sum()), (rows[apart], columns[apart])), shape=(n, n)).tocsr()
    color = coloring(pattern)
    assert color.max() + 1 == (2 if apart.any() else 1)
    assert_coloring(pattern.toarray() != 0, color)


def test_neighbours_are_symmetric_and_without_the_diagonal() -> None:
    graph = neighbours(csr_array(np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1]])))
    assert graph.toarray().tolist() == [[False, True, False], [True, False, True], [False, True, False]]


def test_a_large_ring_is_coloured_without_an_array_of_n_by_n() -> None:
    n = 100_000
    color = coloring(banded(n, -2, -1, 0, 1, periodic=True))
    assert color.max() + 1 == 4
    assert all((color != np.roll(color, shift)).all() for shift in (1, 2))
