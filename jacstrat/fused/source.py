"""The kernel of a network that is narrow enough for one: its text, generated from the vectors.

A program takes a tile of points: values, s' and s'' of all of it, for a scalar the adjoints, and then one direction
after the other with the weights where they are. Directions are split over the second axis of the grid where points are
few; each part writes a row of results, which are added up.

    grid (tiles, parts)    x, operands, seeds, result, value, gradient, B, K, PER, P

All else (widths, strides, types) stands in the text as numbers.
"""

from __future__ import annotations

from jacstrat.fused.directions import Directions
from jacstrat.fused.passes import back, forward, store_gradient, store_value
from jacstrat.fused.prelude import helper, prelude, product
from jacstrat.fused.spec import Spec
from jacstrat.fused.writer import Writer


def text(spec: Spec) -> str:
    """The module that has the kernel, as `kernel`."""
    writer = Writer(spec)
    forward(writer)
    if spec.with_value:
        store_value(writer)
    if spec.operator.order == 2:
        parts = back(writer)
        if spec.with_gradient:
            store_gradient(writer, parts)
    Directions(writer).loop()
    head = [f"c{width} = tl.arange(0, {width})" for width in sorted(writer.columns)]
    arguments = [
        "x",
        *(f"o{number}" for number in range(len(spec.strides) - len(spec.seeded))),
        *(f"s{number}" for number in spec.seeded),
        *("result", "value", "gradient", "B", "K", "PER", "P: tl.constexpr"),
    ]
    return "\n".join(
        (
            prelude(spec.accumulates, product(spec.dtype, spec.products)),
            *(helper(formula) for formula in spec.network.formulas()),
            "",
            "@triton.jit(do_not_specialize=['B', 'K', 'PER'])",
            f"def kernel({', '.join(arguments)}):",
            "    rows = (tl.program_id(0) * P + tl.arange(0, P)).to(tl.int64)",
            "    ok = rows < B",
            "    once = rows + tl.program_id(1) * B < B",
            *(f"    {line}" for line in head),
            *writer.lines,
            "",
        )
    )
