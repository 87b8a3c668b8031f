"""What does not depend on the point, contracted: numbers, vectors and kernels for the diagonal factors to meet.

With the stages D_j, J = C_o0 + sum_j C_oj D_j J_j, J_j = C_j0 + sum_{i<j} C_ji D_i J_i, all C constant, so that

    tr J = tr C_o0 + sum_j d_j . diag(C_j0 C_oj) + sum_{i<j} d_j^T [C_ji * (C_i0 C_oj)^T] d_i + ...

and what has three factors or more goes by tangents U_j = J_j - C_j0 of as many columns as the cut is wide. The trace is
cyclic: the same holds from any tensor c through which all passes, with J_c behind the output in place of x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.caches import tile_bytes
from jacstrat.chain.maps import Map, bilinear, hadamard, total
from jacstrat.chain.parts import number_of_parts, part_of
from jacstrat.chain.reading import ChainStage, Reading
from jacstrat.core.modelled import kind_of

# A source of a base: a stage, or where the chain is cut open.
CUT = None
LinearForms = dict[ChainStage | None, Map]

# Tangents of a tile of points: on a CPU a part of those of Taylor mode, since a batch of small products is done one by
# one; on an accelerator bytes enough to fill it.
CPU_SHARE = 1 / 4
ACCELERATOR_BYTES = 2**28


class CutSeed(NamedTuple):
    """C_i0, transposed, (columns, h_i), None where it is zero; and whether it is the identity."""

    matrix: Tensor | None
    is_unit: bool


@dataclass(frozen=True, eq=False)
class Push:
    """Tangents behind a stage's base: U_j = sum_i C_ji D_i (C_i0 + U_i).

    Fields:
        inputs: Of each i the map C_ji and C_i0.
    """

    inputs: tuple[tuple[ChainStage, Map, CutSeed], ...]


@dataclass(frozen=True, eq=False)
class ChainPlan:
    """A chain cut open, all constants contracted.

    Fields:
        constant: tr C_o0, (), or for the diagonal its diagonal, (n,); None where it is zero whatever the weights are.
        singles: diag(C_j0 C_oj), (h_j,), or for the diagonal the map C_oj * C_j0^T.
        pairs: (j, i, C_ji * (C_i0 C_oj)^T).
        pushes: By stage j, in order.
        closings: C_oj of the stages at which tangents end.
        columns: Width of the cut.
        flops: Multiplications a point.
        parts: Of a point; all else is of one of them, in place of the point.
    """

    constant: Tensor | None
    singles: Mapping[ChainStage, Any]
    pairs: tuple[tuple[ChainStage, ChainStage, Map], ...]
    pushes: Mapping[ChainStage, Push]
    closings: Mapping[ChainStage, Map]
    columns: int
    flops: int
    parts: int = 1

    @property
    def stages(self) -> set[ChainStage]:
        """The diagonal factors that are asked for."""
        stages = {*self.singles, *self.closings, *(stage for j, i, _ in self.pairs for stage in (j, i))}
        return stages | {i for push in self.pushes.values() for i, _, _ in push.inputs}

    def contracted(self, d: Mapping[ChainStage, Tensor], batch: int, diagonal: bool) -> Tensor:
        """(B,), or (B, n) for the diagonal, from the diagonal factors, (B, h_j) each."""
        if self.parts > 1:
            rows = batch * self.parts
            result = self._tiled({j: e.reshape(rows, -1) for j, e in d.items()}, rows, diagonal).reshape(batch, -1)
            return result if diagonal else result.sum(-1)
        return self._tiled(d, batch, diagonal)

    def _tiled(self, d: Mapping[ChainStage, Tensor], batch: int, diagonal: bool) -> Tensor:
        number = self._tiles(d, batch)
        if number <= 1:
            return self._contracted(d, batch, diagonal)
        size = -(-batch // number)
        rows = [slice(start, min(start + size, batch)) for start in range(0, batch, size)]
        parts = [self._contracted({j: d[j][r] for j in d}, r.stop - r.start, diagonal) for r in rows]
        return torch.cat(parts)

    def _tiles(self, d: Mapping[ChainStage, Tensor], batch: int) -> int:
        if not self.pushes:
            return 1
        widest = max(M.rows for push in self.pushes.values() for _, M, _ in push.inputs)
        like = next(iter(d.values()))
        on_cpu = kind_of(like.device) == "cpu"
        room = CPU_SHARE * tile_bytes(torch.get_num_threads()) if on_cpu else ACCELERATOR_BYTES
        return round(batch * widest * self.columns * like.element_size() / room)

    def _contracted(self, d: Mapping[ChainStage, Tensor], batch: int, diagonal: bool) -> Tensor:
        parts = [] if self.constant is None else [self.constant.expand(batch, *self.constant.shape)]
        for j, k in self.singles.items():
            parts.append(k(d[j]) if diagonal else d[j] @ k)
        parts += [bilinear(d[j], K, d[i]) for j, i, K in self.pairs]
        U: dict[ChainStage, Tensor] = {}
        for j, push in self.pushes.items():
            U[j] = total([_pushed(d[i], C, seed, U.get(i)) for i, C, seed in push.inputs])
        parts += [_closed(C, U[j], d[j], diagonal) for j, C in self.closings.items()]
        # Never what is kept.
        return parts[0].clone() if len(parts) == 1 and self.constant is not None else total(parts)


def _pushed(d: Tensor, C: Map, seed: CutSeed, U: Tensor | None) -> Tensor:
    """C diag(d) (S + U), transposed: (B, columns, rows)."""
    if seed.is_unit and U is None and not C.picks and (matrix := C.full) is not None:
        return d.unsqueeze(2) * matrix.mT
    v = seed.matrix
    v = U if v is None else v if U is None else v + U
    assert v is not None
    return C(d.unsqueeze(1) * v)


def _closed(C: Map, U: Tensor, d: Tensor, diagonal: bool) -> Tensor:
    """tr(C diag(d) U), or its diagonal."""
    v = U * d.unsqueeze(1) if diagonal else U
    parts = []
    if (matrix := C.full) is not None:
        parts.append((v * matrix).sum(2) if diagonal else ((v * matrix).sum(1) * d).sum(1))
    for pick in C.picks:
        # Row c of C has its entry in column index_c.
        entries = v[:, torch.arange(C.rows, device=v.device), pick.index] * pick.factor
        parts.append(entries if diagonal else (entries * d[:, pick.index]).sum(1))
    return total(parts)


def plan(reading: Reading, constants: list[Any], start: int, diagonal: bool) -> ChainPlan:
    """The chain cut open at a slot, 0 for x.

    Args:
        reading: The chain.
        constants: What does not depend on x, by slot.
        start: A base that all passes through.
        diagonal: Whether the diagonal of J is wanted, which is not cyclic: only with start 0.
    """
    forms, closing = _forms(reading, constants, start)
    parts = number_of_parts(M for form in (*forms.values(), closing) for M in form.values())
    if parts > 1:
        forms = {base: _of_one_part(form, parts) for base, form in forms.items()}
        closing = _of_one_part(closing, parts)
    like, width = reading.values.sample[0], reading.widths[start] // parts
    into = {stage: forms[stage.base] for stage in _stages(reading)}
    live = _live(into, closing)
    before = {j: [i for i in live if i in into[j] and not into[j][i].is_zero] for j in live}
    seeds = {j: into[j].get(CUT, Map(_width(reading, j) // parts, width)) for j in live}
    ends = {j: closing[j] for j in live if j in closing and not closing[j].is_zero}

    by_tangents = [j for j in ends if before[j] and (diagonal or any(before[i] for i in before[j]))]
    pushes = _pushes(live, before, into, seeds, by_tangents, like)
    singles: dict[ChainStage, Any] = {}
    pairs = []
    for j, C in ends.items():
        K = hadamard(C, seeds[j]) if diagonal else hadamard(seeds[j], C)
        if not K.is_zero:
            singles[j] = K if diagonal else K.row_sums
        if j in by_tangents:
            continue
        for i in before[j]:
            K = hadamard(into[j][i], seeds[i] @ C)
            if not K.is_zero:
                pairs.append((j, i, K))
    end = closing.get(CUT, Map(width, width))
    constant = end.diagonal(like) if end.has_diagonal or not (singles or pairs or by_tangents) else None
    flops = sum(K.rows * K.columns for *_, K in pairs if K.has_matrix) + _flops(pushes, width)
    return ChainPlan(
        constant if diagonal or constant is None else constant.sum(),
        singles,
        tuple(pairs),
        pushes,
        {j: ends[j] for j in by_tangents},
        width,
        parts * flops,
        parts,
    )


def _of_one_part(form: LinearForms, parts: int) -> LinearForms:
    return {source: part_of(M, parts) for source, M in form.items()}


def _flops(pushes: Mapping[ChainStage, Push], width: int) -> int:
    """FLOPs of tangents: of a map that is no matrix, or of what the unit vectors are put into, one column's."""
    flops = 0
    for push in pushes.values():
        for i, M, seed in push.inputs:
            columns = 1 if not M.has_matrix or (seed.is_unit and i not in pushes) else width
            flops += M.rows * M.columns * columns
    return flops


