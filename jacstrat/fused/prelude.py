"""What the text of every kernel begins with: functions under the names that formulas call them by."""

from __future__ import annotations

from jacstrat.fused.kernels import interprets
from jacstrat.fused.pointwise import Formula
from jacstrat.fused.spec import Products

_PRELUDE = """import triton
import triton.language as tl

ACC = tl.constexpr(tl.{accumulates})


@triton.jit
def product(a, b):
    return {product}


@triton.jit
def row_sum(v):
    # As tl.sum, which an interpreter that was asked for behind the import of Triton does not find.
    return tl.reduce(v, 1, tl.standard._sum_combine)


@triton.jit
def exp(v):
    return tl.exp(v)


@triton.jit
def log(v):
    return tl.log(v)


@triton.jit
def sin(v):
    return tl.sin(v)


@triton.jit
def cos(v):
    return tl.cos(v)


@triton.jit
def sqrt(v):
    return tl.sqrt(v)


@triton.jit
def erf(v):
    return tl.erf(v)


@triton.jit
def abs(v):
    return tl.abs(v)


@triton.jit
def where(condition, a, b):
    return tl.where(condition, a, b)


@triton.jit
def numbers(condition, v):
    return condition.to(v.dtype)


@triton.jit
def sigmoid(v):
    return 1 / (1 + tl.exp(-v))


@triton.jit
def log1p(v):
    # log(w) v / (w - 1) with w = 1 + v rounded: the rounding of w is in both.
    w = 1 + v
    return tl.where(w == 1, v, tl.log(w) * (v / tl.where(w == 1, 1.0, w - 1)))


@triton.jit
def tanh(v):
    # Near 0 by a series, where 1 - 2 / (exp(2 v) + 1) has an error of the size of the rounding of 1.
    size = tl.abs(v)
    far = 1 - 2 / (tl.exp(2 * size) + 1)
    z = v * v
{tanh}
    return tl.where(size < 0.625, near, tl.where(v < 0, -far, far))
"""


# tanh v near 0, z = v^2, by the coefficients of Moshier's Cephes library (tanhf.c, tanh.c).
_NEAR = {
    "float32": """\
    near = ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
            - 3.33332819422e-1) * z * v + v""",
    "float64": """\
    p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    near = v + v * z * (p / q)""",
}


def product(dtype: str, products: Products) -> str:
    """The product of a tile with an operand, as an expression."""
    if dtype == "float64":
        return "tl.dot(a, b, out_dtype=tl.float64)"
    if dtype == "float32":
        return f'tl.dot(a, b, input_precision="{products}", out_dtype=tl.float32)'
    if interprets():  # which has no products of bfloat16; those of the same numbers as float32 are exact
        return f"tl.dot(a.to(tl.{dtype}).to(tl.float32), b.to(tl.float32), out_dtype=tl.float32)"
    return f"tl.dot(a.to(tl.{dtype}), b, out_dtype=tl.float32)"


def prelude(accumulates: str, product: str) -> str:
    """The functions, computing in a type, with an expression for the product of tiles a and b."""
    return _PRELUDE.format(accumulates=accumulates, product=product, tanh=_NEAR[accumulates])


def helper(formula: Formula, third: bool = False) -> str:
    """A formula as a function of a kernel, to y, s' and s''; with `third` to s''' as well."""
    lines = "\n".join(f"    {line}" for line in formula.lines)
    results = "y, d1, d2, d3" if third else "y, d1, d2"
    return f"\n\n@triton.jit\ndef s_{formula.name}(v):\n{lines}\n    return {results}"
