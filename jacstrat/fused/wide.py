"""A network that is too wide for one kernel: a kernel for each layer's tangents, and torch for what is small.

Forward and back are products of B rows, which torch does as well as anybody, with a kernel for each pointwise function,
see `curves`. The tangents, B K rows, go through one kernel a layer where a matrix stands between pointwise functions,
see `layer`; what else there is to a network (a residual sum, a product, a matrix of one row) is done by torch, vector
by vector, as in `evaluate`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.fused import layer
from jacstrat.fused.curves import curves
from jacstrat.fused.evaluate import Pass, back, bend, entries, forward, tangent
from jacstrat.fused.narrow import KernelResult
from jacstrat.fused.network import LinearVector, Network, PointwiseVector, Term
from jacstrat.fused.operands import Ready, rows_of
from jacstrat.fused.spec import Products

# Tangents of the points that are done at a time.
MOST_BYTES = 2**30


class Wide:
    """What computes an operator of a network layer by layer.

    Args:
        network: The network.
        operator: A plain one: the Laplacian, the divergence or the Jacobian diagonal.
        dtype: As Triton calls it.
        products: How products of float32 are made.
    """

    def __init__(self, network: Network, operator: Operator, dtype: str, products: Products) -> None:
        self.network, self.operator, self.dtype, self.products = network, operator, dtype, products
        self._asked = network.bent if operator.order == 2 else network.picked
        self.numbers = network.carrying(self._asked)
        self.seeded = tuple(number for number in self.numbers if network.is_seeded(number))
        layers = ((number, self._pointwise_behind(number)) for number in self.numbers)
        self._behind = {number: behind for number, behind in layers if behind is not None}
        self._shared = frozenset(number for number in self.numbers if self._is_shared(number))
        self._closing = self._term_at_end()

    def __call__(self, x: Tensor, ready: Ready, together: bool) -> KernelResult:
        """The operator at x, (B, n), with value and gradient where these are wanted."""
        widest = max((self.network.vectors[number].width for number in self.numbers), default=1)
        size = max(1, MOST_BYTES // (2 * widest * ready.directions * x.element_size()))
        parts = [
            self._part(x[start : start + size], rows_of(ready, self.network, slice(start, start + size)), together)
            for start in range(0, len(x), size)
        ]
        if len(parts) == 1:
            return parts[0]
        values = [part.value for part in parts if part.value is not None]
        gradients = [part.gradient for part in parts if part.gradient is not None]
        value, gradient = (torch.cat(column) if column else None for column in (values, gradients))
        return KernelResult(torch.cat([part.result for part in parts]), value, gradient)

    def _part(self, x: Tensor, ready: Ready, together: bool) -> KernelResult:
        network, operands = self.network, ready.operands
        at = forward(network, operands, x, curves)
        if self.operator.order == 2:
            back(network, operands, at)
        t: dict[int, Tensor] = {}
        seeded = dict(zip(self.seeded, ready.seeds, strict=True))
        sums: dict[int, Tensor] = {}
        for number in self.numbers:
            if number in self._shared or number in t or number in sums:
                continue
            if number in self._behind:
                self._launch(number, ready, at, t, sums)
            else:
                t[number] = tangent(network, operands, at, seeded, t, number)
        if self.operator.order == 2:
            parts = [
                sums[number].sum(1).to(x.dtype) if number in sums else bend(network, at, t, number)
                for number in network.bends
                if number in at.adjoints
            ]
            result = sum(parts[1:], start=parts[0]) if parts else x.new_zeros(len(x))
        else:
            result = self._entries(operands, at, t, sums).to(x.dtype).expand(x.shape)
            result = result.sum(-1) if self.operator.is_trace else result.contiguous()
        output = at.values[network.output]
        value = output.expand(len(x), -1).contiguous() if together else None
        gradient = at.adjoints.get(0) if together and self.operator.order == 2 else None
        return KernelResult(result, value, gradient)

    def _launch(self, number: int, ready: Ready, at: Pass, t: dict[int, Tensor], sums: dict[int, Tensor]) -> None:
        """The layer that a vector is, with the pointwise function behind it."""
        network, behind = self.network, self._behind[number]
        term = _live(network, number)[0]
        assert term.operand is not None
        source = network.vectors[term.source]
        is_shared = term.source in self._shared
        curve = at.adjoints.get(behind) if behind in network.bends else None
        W = ready.operands[term.operand]
        closing = self._closing if self._closing is not None and self._closing.source == behind else None
        B, units, inputs = len(at.values[0]), network.vectors[number].width, source.width
        done, closing_sums = layer.launch(
            layer.Layer(
                W,
                rows=None if is_shared else t[term.source].expand(B, -1, -1).contiguous(),
                slope=at.slopes[term.source].expand(B, inputs).contiguous() if is_shared else None,
                seed=t[source.source][0] if is_shared and isinstance(source, PointwiseVector) else None,
                after=at.slopes[behind].expand(B, units).contiguous(),
                squares=None if curve is None else (curve * at.bends[behind]).expand(B, units).contiguous(),
                entries=None if closing is None or closing.operand is None else ready.operands[closing.operand],
                writes=behind in self.numbers and closing is None,
            ),
            self.dtype,
            self.products,
            ready.directions,
        )
        if done is not None:
            t[behind] = done
        if closing_sums is not None:
            sums[behind] = closing_sums

    def _entries(self, operands: Any, at: Pass, t: dict[int, Tensor], sums: dict[int, Tensor]) -> Tensor:
        """The diagonal of a field's Jacobian, (B or 1, n)."""
        network, closing = self.network, self._closing
        if closing is None or closing.source not in sums:
            return entries(network, operands, at, t, network.output)
        vector = network.vectors[network.output]
        assert isinstance(vector, LinearVector)
        rest = LinearVector(vector.width, tuple(term for term in vector.terms if term is not closing))
        closed = closing.factor * sums[closing.source]
        if not any(network.varies[term.source] for term in rest.terms):
            return closed
        whole = Network((*network.vectors[:-1], rest))
        return closed + entries(whole, operands, at, t, whole.output)

    def _pointwise_behind(self, number: int) -> int | None:
        """The pointwise function that is all that a layer's result goes into; None where it is no such layer."""
        network, vector = self.network, self.network.vectors[number]
        if not isinstance(vector, LinearVector) or vector.width == 1 or network.is_seeded(number):
            return None
        live = _live(network, number)
        using = [index for index, one in enumerate(network.vectors) if number in one.sources]
        is_layer = len(live) == 1 and live[0].is_plain
        if not is_layer or len(using) != 1 or network.vectors[live[0].source].width == 1:
            return None
        return using[0] if isinstance(network.vectors[using[0]], PointwiseVector) else None

    def _is_shared(self, number: int) -> bool:
        """Whether a vector is a function of what is linear in x, and is read by layers alone."""
        network, vector = self.network, self.network.vectors[number]
        if not isinstance(vector, PointwiseVector) or not network.fixed[vector.source] or number in self._asked:
            return False
        using = [index for index in self.numbers if number in network.vectors[index].sources]
        return all(index in self._behind for index in using)

    def _term_at_end(self) -> Term | None:
        """The matrix of a field's last layer, where it meets one layer's result that nothing else needs."""
        vector = self.network.vectors[self.network.output]
        if self.operator.order == 2 or not isinstance(vector, LinearVector) or vector.width == 1:
            return None
        for term in vector.terms:
            using = [one for one in self.network.vectors if term.source in one.sources]
            is_once = sum(one.source == term.source for one in vector.terms) == 1
            if term.is_dense and is_once and len(using) == 1 and term.source in self._behind.values():
                return term
        return None


def _live(network: Network, number: int) -> list[Term]:
    """The terms of a linear vector whose derivatives depend on the point."""
    vector = network.vectors[number]
    assert isinstance(vector, LinearVector)
    return [term for term in vector.terms if network.varies[term.source] and not network.fixed[term.source]]
