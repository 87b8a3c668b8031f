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
        # What is added up over directions, by name, with its shape.
        self._sums: dict[str, str] = {}

    def loop(self) -> None:
        """The sum over directions, and its place in memory.

        What is summed up over columns, too, is added up where it is, entry by entry, and over columns behind the loop:
        columns lie in several warps, which would have to wait for each other at every direction.
        """
        writer, spec, network = self.writer, self.writer.spec, self.writer.network
        writer.write("low = tl.program_id(1) * PER")
        body = len(writer.lines)
        writer.write("for k in range(low, tl.minimum(low + PER, K)):")
        writer.indent += 1
        if spec.operator.order == 2:
            for number in network.bends:
                if number in writer.reached:
                    self._bend(number)
        elif spec.operator.is_trace:
            self._trace(network.output)
        else:
            entry = f"{self.picked(network.output)} + tl.full((P,), 0.0, dtype=ACC)"
            writer.write(f"tl.store(result + rows * {network.n} + k, {entry}, mask=ok)")
        if len(writer.lines) == body + 1:
            writer.write("pass")
        writer.indent -= 1
        hoist_loads(writer, body)
        blank = [f"    {name} = tl.full({shape}, 0.0, dtype=ACC)" for name, shape in self._sums.items()]
        writer.lines[body:body] = blank
        if spec.operator.is_trace:
            parts = [name if shape == "(P,)" else f"row_sum({name})" for name, shape in self._sums.items()]
            writer.write(f"total = {' + '.join(('tl.full((P,), 0.0, dtype=ACC)', *parts))}")
            writer.write("tl.store(result + tl.program_id(1) * B + rows, total, mask=ok)")

    def _add(self, width: int, entries: str) -> None:
        """Add entries, (P, width) or (1, width), to a sum over columns."""
        name = f"a{padded(width)}"
        self._sums[name] = f"(P, {padded(width)})"
        self.writer.write(f"{name} += {entries}")

    def _bend(self, number: int) -> None:
        """c t^2 of a pointwise function, and 2 g t_p t_q of a product."""
        vector = self.writer.network.vectors[number]
        if isinstance(vector, PointwiseVector):
            t = self.tangent(vector.source)
            self._add(vector.width, f"k{number} * ({t} * {t})")
        elif isinstance(vector, Product):
            left, right = self.tangent(vector.left), self.tangent(vector.right)
            self._add(vector.width, f"2.0 * g{number} * ({left} * {right})")

    def _trace(self, number: int) -> None:
        """Entry k of an output's derivative along direction k."""
        network, vector = self.writer.network, self.writer.network.vectors[number]
        if not isinstance(vector, LinearVector) or vector.width == 1:
            self._add_entry(self.picked(number))
            return
        for term in vector.terms:
            if not network.varies[term.source]:
                continue
            if term.is_dense:
                row, t, factor = self._picked_row(term, number)
                self._add(network.vectors[term.source].width, f"{factor}{row} * {t}")
            else:
                self._add_entry(self._picked_term(term, number))

    def _add_entry(self, entry: str) -> None:
        self._sums["total_"] = "(P,)"
        self.writer.write(f"total_ += {entry}")

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
        if term.is_diagonal:
            si = writer.spec.strides[term.operand][1]
            return f"{factor}tl.load(o{term.operand} + k * {si}).to(ACC) * ({self.picked(term.source)})"
        row, t, factor = self._picked_row(term, number)
        return f"{factor}row_sum({row} * {t})"

    def _picked_row(self, term: Term, number: int) -> tuple[str, str, str]:
        """Row k of a matrix, what it is multiplied with, and a factor in front."""
        writer = self.writer
        assert term.operand is not None
        so, si = writer.spec.strides[term.operand]
        width, name = writer.network.vectors[term.source].width, f"p{number}_{term.operand}"
        t = self.tangent(term.source)
        mask = f", mask={writer.mask(width)}, other=0.0" if padded(width) > width else ""
        at = f"o{term.operand} + k * {so} + {writer.column(width)} * {si}"
        writer.write(f"{name} = tl.load({at}{mask}).to(ACC)[None, :]")
        return name, t, "" if term.factor == 1 else f"{term.factor!r} * "

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
