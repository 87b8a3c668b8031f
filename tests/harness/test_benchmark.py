"""Strategies measured on a function at hand: what comes back, how it shows, what is refused."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from jacstrat import ShapeError, UsageError, benchmark, parse_strategy, read_records
from jacstrat.core.operator import parse_operator
from jacstrat.harness.benchmark import Benchmark
from jacstrat.record import COLUMNS
from jacstrat.records import RecordWriter, by_round, to_frame
from jacstrat.statistics import ratio
from jacstrat.strategies import default_strategies
from tests.harness.benchmarked import BRIEF_S, by_strategy


def test_the_strategies_are_measured_on_this_function_at_these_points(result: Benchmark) -> None:
    found = by_strategy(result)
    assert {name: record.status for name, record in found.items()} == {
        "identity": "ok",
        "ones": "wrong",
        "vmap": "ok",
        "hessian": "unsupported",
    }
    # 92 for 62 at (1, 1, 1).
    assert found["ones"].abs_error == 30
    assert found["identity"].exact
    assert found["identity"].reference == "dense autograd in float64"
    for record in result.records:
        assert record.problem == "coupled"
        assert (record.operator, record.n, record.batch, record.seed) == ("divergence", 3, 1, 0)
        assert (record.dtype, record.device, record.workload, record.threads) == ("float64", "cpu", "evaluate", 1)
    for name in ("identity", "ones", "vmap"):
        assert found[name].median_s > 0
        assert found[name].cost_ratio > 1


def test_the_samples_are_those_of_the_records_side_by_side(result: Benchmark) -> None:
    samples = {case.split("/")[2]: by_round(raw) for case, raw in result.samples.items()}
    assert set(samples) == {"f", "identity", "ones", "vmap"}
    for name in ("identity", "ones", "vmap"):
        assert ratio(samples[name], samples["f"]).median == by_strategy(result)[name].cost_ratio


@pytest.mark.long
@pytest.mark.parametrize("operator", ["divergence", "laplacian", "jacobian_diagonal"])
def test_all_strategies_that_serve_the_operator_are_the_default(operator: str) -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return x.square().sum(-1) if operator == "laplacian" else x.square()

    found = benchmark(f, torch.ones(2, 2), operator, sample_s=BRIEF_S)
    serve = [name for name in default_strategies() if parse_strategy(name).refuse(parse_operator(operator)) is None]
    assert [record.strategy for record in found.records] == serve
    assert not {record.status for record in found.records} & {"unsupported", "error"}


def test_strategies_come_by_spec_or_as_values_each_once_in_the_order_asked_for() -> None:
    asked = ["vmap:chunk_size=all", parse_strategy("ones"), "vmap"]
    found = benchmark(torch.sin, torch.ones(2, 2), strategies=asked, sample_s=BRIEF_S)
    assert [record.strategy for record in found.records] == ["vmap", "ones"]
    (record,) = benchmark(torch.sin, torch.ones(2, 2), strategies="vmap:chunk_size=1", sample_s=BRIEF_S).records
    assert record.strategy == "vmap:chunk_size=1"


@pytest.mark.parametrize(
    ("x", "n", "batch", "dtype"),
    [
        (torch.ones(4), 4, 1, "float32"),
        (torch.ones(5, 2, dtype=torch.float64), 2, 5, "float64"),
        (torch.ones(2, 3, dtype=torch.bfloat16), 3, 2, "bfloat16"),
    ],
)
def test_the_columns_are_those_of_x(x: torch.Tensor, n: int, batch: int, dtype: str) -> None:
    (record,) = benchmark(torch.sin, x, strategies="ones", sample_s=BRIEF_S).records
    assert (record.n, record.batch, record.dtype, record.status) == (n, batch, dtype, "ok")


def test_the_name_is_that_of_the_function() -> None:
    x = torch.ones(1, 2)

    def named(f: object) -> str:
        return benchmark(f, x, strategies="ones", sample_s=BRIEF_S).records[0].problem

    assert named(torch.nn.Tanh()) == "Tanh"
    assert named(lambda x: x) == "<lambda>"


def test_training_goes_back_to_the_parameters_of_a_module_or_to_those_given() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).double()
    x = torch.ones(2, 2, dtype=torch.float64)
    ways = (
        benchmark(net, x, strategies="vmap", workload="train", sample_s=BRIEF_S),
        benchmark(lambda x: net(x), x, strategies="vmap", workload="train", parameters=net.parameters(), sample_s=1e-4),
        benchmark(net, x, strategies="vmap", sample_s=BRIEF_S),
    )
    module, closure, evaluated = (by_strategy(found)["vmap"] for found in ways)
    assert module.status == closure.status == evaluated.status == "ok"
    assert module.workload == closure.workload == "train"
    assert module.flops == closure.flops > evaluated.flops
    assert all(p.grad is None for p in net.parameters())


def test_what_surrounds_it_is_left_as_it_was() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    torch.manual_seed(0)
    state, threads, tracked = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
    benchmark(torch.sin, x, strategies="ones", sample_s=BRIEF_S)
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.is_grad_enabled(), x.grad) == (threads, tracked, None)


def test_it_serves_within_inference_mode() -> None:
    with torch.inference_mode():
        x = torch.ones(2, 2)
        found = benchmark(torch.sin, x, strategies=["identity", "vmap"], sample_s=BRIEF_S)
        assert torch.is_inference_mode_enabled()
    assert {record.status for record in found.records} == {"ok"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"f": "net"}, "f must be a row-wise function of x, got str"),
        ({"x": [1.0]}, "x must be a torch.Tensor, got list"),
        ({"x": torch.ones(2, dtype=torch.int64)}, "x must be real and floating-point, got torch.int64; use x.double()"),
        ({"x": torch.ones(0, 2)}, "x must hold at least one point, got shape (0, 2)"),
        (
            {"x": torch.ones(1, 2).to(torch.float8_e5m2)},
            "x must be of float64, float32, float16, bfloat16, got torch.float8_e5m2; use x.float()",
        ),
        ({"x": torch.ones(1, 2, device="meta")}, "device meta is not available; here: cpu"),
        ({"operator": "divergance"}, "unknown operator 'divergance'; did you mean divergence?"),
        ({"strategies": ["vmpa"]}, "unknown strategy 'vmpa'; did you mean vmap?"),
        ({"strategies": []}, "strategies is empty; leave it out for all that serve the operator"),
        ({"workload": "trian"}, "unknown workload 'trian'; did you mean train?"),
        (
            {"workload": "train"},
            "f has no parameters that require grad; give those to train as parameters=net.parameters()",
        ),
        ({"seed": -1}, "seed must be a whole number from 0 to 2^63 - 1, got -1"),
        ({"seed": 0.5}, "seed must be a whole number from 0 to 2^63 - 1, got 0.5"),
        ({"sample_s": 0}, "sample_s must be more than 0 seconds and finite, got 0"),
        ({"sample_s": "long"}, "sample_s must be more than 0 seconds and finite, got 'long'"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: dict, message: str) -> None:
    if "meta" in message and torch.accelerator.is_available():
        message = message.removesuffix("here: cpu")
    with pytest.raises(UsageError) as raised:
        benchmark(**{"f": torch.sin, "x": torch.ones(2, 2), "sample_s": BRIEF_S, **arguments})
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_what_f_itself_raises_is_raised() -> None:
    with pytest.raises(ShapeError, match=r"the field must map \(2, 2\) to \(2, 2\), got \(2,\)"):
        benchmark(lambda x: x.sum(-1), torch.ones(2, 2))

    def broken(x: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("of mine")

    with pytest.raises(UsageError, match=r"^ZeroDivisionError: of mine \(test_benchmark.py, line \d+\)$"):
        benchmark(broken, torch.ones(2, 2))


def test_an_interrupt_passes_and_leaves_the_surroundings() -> None:
    calls = 0

    def interrupted(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise KeyboardInterrupt
        return x.sin()

    with pytest.raises(KeyboardInterrupt):
        benchmark(interrupted, torch.ones(2, 2), strategies=["identity", "vmap"])
    assert torch.is_grad_enabled()


def test_a_strategy_that_raises_is_a_row() -> None:
    def reverse_only(x: torch.Tensor) -> torch.Tensor:
        return Reversed.apply(x)

    found = by_strategy(benchmark(reverse_only, torch.ones(2, 2), strategies=["identity", "jvp"], sample_s=BRIEF_S))
    assert found["identity"].status == "ok"
    assert found["jvp"].status == "unsupported"
    assert found["jvp"].reason.startswith("jvp cannot differentiate this function: ")


class Reversed(torch.autograd.Function):
    """x^2, with a backward of the old style alone."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g


def test_the_frame_is_what_read_records_gives(result: Benchmark, tmp_path) -> None:
    with RecordWriter(tmp_path) as writer:
        for record in result.records:
            writer.write(record)
    frame = result.to_dataframe()
    pd.testing.assert_frame_equal(frame, read_records(tmp_path))
    assert list(frame.columns) == list(COLUMNS)


def test_results_are_frozen_values(result: Benchmark) -> None:
    with pytest.raises(AttributeError):
        result.records = ()  # type: ignore[misc]
    assert result == Benchmark(result.records, result.samples)
    assert len(to_frame(result.records)) == 4
