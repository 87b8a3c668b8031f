import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jacstrat.core.errors import UsageError
from jacstrat.record import Record
from jacstrat.records import RecordWriter
from jacstrat.report.analysis.runs import read_run, read_runs

Make = Callable[..., Record]


@pytest.fixture
def written(tmp_path: Path, record: Make) -> Callable[..., Path]:
    def write(name: str, environment: Any = None, sweep: str | None = None) -> Path:
        directory = tmp_path / name
        directory.mkdir(parents=True)
        with RecordWriter(directory) as writer:
            writer.write(record())
        if environment is not None:
            text = environment if isinstance(environment, str) else json.dumps(environment)
            (directory / "environment.json").write_text(text)
        if sweep is not None:
            (directory / "sweep.toml").write_text(sweep)
        return directory

    return write


SESSION = {
    "start": {
        "hardware": {
            "cpu_model": "AMD EPYC",
            "physical_cores": 2,
            "logical_cores": 4,
            "cpu_quota_cores": 1.5,
            "memory_bytes": 2**34,
            "system": "Debian 12",
            "kernel": "6.1",
        },
        "cards": [{"name": "H100"}, {"name": "H100"}, {"name": None}],
        "torch": {"version": "2.13.0", "cpu_capability": "AVX2", "threads": 2, "cuda": "13.0"},
        "packages": {"jacstrat": "0.1.0"},
        "peers": {
            "folx": {"folx": "0.2.30", "jax": "0.10.2", "python": "CPython 3.11"},
            "jax_hessian": {"folx": "0.2.30", "jax": "0.10.2", "python": "CPython 3.11"},
            "jet": {"jet-for-pytorch": "1.0.0", "python": "CPython 3.12"},
        },
        "python": "CPython 3.11",
        "checkout": {"commit": "0123456789abcdef", "dirty": True},
        "command": ["jacstrat", "run"],
        "start": {"utc": "2026-01-02T03:04:05+00:00"},
        "warnings": ["loaded"],
    },
    "end": {"start": {"utc": "2026-01-02T03:06:35+00:00"}, "warnings": ["loaded", "hot"]},
}


def test_what_was_run_and_where(written: Callable[..., Path]) -> None:
    run = read_run(written("one", [SESSION], "seed = 0\n"))
    assert run.facts == {
        "command": "jacstrat run",
        "processor": "AMD EPYC",
        "cores": "2 cores, 4 hardware threads, quota 1.5",
        "memory": "16.0 GiB",
        "card": "2 × H100, no name",
        "system": "Debian 12, 6.1",
        "torch": "2.13.0, AVX2, 2 threads",
        "CUDA": "13.0",
        "Python": "CPython 3.11",
        "jacstrat": "0.1.0",
        "peers": "folx 0.2.30, jax 0.10.2 (CPython 3.11); jet-for-pytorch 1.0.0 (CPython 3.12)",
        "commit": "0123456789ab, with changes",
        "measured": "2026-01-02 03:04 UTC, 2.5 min",
        "devices": "cpu",
    }
    assert run.warnings == ("loaded", "hot")
    assert (run.label, run.sweep) == ("one", "seed = 0\n")


@pytest.mark.parametrize("environment", [None, "[3]", "[]", [{}], [{"start": None}], [{"start": {"cards": None}}]])
def test_an_environment_that_is_not_there_or_says_nothing_costs_nothing_else(
    environment: Any, written: Callable[..., Path]
) -> None:
    run = read_run(written("one", environment))
    assert run.facts == {"devices": "cpu"}
    assert (run.warnings, run.sweep, len(run.records)) == ((), "", 1)


@pytest.mark.parametrize("environment", ["", "[{", "3", "{}", "[" * 20_000])
def test_an_environment_that_is_torn_is_a_warning(environment: str, written: Callable[..., Path]) -> None:
    run = read_run(written("one", environment))
    assert (run.facts, run.sessions, len(run.records)) == ({"devices": "cpu"}, (), 1)
    (warning,) = run.warnings
    assert warning.startswith(f"{run.directory / 'environment.json'} is not the environment of a run, or is cut off: ")


@pytest.mark.parametrize(
    "facts",
    [
        {"cards": 3},
        {"cards": [3, {"name": [1]}]},
        {"warnings": "hot"},
        {"command": 3},
        {"hardware": {"memory_bytes": 10**400, "logical_cores": "many", "cpu_quota_cores": -1}},
        {"accelerator": {"kind": "cuda", "count": 10**12}},
        {"accelerator": {"kind": "cuda", "count": "two"}},
        {"packages": ["torch"]},
        {"start": {"utc": "2026-01-02T03:04:05"}},
        {"start": {"utc": "0001-01-01T00:00:00+14:00"}},
        {"python": "\ud800"},
    ],
)
def test_a_fact_of_another_kind_is_one_that_nobody_tells(facts: dict[str, Any], written: Callable[..., Path]) -> None:
    session = {"start": {**SESSION["start"], **facts}, "end": SESSION["end"]}
    run = read_run(written("one", [session]))
    text = "".join([*run.facts.values(), *run.warnings])
    assert len(text) < 50_000
    assert text.encode("utf-8")


def test_a_run_that_goes_on_has_several_sessions(written: Callable[..., Path]) -> None:
    assert "in 2 sessions" in read_run(written("one", [SESSION, SESSION])).facts["measured"]
    unfinished = {"start": SESSION["start"]}
    assert read_run(written("two", [unfinished])).facts["measured"] == "2026-01-02T03:04:05+00:00"


def test_labels_are_as_short_as_they_can_be_told_apart(written: Callable[..., Path]) -> None:
    one, two, three = written("a/x"), written("b/x"), written("b/y")
    assert [run.label for run in read_runs([one])] == ["x"]
    assert [run.label for run in read_runs([one, three])] == ["x", "y"]
    assert [run.label for run in read_runs([one, two])] == ["a/x", "b/x"]
    assert [run.label for run in read_runs([one, one])] == ["x (1)", "x (2)"]


def test_a_directory_without_records_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_run(tmp_path)
