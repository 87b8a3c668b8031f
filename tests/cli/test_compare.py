"""jacstrat compare as a user meets it: every exit code, every form, no traceback."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jacstrat.cli import app, main
from jacstrat.cli import compare as command
from jacstrat.cli.run import measure
from jacstrat.harness.plan.sweep import Grid, Sweep
from tests.compare.conftest import changed, environment_of, records_of, timed


def call(*arguments: object, **variables: str) -> Result:
    found = CliRunner(env={"COLUMNS": "160", **variables}).invoke(app, ["compare", *map(str, arguments)])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def complaint(monkeypatch, capsys, *arguments: object) -> tuple[int, str]:
    """Exit code and the one line on standard error."""
    monkeypatch.setattr(sys, "argv", ["jacstrat", "compare", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("jacstrat: ")
    return int(ended.value.code or 0), captured.err


@pytest.fixture
def base(written) -> Path:
    return written("base", records_of(), environment_of())


def test_exit_code_0_where_nothing_is_the_matter(base: Path) -> None:
    done = call(base, base)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1].startswith("No regression of counts or accuracy in the 10 cases")


def test_exit_code_1_of_a_regression(base: Path, written) -> None:
    done = call(base, written("new", changed(records_of(), aten_ops=53), environment_of()))
    assert done.exit_code == 1
    assert "aten_ops 52 -> 53 (+1.9%)" in done.stdout


def test_exit_code_4_of_a_result_that_became_wrong(base: Path, written) -> None:
    done = call(base, written("new", changed(records_of(), status="wrong", reason="off"), environment_of()))
    assert done.exit_code == 4
    assert done.stdout.splitlines()[-1] == "1 result became wrong."


def test_exit_code_2_of_wrong_use(base: Path, written, monkeypatch, capsys, tmp_path: Path) -> None:
    for arguments, message in (
        ((), "compare needs two sets of records, BASE and NEW; or --baseline for the committed one"),
        ((base,), "compare needs two sets of records"),
        ((base, tmp_path / "none"), f"{tmp_path / 'none'} does not exist"),
        ((base, base, "--slower", "lots"), "--slower must be a share above 0"),
        ((base, base, "--thresholds", "none.toml"), "file of thresholds none.toml cannot be read"),
        ((base, base, "--format", "tabel"), "unknown format 'tabel'; did you mean table?"),
        ((base, base, "--plot", "a.gif"), "its file must end in .png, .svg or .pdf"),
        ((base, base, "--baseline"), "--baseline is BASE itself; name NEW alone"),
        ((base, base, "--out", base / "records.csv" / "x"), "cannot be written"),
    ):
        code, said = complaint(monkeypatch, capsys, *arguments)
        assert code == 2
        assert message in said


def test_exit_code_3_of_nothing_to_compare(base: Path, written, monkeypatch, capsys) -> None:
    for name, records, message in (
        ("other", records_of((99,)), "have no case in common: n is 4, 16 against 99"),
        ("none", [], "has no case: its run measured nothing"),
        ("skipped", records_of(status="skipped", reason="no room"), "(10 skipped): no room"),
    ):
        code, said = complaint(monkeypatch, capsys, base, written(name, records, environment_of()))
        assert code == 3
        assert message in said


def test_time_counts_only_if_asked(written) -> None:
    sides = []
    for name, factors in (("base", {}), ("new", {3: 2.0})):
        records, samples = timed(records_of(), len(name), factors)
        sides.append(written(name, records, environment_of(), samples))
    advice, strict = call(*sides), call(*sides, "--strict-time")
    assert (advice.exit_code, strict.exit_code) == (0, 1)
    assert "SLOWER" in advice.stdout
    assert "! SLOWER" in strict.stdout
    assert call(*sides, "--strict-time", "--slower", "150%").exit_code == 0
    assert "FASTER" in call(*reversed(sides)).stdout


def test_forms_on_the_terminal_and_in_a_file(base: Path, written, tmp_path: Path) -> None:
    new = written("new", changed(records_of(), aten_ops=53), environment_of())
    for form, start in (("markdown", "### 1 case"), ("json", "{"), ("junit", "<?xml"), ("table", "")):
        shown = call(base, new, "--format", form)
        file = tmp_path / "made" / form
        kept = call(base, new, "--format", form, "--out", file)
        assert (shown.exit_code, kept.exit_code) == (1, 1)
        assert shown.stdout.startswith(start)
        assert kept.stdout == f"1 case of 10 is a regression. Written to {file}.\n"
        assert form == "table" or file.read_text(encoding="utf-8") == shown.stdout
    assert "! WORSE" in (tmp_path / "made" / "table").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "made" / "json").read_text())["exit_code"] == 1


def test_the_summary_of_a_step_is_appended_to(base: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    assert call(base, base, GITHUB_STEP_SUMMARY=str(summary)).exit_code == 0
    assert summary.read_text(encoding="utf-8").startswith("before\n### No regression")


def test_same_cases(base: Path, written) -> None:
    fewer = written("fewer", records_of((4,)), environment_of())
    assert call(base, fewer).exit_code == 0
    assert "GONE: 5 cases in" in call(base, fewer).stdout
    assert call(base, fewer, "--same-cases").exit_code == 1


@pytest.fixture
def repository(tmp_path: Path, monkeypatch) -> Path:
    """A directory of its own, in which the quick sweep has two cases."""
    monkeypatch.chdir(tmp_path)
    sweep = Sweep((Grid(("sin",), ("divergence",), ("ones", "identity"), n=(2,)),))
    monkeypatch.setattr("jacstrat.harness.plan.sweep.load_sweep", lambda name: sweep)
    monkeypatch.setattr("jacstrat.cli.run.measure", partial(measure, isolate=False))
    return tmp_path


@pytest.mark.long
def test_the_baseline_is_written_checked_and_written_anew(repository: Path, monkeypatch, capsys) -> None:
    code, said = complaint(monkeypatch, capsys, "--baseline", repository)
    assert code == 2
    assert "results/baseline does not exist" in said
    assert "`jacstrat compare --update-baseline` writes the baseline" in said

    first = call("--update-baseline")
    assert first.exit_code == 0, first.output
    assert "results/baseline is new: 2 cases" in first.stdout
    assert call("--baseline").exit_code == 0
    assert "stays as it is: nothing moved in 2 cases" in call("--update-baseline").stdout

    file = command.BASELINE / "records.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(",2,0,1,", ",1,0,1,"), encoding="utf-8")
    checked = call("--baseline")
    assert checked.exit_code == 1
    assert "vjp_products 1 -> 2 (+100.0%)" in checked.stdout
    assert "this checkout against results/baseline" in checked.stdout
    again = call("--update-baseline")
    assert again.exit_code == 0
    assert "vjp_products 1 -> 2" in again.stdout
    assert "results/baseline is written: 1 of 2 cases moved" in again.stdout
    assert file.read_text(encoding="utf-8") == text
    assert call("--baseline").exit_code == 0


def test_a_run_without_times(repository: Path) -> None:
    done = CliRunner().invoke(app, ["run", "--counts", "--out", "new", "--no-isolation"])
    assert done.exit_code == 0, done.output
    assert done.stdout == "2 cases in new/records.csv, counted and not timed: 2 ok\n"
    assert "timed = false" in Path("new/sweep.toml").read_text(encoding="utf-8")
    assert not Path("new/samples.jsonl").read_text(encoding="utf-8")
    both = CliRunner().invoke(app, ["run", "--counts", "--sample", "1"])
    assert "--counts takes none; give one of them" in str(both.exception)
    energy = CliRunner().invoke(app, ["run", "--counts", "--energy"])
    assert str(energy.exception) == "--energy is of calls that are timed, and --counts times none; give one of them"
