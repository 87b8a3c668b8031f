"""What is counted without numbers against what a call of f does, and what is predicted against a strategy's call."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.nn import functional

from jacstrat import PROBLEMS, parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.measure.counters import OperationCounter
from jacstrat.measure.memory import peak_bytes
from jacstrat.strategies.auto.counting import FIRST, SECOND, UNKNOWN, OpCounts, evaluation, looks_like, product_costs
from jacstrat.trace.arguments import taken
from tests.strategies.claims import trusted

pytestmark = pytest.mark.long(but_one_in=3)

B, N = 16, 12
PAIRS = [
    (problem, operator)
    for problem in sorted(PROBLEMS)
    for operator in ("divergence", "laplacian")
    if operator in PROBLEMS[problem].operators
]
# Of five operations or more: of less, what a strategy does beside its products is more than they are.
PREDICTED = [
    ("tanh_field", "divergence", 12),
    ("bratu", "divergence", 12),
    ("flow", "divergence", 2),
    ("score_silu", "divergence", 4),
    ("tanh_scalar", "laplacian", 12),
    ("two_body", "laplacian", 4),
    ("wavefunction", "laplacian", 12),
]
# A strategy, the product it multiplies with, and how many probes stand in a call; 0 for all.
CALLS = [
    ("identity", "reverse", 1),
    ("vmap", "vjp", 0),
    ("vmap:chunk_size=4", "vjp", 4),
    ("jvp", "jvp", 1),
    ("jvp:chunk_size=all", "jvp", 0),
]


def small(problem: str):
    instance = PROBLEMS[problem].instance(PROBLEMS[problem].sizes[0], B)
    return instance.f, instance.x, instance.args


def test_operations_are_those_of_a_call() -> None:
    counted, done = {}, {}
    for problem in PROBLEMS:
        f, x, args = small(problem)
        with torch.no_grad(), OperationCounter() as counter:
            f(x, *args)
        counted[problem], done[problem] = evaluation(f, x, args).work.ops, counter.total
    assert counted == done


@pytest.mark.parametrize("problem", sorted(PROBLEMS))
def test_flops_are_those_of_a_call_shared_by_its_points(problem: str) -> None:
    f, x, args = small(problem)
    with torch.no_grad(), OperationCounter() as counter:
        f(x, *args)
    assert evaluation(f, x, args).work.flops == pytest.approx(counter.flops / B)
    assert evaluation(f, x[0], taken(x, args, 0)).work.flops == pytest.approx(counter.flops / B)


def test_bytes_are_those_that_operations_write() -> None:
    def f(x: Tensor) -> Tensor:
        return (x.unsqueeze(-1) * torch.ones(5)).exp().sum((-1, -2))

    def bytes_of(f: Callable[[Tensor], Tensor]) -> float:
        return evaluation(f, torch.rand(B, N)).work.bytes

    # Above what the points take: a view writes nothing, 5 numbers for each product, once more for exp, and the sum.
    assert bytes_of(f) - bytes_of(lambda x: x) == pytest.approx(4 * (5 / B + 5 * N + 5 * N + 1))


def test_parameters_that_require_grad_are_no_hindrance() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(N, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, N))
    assert evaluation(net, torch.rand(B, N)).work.flops == 2 * 2 * N * 4


def test_a_log_is_that_of_the_work() -> None:
    W = torch.rand(N, N)
    x = torch.rand(1, N)

    def log(f: Callable[[Tensor], Tensor], x: Tensor = x) -> str:
        return evaluation(f, x).log

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


def along_ones(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function that has a forward derivative within."""
    return lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1]


ZEROS: dict[str, Callable[[Tensor], Tensor]] = {
    "mse_loss": along_ones(lambda x: functional.mse_loss(x, torch.ones_like(x), reduction="none").sum(-1)),
    "std": along_ones(lambda x: x.std(-1)),
    "ldexp": along_ones(lambda x: torch.ldexp(x, torch.ones_like(x)).sum(-1)),
}


@pytest.mark.parametrize("name", ZEROS)
def test_efficient_zeros_of_forward_mode_are_counted_safely(name: str) -> None:
    # With numbers, under a mode that knows no efficient zeros, this would end the process.
    assert evaluation(ZEROS[name], torch.rand(B, N)).work.ops > 2


def test_no_kernel_runs_and_nothing_is_drawn() -> None:
    before = torch.get_rng_state()
    seen = []

    def f(x: Tensor) -> Tensor:
        seen.append(x)
        return x + torch.rand_like(x)

    assert evaluation(f, torch.ones(1, 1).expand(10**6, 10**6)).work.ops > 0
    assert torch.equal(torch.get_rng_state(), before)
    assert type(seen[-1]).__name__ == "FakeTensor"
    assert not seen[-1].requires_grad


