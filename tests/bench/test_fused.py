"""bench/fused.py on the CPU, where Triton executes kernels itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.checks import fused
from jacstrat.fused import has_triton


@pytest.fixture
def interpreting(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_triton():
        pytest.skip("Triton is not installed")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(fused, "BLOCKS", 1)
    monkeypatch.setattr(fused, "BLOCK_S", 0.0)


@pytest.mark.long
@pytest.mark.usefixtures("interpreting")
def test_the_script_has_a_row_for_each_spec_with_its_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fused.main(["--quick", "--device", "cpu", "--out", str(tmp_path)])
    written = json.loads((tmp_path / "fused.json").read_text(encoding="utf-8"))
    assert [row["cell"] for row in written["rows"]] == [cell.name for cell in fused.SMALL]
    for row in written["rows"]:
        assert row["reason"] == ""
        assert row["error"] < 1e-5
        assert f"| {row['cell']} | `fused` |" in capsys.readouterr().out or row is not written["rows"][0]


def test_what_raises_is_a_row_and_so_is_what_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    cell = fused.SMALL[0]
    (raised,) = fused.rows([cell], "cpu", 60.0, ["fused"])
    assert raised.call_s is None
    assert raised.reason.startswith("UnsupportedError: fused cannot serve")
    (late,) = fused.rows([cell], "cpu", -1.0, ["fused"])
    assert late.reason == "not reached in -1 s"


def test_a_network_whose_truth_cannot_be_had_is_a_row_for_each_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = fused._truth

    def failing(cell: fused.FusedCell, device: str) -> object:
        if cell == fused.SMALL[0]:
            raise RuntimeError("CUDA error: out of luck\nand more")
        return truth(cell, device)

    monkeypatch.setattr(fused, "_truth", failing)
    found = list(fused.rows(fused.SMALL[:2], "cpu", 60.0, ["vmap", "identity"]))
    assert [row.reason for row in found] == ["RuntimeError: CUDA error: out of luck and more"] * 2 + [""] * 2
    assert all(row.error < 1e-5 for row in found[2:])


def test_every_tile_is_measured_where_one_kernel_holds_the_network() -> None:
    narrow, wide, deep = (fused.CELLS[number] for number in (0, 2, 4))
    assert [spec for spec in narrow.specs if "tile" in spec] == [f"fused:tile={points}" for points in fused.POINTS]
    assert not any("tile" in spec for one in (wide, deep) for spec in one.specs)
    assert wide.misfit == "a layer of 256 is wider than 128"
    assert deep.misfit == "its matrices take 384 KiB of shared memory, and a program has 208"


def test_without_a_card_the_script_says_how_it_is_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fused.torch.accelerator, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        fused.main([])
    assert "--quick --device cpu tries the script" in capsys.readouterr().err
