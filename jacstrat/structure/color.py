"""Distance-1 colourings: no two indices of one colour have an entry between them, J_ij or J_ji.

With one probe a colour, v_c the indicator of the colour, M = sum_c v_c v_c^T has M_ij = 1 where i and j share a colour,
so that tr(J M) - tr J = tr(J (M - I)) is the sum of J_ij over the pairs inside the colours: of entries that are zero.
A sparse Jacobian as a whole needs more, distance 2: columns with a common row apart (Gebremedhin, Manne, Pothen 2005,
What color is your Jacobian?). A tridiagonal one needs 3 colours for that and 2 for its trace.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import block_array, coo_array, csr_array
from scipy.sparse.csgraph import connected_components

# Up to which the orders that look at the whole graph at each step are tried, too.
FEW_INDICES, FEW_ENTRIES = 2_000, 40_000


def coloring(pattern: csr_array) -> np.ndarray:
    """A colour 0, 1, ... for each index of a square pattern, (n,).

    Exactly 2 colours (or 1) where the graph of the symmetrised pattern is bipartite; else the best of several greedy
    orders, at most its largest degree + 1.

    Cost: proportional to the entries; more, by bounded factors, for small graphs.
    """
    graph = neighbours(pattern)
    halves = _halves(graph)
    if halves is not None:
        return halves
    degrees = np.diff(graph.indptr)
    tries = [_greedy(graph, order) for order in (np.arange(len(degrees)), np.argsort(-degrees, kind="stable"))]
    if len(degrees) <= FEW_INDICES and graph.nnz <= FEW_ENTRIES:
        tries += [_by_networkx(graph, strategy) for strategy in ("smallest_last", "DSATUR")]
    return min(tries, key=lambda colors: int(colors.max()))


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


def _greedy(graph: csr_array, order: np.ndarray) -> np.ndarray:
    """The lowest colour that no neighbour has, in the order given; a node after the other, so in plain Python."""
    starts, indices = graph.indptr.tolist(), graph.indices
    colors = [-1] * graph.shape[0]
    for index in order.tolist():
        taken = {colors[other] for other in indices[starts[index] : starts[index + 1]].tolist()}
        color = 0
        while color in taken:
            color += 1
        colors[index] = color
    return np.array(colors)


def _by_networkx(graph: csr_array, strategy: str) -> np.ndarray:
    # Seldom needed, and slow to import.
    import networkx as nx

    colors = nx.greedy_color(nx.from_scipy_sparse_array(graph), strategy=strategy)
    return np.array([colors[index] for index in range(graph.shape[0])])
