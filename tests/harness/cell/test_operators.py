"""Operators by spec through the harness: coordinates, weights, further arguments, several outputs, complex numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jacstrat import OPERATORS, PROBLEMS, UsageError, benchmark, read_records
from jacstrat.core.case import Case
from jacstrat.harness.advise import cell_to_advise, examine
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.references import find_reference
from jacstrat.harness.cell.setup import instantiate, set_up
from jacstrat.harness.plan.predict import forecasts
from jacstrat.harness.plan.sweep import Grid, Sweep, load_sweep
from jacstrat.report.analysis.advice import FunctionFacts
from jacstrat.report.analysis.setting import quantity
from tests.harness.conftest import QUICK, mine
from tests.test_cli import call

OF_SCALARS = [operator.name for operator in OPERATORS.values() if operator.kind == "scalar"]


def rows(cell, settings=None):
    return {o.record.strategy: o.record for o in measure(cell, settings) if o.record}


@pytest.mark.long(but_one_in=4)
@pytest.mark.parametrize("workload", ["evaluate", "train"])
@pytest.mark.parametrize(
    ("problem", "operator", "n"),
    [
        ("heat", "laplacian:weight=own", 3),
        ("heat", "laplacian:coordinates=0+2", 3),
        ("heat", "hessian_diagonal:coordinates=1", 3),
        ("plate", "bilaplacian", 2),
        ("poisson", "divergence:weight=1+0+-2", 3),
        ("conditional_flow", "divergence", 3),
        ("conditional_flow", "divergence:coordinates=1", 3),
        ("tanh_outputs", "laplacian:coordinates=0", 2),
        ("log_psi", "laplacian", 6),
    ],
)
def test_a_spec_is_measured_as_it_stands(cell, problem: str, operator: str, n: int, workload: str) -> None:
    found = rows(cell(problem, "identity", "jvp", operator=operator, n=n, workload=workload))
    assert {(r.status, r.reason, r.operator) for r in found.values()} == {("ok", "", operator)}
    assert {r.reference for r in found.values()} == {"closed form in numpy.longdouble"}
    for record in found.values():
        case = Case.parse(record.case)
        assert case is not None
        assert case.operator == operator


def test_a_function_of_the_point_is_a_weight_of_each_point(cell) -> None:
    found = rows(cell("fokker_planck", "vmap", operator="laplacian:weight=own"), QUICK)["vmap"]
    assert (found.status, found.reference) == ("ok", "closed form in numpy.longdouble")
    assert found.median_s > 0


def test_two_coordinates_of_many_take_two_products(cell) -> None:
    some = rows(cell("conditional_flow", "identity", operator="divergence:coordinates=0+5", n=8))["identity"]
    every = rows(cell("conditional_flow", "identity", n=8))["identity"]
    assert (some.vjp_products, every.vjp_products) == (2, 8)


def test_complex_numbers_are_compared_as_such(cell) -> None:
    found = rows(cell(mine("wave"), "identity", "jvp", operator="laplacian", n=3, dtype="float32"))
    assert {(r.status, r.reference) for r in found.values()} == {("ok", "dense autograd in float64")}
    assert all(0 < r.rel_error < 1e-4 and r.reference_error < 1e-10 for r in found.values())


def test_a_stochastic_strategy_is_judged_with_a_weight_arguments_and_complex_numbers(cell) -> None:
    for problem, operator in (("conditional_flow", "divergence"), (mine("wave"), "laplacian")):
        found = rows(cell(problem, "hutchinson:probes=64", operator=operator, n=3))["hutchinson:probes=64"]
        assert (found.status, found.reason) == ("ok", "")
        assert found.draws >= 40
        assert 0.5 < found.coverage < 0.9


def test_arguments_of_ones_own_come_from_their_sampler(cell) -> None:
    found = rows(cell(mine("moving"), "vmap", "jvp", n=3, batch=5))
    assert {(r.status, r.reference) for r in found.values()} == {("ok", "dense autograd in float64")}
    instance = instantiate(cell(mine("moving"), batch=5), "cpu")
    t, scale, which = instance.args
    assert (t.shape, t.dtype, float(scale), which.dtype) == ((5, 1), torch.float64, 2.0, torch.int64)
    single = instantiate(cell(mine("moving"), batch=5, dtype="float32"), "cpu")
    assert (single.args[0].dtype, single.args[2].dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize("operator", ["laplacian:weight=own", "bilaplacian", "laplacian:coordinates=1"])
def test_a_kept_reference_is_the_one_that_was_found(cell, tmp_path, operator: str) -> None:
    asked = cell("quadratic" if "own" not in operator else "heat", operator=operator)
    first, again = (find_reference(instantiate(asked, "cpu"), asked, tmp_path) for _ in range(2))
    assert len(list(tmp_path.glob("*.npz"))) == 1
    assert (first.diagonal == again.diagonal).all()
    assert (first.size is None) == (again.size is None) == (operator != "bilaplacian")
    assert first.error(operator) == again.error(operator)


def test_a_reference_with_a_weight_is_worth_what_it_moves(cell) -> None:
    asked = cell(mine("moving"), operator="divergence:weight=1+2+3")
    with torch.no_grad():
        reference = set_up(asked).reference
    assert 0 < reference.error(asked.operator) < 1e-12


def test_predictions_are_those_of_the_spec(cell) -> None:
    asked = cell("heat", "vmap", operator="laplacian:coordinates=0+1", n=16)
    (some,) = forecasts(asked, 2**40)
    (every,) = forecasts(cell("heat", "vmap", operator="laplacian", n=16), 2**40)
    assert 0 < some.prediction.flops < every.prediction.flops
    (moving,) = forecasts(cell("conditional_flow", "vmap"), 2**40)
    assert moving.prediction.peak_bytes > 0


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("laplacian:coordinates=0+5", "coordinates: 5 is out of range for n = 3; the last one is 2"),
        ("laplacian:weight=1+2", "weight: 2 numbers for n = 3; give one for each coordinate"),
    ],
)
def test_what_an_n_does_not_have_is_skipped(cell, operator: str, reason: str) -> None:
    found = rows(cell("heat", "vmap", operator=operator))["vmap"]
    assert (found.status, found.reason) == ("skipped", reason)


@pytest.mark.parametrize(
    ("problem", "operator", "message"),
    [
        ("sin", "laplacian", "sin is a field and has no laplacian; it has divergence, jacobian_diagonal"),
        (
            "sin_sum",
            "divergence:coordinates=0",
            "sin_sum is a scalar and has no divergence:coordinates=0; it has " + ", ".join(OF_SCALARS),
        ),
        (
            "sin",
            "divergence:weight=own",
            "sin names no weight for divergence:weight=own; give numbers, weight=1+2, or Problem(weight=...)",
        ),
        ("sin", "divergenc", "unknown operator 'divergenc'; did you mean divergence?"),
        ("sin", "divergence:coordinates=x", "'divergence:coordinates=x': coordinates must be numbers joined by +, as"),
        ("sin", "divergence:coordinates=1+1", "coordinates: 1 is given twice; name each once"),
    ],
)
def test_a_spec_that_is_none_is_one_line_before_anything_runs(problem: str, operator: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        Sweep((Grid((problem,), (operator,)),)).cells()
    assert str(raised.value).startswith(message)


def test_specs_of_a_sweep_are_in_one_form_and_each_once(tmp_path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        """
problems = ["heat", "sin"]
operators = ["laplacian: coordinates = 0+1", "laplacian:coordinates=0+1", "divergence"]
strategies = ["vmap"]
n = [4]
"""
    )
    sweep = load_sweep(str(file))
    assert [(c.problem, c.operator) for c in sweep.cells()] == [
        ("heat", "laplacian:coordinates=0+1"),
        ("sin", "divergence"),
    ]
    again = tmp_path / "again.toml"
    again.write_text(sweep.to_toml())
    assert load_sweep(str(again)) == sweep


def test_a_problem_is_measured_by_the_operators_that_it_names() -> None:
    named = {c.operator for c in Sweep((Grid(("korteweg_de_vries",), n=()),)).cells()}
    assert named == set(PROBLEMS["korteweg_de_vries"].operators) == {"divergence:coordinates=0", "divergence"}


@pytest.mark.long
def test_the_command_line_takes_a_spec(tmp_path) -> None:
    out = tmp_path / "run"
    result = call(
        "run", "-p", "heat", "-o", "laplacian:coordinates=0+1", "-s", "vmap", "-n", "1,4", "--counts", "--out", str(out)
    )
    assert result.exit_code == 0, result.stderr
    frame = read_records(out)
    assert list(frame.operator) == ["laplacian:coordinates=0+1"] * 2
    assert list(frame.status) == ["skipped", "ok"]


def test_advice_with_coordinates_has_the_structure_of_the_matrix(cell) -> None:
    sweep = Sweep((Grid(("heat",), ("laplacian:coordinates=0+1",), ("auto", "vmap"), n=(4,)),))
    evidence = next(examine(cell_to_advise(sweep), QUICK))
    assert isinstance(evidence, FunctionFacts)
    assert "dense" in evidence.structure
    assert evidence.chosen


def test_benchmark_takes_arguments_weights_and_operators() -> None:
    x, t = torch.rand(5, 3), torch.rand(5, 1)
    A = torch.rand(3, 3)
    for operator, weight in (
        ("divergence:coordinates=0+2", None),
        ("divergence", A),
        ("divergence", lambda x, t: x * t),
    ):
        found = benchmark(
            lambda x, t: x.sin() * t, x, operator, ["vmap", "jvp"], args=(t,), weight=weight, sample_s=0.02
        )
        assert {(r.status, r.reason) for r in found.records} == {("ok", "")}
        expected = operator if weight is None else "divergence:weight=own"
        assert {r.operator for r in found.records} == {expected}


@pytest.mark.parametrize(
    ("operator", "weight", "message"),
    [
        ("divergence:coordinates=3", None, "coordinates: 3 is out of range for n = 3; the last one is 2"),
        ("divergence:weight=own", None, "divergence:weight=own is for a Problem that names its weight; give weight=A"),
        ("divergence:weight=1+2+3", np.ones(3), "divergence:weight=1+2+3 has a weight already; leave out one of the"),
    ],
)
def test_what_benchmark_cannot_have_is_one_line(operator: str, weight, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        benchmark(torch.sin, torch.rand(2, 3), operator, "vmap", weight=weight)
    assert str(raised.value).startswith(message)


def test_words_of_a_quantity_have_the_fields_as_they_stand() -> None:
    assert quantity("laplacian", "cos") == "Laplacian of cos"
    assert quantity("jacobian_diagonal", "sin") == "Jacobian diagonal of sin"
    assert quantity("hessian_diagonal:coordinates=0", "heat") == "Hessian diagonal:coordinates=0 of heat"
    assert quantity("bilaplacian", "plate") == "bilaplacian of plate"