def test_what_looks_at_numbers_cannot_be_counted_and_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    def looks(x: Tensor) -> Tensor:
        return x.sin() * x.sum().item()

    x = torch.rand(3, 4, dtype=torch.float64)
    with pytest.raises(DataDependentOutputException, match="_local_scalar_dense"):
        evaluation(looks, x)
    # Of the number that is read there is no derivative.
    expected = (x.cos() * x.sum()).sum(-1)
    for spec in ("auto", "auto:trial=false"):
        torch.testing.assert_close(parse_strategy(spec).prepare("divergence", looks, x)(x), expected)
    assert capsys.readouterr().err == ""


def test_what_cannot_be_counted_has_some_work() -> None:
    assert UNKNOWN.work.ops > 0
    assert UNKNOWN.log == ""


@pytest.mark.parametrize(("problem", "operator"), PAIRS)
def test_no_probe_and_no_call_costs_less_than_nothing(problem: str, operator: str) -> None:
    f, x, args = small(problem)
    costs = product_costs(OPERATORS[operator], evaluation(f, x[:1], taken(x, args, slice(1))).work)
    assert costs.keys() == FIRST.keys() == SECOND.keys()
    for cost in costs.values():
        for part in (cost.once, cost.call, cost.probe):
            assert min(part.ops, part.flops, part.bytes) >= 0
        assert cost.total(1, 1, 1).ops > 0


def test_probes_calls_and_points_are_multiplied() -> None:
    work = OpCounts(ops=10, flops=100, bytes=1000)
    cost = product_costs(OPERATORS["divergence"], work)["vjp"]
    m = FIRST["vjp"]
    assert cost.total(7, 3, B).ops == pytest.approx(10 * (m.once_ops + 3 * m.call_ops))
    assert cost.total(7, 3, B).flops == pytest.approx(100 * B * (m.flops[0] + 3 * m.flops[1] + 7 * m.flops[2]))
    assert cost.total(7, 3, B).bytes == pytest.approx(1000 * B * (m.bytes[0] + 3 * m.bytes[1] + 7 * m.bytes[2]))
    assert cost.alive(3, B) == pytest.approx(1000 * B * (m.bytes[0] + m.bytes[1] + 3 * m.bytes[2]))
    assert work + work == work.times(2, 2)
    assert work - work == OpCounts()


@pytest.mark.parametrize(("problem", "operator", "n"), PREDICTED)
def test_what_is_predicted_is_what_a_call_does_within_a_factor(problem: str, operator: str, n: int) -> None:
    instance = PROBLEMS[problem].instance(n, B)
    f, x = instance.f, instance.x
    costs = product_costs(OPERATORS[operator], evaluation(f, x[:1]).work)
    with torch.no_grad():
        for spec, product, chunk in CALLS:
            evaluate = trusted(spec, operator, f, x)
            evaluate(x)
            with OperationCounter() as counter:
                evaluate(x)
            work = costs[product].total(n, chunk or n, B)
            assert 1 / 3 <= work.ops / counter.total <= 3, spec
            assert counter.flops / 2 <= work.flops <= 2 * counter.flops, spec
            held = peak_bytes(lambda evaluate=evaluate: evaluate(x), "cpu")
            assert costs[product].alive(chunk or n, B) >= held, spec


@pytest.mark.parametrize(
    ("f", "dense"),
    [
        (torch.sin, False),
        (lambda x: x.roll(1, -1) * x, False),
        (lambda x: x.sum(-1, keepdim=True) * x, True),
        (lambda x: x.cumsum(-1), False),
    ],
)
def test_rows_of_j_tell_whether_a_trace_may_find_anything(f: Callable[[Tensor], Tensor], dense: bool) -> None:
    for x in (torch.rand(3, N), torch.rand(N), torch.rand(3, N, requires_grad=True)):
        assert (looks_like(OPERATORS["divergence"], f, x) == "dense") is dense


def test_rows_of_h_tell_the_same_of_a_scalar() -> None:
    x = torch.rand(3, N)
    assert looks_like(OPERATORS["laplacian"], lambda x: x.prod(-1) + x.pow(3).sum(-1), x) == "dense"
    assert looks_like(OPERATORS["laplacian"], lambda x: x.pow(3).sum(-1), x) == "diagonal"
    assert looks_like(OPERATORS["laplacian"], lambda x: (x[..., 1:] * x[..., :-1]).sum(-1), x) == "sparse"
    assert looks_like(OPERATORS["laplacian"], lambda x: x.sum(-1), x) == "diagonal"
    assert looks_like(OPERATORS["divergence"], lambda x: x * 2, torch.rand(3, 1)) == "dense", "one coordinate"
