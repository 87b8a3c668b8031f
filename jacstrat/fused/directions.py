"""The lines that take one direction after the other through a network, and add up what was asked for."""

from __future__ import annotations

from jacstrat.fused.network import InputVector, LinearVector, PointwiseVector, Product, Term
from jacstrat.fused.spec import padded
from jacstrat.fused.writer import Writer


class Directions:
    """Derivatives t along direction k, each written where it is first asked for.

    Args:
        writer: Behind the lines of a pass forward and, for a Laplacian, back.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer, self._written = writer, set[int]()

    def loop(self) -> None:
        """The sum over directions, and its place in memory."""
        writer, spec, network = self.writer, self.writer.spec, self.writer.network
        writer.write("total = tl.full((P,), 0.0, dtype=ACC)")
        writer.write("low = tl.program_id(1) * PER")
        body = len(writer.lines)
        writer.write("for k in range(low, tl.minimum(low + PER, K)):")
        writer.indent += 1
        hoisted = len(writer.lines)
        if spec.operator.order == 2:
            for number in network.bends:
                if number in writer.reached:
                    self._bend(number)
        else:
            entry = self.picked(network.output)
            writer.write(f"entry = {entry}")
            if not spec.operator.is_trace:
                writer.write("entry = entry + tl.full((P,), 0.0, dtype=ACC)")
                writer.write(f"tl.store(result + rows * {network.n} + k, entry, mask=ok)")
            else:
                writer.write("total += entry")
        if len(writer.lines) == hoisted:
            writer.write("total += 0.0")
        writer.indent -= 1
        hoist_loads(writer, body)
        if spec.operator.is_trace:
            writer.write("tl.store(result + tl.program_id(1) * B + rows, total, mask=ok)")

    def _bend(self, number: int) -> None:
        writer = self.writer
        vector = writer.network.vectors[number]
        if isinstance(vector, PointwiseVector):
            t = self.tangent(vector.source)
            writer.write(f"total += row_sum(k{number} * ({t} * {t}))")
        elif isinstance(vector, Product):
            left, right = self.tangent(vector.left), self.tangent(vector.right)
            writer.write(f"total += row_sum(2.0 * g{number} * ({left} * {right}))")

    def tangent(self, number: int) -> str:
        """The name of a vector's derivative along direction k, written where it was not yet."""
        writer = self.writer
        name = f"t{number}"
        if number in self._written:
            return name
        self._written.add(number)
        network, vector, parts = writer.network, writer.network.vectors[number], []
        if network.is_seeded(number):
            parts.append(self._seed(number))
        if not network.fixed[number]:
            if isinstance(vector, LinearVector):
                for term in vector.terms:
                    if network.varies[term.source] and not network.fixed[term.source]:
                        parts.append(writer.applied(term, number, self.tangent(term.source)))
            elif isinstance(vector, PointwiseVector):
                parts.append(f"d{number} * {self.tangent(vector.source)}")
            elif isinstance(vector, Product):
                for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
                    if network.varies[one]:
                        parts.append(f"v{other} * {self.tangent(one)}")
        writer.write(f"{name} = {' + '.join(parts)}")
        return name

    def _seed(self, number: int) -> str:
        writer = self.writer
        width = writer.network.vectors[number].width
        position = len(writer.spec.strides) - len(writer.spec.seeded) + writer.spec.seeded.index(number)
        sk, sc = writer.spec.strides[position]
        mask = f", mask={writer.mask(width)}, other=0.0" if padded(width) > width else ""
        at = f"s{number} + k * {sk} + {writer.column(width)} * {sc}"
        writer.write(f"q{number} = tl.load({at}{mask}).to(ACC)[None, :]")
        return f"q{number}"

    def picked(self, number: int) -> str:
        """Entry k of a vector's derivative along direction k, (P,) or (1,)."""
        writer = self.writer
        network, vector = writer.network, writer.network.vectors[number]
        if vector.width == 1 and not isinstance(vector, InputVector):
            return f"row_sum({self.tangent(number)})"
        if isinstance(vector, InputVector):
            return "1.0"
        if isinstance(vector, LinearVector):
            parts = [self._picked_term(term, number) for term in vector.terms if network.varies[term.source]]
            return " + ".join(parts)
        if isinstance(vector, PointwiseVector):
            return f"{self.entry(f'd{number}', vector.width)} * ({self.picked(vector.source)})"
        assert isinstance(vector, Product)
        parts = []
        for one, other in ((vector.left, vector.right), (vector.right, vector.left)):
            if network.varies[one]:
                entry = self.entry(f"v{other}", network.vectors[other].width)
                parts.append(f"{entry} * ({self.picked(one)})")
        return " + ".join(parts)

    def _picked_term(self, term: Term, number: int) -> str:
        writer = self.writer
        factor = "" if term.factor == 1 else f"{term.factor!r} * "
        if term.operand is None:
            return f"{factor}({self.picked(term.source)})"
        so, si = writer.spec.strides[term.operand]
        if term.is_diagonal:
            return f"{factor}tl.load(o{term.operand} + k * {si}).to(ACC) * ({self.picked(term.source)})"
        width, name = writer.network.vectors[term.source].width, f"p{number}_{term.operand}"
        t = self.tangent(term.source)
        mask = f", mask={writer.mask(width)}, other=0.0" if padded(width) > width else ""
        at = f"o{term.operand} + k * {so} + {writer.column(width)} * {si}"
        writer.write(f"{name} = tl.load({at}{mask}).to(ACC)[None, :]")
        return f"{factor}row_sum({name} * {t})"

    def entry(self, name: str, width: int) -> str:
        """Column k of a tile, (P,)."""
        writer = self.writer
        if width == 1:
            return f"row_sum({name})"
        return f"row_sum(tl.where({writer.column(width)}[None, :] == k, {name}, 0.0))"


def hoist_loads(writer: Writer, body: int) -> None:
    """Put what was loaded in a loop and does not depend on k in front of it; `body` is the number of its first line."""
    loop = writer.lines[body:]
    front = [line[4:] for line in loop if line.startswith("        ") and _is_load_of_operand(line)]
    writer.lines[body:] = front + [line for line in loop if not _is_load_of_operand(line)]


def _is_load_of_operand(line: str) -> bool:
    name = line.strip().partition(" = ")[0]
    return name[:1] in ("r", "w") and name[1:].rstrip("t").isdigit()
