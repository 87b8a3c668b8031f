"""The lines that go forward and back through a network, for all of a tile."""

from __future__ import annotations

from jacstrat.fused.network import ConstantVector, InputVector, LinearVector, PointwiseVector, Product, Term
from jacstrat.fused.spec import CHUNK, padded
from jacstrat.fused.writer import Writer


def forward(writer: Writer, third: bool = False) -> None:
    """Values v, and of pointwise functions d = s' and e = s''; with `third` f = s''' as well."""
    for number, vector in enumerate(writer.network.vectors):
        name = f"v{number}"
        if isinstance(vector, InputVector):
            if writer.is_tile(number):
                writer.load_rows(name, "x", vector.width, (vector.width, 1))
        elif isinstance(vector, ConstantVector):
            operand = f"o{vector.operand}"
            if not vector.of_points:
                writer.load_row(name, operand, vector.width, writer.spec.strides[vector.operand][1])
            elif writer.is_tile(number):
                writer.load_rows(name, operand, vector.width, writer.spec.strides[vector.operand])
        elif isinstance(vector, LinearVector):
            parts = [writer.applied(term, number, f"v{term.source}") for term in vector.terms]
            if vector.bias is not None:
                row = f"b{number}"
                writer.load_row(row, f"o{vector.bias}", vector.width, writer.spec.strides[vector.bias][1])
                parts.append(row)
            writer.write(f"{name} = {' + '.join(parts)}")
        elif isinstance(vector, PointwiseVector):
            source, formula, W = f"v{vector.source}", vector.formula, padded(vector.width)
            if formula.is_singular and vector.width < W:
                source = f"tl.where({writer.mask(vector.width)}[None, :], {source}, 1.0)"
            derivatives = f"d{number}, e{number}" + (f", f{number}" if third else "")
            writer.write(f"{name}, {derivatives} = s_{formula.name}({source})")
        elif isinstance(vector, Product):
            writer.write(f"{name} = v{vector.left} * v{vector.right}")


def store_value(writer: Writer) -> None:
    """The value of the network to its place in memory."""
    writer.write(f"value_ = v{writer.network.output}")
    width = writer.network.vectors[writer.network.output].width
    mask = "once[:, None]"
    if width == 1:
        writer.write(f"tl.store(value + rows[:, None], value_, mask={mask})")
    else:
        c = writer.column(width)
        mask += f" & {writer.mask(width)}[None, :]"
        writer.write(f"tl.store(value + rows[:, None] * {width} + {c}[None, :], value_, mask={mask})")


def back(writer: Writer) -> list[str]:
    """Adjoints g of a scalar, and k = g s''; the parts of that of x, as expressions."""
    parts: dict[int, list[str]] = {writer.network.output: ["tl.full((P, 1), 1.0, dtype=ACC)"]}

    def add(source: int, part: str, width: int) -> None:
        if writer.network.varies[source]:
            if writer.network.vectors[source].width == 1 and width > 1:
                part = f"row_sum({part})[:, None]"
            parts.setdefault(source, []).append(part)

    for number in reversed(range(1, writer.network.output + 1)):
        vector, g = writer.network.vectors[number], f"g{number}"
        if number not in parts or (writer.network.fixed[number] and not writer.spec.with_gradient):
            continue
        writer.write(f"{g} = {' + '.join(parts[number])}")
        if isinstance(vector, LinearVector):
            for term in vector.terms:
                is_wanted = term.source > 0 or (writer.spec.with_gradient and writer.is_tile(0))
                if is_wanted and writer.network.varies[term.source]:
                    add(term.source, writer.pulled(term, number, g), 1)
        elif isinstance(vector, PointwiseVector):
            add(vector.source, f"{g} * d{number}", vector.width)
            if number in writer.network.bends:
                writer.write(f"k{number} = {g} * e{number}")
        elif isinstance(vector, Product):
            add(vector.left, f"{g} * v{vector.right}", vector.width)
            add(vector.right, f"{g} * v{vector.left}", vector.width)
    writer.reached = frozenset(parts)
    return parts.get(0, [])


def store_gradient(writer: Writer, parts: list[str]) -> None:
    """The gradient to its place in memory, from the parts that `back` found of it."""
    n = writer.network.n
    mask = "once[:, None]"
    if writer.is_tile(0):
        c = writer.column(n)
        blank = f"tl.full((P, {padded(n)}), 0.0, dtype=ACC)"
        writer.write(f"g0 = {' + '.join((blank, *parts))}")
        at = f"gradient + rows[:, None] * {n} + {c}[None, :]"
        writer.write(f"tl.store({at}, g0, mask={mask} & {writer.mask(n)}[None, :])")
        return
    c = writer.column(CHUNK)
    writer.write(f"for j in range(0, {n}, {CHUNK}):")
    writer.indent += 1
    writer.write(f"inside = (j + {c}) < {n}")
    writer.write(f"g0 = tl.full((P, {CHUNK}), 0.0, dtype=ACC)")
    for number, vector in enumerate(writer.network.vectors):
        if isinstance(vector, LinearVector) and number in writer.reached:
            for term in vector.terms:
                if term.source == 0:
                    _pull_chunk(writer, term, number)
    writer.write(f"at = gradient + rows[:, None] * {n} + (j + {c})[None, :]")
    writer.write(f"tl.store(at, g0, mask={mask} & inside[None, :])")
    writer.indent -= 1


def _pull_chunk(writer: Writer, term: Term, number: int) -> None:
    out, c = writer.network.vectors[number].width, writer.column(CHUNK)
    assert term.operand is not None
    so, si = writer.spec.strides[term.operand]
    if out == 1:
        writer.write(f"w = tl.load(o{term.operand} + (j + {c})[None, :] * {si}, mask=inside[None, :], other=0.0)")
        writer.write(f"g0 += {term.factor!r} * (g{number} * w)")
        return
    o = writer.column(out)
    writer.write(f"at = o{term.operand} + {o}[:, None] * {so} + (j + {c})[None, :] * {si}")
    writer.write(f"w = tl.load(at, mask={writer.mask(out)}[:, None] & inside[None, :], other=0.0)")
    writer.write(f"g0 += {term.factor!r} * product(g{number}, w)")
