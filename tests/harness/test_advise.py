"""`jacstrat advise`: the evidence, the measured strategies, exit codes, and nothing written."""

from __future__ import annotations

import pytest

from jacstrat.core.errors import UsageError
from jacstrat.harness.advise import Advice, advise, cell_to_advise, examine
from jacstrat.harness.plan.sweep import Grid, Sweep
from jacstrat.report.analysis.advice import FunctionFacts
from tests.harness.conftest import QUICK, mine
from tests.test_cli import call, complaint

SPECS = ("auto", "ones", "vmap", "hessian")


def sweep(problem: str, *specs: str, **values) -> Sweep:
    grid = {"problems": (problem,), "operators": ("divergence",), "n": (4,), "strategies": specs or SPECS}
    return Sweep((Grid(**grid | values),), sample_s=0.01, timeout_s=20)


def asked(advice: Advice) -> dict[str, str]:
    return {record.strategy: record.status for record in advice.records}


def test_the_structure_the_choice_and_the_rows(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    attended = []
    advice = advise(sweep("bratu", n=(50,)), attended.append)
    assert advice.evidence.structure == "traced: tridiagonal, bandwidth 1, 2 colours of n = 50"
    assert advice.evidence.proved
    assert not advice.evidence.diagonal
    assert advice.evidence.chosen
    assert advice.evidence.reason.startswith(f"{advice.evidence.chosen}: ")
    # hessian has no divergence, and is not asked.
    assert asked(advice) == {"auto": "ok", "ones": "wrong", "vmap": "ok"}
    assert advice.measured
    assert attended
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_traced_is_sampled_and_says_so(cell) -> None:
    evidence, *_ = examine(cell(mine("branches"), "auto", "vmap"), QUICK)
    assert isinstance(evidence, FunctionFacts)
    assert evidence.structure.startswith("sampled: diagonal")
    assert not evidence.proved
    assert evidence.chosen not in ("ones", "coloring")


@pytest.mark.long
def test_a_function_that_hangs_in_a_transform_leaves_the_others() -> None:
    advice = advise(Sweep(sweep(mine("hangs_in_transform"), "auto", "identity").grids, sample_s=0.01, timeout_s=2))
    assert advice.evidence is None
    assert asked(advice) == {"auto": "timeout", "identity": "ok"}


def test_a_function_that_fails_is_told_in_every_row() -> None:
    advice = advise(sweep(mine("wrong_shape"), "auto", "vmap"))
    assert set(asked(advice).values()) == {"error"}
    assert not advice.measured


def test_one_size_alone() -> None:
    with pytest.raises(UsageError, match="advice is for one problem at one size; `jacstrat run` compares several"):
        cell_to_advise(sweep("sin", n=(1, 2)))
    several = sweep("sin", operators=())
    assert cell_to_advise(several).operator == "divergence"


def test_the_command(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("advise", "sin", "-n", "4", "--batch", "2", "--sample", "0.005")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "structure: traced: diagonal, 1 colour of n = 4"
    assert lines[1].startswith("auto: ")
    assert lines[-1].startswith("Use ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_explain_shows_every_candidate_with_its_counts(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    plain, explained = (
        call("advise", "sin", "-n", "4", "--batch", "2", "--sample", "0.005", *option)
        for option in ((), ("--explain",))
    )
    assert explained.exit_code == 0, explained.output
    assert "What auto chose among" not in plain.output
    table = explained.output.split("What auto chose among")[1].split("\n\n")[0]
    assert "by counts" in table
    for name in ("chain", "vmap", "jvp", "jacrev", "identity"):
        assert f"\n{name} " in table
    assert "not called" in table


def test_nothing_measured_is_exit_code_3() -> None:
    done = call("advise", mine("wrong_shape"), "-o", "divergence", "-n", "3")
    assert done.exit_code == 3, done.output
    assert "the field must map (1, 3) to (1, 3), got (1, 1)" in " ".join(done.output.split())
    assert "No strategy gave a right result" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sine", "-n", "4"], "unknown problem 'sine'; did you mean sin"),
        (["sin", "-n", "0"], "n must be a positive integer, got 0"),
        (["sin", "-n", "4", "--device", "cud"], "unknown device 'cud'"),
        (["sin", "-n", "4", "-o", "laplacian"], "sin is a field and has no laplacian"),
        (["sin", "-n", "4", "--dtype", "float32,float64"], "advice is for one problem at one size"),
        ([mine("sine"), "-n", "4"], "say -o divergence or -o jacobian_diagonal for a field"),
    ],
)
def test_wrong_use_is_one_line(monkeypatch, capsys, arguments, message: str) -> None:
    assert message in complaint(monkeypatch, capsys, "advise", *arguments)
