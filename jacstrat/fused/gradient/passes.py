"""The lines that take adjoints through the pass back and the pass forward of a network.

The pass back, g_z = s'(z) g_a and g_a = W^T g_z, is linear in what it hands on; its adjoints H of g go the other way,
from x to the output, with c the cotangent of the gradient where there is one:

    H_x = c         linear z = W a + b    H_z  = W H_a                          W gets g_z^T H_a
                    pointwise a = s(z)    H_a  = h s''(z) Q_z + s'(z) H_z       D_a gets g_a H_z
                    product m = p q       H_m  = 2 h Q_m + q H_p + p H_q        V_q gets g_m H_p, V_p alike

Then adjoints U of the values go back, with v the cotangent of the value where there is one, and here s''' comes in:

    U_out = v       pointwise a = s(z)    U_z  = s'(z) U_a + s''(z) D_a + s'''(z) h g_a Q_z
                    linear z = W a + b    U_a  = W^T U_z                        W gets U_z^T a, b the sum of U_z
                    product m = p q       U_p  = q U_m + V_p                    U_q alike

Both are linear in Q, D, V, c and v, so that programs with a part of the directions each give parts of the gradient.
"""

from __future__ import annotations

from jacstrat.fused.gradient.bars import Bars
from jacstrat.fused.gradient.sinks import Sinks
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.network import ConstantVector, InputVector, LinearVector, PointwiseVector, Product
from jacstrat.fused.writer import Writer


class PassesBack:
    """What stands behind the loop over directions.

    Args:
        writer: Behind that loop.
        spec: What is wanted.
        sinks: Where gradients go, with Q, D and V.
    """

    def __init__(self, writer: Writer, spec: GradientSpec, sinks: Sinks) -> None:
        self.writer, self.spec, self.sinks, self.network = writer, spec, sinks, spec.network
        self._needed = spec.needed()

    def through_back(self) -> None:
        """Adjoints H, in the order of the vectors."""
        bars, network = Bars(self.writer, "H"), self.network
        if self.spec.forward.with_gradient:
            bars.add(0, self._cotangent("dgradient", network.n), network.n)
        for number, vector in enumerate(network.vectors):
            if number and number not in self.writer.reached:
                continue
            if self.sinks.has(f"Q{number}"):
                curve = f"h * e{number}" if isinstance(vector, PointwiseVector) else "2.0 * h"
                bars.add(number, f"{curve} * Q{number}", vector.width)
            self._collect(number, bars)
            bars.written(number)

    def _collect(self, number: int, bars: Bars) -> None:
        """What a vector's H gets of those of the vectors in front of it."""
        network, vector, sinks = self.network, self.network.vectors[number], self.sinks
        if isinstance(vector, LinearVector):
            for term in vector.terms:
                if bars.has(term.source):
                    H = f"H{term.source}"
                    bars.add(number, self.writer.applied(term, number, H), 1)
                    if not self.spec.is_outside(term, number):
                        sinks.term(term, number, f"g{number}", H, is_row=False)
                    elif term.operand in self.spec.operands:
                        sinks.adjoint(number, f"g{number}")
        elif isinstance(vector, PointwiseVector):
            if bars.has(vector.source):
                bars.add(number, f"d{number} * H{vector.source}", vector.width)
                if number in network.bends and vector.source in self._needed:
                    sinks.tile(f"D{number}", f"g{number} * H{vector.source}", vector.width)
        elif isinstance(vector, Product):
            for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
                if network.varies[one] and bars.has(one):
                    bars.add(number, f"v{other} * H{one}", vector.width)
                    if other in self._needed:
                        part, narrow = f"g{number} * H{one}", network.vectors[other].width
                        part = f"row_sum({part})[:, None]" if narrow == 1 and vector.width > 1 else part
                        sinks.tile(f"V{other}", part, narrow)

    def through_forward(self) -> None:
        """Adjoints U, in the order from the output to x."""
        bars, network, sinks = Bars(self.writer, "U"), self.network, self.sinks
        if self.spec.forward.with_value:
            width = network.vectors[network.output].width
            bars.add(network.output, self._cotangent("dvalue", width), width)
        for number in reversed(range(len(network.vectors))):
            vector = network.vectors[number]
            if number not in self._needed:
                continue
            if sinks.has(f"V{number}"):
                bars.add(number, f"V{number}", vector.width)
            U = bars.written(number)
            if isinstance(vector, PointwiseVector):
                self._bend(number, vector, U, bars)
            elif U is not None:
                self._hand_on(number, U, bars)

    def _bend(self, number: int, vector: PointwiseVector, U: str | None, bars: Bars) -> None:
        source, width = vector.source, vector.width
        if U is not None:
            bars.add(source, f"d{number} * {U}", width)
        if self.sinks.has(f"D{number}"):
            bars.add(source, f"e{number} * D{number}", width)
        if self.sinks.has(f"Q{number}"):
            bars.add(source, f"f{number} * (h * g{number}) * Q{number}", width)

    def _hand_on(self, number: int, U: str, bars: Bars) -> None:
        """What a vector's U adds to those in front of it, and to gradients."""
        writer, sinks, vector = self.writer, self.sinks, self.network.vectors[number]
        if isinstance(vector, InputVector):
            sinks.point(number, U)
        elif isinstance(vector, ConstantVector):
            if vector.of_points:
                sinks.point(number, U)
            else:
                sinks.row(vector.operand, U, vector.width)
        elif isinstance(vector, LinearVector):
            if vector.bias is not None:
                sinks.row(vector.bias, U, vector.width)
            for term in vector.terms:
                if self.spec.is_outside(term, number):
                    if number not in sinks.layout.points:
                        sinks.point(number, U)
                    continue
                sinks.term(term, number, U, f"v{term.source}", not writer.is_of_points(term.source))
                if term.source in self._needed:
                    bars.add(term.source, writer.pulled(term, number, U), 1)
        elif isinstance(vector, Product):
            for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
                if one in self._needed:
                    bars.add(one, f"v{other} * {U}", vector.width)

    def _cotangent(self, name: str, width: int) -> str:
        """The tile of a cotangent of each point, which one part of the directions alone takes."""
        c = self.writer.column(width)
        mask = f"once[:, None] & {self.writer.mask(width)}[None, :]"
        return f"tl.load({name} + rows[:, None] * {width} + {c}[None, :], mask={mask}, other=0.0).to(ACC)"
