"""Distance-1 colourings: no two indices of one colour have an entry between them, J_ij or J_ji.

With one probe a colour, v_c the indicator of the colour, M = sum_c v_c v_c^T has M_ij = 1 where i and j share a colour,
so that tr(J M) - tr J = tr(J (M - I)) is the sum of J_ij over the pairs inside the colours: of entries that are zero.
A sparse Jacobian as a whole needs more, distance 2: columns with a common row apart (Gebremedhin, Manne, Pothen 2005,
What color is your Jacobian?). A tridiagonal one needs 3 colours for that and 2 for its trace.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from scipy.sparse import block_array, coo_array, csr_array
from scipy.sparse.csgraph import connected_components

# Up to which the orders that are found step by step are tried, too: some 0.1 s.
FEW_ENTRIES = 50_000
# Rounds that take the indices colour by colour again, and entries that all of them go through together.
ROUNDS, ROUNDS_ENTRIES = 30, 500_000


def coloring(pattern: csr_array) -> np.ndarray:
    """A colour 0, 1, ... for each index of a square pattern, (n,).

    Exactly 2 colours (or 1) where the graph of the symmetrised pattern is bipartite; else the best of several greedy
    orders, at most its largest degree + 1. The same for the same pattern.

    Cost: proportional to the entries; more, by bounded factors, for small graphs.
    """
    graph = neighbours(pattern)
    halves = _halves(graph)
    if halves is not None:
        return halves
    indices = graph.indices.tolist()
    neighbours_of = [indices[start:end] for start, end in itertools.pairwise(graph.indptr.tolist())]
    degrees = np.diff(graph.indptr)
    orders = [np.arange(len(degrees)).tolist(), np.argsort(-degrees, kind="stable").tolist()]
    best = min((_greedy(neighbours_of, order) for order in orders), key=max)
    # What is not bipartite has an odd cycle, and needs 3.
    if max(best) > 2 and graph.nnz <= FEW_ENTRIES:
        best = min(best, _greedy(neighbours_of, _smallest_last(neighbours_of)), _saturated(neighbours_of), key=max)
    if max(best) > 2:
        best = _iterated(neighbours_of, best, min(ROUNDS, ROUNDS_ENTRIES // graph.nnz))
    return np.array(best)


def neighbours(pattern: csr_array) -> csr_array:
    """The symmetrised pattern without its diagonal, as 0 and 1."""
    entries = coo_array(pattern)
    off = entries.row != entries.col
    rows, columns = entries.row[off], entries.col[off]
    both = (np.concatenate([rows, columns]), np.concatenate([columns, rows]))
    return csr_array((np.ones(len(both[0]), dtype=bool), both), shape=pattern.shape)


def _halves(graph: csr_array) -> np.ndarray | None:
    """Two colours where the graph is bipartite; None where it is not.

    In the bipartite double cover, (i, 0) - (j, 1) for each edge ij, a bipartite component falls into two, one with the
    even sides of half of its indices and the odd sides of the others; any other component stays one.
    """
    n = graph.shape[0]
    _, label = connected_components(block_array([[None, graph], [graph, None]], format="csr"), directed=False)
    even, odd = label[:n], label[n:]
    if (even == odd)[np.diff(graph.indptr) > 0].any():
        return None
    # The lower label in each pair is that of the component's first index on its even side.
    return np.where(np.diff(graph.indptr) > 0, (even > odd).astype(np.int64), 0)


def _greedy(neighbours_of: Sequence[Sequence[int]], order: Iterable[int]) -> list[int]:
    """The lowest colour that no neighbour has, in the order given."""
    colors = [-1] * len(neighbours_of)
    color_of = colors.__getitem__
    for index in order:
        colors[index] = _lowest(set(map(color_of, neighbours_of[index])))
    return colors


def _smallest_last(neighbours_of: Sequence[Sequence[int]]) -> list[int]:
    """The order whose each index has the fewest neighbours among those before it: Matula, Beck 1983,
    doi:10.1145/2402.322385."""
    degrees = [len(others) for others in neighbours_of]
    queue = [(degree, index) for index, degree in enumerate(degrees)]
    heapq.heapify(queue)
    order: list[int] = []
    gone = [False] * len(degrees)
    while queue:
        degree, index = heapq.heappop(queue)
        if gone[index] or degree != degrees[index]:
            continue
        gone[index] = True
        order.append(index)
        for other in neighbours_of[index]:
            if not gone[other]:
                degrees[other] -= 1
                heapq.heappush(queue, (degrees[other], other))
    return order[::-1]


def _saturated(neighbours_of: Sequence[Sequence[int]]) -> list[int]:
    """Next whose neighbours have the most colours, of those the one with the most neighbours: Brelaz 1979 (DSATUR),
    doi:10.1145/359094.359101."""
    colors = [-1] * len(neighbours_of)
    taken: list[set[int]] = [set() for _ in neighbours_of]
    queue = [(0, -len(others), index) for index, others in enumerate(neighbours_of)]
    heapq.heapify(queue)
    while queue:
        saturation, _, index = heapq.heappop(queue)
        if colors[index] >= 0 or -saturation != len(taken[index]):
            continue
        colors[index] = color = _lowest(taken[index])
        for other in neighbours_of[index]:
            if colors[other] < 0 and color not in taken[other]:
                taken[other].add(color)
                heapq.heappush(queue, (-len(taken[other]), -len(neighbours_of[other]), other))
    return colors


def _iterated(neighbours_of: Sequence[Sequence[int]], colors: list[int], rounds: int) -> list[int]:
    """Greedy again, all of one colour after all of another, which never takes more colours and in time fewer.

    Source: Culberson 1992, Iterated greedy graph coloring and the difficulty landscape.
    """
    draw, best = random.Random(0), colors
    for _ in range(rounds):
        classes: list[list[int]] = [[] for _ in range(max(colors) + 1)]
        for index, color in enumerate(colors):
            classes[color].append(index)
        draw.choice((list.reverse, draw.shuffle, _largest_first))(classes)
        colors = _greedy(neighbours_of, itertools.chain.from_iterable(classes))
        best = min(best, colors, key=max)
        if max(best) == 2:
            break
    return best


def _largest_first(classes: list[list[int]]) -> None:
    classes.sort(key=len, reverse=True)


def _lowest(taken: Collection[int]) -> int:
    color = 0
    while color in taken:
        color += 1
    return color
