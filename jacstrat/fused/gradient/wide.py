"""Gradients of a network that is too wide for one kernel, layer by layer: the algebra of `directions` and `passes`.

What has rows for all points and directions goes by three products a layer, t = W t_a, T_a = W^T T_z and T_z^T t_a, a
kernel each, see `layer` and `outer`, and one kernel a pointwise function, see `pointwise`. What has rows for points
alone is done by torch.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from jacstrat.fused import layer
from jacstrat.fused.curves import curves
from jacstrat.fused.evaluate import Pass, applied, back, entries, forward, pulled, tangent
from jacstrat.fused.gradient.launch import Cotangents, Gradients, in_parts
from jacstrat.fused.gradient.outer import outer
from jacstrat.fused.gradient.pointwise import pointwise_back
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.network import ConstantVector, InputVector, LinearVector, PointwiseVector, Product, Term
from jacstrat.fused.operands import Ready

# Tangents, and their adjoints, of the points that are done at a time; and rows of them: a program takes 64 or more, and
# a grid has at most 65,535 programs along its second axis.
MOST_BYTES, MOST_ROWS = 2**30, 2**21


def gradients_by_layers(spec: GradientSpec, x: Tensor, ready: Ready, at: Cotangents) -> Gradients:
    """Gradients of all points, in parts where tangents are large.

    Args:
        spec: What is wanted.
        x: Points, (B, n).
        ready: Operands and seeds.
        at: Cotangents.
    """
    vectors = spec.network.vectors
    widths = sum(vectors[number].width for number in spec.network.carrying(spec.forward.asked))
    rows_at_a_time = min(MOST_ROWS, MOST_BYTES // (2 * max(1, widths) * x.element_size()))
    size = max(1, rows_at_a_time // ready.directions)
    return in_parts(size, lambda *points: _Points(spec, *points).gradients(), spec, x, ready, at)


class _Bars(dict[int, Tensor]):
    """Adjoints by vector, summed up where a vector of width 1 meets a wider one."""

    def __init__(self, spec: GradientSpec) -> None:
        super().__init__()
        self._vectors = spec.network.vectors

    def add(self, number: int, part: Tensor) -> None:
        if self._vectors[number].width == 1 and part.shape[-1] > 1:
            part = part.sum(-1, keepdim=True)
        self[number] = self[number] + part if number in self else part


class _Points:
    """Some points, forward and back; names are those of the algebra."""

    def __init__(self, spec: GradientSpec, x: Tensor, ready: Ready, at: Cotangents) -> None:
        self.spec, self.network, self.operands, self.at = spec, spec.network, ready.operands, at
        self.found = Gradients(None, {}, {})
        self.is_scalar = spec.forward.operator.order == 2
        self.values: Pass = forward(self.network, self.operands, x, partial(curves, third=True))
        if self.is_scalar:
            back(self.network, self.operands, self.values)
        self.seeded = dict(zip(spec.forward.seeded, ready.seeds, strict=True))
        self.t: dict[int, Tensor] = {}
        for number in self.network.carrying(spec.forward.asked):
            self.t[number] = self._tangent(number)
        self.Q: dict[int, Tensor] = {}
        self.T, self.D, self.V = _Bars(spec), _Bars(spec), _Bars(spec)
        self.h = at.result.unsqueeze(-1) if spec.forward.operator.is_trace else at.result
        self._needed = spec.needed()

    def gradients(self) -> Gradients:
        if not self.is_scalar:
            self._entry(self.network.output, self.h.expand(-1, self.network.n))
        for number in reversed(range(len(self.network.vectors))):
            self._direction(number)
        self.t.clear()
        if self.is_scalar:
            self._through_back()
        self._through_forward()
        return self.found

    def _tangent(self, number: int) -> Tensor:
        network, vector = self.network, self.network.vectors[number]
        if isinstance(vector, LinearVector) and number not in self.seeded:
            live = [term for term in vector.terms if network.varies[term.source]]
            parts = [self._product(term, self.t[term.source], is_pulled=False) for term in live]
            return sum(parts[1:], start=parts[0])
        return tangent(network, self.operands, self.values, self.seeded, self.t, number)

    def _product(self, term: Term, rows: Tensor, is_pulled: bool) -> Tensor:
        """factor W a, or factor W^T T, of rows (B, K, width), by the kernel of a layer where these are many."""
        if term.operand is None or term.is_diagonal or len(rows) == 1 or min(self.operands[term.operand].shape) == 1:
            return (pulled if is_pulled else applied)(term, self.operands, rows)
        W = self.operands[term.operand]
        W = W.mT if is_pulled else W
        ones = rows.new_ones(()).expand(len(rows), len(W)).contiguous()
        one = layer.Layer(W, rows.contiguous(), None, None, ones, None, None, writes=True)
        done, _ = layer.launch(one, self.spec.forward.dtype, self.spec.forward.products, rows.shape[1])
        assert done is not None
        return done if term.factor == 1 else done * term.factor

    def _direction(self, number: int) -> None:
        """T of what is in front of a vector, and what is added up over directions."""
        network, vector, t = self.network, self.network.vectors[number], self.t
        T = self.T.pop(number, None)
        if T is not None and number in self.spec.seeds:
            self.found.seeds[number] = T.sum(0)
        is_bent = self.is_scalar and number in network.bends and number in self.values.adjoints
        if network.fixed[number] or (T is None and not is_bent):
            return
        if isinstance(vector, LinearVector):
            assert T is not None
            for term in vector.terms:
                if network.varies[term.source] and not network.fixed[term.source]:
                    self._to_matrix(term, T, t[term.source])
                    self.T.add(term.source, self._product(term, T, is_pulled=True))
        elif isinstance(vector, PointwiseVector):
            m = self.h * self.values.adjoints[number] * self.values.bends[number] if is_bent else None
            handed = pointwise_back(t[vector.source], T, m, self.values.slopes[number])
            self.T.add(vector.source, handed.adjoint)
            if handed.squares is not None:
                self.Q[number] = handed.squares
            if handed.slopes is not None and number in network.bends:
                self.D.add(number, handed.slopes)
        elif isinstance(vector, Product):
            self._product_of_two(number, vector, T, is_bent)

    def _product_of_two(self, number: int, vector: Product, T: Tensor | None, is_bent: bool) -> None:
        t, pairs = self.t, ((vector.left, vector.right), (vector.right, vector.left))
        if is_bent:
            m = (2 * self.h * self.values.adjoints[number]).unsqueeze(1)
            self.Q[number] = (t[vector.left] * t[vector.right]).sum(1)
            for one, other in pairs:
                self.T.add(one, m * t[other])
        for one, other in pairs if T is not None else ():
            if self.network.varies[one]:
                assert T is not None
                self.T.add(one, self.values.values[other].unsqueeze(1) * T)
                self.V.add(other, (T * t[one]).sum(1))

    def _entry(self, number: int, cotangent: Tensor) -> None:
        """T of where entry k is read off, from its cotangent, (B, K), along k."""
        network, vector = self.network, self.network.vectors[number]
        if isinstance(vector, InputVector):
            return
        if vector.width == 1:
            self.T.add(number, cotangent.unsqueeze(-1))
        elif isinstance(vector, LinearVector):
            for term in vector.terms:
                if network.varies[term.source]:
                    self._entry_of_term(term, cotangent)
        elif isinstance(vector, PointwiseVector):
            self.D.add(number, cotangent * self._entries(vector.source))
            self._entry(vector.source, cotangent * self.values.slopes[number])
        elif isinstance(vector, Product):
            for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
                if network.varies[one]:
                    self.V.add(other, cotangent * self._entries(one))
                    self._entry(one, cotangent * self.values.values[other])

    def _entry_of_term(self, term: Term, cotangent: Tensor) -> None:
        if not term.is_dense:
            if term.operand in self.spec.operands:
                assert term.operand is not None
                part = term.factor * cotangent * self._entries(term.source)
                self.found.to_operand(term.operand, part.sum(0, keepdim=True))
            self._entry(term.source, pulled(term, self.operands, cotangent))
            return
        assert term.operand is not None
        cotangent, t = term.factor * cotangent, self.t[term.source]
        self.T.add(term.source, cotangent.unsqueeze(-1) * self.operands[term.operand])
        if term.operand in self.spec.operands:
            part = torch.einsum("bk,bkj->kj", cotangent, t.expand(len(cotangent), -1, -1))
            self.found.to_operand(term.operand, part)

    def _entries(self, number: int) -> Tensor:
        return entries(self.network, self.operands, self.values, self.t, number)

    def _through_back(self) -> None:
        """Adjoints H of g, and what they add to D and V."""
        network, values, H = self.network, self.values, _Bars(self.spec)
        if self.at.gradient is not None:
            H.add(0, self.at.gradient)
        for number, vector in enumerate(network.vectors):
            g = values.adjoints.get(number)
            if g is None:
                continue
            if number in self.Q:
                curve = values.bends[number] if isinstance(vector, PointwiseVector) else 2.0
                H.add(number, self.h * curve * self.Q[number])
            if isinstance(vector, LinearVector):
                for term in vector.terms:
                    if term.source in H:
                        H.add(number, applied(term, self.operands, H[term.source]))
                        self._to_matrix(term, g, H[term.source])
            elif isinstance(vector, PointwiseVector) and vector.source in H:
                H.add(number, values.slopes[number] * H[vector.source])
                self.D.add(number, g * H[vector.source])
            elif isinstance(vector, Product):
                for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
                    if network.varies[one] and one in H:
                        H.add(number, values.values[other] * H[one])
                        self.V.add(other, g * H[one])

    def _through_forward(self) -> None:
        """Adjoints U of values."""
        network, values, U = self.network, self.values, self.V
        if self.at.value is not None:
            U.add(network.output, self.at.value.reshape(len(self.h), -1))
        for number in reversed(range(len(network.vectors))):
            vector, bar = network.vectors[number], U.get(number)
            if number not in self._needed:
                continue
            if isinstance(vector, PointwiseVector):
                if bar is not None:
                    U.add(vector.source, values.slopes[number] * bar)
                if number in self.D:
                    U.add(vector.source, values.bends[number] * self.D[number])
                if number in self.Q:
                    curve = values.thirds[number] * values.adjoints[number]
                    U.add(vector.source, self.h * curve * self.Q[number])
            elif bar is not None:
                self._hand_on(number, bar, U)

    def _hand_on(self, number: int, bar: Tensor, U: _Bars) -> None:
        vector, values = self.network.vectors[number], self.values.values
        if isinstance(vector, InputVector):
            self.found.to_x(bar)
        elif isinstance(vector, ConstantVector):
            self.found.to_operand(vector.operand, bar if vector.of_points else bar.sum(0, keepdim=True))
        elif isinstance(vector, LinearVector):
            if vector.bias in self.spec.operands:
                assert vector.bias is not None
                self.found.to_operand(vector.bias, bar.sum(0, keepdim=True))
            for term in vector.terms:
                self._to_matrix(term, bar, values[term.source])
                if term.source in self._needed:
                    U.add(term.source, pulled(term, self.operands, bar))
        elif isinstance(vector, Product):
            for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
                U.add(one, values[other] * bar)

    def _to_matrix(self, term: Term, left: Tensor, right: Tensor) -> None:
        """Add factor left^T right, summed over points and directions, to the gradient of W."""
        if term.operand not in self.spec.operands:
            return
        assert term.operand is not None
        if term.is_diagonal:
            part = (left * right).flatten(0, -2).sum(0, keepdim=True)
        else:
            left = left.sum(0, keepdim=True) if len(right) == 1 else left
            is_of_directions = left.dim() == 3 and len(right) > 1
            part = self._outer(left.flatten(0, -2), right.flatten(0, -2), is_of_directions)
        self.found.to_operand(term.operand, part if term.factor == 1 else part * term.factor)

    def _outer(self, left: Tensor, right: Tensor, is_of_directions: bool) -> Tensor:
        """left^T right of rows: by a kernel where these are many, so that `products` holds; in float64 there is one."""
        if not is_of_directions or min(left.shape[-1], right.shape[-1]) == 1 or left.dtype == torch.float64:
            return left.mT @ right
        return outer(left, right, self.spec.forward.dtype, self.spec.forward.products)
