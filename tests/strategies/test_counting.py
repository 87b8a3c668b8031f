"""What is counted at one point against what a call does: operations, FLOPs, and an upper bound of the bytes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jacstrat import PROBLEMS, parse_strategy
from jacstrat.measure.counters import OperationCounter
from jacstrat.measure.memory import peak_bytes
from jacstrat.strategies.candidates import always_exact
from jacstrat.strategies.counting import PRODUCTS, looks_dense, product_cost
from jacstrat.strategies.workload import Workload

B, N = 16, 12
CASES = [
    (problem, operator, candidate)
    for problem, operator in (("tanh_field", "divergence"), ("bratu", "divergence"), ("tanh_scalar", "laplacian"))
    for candidate in ("identity", "vmap", "vmap:chunk_size=4", "jvp", "jvp:chunk_size=all", "forward_over_forward")
    if parse_strategy(candidate).refuse(operator) is None
]


def costs_of(problem: str, operator: str):
    instance = PROBLEMS[problem].instance(N, B)
    products = {name: product for name, product in PRODUCTS.items() if product.serves(operator)}
    costs = {name: product_cost(product, operator, instance.f, instance.x[:1]) for name, product in products.items()}
    return instance, costs


@pytest.mark.parametrize(("problem", "operator", "spec"), CASES)
def test_one_point_tells_of_all(problem: str, operator: str, spec: str) -> None:
    with torch.no_grad():
        instance, costs = costs_of(problem, operator)
        name = spec.split(":")[0]
        row = next(
            one
            for one in always_exact(operator, costs, instance.x, tried=Workload(instance.x, ()))
            if one.strategy.name == name
        )
        chunk = 4 if "=4" in spec else N if "all" in spec or spec in ("vmap", "forward_over_forward") else 1
        work = costs[row.product].total(N, chunk, B)
        evaluate = parse_strategy(spec).prepare(operator, instance.f, instance.x)
        evaluate(instance.x)
        with OperationCounter() as counter:
            evaluate(instance.x)
        with FlopCounterMode(display=False) as flops:
            evaluate(instance.x)
        # The strategy makes its probes and picks its entries besides.
        assert 0.5 <= work.ops / counter.total <= 1.1
        assert work.flops == pytest.approx(flops.get_total_flops(), rel=0.05)
        held = peak_bytes(lambda: evaluate(instance.x), "cpu")
        assert costs[row.product].alive(chunk, B) >= 0.5 * held


def test_a_log_is_that_of_the_work() -> None:
    W = torch.rand(N, N)
    x = torch.rand(1, N)
    product = PRODUCTS["vjp"]

    def log(f, x=x) -> str:
        return product_cost(product, "divergence", f, x).log

    U = W + 1
    assert log(lambda x: torch.tanh(x @ W)) == log(lambda x: torch.tanh(x @ U))
    others = {
        log(lambda x: torch.tanh(x @ W)),
        log(lambda x: torch.tanh(x @ W) * 2),
        log(lambda x: torch.tanh(x @ W) * 3),
        log(lambda x: torch.sigmoid(x @ W)),
        log(lambda x: torch.tanh(x @ W), torch.rand(2, N)),
        log(lambda x: torch.tanh(x @ W.double()), x.double()),
    }
    assert len(others) == 6


@pytest.mark.parametrize("name", ["vjp", "reverse"])
@pytest.mark.parametrize(
    ("f", "dense"),
    [
        (torch.sin, False),
        (lambda x: x.roll(1, -1) * x, False),
        (lambda x: x.sum(-1, keepdim=True) * x, True),
        (lambda x: x.cumsum(-1), False),
    ],
)
def test_rows_of_j_tell_whether_a_trace_may_find_anything(name: str, f, dense: bool) -> None:
    for x in (torch.rand(3, N), torch.rand(N)):
        assert looks_dense(PRODUCTS[name], "divergence", f, x) is dense


@pytest.mark.parametrize("problem", sorted(PROBLEMS))
def test_no_probe_and_no_call_costs_less_than_nothing(problem: str) -> None:
    for operator in set(PROBLEMS[problem].operators) & {"divergence", "laplacian"}:
        for n in PROBLEMS[problem].sizes[:2]:
            instance = PROBLEMS[problem].instance(n, 1)
            for product in (one for one in PRODUCTS.values() if one.serves(operator)):
                cost = product_cost(product, operator, instance.f, instance.x)
                for part in (cost.once, cost.call, cost.probe):
                    assert min(part.ops, part.flops, part.bytes) >= 0, (operator, n, product)
