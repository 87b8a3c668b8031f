"""The lines that take the adjoints of derivatives along one direction after the other back through a network.

With h the cotangent of the Laplacian, t the derivatives along direction k and T their adjoints, in the order in which
the lines stand,

    pointwise a = s(z)    T_z  = 2 h g_a s''(z) t_z + s'(z) T_a
    product m = p q       T_p  = 2 h g_m t_q + q T_m            and T_q alike
    linear z = W a + b    T_a  = W^T T_z                        W gets T_z^T t_a

since h lap u = h sum g_a s'' t_z^2 + 2 h sum g_m t_p t_q. What all directions have in common is added up over them:

    Q_z = sum_k t_z^2     Q_m = sum_k t_p t_q      by which g and s'' enter
    D_a = sum_k T_a t_z                            the adjoint of s'(z)
    V_p = sum_k T_m t_q   V_q alike                part of that of the factors

For a field h multiplies entry k of the derivative of the output along k, and T begins where it is read off.
"""

from __future__ import annotations

from jacstrat.fused.directions import Directions, hoist_loads
from jacstrat.fused.gradient.bars import Bars
from jacstrat.fused.gradient.sinks import Sinks
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.network import InputVector, LinearVector, PointwiseVector, Product, Term
from jacstrat.fused.spec import padded
from jacstrat.fused.writer import Writer


