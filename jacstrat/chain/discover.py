"""The matrix of a linear operation for one point, found by applying the operation itself.

What an operation of ATen does to axes need not be known here: it is applied to numbered entries, or to unit vectors,
and what was found is tried on random numbers. So it is also known that no row of the batch reaches another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jacstrat.chain.maps import Map
from jacstrat.chain.picks import Pick
from jacstrat.core.errors import UnsupportedError
from jacstrat.graphs import is_capturing
from jacstrat.trace.tracers import is_proxied

# Entries that the matrix of an operation for one point may have.
MAX_ENTRIES = 2**27
# A matrix with this many entries in each row or fewer is taken apart into picks.
FEW = 4


class Opaque(Exception):  # noqa: N818 - a turning, and no fault
    """Why a function is no chain, in one line."""


@dataclass(eq=False)
class Discovered:
    """A linear operation that was applied to find its map; again only where its constants have other values.

    Fields:
        name: Of the operation.
        apply: From the tensors that it holds to the function of the one argument.
        shape: Of that argument.
        batch: Points in it.
        dtype, device: For its entries.
        is_weighted: Whether the map depends on the tensors that it holds; others of them only shift the result.
    """

    name: str
    apply: Callable[[Sequence[Tensor]], Callable[[Tensor], Tensor]]
    shape: torch.Size
    batch: int
    dtype: torch.dtype
    device: torch.device
    is_weighted: bool
    _of: list[Tensor] = field(default_factory=list)
    _map: Map | None = None
    _trial: Tensor | None = None

    def map(self, operands: Sequence[Tensor]) -> Map:
        """The map with these tensors.

        Raises:
            Opaque: It does not act on each point alone and alike.
            UnsupportedError: A graph of a device is being captured, whose replays could not follow an index.
        """
        if is_capturing() and operands and not self.is_weighted:
            raise UnsupportedError(f"chain looks at the index of {self.name} at each call, and no replay can; use vmap")
        tracked = self.is_weighted and in_a_graph(operands)
        if not tracked and self._map is not None and same(self._of, operands):
            return self._map
        linear_map = self._discovered(operands)
        if not tracked:
            self._of, self._map = [tensor.detach().clone() for tensor in operands], linear_map
        return linear_map

    def _discovered(self, operands: Sequence[Tensor]) -> Map:
        is_weighted = self.is_weighted
        if is_weighted:
            like = torch.empty((), dtype=self.dtype, device=self.device)
        elif any(tensor.is_meta for tensor in operands):
            raise Opaque(f"{self.name} has a tensor without values, on the meta device")
        else:
            # What moves entries does the same in any type and on any device.
            like = torch.empty((), dtype=torch.float64, device="cpu")
        act = self.apply(
            [tensor.to(like) if tensor.is_floating_point() else tensor.to(like.device) for tensor in operands]
        )
        B, d = self.batch, self.shape.numel() // self.batch
        zero = torch.zeros(self.shape, dtype=like.dtype, device=like.device)
        shift = act(zero)
        rows = shift.numel() // B
        if is_capturing():
            # To look at numbers is to wait for the device; they were looked at in the calls before.
            return Map(rows, d, dense=_by_columns(act, shift, zero, B, d))
        if shift.numel() % B or not (shift.is_meta or shift.isfinite().all()):
            raise Opaque(f"{self.name} has a result that is no row for each point")
        if not rows or not d:
            return Map(rows, d)
        v = self._tried(like)
        expected = (act(v) - shift).reshape(B, rows)
        linear_map = None if is_weighted else _moved(act, shift, zero, B, v, expected)
        if linear_map is None:
            if rows * d > MAX_ENTRIES:
                raise Opaque(f"the matrix of {self.name}, {rows} x {d}, is too large")
            M = _by_columns(act, shift, zero, B, d) if is_weighted or d <= rows else _by_rows(act, zero, B, rows)
            linear_map = Map(rows, d, dense=M) if is_weighted else _apart(M)
        # Every time: weights that are the same at all points now need not be so later.
        with torch.no_grad():
            _agree(self.name, linear_map(v.reshape(B, d)), expected)
        return linear_map if is_weighted else _cast(linear_map, self.dtype, self.device)

    def _tried(self, like: Tensor) -> Tensor:
        """Random numbers to try a map on; the same at each training call, drawn on the CPU once."""
        if self._trial is not None:
            return self._trial
        v = torch.randn(self.shape, dtype=like.dtype, generator=torch.Generator().manual_seed(0), device="cpu").to(
            like.device
        )
        if self.is_weighted:
            self._trial = v
        return v


def in_a_graph(tensors: Sequence[Tensor]) -> bool:
    """Whether autograd, a tracer or a device writes down what is done with the tensors.

    Then nothing kept may take their place. A replay reads them where they lie, and follows whatever is written there.
    """
    tracked = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return tracked or is_proxied() or is_capturing()


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    """Whether tensors have the same numbers: versions of tensors do not tell of writes through .data or numpy."""
    return len(a) == len(b) and all(p.is_meta or torch.equal(p, q) for p, q in zip(a, b, strict=True))


def _moved(act: Any, shift: Tensor, zero: Tensor, B: int, v: Tensor, expected: Tensor) -> Map | None:
    """The pick of an operation that moves entries, by what it does to numbers 1, 2, ...; None where it does more."""
    d = zero.numel() // B
    numbered = torch.arange(1, B * d + 1, dtype=zero.dtype, device=zero.device).reshape(zero.shape)
    ids = (act(numbered) - shift).reshape(B, -1)
    filled = ids[0] > 0
    first = torch.arange(B, device=zero.device).unsqueeze(1) * d
    index = torch.where(filled, ids[0] - 1, 0).long().clamp(0, max(d - 1, 0))
    if not torch.equal(ids, torch.where(filled, index + 1 + first, 0).to(ids.dtype)):
        return None
    moving = Map(len(index), d, (Pick.at(index, filled.to(zero.dtype), plain=_is_plain(index, filled, d)),))
    return moving if torch.equal(moving(v.reshape(B, d)), expected) else None


def _is_plain(index: Tensor, filled: Tensor, d: int) -> bool:
    return len(index) == d and bool(filled.all()) and bool((index == torch.arange(d, device=index.device)).all())


def _by_columns(act: Any, shift: Tensor, zero: Tensor, B: int, d: int) -> Tensor:
    """By unit vectors, a different one at each point."""
    units = torch.eye(d, dtype=zero.dtype, device=zero.device)
    columns = [
        (act(_filled(block, B).reshape(zero.shape)) - shift).reshape(B, -1)[: len(block)] for block in units.split(B)
    ]
    return torch.cat(columns).mT


def _by_rows(act: Any, zero: Tensor, B: int, rows: int) -> Tensor:
    """By VJPs, along a different unit vector at each point."""
    y, pull, *_ = torch.func.vjp(act, zero)
    units = torch.eye(rows, dtype=y.dtype, device=zero.device).split(B)
    return torch.cat([pull(_filled(unit, B).reshape(y.shape))[0].reshape(B, -1)[: len(unit)] for unit in units])


def _filled(block: Tensor, B: int) -> Tensor:
    return block if len(block) == B else torch.cat((block, block.new_zeros(B - len(block), block.shape[1])))


def _apart(M: Tensor) -> Map:
    """A matrix as picks where its rows have few entries."""
    most = int((M != 0).sum(1).max()) if M.numel() else 0
    rows, columns = M.shape
    if most > FEW:
        return Map(rows, columns, dense=M)
    _, index = M.abs().topk(most, 1)
    entries = M.gather(1, index)
    return Map(rows, columns, tuple(Pick.at(index[:, k], entries[:, k]) for k in range(most)))


def _cast(linear_map: Map, dtype: torch.dtype, device: torch.device) -> Map:
    picks = tuple(Pick.at(p.places.known, p.factor.to(device, dtype), p.plain) for p in linear_map.picks)
    return Map(
        linear_map.rows,
        linear_map.columns,
        picks,
        None if linear_map.dense is None else linear_map.dense.to(device, dtype),
    )


def _agree(name: str, result: Tensor, expected: Tensor) -> None:
    # The order of sums is another; a map that is another is off by the numbers themselves.
    if expected.is_meta:
        return
    scale = float(expected.detach().abs().max()) if expected.numel() else 0.0
    if not torch.allclose(result, expected, rtol=0, atol=torch.finfo(expected.dtype).eps ** 0.5 * scale):
        raise Opaque(f"{name} does not act on each point alone and alike")
