"""Where a kernel puts gradients: sums over the points of a program, and rows of each point or of each direction.

    of all points       a matrix or a row G of each operand, added up in registers, one place in memory a program
    of each direction   rows of seeds, and of the last matrix of a field, added up over a program's points
    of each point       adjoints of x, of operands of each point, and of vectors in front of which torch takes over

What programs wrote is added up by torch, always in the same order: equal calls give equal numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.network import Term
from jacstrat.fused.spec import padded
from jacstrat.fused.writer import Writer


@dataclass(frozen=True)
class Layout:
    """What a kernel writes, in the order of its arguments.

    Fields:
        sums: The shape of the gradient of each operand that has one over all points, by number: (rows, columns).
        seeds: The vectors whose seeds have rows, (programs, K, width) each.
        entries: The operands of which row k is written along direction k, (programs, K, columns) each, and their width.
        points: The vectors whose adjoints U are written, (parts, B, width) each.
        adjoints: The vectors of which g is written, (B, width) each.
    """

    sums: dict[int, tuple[int, int]] = field(default_factory=dict)
    seeds: dict[int, int] = field(default_factory=dict)
    entries: dict[int, int] = field(default_factory=dict)
    points: dict[int, int] = field(default_factory=dict)
    adjoints: dict[int, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Numbers that a program writes of its sums."""
        return sum(rows * columns for rows, columns in self.sums.values())

    def arguments(self) -> list[str]:
        """Names of what is written."""
        groups = {"seed": self.seeds, "entry": self.entries, "point": self.points, "adjoint": self.adjoints}
        return ["sums", *(f"{name}{number}" for name, group in groups.items() for number in group)]


class Sinks:
    """Lines that add to gradients.

    Args:
        writer: Of the kernel.
        spec: What is wanted.
    """

    def __init__(self, writer: Writer, spec: GradientSpec) -> None:
        self.writer, self.spec, self.layout = writer, spec, Layout()
        self.in_loop = False
        self._initial: list[str] = []
        self._known: set[str] = set()

    def add(self, name: str, value: str, shape: str) -> None:
        """name += value, with zeros of a shape in front of the loop where it is first met in there."""
        if self.in_loop and name not in self._known:
            self._initial.append(f"    {name} = tl.full({shape}, 0.0, dtype=ACC)")
        sign = "+=" if self.in_loop or name in self._known else "="
        self._known.add(name)
        self.writer.write(f"{name} {sign} {value}")

    def has(self, name: str) -> bool:
        return name in self._known

    def initial(self) -> list[str]:
        """The lines in front of the loop."""
        return self._initial

    def tile(self, name: str, value: str, width: int) -> None:
        """As `add`, for a tile of points."""
        self.add(name, value, f"(P, {padded(width)})")

    def row(self, operand: int, value: str, width: int) -> None:
        """Add a tile, summed over points, to the gradient of an operand of one row."""
        if operand in self.spec.operands:
            self.layout.sums[operand] = (1, width)
            self.add(f"G{operand}", f"col_sum({value})", f"({padded(width)},)")

    def term(self, term: Term, number: int, left: str, right: str, is_row: bool) -> None:
        """Add factor left^T right, left an adjoint of z and right what W was applied to, to the gradient of W.

        Args:
            term: Of W.
            number: Of z.
            left, right: Names of tiles.
            is_row: Whether right is the same for all points.
        """
        if term.operand not in self.spec.operands:
            return
        assert term.operand is not None
        vectors = self.spec.network.vectors
        out, width = vectors[number].width, vectors[term.source].width
        factor = "" if term.factor == 1 else f"{term.factor!r} * "
        if term.is_diagonal:
            self.row(term.operand, f"{factor}{left} * {right}", out)
        elif out == 1 or width == 1:
            W = width if out == 1 else out
            self.layout.sums[term.operand] = (out, width)
            self.add(f"G{term.operand}", f"col_sum({factor}{left} * {right})", f"({padded(W)},)")
        else:
            self.layout.sums[term.operand] = (out, width)
            right = f"{right} + tl.full((P, {padded(width)}), 0.0, dtype=ACC)" if is_row else right
            shape = f"({padded(out)}, {padded(width)})"
            self.add(f"G{term.operand}", f"{factor}outer({left}, {right})", shape)

    def along(self, name: str, value: str, width: int) -> None:
        """Write a tile, summed over points, as row k."""
        c = self.writer.column(width)
        self.writer.write(f"at = {name} + (tl.program_id(0).to(tl.int64) * K + k) * {width} + {c}")
        self.writer.write(f"tl.store(at, col_sum({value}), mask={self.writer.mask(width)})")

    def point(self, number: int, value: str) -> None:
        """Write a vector's U for the points of a tile, a part of it in each part of the directions."""
        self.layout.points[number] = self.spec.network.vectors[number].width
        self._rows(f"point{number}", "tl.program_id(1).to(tl.int64) * B + rows", number, value, "live")

    def adjoint(self, number: int, value: str) -> None:
        """Write a vector's g for the points of a tile."""
        self.layout.adjoints[number] = self.spec.network.vectors[number].width
        self._rows(f"adjoint{number}", "rows", number, value, "once")

    def _rows(self, name: str, rows: str, number: int, value: str, mask: str) -> None:
        width = self.spec.network.vectors[number].width
        c = self.writer.column(width)
        self.writer.write(f"at = {name} + ({rows})[:, None] * {width} + {c}[None, :]")
        blank = f"tl.full((P, {padded(width)}), 0.0, dtype=ACC)"
        self.writer.write(f"tl.store(at, {value} + {blank}, mask={mask}[:, None] & {self.writer.mask(width)}[None, :])")

    def store(self) -> None:
        """The sums to their places."""
        writer, size, offset = self.writer, self.layout.size, 0
        if not size:
            return
        writer.write("program = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)")
        writer.write(f"own = sums + program.to(tl.int64) * {size}")
        for operand, (rows, columns) in self.layout.sums.items():
            if rows == 1 or columns == 1:
                width = max(rows, columns)
                at, mask = f"{writer.column(width)}", writer.mask(width)
            else:
                r, c = writer.column(rows), writer.column(columns)
                at = f"{r}[:, None] * {columns} + {c}[None, :]"
                mask = f"{writer.mask(rows)}[:, None] & {writer.mask(columns)}[None, :]"
            writer.write(f"tl.store(own + {offset} + {at}, G{operand}, mask={mask})")
            offset += rows * columns
