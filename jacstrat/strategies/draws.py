"""Random probes, and what the stochastic strategies share: where probes are drawn, and the mean of independent values.

Each point has probes of its own. One set for the whole batch would make the errors of all points move together, so that
their mean over the batch, which is what a loss takes, would be no better known than one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from jacstrat.core.errors import UsageError, unknown
from jacstrat.core.operator import Operator
from jacstrat.statistics import student_within
from jacstrat.strategies.base import Function, positive_or_all
from jacstrat.strategies.contraction import Contraction, Estimate, Together
from jacstrat.strategies.probes import ChunkSize, unit_entries
from jacstrat.strategies.products import (
    PRODUCTS,
    Linearised,
    ProductMode,
    functional_gradient,
    reverse,
    reverse_gradient,
    vjp,
)

Distribution = Literal["rademacher", "normal", "sphere"]
DISTRIBUTIONS = ("rademacher", "normal", "sphere")

# What is claimed of the rate of normal values: those of probes are skewed, or few, at n = 2 two in all. The least found
# among matrices of many kinds is 0.85 of it.
CAUTION = 0.75


def refuse_nested(operator: Operator) -> str | None:
    """Why what draws random probes cannot serve an operator of a result of its own."""
    return "it would differentiate its own draws; use taylor" if operator.order == 4 else None


def refuse_but_traces(operator: Operator) -> str | None:
    """Why what estimates the trace of a matrix as a whole cannot serve an operator."""
    return refuse_nested(operator) if operator.is_trace else "it estimates a trace alone; use hutchinson"


def draw(distribution: Distribution, count: int, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Probes v with E[v v^T] = I, own ones for each point: (count, ..., n), dtype and device of x.

    Drawn on the device of the generator, by default the CPU, and brought over from there: the same seed gives the same
    probes on every device. On the meta device there is nothing to draw.

    Args:
        distribution: "rademacher": +1 or -1; "normal"; "sphere": uniform on the sphere of radius sqrt n.
        count: Probes a point.
        x: Points.
        generator: Source of the numbers; torch's own on the CPU where None.
    """
    shape = (count, *x.shape)
    device, source = (generator.device, generator) if generator else (torch.device("cpu"), None)
    if x.is_meta:
        device, source = x.device, None
    if distribution == "rademacher":
        return 2 * torch.randint(2, shape, generator=source, dtype=x.dtype, device=device).to(x.device) - 1
    V = torch.randn(shape, generator=source, dtype=x.dtype, device=device).to(x.device)
    if distribution == "sphere":
        V = V * (math.sqrt(x.shape[-1]) / torch.linalg.vector_norm(V, dim=-1, keepdim=True))
    return V


def estimated(
    product: ProductMode,
    operator: Operator,
    f: Function,
    chunk_size: ChunkSize,
    values: Callable[[Linearised, Tensor], Tensor],
    is_looped: bool = False,
) -> Contraction:
    """The mean of unbiased values, and its standard error, from products at x.

    Args:
        product: With J^T ("reverse") or J ("forward"), whose traces agree; with the Hessian of a scalar.
        operator, f: What is wanted.
        chunk_size: Products batched through vmap at a time, for entries of the diagonal.
        values: From the products, and x, to K values of each result, (K, ...); a single one has no standard error.
        is_looped: Whether `values` takes one product after the other.
    """
    linearise = linearised(product, operator, f, is_looped)

    def together(x: Tensor, *args: Any) -> Together:
        linear = linearise(x, *args)
        result = values(linear, x).mean(0)
        return Together(result, *((None, linear.result) if operator.is_second else (linear.result, None)))

    contraction = averaged(lambda x, *args: values(linearise(x, *args), x))
    return replace(contraction, together=together, entries=entries_by(linearised(product, operator, f), chunk_size))


def linearised(
    product: ProductMode, operator: Operator, f: Function, is_looped: bool = False
) -> Callable[..., Linearised]:
    """From (x, *args) to the products that the estimators take.

    Where these are taken one after the other, those with J^T are by torch.autograd.grad, which is called in less time
    than torch.func.vjp, and cannot be batched.
    """
    field = operator.field(f, functional_gradient)
    if is_looped and product == "reverse":
        plain = operator.field(f, reverse_gradient)
        # A compiler follows torch.func alone.
        return lambda x, *args: vjp(field, x, *args) if torch.compiler.is_compiling() else reverse(plain, x, *args)
    return lambda x, *args: PRODUCTS[product](field, x, *args)


def entries_by(linearise: Callable[..., Linearised], chunk_size: ChunkSize) -> Callable[..., Tensor]:
    """Entries of the diagonal by the products that estimate its sum: what there is to be held against a witness."""
    return lambda coordinates, x, *args: unit_entries(linearise(x, *args), coordinates, x, chunk_size)


def averaged(values: Callable[..., Tensor]) -> Contraction:
    """The mean of unbiased values, and its standard error s / sqrt K from their sample standard deviation s.

    Args:
        values: From (x, *args) to K values of each result, (K, ...); a single one has no standard error.
    """

    def estimate(x: Tensor, *args: Any) -> Estimate:
        estimates = values(x, *args)
        # Detached: where all values agree the derivative of a standard deviation is not a number.
        std_error = estimates.detach().std(0) / math.sqrt(len(estimates)) if len(estimates) > 1 else None
        return Estimate(estimates.mean(0), std_error)

    return Contraction(lambda x, *args: values(x, *args).mean(0), estimate)


def rate_of(count: int, exchangeable: bool = False) -> float | None:
    """The least share of draws in which the mean of `count` values is within their standard error s / sqrt(count).

    For independent normal values it is that of Student's t with count - 1 degrees of freedom within 1. Values that are
    only exchangeable may move together: where all are alike their mean is off by s, sqrt(count) as much, so that t is
    to be within 1 / sqrt(count). None for a single value, which has no standard error.
    """
    if count < 2:
        return None
    return CAUTION * student_within(1 / math.sqrt(count) if exchangeable else 1.0, count - 1)


def columns(V: Tensor) -> Tensor:
    """Probes (K, ..., n) as the columns of matrices, (..., n, K)."""
    return V.movedim(0, -1)


def rows(M: Tensor) -> Tensor:
    """Columns of matrices (..., n, K) as probes, (K, ..., n)."""
    return M.movedim(-1, 0)


def orthonormal(Y: Tensor) -> tuple[Tensor, Tensor]:
    """Q and R of matrices Y = Q R, (..., n, K), as constants: no derivative goes through them.

    Q has orthonormal columns whatever the rank of Y: Householder's reflections divide by no number that vanishes. The
    derivative of a QR does, and is not needed: the estimators are unbiased for every Q.
    """
    # LAPACK knows no half precision.
    wide = Y.detach().to(torch.promote_types(Y.dtype, torch.float32))
    Q, R = torch.linalg.qr(wide)
    return Q.to(Y.dtype), R.to(Y.dtype)


def check_probes(probes: object, least: int) -> None:
    """Refuse a number of probes that is none, or too small for the estimator."""
    if not isinstance(probes, int) or isinstance(probes, bool) or probes < least:
        raise UsageError(f"probes must be a whole number of at least {least}, got {probes!r}; leave it out for 16")


def check_budget(probes: object, least: int, product: object, chunk_size: object) -> None:
    """Refuse what is no budget of products, no product, or no number of them to batch."""
    check_probes(probes, least)
    check_choice("product", product, PRODUCTS)
    positive_or_all("chunk_size", chunk_size)


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a parameter that is none of its choices."""
    if value not in (known := tuple(choices)):
        raise UsageError(unknown(name, str(value), known))
