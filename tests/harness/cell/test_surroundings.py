"""What surrounds the work of a cell, and comes back behind it."""

from __future__ import annotations

import gc
import os

import torch

from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.surroundings import kernels_in
from tests.harness.conftest import QUICK, mine

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def test_surroundings_come_back(cell) -> None:
    list(measure(cell("sin", threads=2), QUICK))
    assert torch.get_num_threads() == 1
    assert torch.is_grad_enabled()
    list(measure(cell(mine("meddles"), "identity"), QUICK))
    assert torch.get_default_dtype() == torch.float32
    assert gc.isenabled()


def test_kernels_are_kept_in_a_place_of_the_run_unless_there_is_one(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with kernels_in(tmp_path):
        assert os.environ[VARIABLE] == str(tmp_path / "kernels")
    with kernels_in(None):
        assert VARIABLE not in os.environ
    assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, "mine")
    with kernels_in(tmp_path):
        assert os.environ[VARIABLE] == "mine"
    assert os.environ[VARIABLE] == "mine"
