"""Products of float32 by halves of TF32, rounded here as the tensor units do, on the networks of the library.

No interpreter rounds to TF32. What `products="tf32x3"` computes is written out: a = big + small, each rounded to the
10 bits behind the point that TF32 has, a b = big big + big small + small big; sums are float32's. That decides the
default.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from jacstrat import PROBLEMS
from jacstrat.chain.discover import Opaque
from jacstrat.chain.values import values_of
from jacstrat.core.operator import OPERATORS
from jacstrat.fused import evaluate
from jacstrat.fused.network import Term
from jacstrat.fused.operands import Operands
from jacstrat.fused.reading import ReadNetwork, read
from jacstrat.fused.spec import Spec
from jacstrat.measure.accuracy import Errors, errors
from jacstrat.problems.base import Instance
from jacstrat.trace import record
from jacstrat.trace.arguments import lifted

B = 6


def rounded(a: Tensor) -> Tensor:
    """To TF32: 13 of float32's 23 bits go."""
    return ((a.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def product(a: Tensor, b: Tensor, halves: int) -> Tensor:
    big_a, big_b = rounded(a), rounded(b)
    if halves == 1:
        return big_a @ big_b
    return big_a @ rounded(b - big_b) + rounded(a - big_a) @ big_b + big_a @ big_b


def rounding(monkeypatch: pytest.MonkeyPatch, halves: int) -> None:
    """Products with matrices by so many halves."""
    plain = {"applied": evaluate.applied, "pulled": evaluate.pulled}

    def by_halves(name: str) -> None:
        def act(term: Term, operands: Sequence[Tensor], rows: Tensor) -> Tensor:
            if not term.is_dense:
                return plain[name](term, operands, rows)
            assert term.operand is not None
            W = operands[term.operand]
            flat = rows.reshape(-1, rows.shape[-1])
            found = product(flat, W.mT.contiguous() if name == "applied" else W, halves)
            return term.factor * found.reshape(*rows.shape[:-1], -1)

        monkeypatch.setattr(evaluate, name, act)

    for name in plain:
        by_halves(name)


def instance_of(name: str) -> Instance | None:
    problem = PROBLEMS[name]
    n = next((n for n in (6, *problem.sizes) if problem.refuse(n) is None and n <= 64), None)
    return None if n is None else problem.instance(n, B, torch.float32)


def network_of(instance: Instance, is_scalar: bool) -> tuple[ReadNetwork, Operands] | None:
    """The network of a problem, None where it is none."""
    tape = record(instance.f, instance.x, instance.args)
    values = values_of(tape, instance.x, lifted(instance.args))
    try:
        found = read(values)
    except Opaque:
        return None
    blank = Spec(
        found.network, OPERATORS["laplacian" if is_scalar else "jacobian_diagonal"], False, False, (), "float32", "ieee"
    )
    return found, Operands(values, found, blank.seeded, may_compress=False)


def error_of(name: str) -> Errors | None:
    """Of the operator of a problem, by the passes of its network; None where it is none, or has several outputs."""
    instance, is_scalar = instance_of(name), PROBLEMS[name].kind == "scalar"
    if instance is None or (is_scalar and instance.f(instance.x, *instance.args).dim() > 1):
        return None
    operator = OPERATORS["laplacian" if is_scalar else "jacobian_diagonal"]
    if operator.name not in PROBLEMS[name].operators or (found := network_of(instance, is_scalar)) is None:
        return None
    network, operands = found[0].network, found[1].at(instance.x, instance.args).operands
    if is_scalar:
        result = evaluate.laplacian(network, operands, instance.x)
    else:
        result = evaluate.diagonal(network, operands, instance.x)
    reference = instance.reference(operator)
    return errors(result, reference.value(operator), reference.scale(operator))


# Those of the library that are read as networks, and have one output.
NETWORKS = (
    *("sin", "sin_sum", "seed_product", "squared_norm", "seed_coupled", "linear", "cubic", "lorenz96", "bratu"),
    *("burgers", "bratu_2d", "graph_diffusion", "cosine_sum", "bilinear", "log_quadratic", "gaussian", "quadratic"),
    *("rosenbrock", "exponential", "inverse_distance", "two_body", "three_body", "lennard_jones", "tanh_field"),
    *("tanh_scalar", "pinn_tanh", "pinn_sine", "plane_waves", "flow", "conditional_flow", "score_gelu", "score_silu"),
    *("log_psi", "decaying"),
)


@pytest.mark.parametrize("name", NETWORKS)
def test_three_products_are_as_good_as_float32(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rounding(monkeypatch, halves=3)
    found = error_of(name)
    assert found is not None
    assert found.within, str(found)


def test_one_product_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rounding(monkeypatch, halves=1)
    found = error_of("tanh_scalar")
    assert found is not None
    assert not found.within