def _pushes(
    live: list[ChainStage],
    before: Mapping[ChainStage, list[ChainStage]],
    into: Mapping[ChainStage, LinearForms],
    seeds: Mapping[ChainStage, Map],
    ends: list[ChainStage],
    like: Tensor,
) -> dict[ChainStage, Push]:
    """The tangents that are needed: those at the ends, and those that these are made of."""
    wanted = set(ends)
    for j in reversed(live):
        if j in wanted:
            wanted.update(i for i in before[j] if before[i])
    pushes = {}
    for j in live:
        if j in wanted:
            inputs = []
            for i in before[j]:
                C, S = into[j][i], seeds[i]
                inputs.append((i, C, CutSeed(None if S.is_zero else S.matrix(like).mT, S.is_identity)))
            pushes[j] = Push(tuple(inputs))
    return pushes


def _width(reading: Reading, stage: ChainStage) -> int:
    return reading.widths[stage.slot]


def _stages(reading: Reading) -> list[ChainStage]:
    """All stages, none before another that it depends on."""
    slots = [a for linear in reading.linear for a, _ in linear.terms] + [reading.values.output]
    stages = dict.fromkeys(ChainStage(a, b) for a in slots for b, is_one in reading.bases[a].items() if not is_one)
    return list(stages)


def _live(into: Mapping[ChainStage, LinearForms], closing: LinearForms) -> list[ChainStage]:
    """Stages on a way from the cut to the cut, in an order in which none comes before another that it depends on."""
    order: list[ChainStage] = []

    def visit(j: ChainStage) -> None:
        if j not in order:
            for i in into[j]:
                if i is not CUT:
                    visit(i)
            order.append(j)

    for j in into:
        visit(j)
    fed: set[ChainStage] = set()
    for j in order:
        if any((i is CUT or i in fed) and not M.is_zero for i, M in into[j].items()):
            fed.add(j)
    used = {j for j, M in closing.items() if j is not CUT and not M.is_zero}
    for j in reversed(order):
        if j in used:
            used.update(i for i, M in into[j].items() if i is not CUT and not M.is_zero)
    return [j for j in order if j in fed and j in used]


