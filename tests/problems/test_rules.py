"""What a user's function must keep to, said in one line where it does not, by the way that `jacstrat run` takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat import PROBLEMS, ShapeError, UnsupportedError, UsageError, read_records
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.setup import set_up
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.harness.plan.cases import Cell
from jacstrat.problems.load import find_problem
from jacstrat.problems.rules import check
from tests.harness.conftest import QUICK
from tests.problems import broken
from tests.problems.broken import BROKEN, REFUSED, Broken
from tests.test_cli import call

pytestmark = pytest.mark.long(but_one_in=3)

FILE = Path(broken.__file__)
FIELD_STRATEGIES = ("identity", "vmap", "jvp", "jacrev", "jacfwd")


def cell_of(function: str, *strategies: str, operator="divergence", n=4, batch=5, dtype="float64") -> Cell:
    return Cell(f"{FILE}:{function}", operator, n, batch, dtype, "cpu", "evaluate", 1, 0, strategies)


def as_written(reason: str) -> str:
    """A pattern of the table as a regular expression."""
    pattern = re.escape(reason).replace(r"\*", ".*").replace("line\\ N", r"line\ \d+")
    return pattern.replace("FILE", re.escape(str(FILE)))


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.function}-{case.batch}")
def test_a_broken_function_is_told_in_one_line(case: Broken) -> None:
    cell = cell_of(
        case.function, "identity", "jvp", operator=case.operator, n=case.n, batch=case.batch, dtype=case.dtype
    )
    if case.reason.startswith("FILE") and not case.later:
        # Nothing that makes a function: `jacstrat run` ends before the first row.
        with pytest.raises(UsageError, match=f"^{as_written(case.reason)}$"):
            find_problem(cell.problem)
        return
    records = [outcome.record for outcome in measure(cell, QUICK) if outcome.record]
    assert [record.status for record in records] == ["error", "error"]
    for record in records:
        assert re.fullmatch("f itself: " + as_written(case.reason), record.reason), record.reason


def test_the_table_is_long_and_its_lines_are_lines() -> None:
    assert len({case.function for case in BROKEN}) >= 40
    assert all("\n" not in case.reason for case in BROKEN)


@pytest.mark.parametrize("function", REFUSED)
def test_strategies_that_cannot_pass_an_operation_name_it_and_the_rest_run(function: str) -> None:
    records = {o.record.strategy: o.record for o in measure(cell_of(function, *FIELD_STRATEGIES), QUICK) if o.record}
    refused = REFUSED[function]
    for name, record in records.items():
        expected = f"{name} cannot differentiate this function: {refused[name]}" if name in refused else ""
        assert (record.status, record.reason) == ("unsupported" if expected else "ok", expected), name


def test_a_reference_that_autograd_cannot_make_is_no_fault_of_f() -> None:
    cell = cell_of("total_distance", "vmap", operator="laplacian")
    found = {(o.record.status, o.record.reason) for o in measure(cell, QUICK) if o.record}
    reason = "the reference by autograd cannot differentiate this function: _cdist_backward has no derivative in torch"
    assert found == {("unsupported", f"f itself: {reason}")}


def test_the_line_is_that_of_the_users_own_code() -> None:
    with pytest.raises(UsageError) as raised:
        check(broken.raises, torch.ones(2, 3), "divergence")
    line = next(i for i, text in enumerate(FILE.read_text().splitlines(), 1) if "raise ValueError" in text)
    assert str(raised.value) == f"ValueError: mine, over two lines (broken.py, line {line})"


def test_through_the_command_line(tmp_path) -> None:
    arguments = ["-p", f"{FILE}:Eight", "-o", "divergence", "-s", "vmap", "-n", "4,8", "--sample", "0.01"]
    done = call("run", *arguments, "--out", str(tmp_path), "--no-isolation")
    assert done.exit_code == 0, done.output
    assert "f takes n = 8, and x has n = 4; give -n 8" in " ".join(done.output.split())
    frame = read_records(tmp_path).set_index("n")
    assert list(frame["status"]) == ["error", "ok"]
    assert frame.loc[4, "reason"].startswith("f itself: f takes n = 8, and x has n = 4; give -n 8 (broken.py, line ")


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda problem: problem.name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_the_library_keeps_to_the_rules(problem, dtype: torch.dtype) -> None:
    for batch in (1, 2, 3, 70):
        for n in {problem.sizes[0], problem.sizes[len(problem.sizes) // 2]}:
            instance = problem.instance(n, batch, dtype, seed=batch)
            if dtype == torch.bfloat16 and problem.name == "wavefunction":
                with pytest.raises(UnsupportedError, match='"lu_cpu" not implemented for'):
                    check(instance.f, instance.x, "laplacian")
                continue
            check(instance.f, instance.x, instance.operator(problem.operators[0]), instance.args)


def test_rules_take_a_point_and_no_points() -> None:
    check(torch.sin, torch.ones(3), "divergence")
    check(torch.sin, torch.ones(0, 3), "divergence")
    with pytest.raises(ShapeError, match=r"the field must map \(3,\) to \(3,\), got \(\); that is a scalar"):
        check(torch.sum, torch.ones(3), "divergence")


@pytest.mark.parametrize("f", [torch.ones_like, torch.round, lambda x: torch.zeros(x.shape, dtype=x.dtype)])
def test_a_constant_is_a_function(f) -> None:
    assert check(f, torch.rand(5, 3), "divergence") is None
    assert check(lambda x: f(x).sum(-1), torch.rand(5, 3), "laplacian") is None
    assert check(lambda x: x.sum(-1), torch.rand(5, 3), "laplacian") is None


def test_x_is_left_alone_and_points_that_are_nan_are_not_taken_for_changed() -> None:
    x = torch.rand(4, 3)
    before = x.clone()
    check(torch.sin, x, "divergence")
    assert torch.equal(x, before)
    assert not x.requires_grad
    x[0, 0] = torch.nan
    with pytest.raises(UsageError, match=r"^f\(x\) is nan in 1 of 4 rows, first in row 0; is x in its domain"):
        check(torch.sin, x, "divergence")


def test_f_is_called_on_the_batch_once_and_on_few_rows_three_times() -> None:
    called = []

    def f(x):
        called.append(len(x))
        return x.sin()

    check(f, torch.rand(10_000, 3), "divergence")
    assert called == [10_000, 2, 2, 2]


@given(batch=st.integers(1, 6), n=st.integers(1, 5), seed=st.integers(0, 2**16), weight=st.floats(0.01, 10))
def test_a_mean_over_points_is_found_whatever_the_batch(batch: int, n: int, seed: int, weight: float) -> None:
    x = torch.rand(batch, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with pytest.raises(UsageError, match="^row 0 of f"):
        check(lambda x: x + weight * x.mean(0), x, "divergence")
    check(lambda x: x + weight * x.mean(-1, keepdim=True), x, "divergence")


def test_a_domain_that_ends_beside_the_points_is_no_fault() -> None:
    def near_one(x):
        if (x < 0.9).any():
            raise ValueError("too far")
        return x.log()

    for batch in (1, 2, 5):
        assert check(near_one, 0.9 + 0.1 * torch.rand(batch, 3), "divergence") is None


def test_a_branch_without_a_derivative_is_not_compared() -> None:
    x = torch.zeros(5, 3)
    x[1], x[2] = 1, -1
    # Linear with row 1 as it is, and a constant with row 2 in its place; the same at row 0 either way.
    assert check(lambda x: x[:, 0] if x.sum() > 0 else torch.zeros(len(x)), x, "laplacian") is None


def test_noise_of_rounding_is_no_mixing() -> None:
    # The value is what rounding leaves of 0, and another for another number of rows.
    A = torch.rand(64, 64, dtype=torch.float64)
    assert check(lambda x: x @ A - (2 * x) @ (A / 2), torch.rand(70, 64, dtype=torch.float64), "divergence") is None
    assert (
        check(lambda x: x @ A - x @ A.T.contiguous().T, torch.rand(70, 64, dtype=torch.float64), "divergence") is None
    )


def test_memory_that_is_not_there_stays_that() -> None:
    def greedy(x):
        return x + torch.empty(10**15)

    with pytest.raises(RuntimeError, match="can't allocate memory"):
        check(greedy, torch.ones(2, 3), "divergence")


def test_rules_run_before_the_reference() -> None:
    cell = cell_of("net", "vmap", n=4)
    with surroundings(cell), pytest.raises(ShapeError, match="f takes n = 8"):
        set_up(cell)
