"""The figures of bench/frontier.py from results whose figures are known, its parts on small cells, and the program."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bench.checks.bilaplacian import bilaplacian
from bench.checks.cells import BILAPLACIANS, DIVERGENCES, LAPLACIANS, SMALL_DIVERGENCES, SMALL_LAPLACIANS
from bench.checks.divergence import divergence
from bench.checks.frontier import main
from bench.checks.laplacian import floor, hessian
from bench.checks.measured import MeasuredCell, measured
from bench.checks.memory import memory
from bench.checks.peers import folx, jet
from bench.checks.swept import judge
from jacstrat import UsageError, read_records
from jacstrat.measure.sampling import Settings
from jacstrat.record import Record
from jacstrat.records import RecordWriter, to_frame

QUICK = Settings(limit_s=0.02, warmup_s=0.01)


def record(strategy: str, median_s: float | None = 1.0, **values: object) -> Record:
    found = {"problem": "net", "operator": "laplacian", "n": 64, "batch": 1, "dtype": "float64", "device": "cpu"}
    found |= {"workload": "evaluate", "threads": 2, "seed": 0, "status": "ok", **values}
    return Record(case=f"{found['problem']}/{found['n']}/{strategy}", strategy=strategy, median_s=median_s, **found)


def cell(
    times_s: Mapping[str, float], name: str = "net", missing: tuple[str, ...] = (), **values: object
) -> MeasuredCell:
    """A cell whose samples are all alike."""
    samples = {
        strategy: {"session": "one", "rounds": [*range(8)], "seconds": [time_s] * 8}
        for strategy, time_s in times_s.items()
    }
    own = {key: value for key, value in values.items() if key not in times_s}
    records = {
        strategy: record(strategy, time_s, **own, **values.get(strategy, {}))
        for strategy, time_s in times_s.items()
        if strategy not in ("f", "floor", "floor replayed")
    }
    return MeasuredCell(name, records, samples, missing)


BOTH = {"taylor": 1.0, "compiled(taylor)": 0.5}


def test_against_the_hessian_as_a_mean_and_in_the_least_cell() -> None:
    figures = hessian([cell({**BOTH, "hessian": 4.0}), cell({**BOTH, "hessian": 16.0})])
    assert [figure.value for figure in figures] == pytest.approx([8.0, 4.0, 16.0, 8.0])
    assert all(figure.met and figure.at_least for figure in figures)
    assert "1e+03 ms against 4e+03 ms, 4.00 [4.00, 4.00] times" in figures[0].note


def test_a_hessian_that_is_wrong_is_no_measure_and_a_taylor_that_is_wrong_meets_nothing() -> None:
    wrong = {"status": "wrong", "reason": "relative error 1"}
    right = cell({**BOTH, "hessian": 9.0})
    figures = hessian([right, cell({**BOTH, "hessian": 1.0}, hessian=wrong)])
    assert figures[0].value == pytest.approx(9.0)
    assert "not compared, hessian is wrong: relative error 1" in figures[0].note
    figures = hessian([right, cell({**BOTH, "hessian": 9.0}, taylor=wrong)])
    assert math.isnan(figures[0].value)
    assert not figures[0].met
    assert figures[2].met


def test_a_strategy_that_is_missing_meets_no_target() -> None:
    without = cell({"taylor": 1.0, "hessian": 9.0, "floor": 0.9}, missing=("compiled(taylor)",))
    for figures in (hessian([without]), floor([without])):
        assert figures[0].met
        assert next((figure.met, figure.note) for figure in figures if "compiled" in figure.what) == (
            False,
            "not there",
        )


def test_the_floor_counts_where_it_is_over_half_of_the_time() -> None:
    counts = {"flops": 300, "best_flops": 200}
    cells = [cell({**BOTH, "floor": floor_s}, taylor=counts) for floor_s in (0.8, 0.7, 0.1)] + [cell({**BOTH})]
    eager, compiled = floor(cells)
    assert eager.what == "`taylor`: most times the floor, of 2 cells where it is over half of the time"
    assert eager.value == pytest.approx(1 / 0.7)
    assert "10.00 [10.00, 10.00] times the floor, 1.5 times the FLOPs" in eager.note
    assert compiled.value == pytest.approx(0.5 / 0.7)


def test_growth_of_the_divergence_is_told_from_64_on() -> None:
    times_s = {16: 9.0, 64: 4.0, 4096: 3.0}
    cells = [
        cell({"chain": time_s, "f": 1.0}, f"field{depth}-8 n={n}", n=n, operator="divergence")
        for depth in (1, 2)
        for n, time_s in times_s.items()
        if (depth, n) != (2, 16)
    ]
    one_ratio, one_growth, two_ratio, two_growth = divergence(cells)
    assert (one_ratio.value, one_ratio.met) == (9.0, False)
    assert (two_ratio.value, two_ratio.met) == (4.0, True)
    assert one_growth.value == two_growth.value == 0.75


def test_the_sweep_compares_with_the_best_strategy_that_is_always_exact() -> None:
    rows = [
        record("ones", 0.1),
        record("vmap", 1.0),
        record("jvp", 2.0),
        record("hutchinson", 0.1),
        record("taylor", 1.05),
    ]
    rows += [record("vmap", 1.0, n=2), record("taylor", 3.0, n=2), record("vmap", 1.0, problem="other")]
    (figure,) = judge(to_frame(rows[:5]), {})
    assert (figure.value, figure.met) == (1.05, True)
    # Rounds that were taken side by side are worth more than medians.
    samples = {
        one: {"session": "s", "rounds": [0], "seconds": [s]}
        for one, s in (("net/64/taylor", 2.0), ("net/64/vmap", 1.0))
    }
    assert judge(to_frame(rows[:5]), samples)[0].value == 2.0
    (figure,) = judge(to_frame(rows), {})
    assert (figure.value, figure.met) == (3.0, False)
    assert figure.note.startswith("1 of 2 cells are beyond the target: net/laplacian/2/")
    assert figure.note.endswith("against vmap: 3.00")


def test_a_taylor_without_a_result_is_infinitely_slow_and_one_that_is_not_there_is_no_run() -> None:
    rows = [record("vmap"), record("taylor", None, status="timeout", reason="ended at 20 s")]
    (figure,) = judge(to_frame(rows), {})
    assert figure.value == math.inf
    assert "(timeout: ended at 20 s)" in figure.note
    with pytest.raises(
        UsageError, match=r"no cell in here has taylor beside another exact strategy; run `bash scripts/bench` first"
    ):
        judge(to_frame(rows[:1]), {}, "here")


def test_cells_are_those_of_the_issue() -> None:
    shapes = [(one.n, one.problem.widths(one.n)[1:-1], one.batch) for one in LAPLACIANS if one.problem.widths]
    assert shapes == [
        (3, (32,) * 4, 4096),
        (10, (64,) * 3, 256),
        (50, (256,) * 4, 128),
        (200, (64,) * 4, 64),
        (1000, (128,) * 3, 32),
        (50, (768, 768, 512, 512), 16),
    ]
    assert [one.problem.name.partition("-")[0] for one in LAPLACIANS[6:]] == ["gelu", "attention"]
    assert [(one.n, one.problem.widths(one.n), one.operator) for one in BILAPLACIANS] == [
        (5, (5, 768, 768, 512, 512, 1), "bilaplacian")
    ]
    assert {len(one.problem.widths(one.n)) for one in DIVERGENCES} == {3, 4}
    assert sorted({one.n for one in DIVERGENCES}) == [16, 64, 256, 1024, 4096]


def test_a_closed_form_of_the_fields_is_their_jacobian() -> None:
    for one in SMALL_DIVERGENCES[::2]:
        instance = one.instance("float64")
        J = torch.func.vmap(torch.func.jacrev(instance.f))(instance.x)
        expected = J.diagonal(dim1=1, dim2=2).detach().numpy()
        assert np.allclose(instance.reference("divergence").diagonal.astype(float), expected)


def test_cells_are_measured_by_the_harness_and_written_as_records(tmp_path: Path) -> None:
    with RecordWriter(tmp_path) as writer:
        found = list(measured(SMALL_LAPLACIANS[:1], ("taylor", "hessian", "no_such"), QUICK, writer))
    assert [one.name for one in found] == ["tanh-5-8x2 n=5 B=4 float32", "tanh-5-8x2 n=5 B=4 float64"]
    for one in found:
        assert one.missing == ("no_such",)
        assert one.fault("no_such") == "not there"
        assert one.fault("taylor") == one.fault("hessian") == ""
        assert set(one.samples) == {"f", "floor", "taylor", "hessian"}
        assert one.ratio("taylor", "floor").median > 0
        assert one.ratio("taylor", "no_such") is None
    frame = read_records(tmp_path)
    assert len(frame) == 4
    assert (frame["flops"] >= frame["best_flops"]).all()


def test_memory_of_tiles() -> None:
    (figure,) = memory(SMALL_LAPLACIANS)
    assert figure.met
    assert figure.note.count("points a tile") == 4


def peers(faults: Mapping[str, str] | None = None, name: str = "net", **theirs: float) -> MeasuredCell:
    """A cell of ours and of settings of a peer, those with a fault not right."""
    found = cell({"taylor": 2.0, "compiled(taylor)": 1.0, **theirs}, name)
    for spec in theirs:
        found.samples[spec]["software"] = {"jet-for-pytorch": "1.2"}  # type: ignore[index]
    for spec, reason in (faults or {}).items():
        found.records[spec] = record(spec, None, status="unsupported", reason=reason)  # type: ignore[index]
    return found


def test_a_peer_is_taken_at_its_best_setting() -> None:
    cells = [peers(jet=9.0, **{"jet:form=compiled": 4.0}), peers(jet=1.0, **{"jet:form=compiled": 4.0})]
    mean, least = jet(cells)
    assert (mean.value, least.value) == (pytest.approx(2.0), 1.0)
    assert mean.met
    assert least.met
    assert mean.what == "times faster than jet at its best setting, jet-for-pytorch 1.2, geometric mean"
    assert mean.note.startswith(
        "net: 4.00 [4.00, 4.00] times faster (taylor 2e+03 ms, compiled(taylor) 1e+03 ms, jet 9e"
    )
    (figure,) = folx([peers(folx=3.0)])
    assert figure.value == pytest.approx(3.0)


def test_a_cell_that_a_peer_cannot_do_is_told_of_and_not_counted() -> None:
    cannot = peers({"jet": "no rule", "jet:form=graph": "no rule"})
    mean, _ = jet([peers(jet=4.0), cannot])
    assert mean.value == 4.0
    assert "jet and jet:form=graph: unsupported: no rule" in mean.note
    assert math.isnan(jet([cannot])[0].value)
    assert "not installed" in jet([cannot])[0].what


def test_where_none_of_ours_is_right_no_target_is_met() -> None:
    (figure,) = folx([peers({"compiled(taylor)": "fails"}, folx=3.0)])
    assert math.isnan(figure.value)
    assert not figure.met


def test_the_bilaplacian_against_nested_laplacians_and_against_a_peer() -> None:
    times_s = {
        "taylor": 2.0,
        "compiled(taylor)": 1.0,
        "auto": 4.0,
        "hessian": 3.0,
        "jet": 5.0,
        "jet:form=compiled": 0.5,
    }
    nested, theirs = bilaplacian([cell(times_s)])
    assert (nested.value, nested.met) == (3.0, True)
    assert (theirs.value, theirs.met) == (0.5, False)
    assert nested.note == "net: compiled(taylor) against hessian, 3.00 [3.00, 3.00] times"
    skipped = {"status": "skipped", "reason": "jet is not installed"}
    without = cell(times_s, **{"jet": skipped, "jet:form=compiled": skipped})
    assert "net: not compared, jet is skipped: jet is not installed" in bilaplacian([without])[1].note


def test_cells_beyond_the_time_are_not_begun(capsys: pytest.CaptureFixture[str]) -> None:
    late = iter([False, True, True, True])
    found = list(measured(SMALL_LAPLACIANS, ("taylor",), QUICK, is_late=lambda: next(late)))
    assert [one.name for one in found] == ["tanh-5-8x2 n=5 B=4 float32"]
    assert capsys.readouterr().err.count("not reached") == 3


def test_the_program_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["memory", "--quick", "--out", str(tmp_path / "out")])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert (
        "| memory | `taylor` in tiles: peak over that of one tile plus input and output, most | at most 1.3 |"
        in printed
    )
    found = json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8"))
    assert [figure["met"] for figure in found["figures"]] == [True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["speed"],
            "no part is called speed; there are all, peers, hessian, floor, divergence, bilaplacian, memory, sweep, ",
        ),
        (["sweep", "--records", "nowhere"], "error: nowhere does not exist"),
        (["hessian", "--device", "cuda:9"], "error: device cuda:9 is not available; here: "),
        (["fused"], "error: kernels are for a card: give --device cuda; --quick tries them on the CPU"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_records_of_the_sweep_are_read_from_their_directory(tmp_path: Path) -> None:
    with RecordWriter(tmp_path) as writer:
        writer.write(record("vmap", 1.0))
        writer.write(record("taylor", 0.5))
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "--records", str(tmp_path)])
    assert ended.value.code == 0
    assert isinstance(read_records(tmp_path), pd.DataFrame)
