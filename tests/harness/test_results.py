"""The directory of a run that is taken away or changed: nothing measured is lost, and a line says where it is."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from jacstrat import read_records
from jacstrat.core.case import Case
from jacstrat.harness.plan.sweep import load_sweep
from jacstrat.harness.results import LostError, Results
from jacstrat.harness.run import Options, run
from jacstrat.record import Record
from jacstrat.records import RECORDS, SAMPLES, SWEEP, RecordWriter, read_samples
from tests.harness.test_run import SMALL_SWEEP, Log, go

CASES = [Case("sin", "divergence", "vmap", n, 1, "float64", "cpu", "evaluate", 1, 0) for n in (1, 2, 3)]


def moved(directory: Path) -> None:
    directory.rename(directory.with_name("moved"))


def removed(directory: Path) -> None:
    shutil.rmtree(directory)


def emptied(directory: Path) -> None:
    (directory / RECORDS).write_bytes(b"")


def cut(directory: Path) -> None:
    content = (directory / RECORDS).read_bytes()
    (directory / RECORDS).write_bytes(content[:-5])


def written_to(directory: Path) -> None:
    with (directory / RECORDS).open("a") as file:
        file.write("1,2,3\n")


def saved_anew(directory: Path) -> None:
    content = (directory / RECORDS).read_bytes()
    (directory / RECORDS).unlink()
    (directory / RECORDS).write_bytes(content)


def without_samples(directory: Path) -> None:
    (directory / SAMPLES).unlink()


def write(results: Results, case: Case) -> None:
    results.write_samples(case.key, {"seconds": [1.0]})
    results.write(Record.of(case, "ok", median_s=1.0))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (moved, "is gone"),
        (removed, "is gone"),
        (emptied, "was changed by something else"),
        (cut, "was changed by something else"),
        (written_to, "was changed by something else"),
        (saved_anew, "is another file than before"),
        (without_samples, "is gone"),
    ],
)
def test_what_was_measured_is_written_beside(tmp_path, change: Callable[[Path], None], what: str) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    with RecordWriter(directory) as writer:
        # Of an earlier run that this one goes on with.
        writer.write_samples(CASES[0].key, {"seconds": [2.0]})
        writer.write(Record.of(CASES[0], "ok", median_s=2.0))
    with Results(directory, SMALL_SWEEP.to_toml()) as results:
        write(results, CASES[1])
        change(directory)
        after = sorted(directory.rglob("*"))
        with pytest.raises(LostError, match=f"{what} while the run goes on; what was measured is in ") as raised:
            write(results, CASES[2])
        assert sorted(directory.rglob("*")) == after
    place = results.directory
    assert str(raised.value).endswith(f"is in {place}, go on with --resume --out {place}")
    assert place.parent == tmp_path
    assert list(read_records(place)["case"]) == [case.key for case in CASES[:2]]
    assert read_samples(place) == {CASES[0].key: {"seconds": [2.0]}, CASES[1].key: {"seconds": [1.0]}}
    assert load_sweep(str(place / SWEEP)) == SMALL_SWEEP


def test_where_there_is_no_room_beside_it_is_here_or_among_temporary_files(tmp_path, monkeypatch) -> None:
    directory = tmp_path / "gone" / "run"
    directory.mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Results(directory, SMALL_SWEEP.to_toml()) as results:
        shutil.rmtree(tmp_path / "gone")
        with pytest.raises(LostError):
            results.check()
    assert results.directory.parent == tmp_path / "here"


def test_where_there_is_room_nowhere_that_is_told(tmp_path, monkeypatch) -> None:
    def full(**options) -> str:
        raise OSError("full")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with Results(tmp_path, SMALL_SWEEP.to_toml()) as results:
        (tmp_path / RECORDS).unlink()
        with pytest.raises(LostError, match="is gone, and there is room for what was measured nowhere"):
            results.check()


@pytest.mark.long(but_one_in=3)
@pytest.mark.parametrize("change", [moved, removed, emptied])
def test_a_run_whose_directory_goes_ends_in_a_line_and_resumes_beside(tmp_path, change) -> None:
    class Changing(Log):
        def finished(self, record) -> None:
            super().finished(record)
            if len(self.records) == 2:
                change(tmp_path / "run")

    with pytest.raises(LostError) as raised:
        go(tmp_path / "run", log=Changing())
    place = Path(re.search("--out (.*)", str(raised.value))[1])
    assert len(read_records(place)) == 2
    assert (place / "environment.json").is_file()
    options = Options(isolate=False, resume=True)
    run(SMALL_SWEEP, place, log := Log(), options, lambda: {"machine": "test"})
    assert log.begun == (2, 6)
    assert read_records(place)["case"].nunique() == len(read_records(place)) == 6
