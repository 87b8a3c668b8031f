"""The best-known cost of the divergence and the Laplacian of a plain network: which matrix products are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jacstrat.core.operator import Operator, parse_operator


@dataclass(frozen=True)
class MatrixProduct:
    """(rows, inner) times (inner, columns), at every point: the rows of all points go through one product."""

    rows: int
    inner: int
    columns: int

    def flops(self, points: int) -> int:
        """Floating-point operations at so many points, a multiplication and an addition for each pair of numbers."""
        return 2 * points * self.rows * self.inner * self.columns


def best_products(operator: str | Operator, widths: Sequence[int]) -> tuple[MatrixProduct, ...] | None:
    """The matrix products of the best-known algorithm for a chain of linear layers with pointwise functions between.

    Layers z_l = W_l a_{l-1}, a_l = s(z_l), D_l = diag s'(z_l), widths h_l with h_0 = n. What does not depend on the
    point (a QR decomposition of W_1^T, a product of two weights) is done once for all points and does not count;
    neither does work on each entry, nor the last layer's value, which neither operator needs.

    - Laplacian sum_l sum_j g_lj s''(z_lj) |grad z_lj|^2: the hidden layers forward, their adjoints g back, and
      min(n, h_1) tangents through all of them but the first, where the tangents are W_1 itself or, since only J J^T
      counts, the R of its QR decomposition.
    - Divergence tr(W_L D_{L-1} W_{L-1} ... D_1 W_1): the hidden layers forward. With one, the trace is a product of
      entries, s'(z_1) . diag(W_1 W_2). With two it is s'(z_2)^T [W_2 * (W_1 W_3)^T] s'(z_1), one product more. With
      more, tangents of the width of the narrowest cut of the ring that the trace is, of which the matrix before the cut
      and the one behind it take no product: they start and close it. W_1 W_L is one matrix where the cut is not at n.

    Args:
        operator: As for `Strategy.prepare`.
        widths: n, the hidden widths, and the outputs: n of a field, 1 of a scalar.

    Returns:
        None where none is known: for a diagonal, for some of the coordinates or with a weight, beyond the second order,
        and for a chain without a hidden layer.

    Source: the tangents of min(n, h_1) are the forward Laplacian of Li et al. 2024 after a QR decomposition; that the
    trace is cyclic is algebra.
    """
    n, *hidden, _ = widths
    operator = parse_operator(operator)
    if not hidden or not operator.is_trace or not operator.is_plain or operator.order > 2:
        return None
    middle = [*pairwise(hidden)]
    forward = _through(1, [(n, hidden[0]), *middle])
    if not operator.is_second:
        return forward + _trace(n, hidden)
    adjoints = _through(1, [(after, before) for before, after in reversed(middle)])
    return forward + adjoints + _through(min(n, hidden[0]), middle)


def _trace(n: int, hidden: Sequence[int]) -> tuple[MatrixProduct, ...]:
    """The products of the trace's cheapest cut."""
    cuts = [_through(n, [*pairwise(hidden)])]
    if len(hidden) == 2:
        cuts.append(_through(1, [(hidden[0], hidden[1])]))
    elif len(hidden) > 2:
        for start in range(len(hidden)):
            ring = [*hidden[start:], *hidden[:start]]
            # From the cut and back to it: the first matrix starts, the one into the cut closes.
            cuts.append(_through(ring[0], [*pairwise(ring[1:])]))
    return min(cuts, key=lambda cut: sum(product.flops(1) for product in cut))


def _through(rows: int, layers: Sequence[tuple[int, int]]) -> tuple[MatrixProduct, ...]:
    """So many rows through each of the layers, (inputs, outputs)."""
    return tuple(MatrixProduct(rows, inner, columns) for inner, columns in layers)