class DirectionsBack:
    """The loop over directions.

    Args:
        writer: Behind the lines of a pass forward and, for a Laplacian, back.
        spec: What is wanted.
        sinks: Where gradients go.
    """

    def __init__(self, writer: Writer, spec: GradientSpec, sinks: Sinks) -> None:
        self.writer, self.spec, self.sinks, self.network = writer, spec, sinks, spec.network
        self._forward, self._bars = Directions(writer), Bars(writer, "T")
        self._needed = spec.needed()

    def loop(self) -> None:
        """The sums over directions, and rows of each."""
        writer, operator = self.writer, self.spec.forward.operator
        if operator.order == 2:
            for number in self._bends():
                two = "" if isinstance(self.network.vectors[number], PointwiseVector) else "2.0 * "
                adjoint = "k" if not two else "g"
                writer.write(f"m{number} = {two}h * {adjoint}{number}")
        writer.write("low = tl.program_id(1) * PER")
        body = len(writer.lines)
        writer.write("for k in range(low, tl.minimum(low + PER, K)):")
        writer.indent += 1
        self.sinks.in_loop = True
        start = len(writer.lines)
        if operator.order == 2:
            for number in self._bends():
                self._bend(number)
        else:
            self._entry()
        for number in reversed(self.network.carrying(self.spec.forward.asked)):
            self._back(number)
        if len(writer.lines) == start:
            writer.write("pass")
        self.sinks.in_loop = False
        writer.indent -= 1
        hoist_loads(writer, body)
        writer.lines[body:body] = self.sinks.initial()

    def _bends(self) -> list[int]:
        return [number for number in self.network.bends if number in self.writer.reached]

    def _bend(self, number: int) -> None:
        """What a second derivative begins with."""
        vector, tangent = self.network.vectors[number], self._forward.tangent
        if isinstance(vector, PointwiseVector):
            t = tangent(vector.source)
            self.sinks.tile(f"Q{number}", f"{t} * {t}", vector.width)
            self._bars.add(vector.source, f"2.0 * (m{number} * {t})", vector.width)
        elif isinstance(vector, Product):
            left, right = tangent(vector.left), tangent(vector.right)
            self.sinks.tile(f"Q{number}", f"{left} * {right}", vector.width)
            self._bars.add(vector.left, f"m{number} * {right}", vector.width)
            self._bars.add(vector.right, f"m{number} * {left}", vector.width)

    def _back(self, number: int) -> None:
        """A vector's adjoint, and what it adds to those in front of it."""
        network, vector, sinks = self.network, self.network.vectors[number], self.sinks
        T = self._bars.written(number)
        if T is None:
            return
        if number in self.spec.seeds:
            sinks.layout.seeds[number] = vector.width
            sinks.along(f"seed{number}", T, vector.width)
        if network.fixed[number]:
            return
        if isinstance(vector, LinearVector):
            for term in vector.terms:
                if network.varies[term.source] and not network.fixed[term.source]:
                    t = self._forward.tangent(term.source)
                    self._bars.add(term.source, self.writer.pulled(term, number, T), 1)
                    sinks.term(term, number, T, t, not self._is_of_points(term.source))
        elif isinstance(vector, PointwiseVector):
            t = self._forward.tangent(vector.source)
            self._bars.add(vector.source, f"d{number} * {T}", vector.width)
            if number in network.bends and vector.source in self._needed:
                sinks.tile(f"D{number}", f"{T} * {t}", vector.width)
        elif isinstance(vector, Product):
            for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
                if network.varies[one]:
                    t = self._forward.tangent(one)
                    self._bars.add(one, f"v{other} * {T}", vector.width)
                    self._to_value(other, f"{T} * {t}", vector.width)

    def _to_value(self, number: int, part: str, width: int) -> None:
        """Part of the adjoint of a vector, from a tile of so many columns."""
        if number in self._needed:
            narrow = self.network.vectors[number].width
            part = f"row_sum({part})[:, None]" if narrow == 1 and width > 1 else part
            self.sinks.tile(f"V{number}", part, narrow)

    def _is_of_points(self, number: int) -> bool:
        """Whether the derivative of a vector is a tile, and not one row for all points."""
        network, vector = self.network, self.network.vectors[number]
        if network.fixed[number]:
            return False
        if isinstance(vector, PointwiseVector):
            return True
        if isinstance(vector, Product):
            pairs = ((vector.left, vector.right), (vector.right, vector.left))
            return any(
                network.varies[one] and (self.writer.is_of_points(other) or self._is_of_points(one))
                for one, other in pairs
            )
        return any(self._is_of_points(one) for one in vector.sources if network.varies[one])

    def _entry(self) -> None:
        """Begin where entry k of the output's derivative is read off."""
        writer, network = self.writer, self.network
        self._forward.picked(network.output)  # the tangents and rows that it needs, written
        cotangent = "h"
        if not self.spec.forward.operator.is_trace:
            writer.write(f"hk = tl.load(dresult + rows * {network.n} + k, mask=live, other=0.0).to(ACC)")
            cotangent = "hk"
        self._pick(network.output, cotangent)

    def _pick(self, number: int, cotangent: str) -> None:
        """Take the cotangent of entry k, (P,), back from a vector to those that it is read off."""
        network, vector, forward = self.network, self.network.vectors[number], self._forward
        if vector.width == 1 and not isinstance(vector, InputVector):
            self._bars.add(number, f"({cotangent})[:, None]", 1)
        elif isinstance(vector, LinearVector):
            for term in vector.terms:
                if network.varies[term.source]:
                    self._pick_term(term, number, cotangent)
        elif isinstance(vector, PointwiseVector):
            if number in network.bends and vector.source in self._needed:
                self._to_entry(f"D{number}", f"{cotangent} * ({forward.picked(vector.source)})", vector.width)
            self._pick(vector.source, f"{cotangent} * {forward.entry(f'd{number}', vector.width)}")
        elif isinstance(vector, Product):
            for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
                if network.varies[one]:
                    width = network.vectors[other].width
                    if other in self._needed:
                        self._to_entry(f"V{other}", f"{cotangent} * ({forward.picked(one)})", width)
                    self._pick(one, f"{cotangent} * {forward.entry(f'v{other}', width)}")

    def _to_entry(self, name: str, part: str, width: int) -> None:
        """Add (P,) to column k of a tile."""
        column = f"({part})[:, None]"
        if width > 1:
            column = f"tl.where({self.writer.column(width)}[None, :] == k, {column}, 0.0)"
        self.sinks.tile(name, column, width)

    def _pick_term(self, term: Term, number: int, cotangent: str) -> None:
        forward, writer, sinks = self._forward, self.writer, self.sinks
        cotangent = cotangent if term.factor == 1 else f"{term.factor!r} * {cotangent}"
        if term.operand is None:
            self._pick(term.source, cotangent)
            return
        width = self.network.vectors[term.source].width
        is_wanted = term.operand in self.spec.operands
        if term.is_diagonal:
            si = self.spec.forward.strides[term.operand][1]
            if is_wanted:
                entry = f"({cotangent} * ({forward.picked(term.source)}))[:, None]"
                at = f"{writer.column(width)}[None, :] == k"
                sinks.row(term.operand, f"tl.where({at}, {entry}, 0.0)", width)
            self._pick(term.source, f"{cotangent} * tl.load(o{term.operand} + k * {si}).to(ACC)")
            return
        t = forward.tangent(term.source)
        self._bars.add(term.source, f"({cotangent})[:, None] * p{number}_{term.operand}", padded(width))
        if is_wanted:
            sinks.layout.entries[term.operand] = width
            sinks.along(f"entry{term.operand}", f"({cotangent})[:, None] * {t}", width)