def _forms(reading: Reading, constants: list[Any], start: int) -> tuple[dict[int, LinearForms], LinearForms]:
    """J of each base as sum of C D J over its sources, and that of what closes the ring."""
    forms: dict[int, LinearForms] = {start: {CUT: reading.identity(start)}}

    def committed(slot: int) -> LinearForms:
        combined: LinearForms = {}
        for base, is_one in reading.bases[slot].items():
            if is_one:
                for source, M in forms[base].items():
                    combined[source] = combined[source] + M if source in combined else M
            else:
                combined[ChainStage(slot, base)] = reading.identity(slot)
        return combined

    def summed_form(number: int) -> LinearForms:
        combined: LinearForms = {}
        for slot, make in reading.linear[number].terms:
            L = make(constants)
            for source, M in committed(slot).items():
                C = L @ M
                combined[source] = combined[source] + C if source in combined else C
        return combined

    first = next((k for k, linear in enumerate(reading.linear) if linear.base == start), -1)
    for number in range(first + 1, len(reading.linear)):
        forms[reading.linear[number].base] = summed_form(number)
    closing = committed(reading.values.output)
    if start == 0:
        return forms, closing
    forms[0] = closing
    for number in range(first):
        forms[reading.linear[number].base] = summed_form(number)
    return forms, summed_form(first)
