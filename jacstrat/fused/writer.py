"""Lines of a kernel: loads, and products of tiles with operands."""

from __future__ import annotations

from jacstrat.fused.network import ConstantVector, InputVector, Term
from jacstrat.fused.spec import CHUNK, Spec, is_chunked, padded


class Writer:
    """Lines of one kernel, as they are written.

    Attributes:
        lines: Those of its body so far.
        indent: Of the next one.
        columns: Padded widths, of which a row of numbers is needed each.
        reached: The vectors that have adjoints, once these are written.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec, self.network = spec, spec.network
        self.lines: list[str] = []
        self.indent = 1
        self.columns: dict[int, None] = {}
        self.reached: frozenset[int] = frozenset()
        self._loaded: set[str] = set()

    def write(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    def is_tile(self, number: int) -> bool:
        """Whether a vector stands in a tile as a whole: it is narrow, or more is done to it than products."""
        return not is_chunked(self.network, number)

    def is_of_points(self, number: int) -> bool:
        """Whether the value of a vector is a tile, and not one row for all points."""
        vector = self.network.vectors[number]
        if isinstance(vector, ConstantVector):
            return vector.of_points
        return isinstance(vector, InputVector) or any(self.is_of_points(one) for one in vector.sources)

    def applied(self, term: Term, number: int, rows: str) -> str:
        """factor W a, as an expression; what it needs is written before."""
        out, width = self.network.vectors[number].width, self.network.vectors[term.source].width
        factor = "" if term.factor == 1 else f"{term.factor!r} * "
        if term.operand is None:
            return f"{factor}{rows}"
        so, si = self.spec.strides[term.operand]
        operand = f"o{term.operand}"
        if term.is_diagonal:
            self.load_row(f"r{term.operand}", operand, out, si)
            return f"{factor}({rows} * r{term.operand})"
        if out == 1 or width == 1:
            W, step = (width, si) if out == 1 else (out, so)
            self.load_row(f"r{term.operand}", operand, W, step)
            product = f"({rows} * r{term.operand})"
            return f"{factor}row_sum({product})[:, None]" if out == 1 and width > 1 else f"{factor}{product}"
        if rows == f"v{term.source}" and not self.is_tile(term.source):
            return f"{factor}{self.in_chunks(term, number)}"
        self.load_matrix(f"w{term.operand}t", operand, (width, out), (si, so))
        return f"{factor}product({rows}, w{term.operand}t)"

    def in_chunks(self, term: Term, number: int) -> str:
        """The product of a wide x, or operand of each point, with a matrix."""
        vector = self.network.vectors[term.source]
        pointer, (sr, sc) = "x", (vector.width, 1)
        if isinstance(vector, ConstantVector):
            pointer, (sr, sc) = f"o{vector.operand}", self.spec.strides[vector.operand]
        out = self.network.vectors[number].width
        assert term.operand is not None
        so, si = self.spec.strides[term.operand]
        name, c, o = f"z{number}_{term.operand}", self.column(CHUNK), self.column(out)
        self.write(f"{name} = tl.full((P, {padded(out)}), 0.0, dtype=ACC)")
        self.write(f"for j in range(0, {vector.width}, {CHUNK}):")
        self.indent += 1
        self.write(f"inside = (j + {c}) < {vector.width}")
        self.write(f"at = {pointer} + rows[:, None] * {sr} + (j + {c})[None, :] * {sc}")
        self.write("a = tl.load(at, mask=ok[:, None] & inside[None, :], other=0.0).to(ACC)")
        self.write(f"at = o{term.operand} + (j + {c})[:, None] * {si} + {o}[None, :] * {so}")
        self.write(f"w = tl.load(at, mask=inside[:, None] & {self.mask(out)}[None, :], other=0.0)")
        self.write(f"{name} += product(a, w)")
        self.indent -= 1
        return name

    def pulled(self, term: Term, number: int, g: str) -> str:
        """factor W^T g."""
        out, width = self.network.vectors[number].width, self.network.vectors[term.source].width
        factor = "" if term.factor == 1 else f"{term.factor!r} * "
        if term.operand is None:
            return f"{factor}{g}"
        if term.is_diagonal or out == 1 or width == 1:
            product = f"({g} * r{term.operand})"
            return f"{factor}row_sum({product})[:, None]" if width == 1 and out > 1 else f"{factor}{product}"
        so, si = self.spec.strides[term.operand]
        self.load_matrix(f"w{term.operand}", f"o{term.operand}", (out, width), (so, si))
        return f"{factor}product({g}, w{term.operand})"

    def column(self, width: int) -> str:
        self.columns[padded(width)] = None
        return f"c{padded(width)}"

    def mask(self, width: int) -> str:
        """Which columns are no padding."""
        return f"({self.column(width)} < {width})"

    def load_rows(self, name: str, pointer: str, width: int, strides: tuple[int, int]) -> None:
        c = self.column(width)
        at = f"{pointer} + rows[:, None] * {strides[0]} + {c}[None, :] * {strides[1]}"
        self.write(f"{name} = tl.load({at}, mask=ok[:, None] & {self.mask(width)}[None, :], other=0.0).to(ACC)")

    def load_row(self, name: str, pointer: str, width: int, stride: int) -> None:
        if name not in self._loaded:
            self._loaded.add(name)
            c = self.column(width)
            at, mask = f"{pointer} + {c} * {stride}", self.mask(width)
            self.write(f"{name} = tl.load({at}, mask={mask}, other=0.0).to(ACC)[None, :]")

    def load_matrix(self, name: str, pointer: str, shape: tuple[int, int], strides: tuple[int, int]) -> None:
        if name not in self._loaded:
            self._loaded.add(name)
            i, j = (self.column(width) for width in shape)
            at = f"{pointer} + {i}[:, None] * {strides[0]} + {j}[None, :] * {strides[1]}"
            mask = f"{self.mask(shape[0])}[:, None] & {self.mask(shape[1])}[None, :]"
            self.write(f"{name} = tl.load({at}, mask={mask}, other=0.0)")
