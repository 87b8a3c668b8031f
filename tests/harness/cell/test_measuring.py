"""One cell in this process: every case a row, with what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from jacstrat import STRATEGIES
from jacstrat.core.operator import OPERATORS
from jacstrat.harness.cell.measuring import measure
from jacstrat.measure.accuracy import TOLERANCES
from jacstrat.strategies import default_strategies
from tests.harness.conftest import QUICK, mine


def rows(cell, settings=QUICK):
    """Records by strategy."""
    return {o.record.strategy: o.record for o in measure(cell, settings) if o.record}


def test_every_case_is_a_row_with_its_measurements(cell) -> None:
    found = rows(cell("sin", "identity", "ones", "vmap"))
    assert list(found) == ["identity", "ones", "vmap"]
    for record in found.values():
        assert (record.status, record.reason) == ("ok", "")
        assert record.exact
        assert record.median_s > 0
        assert record.q1_s <= record.median_s <= record.q3_s
        assert record.min_s <= record.median_s
        assert record.f_median_s > 0
        assert record.cost_ratio > 1
        for name in ("cost_ratio", "over_fastest"):
            low, value, high = (getattr(record, f"{name}{end}") for end in ("_low", "", "_high"))
            # A machine that is busy takes too few samples for an interval.
            assert (low is None) == (high is None)
            assert low is None or low <= value <= high
        assert record.samples >= 1
        assert record.stop_reason
        assert record.prepare_s > 0
        assert record.peak_bytes > 0
        assert record.aten_ops > 1
        assert record.flops == 0
        assert record.reference == "closed form in numpy.longdouble"
        assert record.energy_j is record.std_error is None
    assert (found["identity"].vjp_products, found["ones"].vjp_products, found["vmap"].vjp_products) == (3, 1, 3)


def test_what_takes_f_apart_is_counted_by_what_it_does(cell) -> None:
    found = rows(cell("tanh_scalar", "taylor", "taylor:probes=2", operator="laplacian", n=6))
    for strategy, products in (("taylor", 6), ("taylor:probes=2", 2)):
        record = found[strategy]
        assert record.status == "ok"
        assert (record.f_evaluations, record.vjp_products, record.jvp_products) == (1, 0, products)


def test_a_case_that_is_not_timed_has_counts_and_errors_alone(cell) -> None:
    outcomes = list(measure(cell("linear", "identity", "ones", "hessian"), None))
    assert all(outcome.record and outcome.samples is None for outcome in outcomes)
    untimed = {outcome.record.strategy: outcome.record for outcome in outcomes}
    timed = rows(cell("linear", "identity", "ones", "hessian"))
    assert {name: record.status for name, record in untimed.items()} == {
        "identity": "ok",
        "ones": "wrong",
        "hessian": "unsupported",
    }
    for name, record in untimed.items():
        assert [record.median_s, record.prepare_s, record.f_median_s, record.cost_ratio, record.samples] == [None] * 5
        for column in ("vjp_products", "aten_ops", "flops", "peak_bytes", "rel_error", "exact", "reason", "best_flops"):
            assert getattr(record, column) == getattr(timed[name], column)


def test_ones_on_a_coupled_field_is_wrong_and_measured_all_the_same(cell) -> None:
    found = rows(cell("seed_coupled", "ones", "identity", batch=1))
    assert found["ones"].status == "wrong"
    assert found["ones"].abs_error == 30
    assert found["ones"].rel_error == pytest.approx(30 / 62)
    assert found["ones"].reason == "relative error 0.48 is beyond the tolerance 2.3e-13 of float64"
    assert found["ones"].median_s > 0
    assert found["identity"].status == "ok"


def test_a_strategy_that_cannot_is_a_row_with_its_reason(cell) -> None:
    found = rows(cell("sin", "hessian", "identity"))
    assert found["hessian"].status == "unsupported"
    assert (
        found["hessian"].reason == "hessian cannot serve the divergence: a field has no Hessian; use jacrev or jacfwd"
    )
    assert found["hessian"].median_s is None
    assert found["identity"].status == "ok"


def test_training_counts_the_way_back_to_the_parameters(cell) -> None:
    evaluate = rows(cell("tanh_scalar", "vmap", operator="laplacian"))["vmap"]
    train = rows(cell("tanh_scalar", "vmap", operator="laplacian", workload="train"))["vmap"]
    assert train.status == "ok"
    assert train.flops > 1.5 * evaluate.flops
    assert train.peak_bytes > evaluate.peak_bytes


def test_training_touches_no_grad_and_needs_parameters(cell) -> None:
    found = rows(cell("sin", "vmap", workload="train"))["vmap"]
    assert (found.status, found.reason) == ("unsupported", "f itself: it has no parameters to train")


def test_a_size_that_a_problem_cannot_have_is_skipped(cell) -> None:
    found = rows(cell("seed_coupled", n=5))
    assert {r.status for r in found.values()} == {"skipped"}
    assert "seed_coupled cannot have n = 5" in found["identity"].reason


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_a_device_that_is_not_here_is_skipped(cell) -> None:
    found = rows(cell("sin", device="cuda"))
    assert {(r.status, r.reason) for r in found.values()} == {("skipped", "device cuda is not available; here: cpu")}


@pytest.mark.parametrize(
    ("function", "status", "reason"),
    [
        (
            "wrong_shape",
            "error",
            "f itself: the field must map (2, 3) to (2, 3), got (2, 1); that is a scalar: give -o laplacian",
        ),
        ("tuple_of", "error", "f itself: the field must return one tensor, got tuple; return its one output"),
        ("raises_system_exit", "error", "f itself: SystemExit: 5"),
        ("half_only", "error", "f itself: f holds tensors of another dtype than x, float64"),
        ("not_a_number", "error", "f itself: f(x) is nan in 2 of 2 rows, first in row 0; is x in its domain?"),
        ("unbounded", "wrong", "the reference is not finite: is x in the domain of f?"),
    ],
)
def test_bad_functions(cell, function: str, status: str, reason: str) -> None:
    found = rows(cell(mine(function)))
    assert {r.status for r in found.values()} == {status}
    assert all(r.reason.startswith(reason) for r in found.values()), found


def test_a_reference_that_reverse_mode_makes_nan_says_so(cell) -> None:
    # Of the others it depends on what they do at such a point whether they get as far as a result.
    found = rows(cell(mine("infinite_slope"), "ones"))["ones"]
    assert found.status == "wrong"
    assert found.reference_error is None
    where = "the reference is nan in 2 of 2 rows, first in row 0, where f(x) is finite: reverse mode gives nan there, "
    assert found.reason.startswith(
        where + "as at a kink, a norm or sqrt at 0, whose derivatives are torch's convention"
    )


def test_what_right_ways_cannot_agree_on_is_not_wrong(cell) -> None:
    found = rows(cell(mine("nearly_singular"), "identity", "jvp", "ones", operator="laplacian", n=4, batch=4))
    (uncertain,) = {row.reference_error for row in found.values()}
    assert found["identity"].rel_error < TOLERANCES["float64"].value  # 0 where kernels do the same for fewer rows
    assert TOLERANCES["float64"].value < found["jvp"].rel_error < uncertain < 1e-3
    assert (found["jvp"].status, found["jvp"].reason) == ("ok", "")
    assert found["ones"].status == "wrong"
    beyond = f"is beyond {uncertain:.2g}, which the reference itself is uncertain by"
    assert found["ones"].reason == f"relative error {found['ones'].rel_error:.2g} {beyond}"


def test_a_jump_of_the_reference_excuses_nothing(cell) -> None:
    found = rows(cell(mine("bent"), "identity", "ones", batch=3))
    assert found["identity"].status == "ok"
    assert found["identity"].reference_error > 1
    assert found["ones"].status == "wrong"
    tolerance = "is beyond the tolerance 2.3e-13 of float64; the reference itself is uncertain by "
    assert tolerance in found["ones"].reason
    assert "\n" not in found["ones"].reason


def test_a_closed_form_has_no_error_of_its_own(cell) -> None:
    assert {row.reference_error for row in rows(cell("sin")).values()} == {None}


def test_a_constant_has_divergence_zero(cell) -> None:
    strategies = [name for name in default_strategies() if STRATEGIES[name]().refuse(OPERATORS["divergence"]) is None]
    found = rows(cell(mine("constant"), *strategies))
    assert {(r.status, r.abs_error) for r in found.values()} == {("ok", 0.0)}


def test_an_error_in_one_strategy_is_its_row_alone_on_one_line(cell) -> None:
    found = rows(cell(mine("raises_in_transform")))
    assert found["vmap"].status == "unsupported"
    assert found["vmap"].reason == "vmap cannot differentiate this function: ValueError: mine, over two lines"
    assert found["identity"].status == "ok"


def test_an_error_in_the_middle_of_sampling(cell) -> None:
    # More samples than it has calls, however slow the machine.
    found = rows(cell(mine("raises_later"), "identity"), replace(QUICK, limit_s=60.0, min_samples=300))
    assert (found["identity"].status, found["identity"].reason) == ("error", "RuntimeError: call 201")


def test_a_plain_function_is_compared_with_a_dense_jacobian(cell) -> None:
    found = rows(cell(mine("linear"), "ones", "vmap"))
    assert found["vmap"].reference == "dense autograd in float64"
    assert (found["vmap"].status, found["vmap"].abs_error) == ("ok", 0)
    # n = 3: the flip adds 1 in the middle of the diagonal and 1, 1 off it.
    assert (found["ones"].status, found["ones"].abs_error) == ("wrong", 2)


@pytest.mark.long(but_one_in=2)
@pytest.mark.parametrize("attribute", ["net", "network"])
def test_a_network_of_ones_own_is_served_by_every_strategy(cell, attribute: str) -> None:
    strategies = [name for name in default_strategies() if STRATEGIES[name]().refuse(OPERATORS["divergence"]) is None]
    found = rows(cell(mine(attribute), *strategies))
    assert {name: r.status for name, r in found.items() if name != "ones"} == dict.fromkeys(
        [name for name in strategies if name != "ones"], "ok"
    )
    assert found["ones"].status == "wrong"


def test_a_network_of_ones_own_trains_in_any_dtype(cell) -> None:
    found = rows(cell(mine("net"), "vmap", "identity", dtype="float32", workload="train"))
    assert {(r.status, r.reference) for r in found.values()} == {("ok", "dense autograd in float64")}


def test_sparse_weights_are_counted(cell) -> None:
    found = rows(cell(mine("sparse"), "identity"))["identity"]
    assert (found.status, found.reason) == ("ok", "")
    assert found.peak_bytes > 0


def test_a_problem_of_ones_own(cell) -> None:
    found = rows(cell(mine("problem"), operator="jacobian_diagonal"))
    assert found["vmap"].exact


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_other_dtypes(cell, dtype: str) -> None:
    found = rows(cell("linear", dtype=dtype))
    assert {r.status for r in found.values()} == {"ok"}


def test_a_replay_needs_a_device_with_graphs(cell) -> None:
    found = rows(cell("sin", workload="replay"))
    assert {(r.status, r.reason) for r in found.values()} == {
        ("unsupported", "f itself: device cpu has no graphs here; cuda and xpu have them")
    }


def test_a_replay_is_timed_and_its_counts_are_those_of_the_work(cell, monkeypatch) -> None:
    replayed = []

    def captured(work, device):
        work()
        return lambda: replayed.append(device.type)

    monkeypatch.setattr("jacstrat.harness.cell.setup.captured", captured)
    found = rows(cell("sin", "vmap", workload="replay"))["vmap"]
    assert (found.status, found.vjp_products) == ("ok", 3)
    assert set(replayed) == {"cpu"}
