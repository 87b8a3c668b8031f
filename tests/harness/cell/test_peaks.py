"""Rates of a cell's device: measured once a run for each dtype and number of threads."""

from __future__ import annotations

import pytest

from jacstrat.harness.cell import peaks
from jacstrat.harness.cell.peaks import peaks_of
from jacstrat.measure.roofline import Peaks


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was measured, each time with other rates."""
    found: list[tuple[str, str]] = []

    def measured(clock, device: str, dtype, beat) -> Peaks:
        found.append((device, str(dtype)))
        return Peaks(1e9 * len(found), 1e8)

    monkeypatch.setattr(peaks, "measured_peaks", measured)
    return found


def test_a_run_measures_each_dtype_and_number_of_threads_once(cell, asked, tmp_path) -> None:
    folder = tmp_path / "references"
    first = peaks_of(cell("sin", threads=1), folder)
    assert first == Peaks(1e9, 1e8)
    assert peaks_of(cell("linear", n=8, threads=1), folder) == first
    assert peaks_of(cell("sin", threads=2), folder) == Peaks(2e9, 1e8)
    assert peaks_of(cell("sin", threads=1, dtype="tf32"), folder) == Peaks(3e9, 1e8)
    assert asked == [("cpu", "torch.float64")] * 2 + [("cpu", "torch.float32")]
    assert not list(folder.glob("*.tmp"))


def test_a_file_that_is_torn_is_measured_again(cell, asked, tmp_path) -> None:
    peaks_of(cell("sin"), tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text("{")
    assert peaks_of(cell("sin"), tmp_path) == Peaks(2e9, 1e8)


def test_without_a_directory_they_are_those_of_this_process(cell, asked, monkeypatch) -> None:
    monkeypatch.setattr(peaks, "_HERE", {})
    assert peaks_of(cell("sin")) is peaks_of(cell("linear"))
    assert len(asked) == 1
