"""The kernel of a narrow network's gradients: its text, generated from the vectors as that of its results is.

A program takes a tile of points and a part of the directions: forward and back once more, then each direction by itself
forward and back, and behind them what both passes are differentiated to, see `directions` and `passes`. Rows behind the
last point are those of the last point, with cotangents of zero, so that they are finite where points are.

    grid (tiles, parts)    x, operands, seeds, cotangents, sums, rows of directions, rows of points, B, K, PER, P
"""

from __future__ import annotations

from typing import NamedTuple

from jacstrat.fused.gradient.directions import DirectionsBack
from jacstrat.fused.gradient.passes import PassesBack
from jacstrat.fused.gradient.sinks import Layout, Sinks
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.passes import back, forward
from jacstrat.fused.prelude import helper, prelude, product
from jacstrat.fused.spec import Spec
from jacstrat.fused.writer import Writer

_SUMS = """

@triton.jit
def col_sum(v):
    return tl.reduce(v, 0, tl.standard._sum_combine)


@triton.jit
def outer(a, b):
    # The sum over points of a^T b.
    return {outer}
"""


class GradientText(NamedTuple):
    """A kernel of gradients.

    Fields:
        text: Of the module that has it, as `kernel`.
        layout: What it writes.
    """

    text: str
    layout: Layout


def generated(spec: GradientSpec) -> GradientText:
    """The module that has the kernel, and what the kernel writes."""
    one = spec.forward
    writer = Writer(one)
    sinks = Sinks(writer, spec)
    forward(writer, third=True)
    is_scalar = one.operator.order == 2
    if is_scalar:
        back(writer)
    if one.operator.is_trace:
        h = "tl.load(dresult + rows, mask=live, other=0.0).to(ACC)"
        writer.write(f"h = {h}[:, None]" if is_scalar else f"h = {h}")
    DirectionsBack(writer, spec, sinks).loop()
    passes = PassesBack(writer, spec, sinks)
    if is_scalar:
        passes.through_back()
    passes.through_forward()
    sinks.store()
    arguments = [
        "x",
        *(f"o{number}" for number in range(len(one.strides) - len(one.seeded))),
        *(f"s{number}" for number in one.seeded),
        *("dresult", "dvalue", "dgradient"),
        *sinks.layout.arguments(),
        *("B", "K", "PER", "P: tl.constexpr"),
    ]
    text = "\n".join(
        (
            prelude(one.accumulates, product(one.dtype, one.products)) + _SUMS.format(outer=_outer(one)),
            *(helper(formula, third=True) for formula in spec.network.formulas()),
            "",
            "@triton.jit(do_not_specialize=['B', 'K', 'PER'])",
            f"def kernel({', '.join(arguments)}):",
            "    rows = (tl.program_id(0) * P + tl.arange(0, P)).to(tl.int64)",
            "    live = rows < B",
            "    once = rows + tl.program_id(1) * B < B",
            "    rows = tl.minimum(rows, B - 1)",
            "    ok = rows < B",
            *(f"    c{width} = tl.arange(0, {width})" for width in sorted(writer.columns)),
            *writer.lines,
            "",
        )
    )
    return GradientText(text, sinks.layout)


def _outer(spec: Spec) -> str:
    """Of tiles in the type that is summed in: those of half precision lose nothing to TF32 that they had."""
    if spec.dtype == "float64":
        return "tl.dot(tl.trans(a), b, out_dtype=tl.float64)"
    products = spec.products if spec.dtype == "float32" or spec.products == "ieee" else "tf32"
    return f'tl.dot(tl.trans(a), b, input_precision="{products}", out_dtype=tl.float32)'
