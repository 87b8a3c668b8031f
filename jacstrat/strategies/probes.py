"""Probes v_k, and the contraction sum_k v_k * (J v_k); its sum over the coordinates is tr(J M), M = sum_k v_k v_k^T."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from jacstrat.strategies.products import Apply

ChunkSize = int | Literal["all"]


def unit_diagonal(
    apply: Apply, x: Tensor, chunk_size: ChunkSize, read: Callable[[Tensor, int], Tensor] | None = None
) -> Tensor:
    """The diagonal of J from the n unit vectors, M = I, shaped as x.

    Entry i is read off product i rather than multiplied out with e_i: 0 * inf elsewhere in a row cannot spoil it.

    Args:
        apply: A product of `products`.
        x: Points.
        chunk_size: Probes batched through vmap at a time; 1 is a plain loop, "all" one batch of n.
        read: How to read entries (..., k) off k products (k, ...), the first of which is that of e_start.
    """
    n = x.shape[-1]
    size = n if chunk_size == "all" else min(chunk_size, n)
    columns = []
    for start in range(0, n, size):
        V = unit_vectors(x, start, min(start + size, n))
        # A copy, so that the n entries a product leaves behind do not keep its n^2 alive.
        entries = (read or _entries)(_products(apply, V), start)
        columns.append(entries.clone(memory_format=torch.contiguous_format))
    return columns[0] if len(columns) == 1 else torch.cat(columns, -1)


def unit_entries(
    apply: Apply,
    coordinates: Tensor,
    x: Tensor,
    chunk_size: ChunkSize,
    read: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """These entries of the diagonal of J, (..., K), as `unit_diagonal` finds all: by as many products at a time.

    Args:
        apply: A product of `products`.
        coordinates: Which entries, (K,).
        x: Points.
        chunk_size: As of `unit_diagonal`.
        read: How to read entries (..., k) off k products (k, ...), given their coordinates.
    """
    size = len(coordinates) if chunk_size == "all" else chunk_size
    parts = []
    for part in coordinates.split(size):
        products = _products(apply, unit_rows(x, part))
        parts.append(read(products, part) if read else _picked(products, part))
    return torch.cat(parts, -1)


def unit_rows(x: Tensor, coordinates: Tensor) -> Tensor:
    """Rows e_i of the identity for these coordinates, (K, n)."""
    return (coordinates.unsqueeze(-1) == torch.arange(x.shape[-1], device=x.device)).to(x.dtype)


def _picked(products: Tensor, coordinates: Tensor) -> Tensor:
    """Entry i_k of product k: (K, ..., n) -> (..., K)."""
    return products.index_select(-1, coordinates).diagonal(dim1=0, dim2=-1)


def fixed_diagonal(apply: Apply, V: Tensor, chunk_size: ChunkSize) -> Tensor:
    """sum_k v_k * (J v_k) for given probes V, (K, n), shaped as x: the diagonal where M is I on the pattern of J."""
    total: Tensor | None = None
    for chunk in (V,) if chunk_size == "all" or chunk_size >= len(V) else V.split(chunk_size):
        products = _products(apply, chunk)
        shape = (len(chunk),) + (1,) * (products.dim() - 2) + (V.shape[-1],)
        part = (products * chunk.view(shape)).sum(0)
        total = part if total is None else total + part
    assert total is not None
    return total


def unit_vectors(x: Tensor, start: int, stop: int) -> Tensor:
    """Rows e_start .. e_stop - 1 of the identity, (stop - start, n), without making the n^2 of it.

    Nothing is written in place: torch.compile refuses to fill a diagonal, a view of a view.
    """
    rows, columns = (torch.arange(*ends, device=x.device) for ends in ((start, stop), (x.shape[-1],)))
    return (rows.unsqueeze(-1) == columns).to(x.dtype)


def products_of(apply: Apply, V: Tensor, chunk_size: ChunkSize) -> Tensor:
    """apply to each of the probes V, (K, ...), `chunk_size` at a time: (K, ..., n)."""
    if chunk_size == "all" or chunk_size >= len(V):
        return _products(apply, V)
    return torch.cat([_products(apply, chunk) for chunk in V.split(chunk_size)])


def _products(apply: Apply, V: Tensor) -> Tensor:
    """apply to each row of V, (K, ...): directly for one row, through vmap for more."""
    return apply(V[0]).unsqueeze(0) if len(V) == 1 else torch.func.vmap(apply)(V)


def _entries(products: Tensor, start: int) -> Tensor:
    """Entry start + k of product k: (K, ..., n) -> (..., K)."""
    return products[..., start : start + len(products)].diagonal(dim1=0, dim2=-1)
