"""A network by torch: its seeds, and the passes of `network` as they are written there.

The passes are what kernels are held against, and what networks that are too wide for one kernel do but for products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jacstrat.fused.network import ConstantVector, InputVector, LinearVector, Network, PointwiseVector, Product, Term
from jacstrat.fused.pointwise import Curves, Formula


def applied(term: Term, operands: Sequence[Tensor], rows: Tensor) -> Tensor:
    """factor W a of rows (..., width of a)."""
    if term.operand is not None:
        W = operands[term.operand]
        rows = rows * W[0] if term.is_diagonal else rows @ W.mT
    return rows if term.factor == 1 else rows * term.factor


def pulled(term: Term, operands: Sequence[Tensor], rows: Tensor) -> Tensor:
    """factor W^T g of rows (..., width of z)."""
    if term.operand is not None:
        W = operands[term.operand]
        rows = rows * W[0] if term.is_diagonal else rows @ W
    return rows if term.factor == 1 else rows * term.factor


def seeds(
    network: Network, operands: Sequence[Tensor], V: Tensor | None, numbers: Sequence[int], like: Tensor
) -> list[Tensor]:
    """The part of the derivatives of vectors that is the same at every point, (K, width) each.

    Args:
        network, operands: The network.
        V: Directions, (K, n); None for the unit vectors, of which no product with a matrix is made.
        numbers: Of the vectors.
        like: A tensor of the type and on the device of x.
    """
    seeds_of = {0: torch.eye(network.n, dtype=like.dtype, device=like.device) if V is None else V}

    def seed(number: int) -> Tensor:
        if number not in seeds_of:
            vector = network.vectors[number]
            assert isinstance(vector, LinearVector)
            parts = [
                _of_units(term, operands, seeds_of[0])
                if V is None and term.source == 0
                else applied(term, operands, seed(term.source))
                for term in vector.terms
                if network.varies[term.source] and network.fixed[term.source]
            ]
            seeds_of[number] = sum(parts[1:], start=parts[0])
        return seeds_of[number]

    return [seed(number) for number in numbers]


def _of_units(term: Term, operands: Sequence[Tensor], units: Tensor) -> Tensor:
    """W^T, without a product with the identity."""
    if not term.is_dense:
        return applied(term, operands, units)
    assert term.operand is not None
    W = operands[term.operand].mT
    return W if term.factor == 1 else W * term.factor


@dataclass(frozen=True, eq=False)
class Pass:
    """A network at points, forward and back.

    Fields:
        values: Of each vector, (B, width) or (1, width).
        slopes, bends: s' and s'' of those that are pointwise.
        thirds: s''' of these, where it was asked for.
        adjoints: du/da of each, for a scalar; () where there are none.
    """

    values: list[Tensor]
    slopes: dict[int, Tensor]
    bends: dict[int, Tensor]
    thirds: dict[int, Tensor]
    adjoints: dict[int, Tensor]


def forward(
    network: Network,
    operands: Sequence[Tensor],
    x: Tensor,
    curves: Callable[[Formula, Tensor], Curves] = lambda formula, z: formula(z),
) -> Pass:
    """Values and derivatives of pointwise functions at x, (B, n).

    Args:
        network, operands: The network.
        x: Points.
        curves: What computes a pointwise function; torch where not given.
    """
    values: list[Tensor] = []
    slopes: dict[int, Tensor] = {}
    bends: dict[int, Tensor] = {}
    thirds: dict[int, Tensor] = {}
    for number, vector in enumerate(network.vectors):
        if isinstance(vector, InputVector):
            value = x
        elif isinstance(vector, ConstantVector):
            value = operands[vector.operand]
        elif isinstance(vector, LinearVector):
            value = _layer(vector, operands, values)
        elif isinstance(vector, PointwiseVector):
            value, slopes[number], bends[number], third = curves(vector.formula, values[vector.source])
            if third is not None:
                thirds[number] = third
        else:
            value = values[vector.left] * values[vector.right]
        values.append(value)
    return Pass(values, slopes, bends, thirds, {})


def _layer(vector: LinearVector, operands: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
    """A sum of terms and a bias; of one operation where it is a layer."""
    if vector.bias is not None and len(vector.terms) == 1 and vector.terms[0].is_plain:
        (term,) = vector.terms
        assert term.operand is not None
        return torch.addmm(operands[vector.bias], values[term.source], operands[term.operand].mT)
    parts = [applied(term, operands, values[term.source]) for term in vector.terms]
    parts += [] if vector.bias is None else [operands[vector.bias]]
    return sum(parts[1:], start=parts[0])


def back(network: Network, operands: Sequence[Tensor], at: Pass) -> None:
    """Fill in the adjoints of a scalar."""
    g = at.adjoints
    g[network.output] = torch.ones_like(at.values[network.output])

    def add(number: int, part: Tensor) -> None:
        if network.varies[number]:
            if network.vectors[number].width == 1:
                part = part.sum(-1, keepdim=True) if part.shape[-1] > 1 else part
            g[number] = g[number] + part if number in g else part

    for number in reversed(range(1, len(network.vectors))):
        vector = network.vectors[number]
        if number not in g:
            continue
        if isinstance(vector, LinearVector):
            for term in vector.terms:
                if network.varies[term.source]:
                    add(term.source, pulled(term, operands, g[number]))
        elif isinstance(vector, PointwiseVector):
            add(vector.source, g[number] * at.slopes[number])
        elif isinstance(vector, Product):
            add(vector.left, g[number] * at.values[vector.right])
            add(vector.right, g[number] * at.values[vector.left])


def tangent(
    network: Network,
    operands: Sequence[Tensor],
    at: Pass,
    seeded: Mapping[int, Tensor],
    t: Mapping[int, Tensor],
    number: int,
) -> Tensor:
    """Derivatives of a vector along K directions, (B or 1, K, width), from seeds by vector and those before it."""
    vector = network.vectors[number]
    parts = [seeded[number].unsqueeze(0)] if number in seeded else []
    if network.fixed[number]:
        return parts[0]
    if isinstance(vector, LinearVector):
        live = (one for one in vector.terms if network.varies[one.source] and not network.fixed[one.source])
        parts += [applied(term, operands, t[term.source]) for term in live]
    elif isinstance(vector, PointwiseVector):
        parts.append(at.slopes[number].unsqueeze(1) * t[vector.source])
    elif isinstance(vector, Product):
        for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
            if network.varies[one]:
                parts.append(at.values[other].unsqueeze(1) * t[one])
    return sum(parts[1:], start=parts[0])


def bend(network: Network, at: Pass, t: Mapping[int, Tensor], number: int) -> Tensor:
    """What a vector with a second derivative adds to a Laplacian, (B,)."""
    vector, g = network.vectors[number], at.adjoints[number]
    if isinstance(vector, PointwiseVector):
        return (g * at.bends[number] * t[vector.source].square().sum(1)).sum(-1)
    assert isinstance(vector, Product)
    return 2 * (g * (t[vector.left] * t[vector.right]).sum(1)).sum(-1)


def entries(network: Network, operands: Sequence[Tensor], at: Pass, t: Mapping[int, Tensor], number: int) -> Tensor:
    """Entry k of a vector's derivative along direction k, (B or 1, K)."""
    vector = network.vectors[number]
    if isinstance(vector, InputVector):
        return at.values[0].new_ones(1, vector.width)
    if vector.width == 1:
        return t[number][..., 0]
    if isinstance(vector, LinearVector):
        live = (term for term in vector.terms if network.varies[term.source])
        parts = [_entries_of(network, operands, at, t, term) for term in live]
    elif isinstance(vector, PointwiseVector):
        parts = [at.slopes[number] * entries(network, operands, at, t, vector.source)]
    else:
        assert isinstance(vector, Product)
        pairs = ((vector.left, vector.right), (vector.right, vector.left))
        live_pairs = ((one, other) for one, other in pairs if network.varies[one])
        parts = [at.values[other] * entries(network, operands, at, t, one) for one, other in live_pairs]
    return sum(parts[1:], start=parts[0])


def _entries_of(network: Network, operands: Sequence[Tensor], at: Pass, t: Mapping[int, Tensor], term: Term) -> Tensor:
    if not term.is_dense:
        return applied(term, operands, entries(network, operands, at, t, term.source))
    assert term.operand is not None
    return term.factor * torch.einsum("bkj,kj->bk", t[term.source], operands[term.operand])


def laplacian(network: Network, operands: Sequence[Tensor], x: Tensor, V: Tensor | None = None) -> Tensor:
    """The second derivatives along directions (K, n), or all n unit vectors, added up, (B,)."""
    at = forward(network, operands, x)
    back(network, operands, at)
    t = _tangents(network, operands, at, V, network.bent)
    parts = [bend(network, at, t, number) for number in network.bends if number in at.adjoints]
    return sum(parts, start=x.new_zeros(len(x)))


def diagonal(network: Network, operands: Sequence[Tensor], x: Tensor) -> Tensor:
    """The diagonal of the Jacobian of a field, (B, n)."""
    at = forward(network, operands, x)
    t = _tangents(network, operands, at, None, network.picked)
    return entries(network, operands, at, t, network.output).expand(x.shape)


def _tangents(
    network: Network, operands: Sequence[Tensor], at: Pass, V: Tensor | None, asked: frozenset[int]
) -> dict[int, Tensor]:
    """Derivatives of all that is asked for, and of what these need."""
    numbers = network.carrying(asked)
    seeded = [number for number in numbers if network.is_seeded(number)]
    tangents = dict(zip(seeded, seeds(network, operands, V, seeded, at.values[0]), strict=True))
    t: dict[int, Tensor] = {}
    for number in numbers:
        t[number] = tangent(network, operands, at, tangents, t, number)
    return t
