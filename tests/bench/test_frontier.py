"""The figures of bench/frontier.py from results whose figures are known, its parts on small cells, and the program."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bench.checks import cells
from bench.checks.bilaplacian import CARD_OURS as CARD_BILAPLACIAN
from bench.checks.bilaplacian import bilaplacian
from bench.checks.cells import BILAPLACIANS, DIVERGENCES, LAPLACIANS, SMALL_DIVERGENCES, SMALL_LAPLACIANS
from bench.checks.divergence import CARD_OURS, divergence
from bench.checks.frontier import main
from bench.checks.laplacian import floor, hessian
from bench.checks.measured import MeasuredCell, measured
from bench.checks.memory import memory
from bench.checks.peers import folx, jet, on_card
from bench.checks.swept import judge, sweep
from jacstrat import UsageError, read_records
from jacstrat.harness.dispatch.children import Children
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


def test_a_graph_is_held_against_a_graph_of_the_products() -> None:
    times_s = {**BOTH, "graphed(taylor)": 0.3, "floor": 0.8, "floor replayed": 0.25}
    found = {figure.what.split("`")[1]: figure.value for figure in floor([cell(times_s)], (*BOTH, "graphed(taylor)"))}
    assert found == pytest.approx({"taylor": 1 / 0.8, "compiled(taylor)": 0.5 / 0.8, "graphed(taylor)": 0.3 / 0.25})


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


def test_on_a_card_the_divergence_is_that_of_the_best_of_ours() -> None:
    times_s = {"chain": 9.0, "compiled(chain)": 5.0, "graphed(chain)": 2.0, "graphed(compiled(chain))": 1.5, "f": 1.0}
    refused = {"status": "unsupported", "reason": "no"}
    cells = [
        cell({**times_s, "fused": 1.25}, "field1-8 n=64", n=64, operator="divergence"),
        cell({**times_s, "fused": 1.0}, "field1-8 n=256", n=256, operator="divergence", fused=refused),
    ]
    ratio, growth, *_ = divergence(cells, CARD_OURS)
    assert (ratio.value, growth.value) == (1.5, 1.2)
    assert "field1-8 n=64: 1.25e+03 ms by `fused`" in ratio.note
    assert "by `graphed(compiled(chain))`" in ratio.note
    none = cell({**times_s, "fused": 1.0}, "field1-8", **dict.fromkeys(CARD_OURS, refused))
    (ratio, *_) = divergence([none], CARD_OURS)
    assert math.isnan(ratio.value)
    assert ratio.note == "field1-8: unsupported: no"


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


def test_on_a_card_graphs_and_kernels_stand_beside_the_peers() -> None:
    times_s = {**BOTH, "graphed(taylor)": 0.2, "graphed(compiled(taylor))": 0.1, "fused": 0.05, "jax_hessian": 0.3}
    served = cell(times_s)
    refused = cell(times_s, fused={"status": "unsupported", "reason": "layer_norm"})
    mean, least = on_card([served, refused], "jax_hessian")
    assert mean.value == pytest.approx((6 * 3) ** 0.5)
    assert least.value == pytest.approx(3.0)


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


def test_on_a_card_the_bilaplacian_has_graphs_on_both_sides() -> None:
    times_s = {"taylor": 2.0, "compiled(taylor)": 1.0, "auto": 4.0, "graphed(taylor)": 0.5}
    times_s |= {"graphed(compiled(taylor))": 0.25, "hessian": 3.0, "jet": 5.0, "jet:form=replayed": 0.5}
    nested, theirs = bilaplacian([cell(times_s)], CARD_BILAPLACIAN)
    assert (nested.value, theirs.value) == (12.0, 2.0)
    assert theirs.note == "net: graphed(compiled(taylor)) against jet:form=replayed, 2.00 [2.00, 2.00] times"


def test_what_dies_in_a_process_of_its_own_takes_nothing_else_with_it(tmp_path: Path) -> None:
    """As on a card: cells by the names that other processes find them under."""
    children = Children(keeps=lambda cell: True, is_own=lambda problem: True)
    try:
        with RecordWriter(tmp_path) as writer:
            found = list(measured(SMALL_LAPLACIANS, ("taylor", "no_such"), QUICK, writer, children=children))
    finally:
        children.close()
    assert [one.name.partition(" ")[0] for one in found] == ["tanh-5-8x2"] * 2 + ["gelu-layernorm-4-8x1"] * 2
    for one in found:
        assert one.fault("taylor") == ""
        assert one.ratio("taylor", "f").median > 0
    assert "floor" in found[0].samples
    assert set(read_records(tmp_path)["problem"]) == {one.spec for one in SMALL_LAPLACIANS}


def test_every_network_is_found_by_its_attribute() -> None:
    networks = [one for table in cells.tables() for one in table]
    assert len({one.attribute for one in networks}) > 20
    for one in networks:
        other = getattr(cells, one.attribute)
        assert (other.name, other.widths and other.widths(one.n)) == (
            one.problem.name,
            one.problem.widths and one.problem.widths(one.n),
        )
    with pytest.raises(AttributeError, match="has no attribute nothing"):
        _ = cells.nothing


def test_the_records_of_a_card_are_read_for_its_rows(tmp_path: Path) -> None:
    with RecordWriter(tmp_path) as writer:
        for device, times_s in (("cpu", {"vmap": 1.0, "taylor": 9.0}), ("cuda:0", {"vmap": 1.0, "taylor": 0.5})):
            for strategy, time_s in times_s.items():
                one = record(strategy, time_s, device=device)
                writer.write(replace(one, case=f"{one.case}/{device}"))
    (figure,) = sweep(tmp_path, "cuda")
    assert (figure.value, figure.met) == (0.5, True)
    assert f"in a cell of the sweep {tmp_path.name}, most" in figure.what
    assert sweep(tmp_path)[0].value == 9.0


def test_memory_that_cannot_be_had_is_told_and_meets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(network, dtype: str, device: str, tile: int) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr("bench.checks.memory._ratio", failing)
    (figure,) = memory(SMALL_LAPLACIANS[:1], "cuda")
    assert math.isnan(figure.value)
    assert "OutOfMemoryError: CUDA out of memory. Tried to allocate" in figure.note


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
