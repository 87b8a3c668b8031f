"""A child works in the state of the caller, not in those that its fork server was started in."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jacstrat.harness.dispatch import caller
from jacstrat.harness.dispatch.caller import adopt
from jacstrat.harness.dispatch.strays import MARK
from tests.harness.dispatch.test_isolation import rows

MODEL = """
import os
import neighbour


def f(x):
    return x * float(os.environ.get("TIMES", "0"))
"""


def test_a_file_is_that_of_the_working_directory_and_finds_what_the_process_would(cell, tmp_path, monkeypatch) -> None:
    """Two directories with a model.py each, one process: each run has its own modules and variables."""
    for name in ("first", "second"):
        (tmp_path / name / "lib").mkdir(parents=True)
        (tmp_path / name / "lib" / "neighbour.py").write_text("")
    (tmp_path / "first" / "model.py").write_text("raise ValueError('mine: another file')")
    (tmp_path / "second" / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path / "first")
    assert {row.status for row in rows(cell("model.py:f")).values()} == {"error"}
    monkeypatch.chdir(tmp_path / "second")
    monkeypatch.syspath_prepend(str(tmp_path / "second" / "lib"))
    monkeypatch.setenv("TIMES", "3")
    found = rows(cell("model.py:f"))
    assert {row.status for row in found.values()} == {"ok"}, found


def test_only_a_variable_that_is_set_is_found(monkeypatch, tmp_path) -> None:
    environ = {MARK: "its own", "OLD": "1", "SAME": "2"}
    entered = []
    system = SimpleNamespace(environ=environ, chdir=entered.append)
    monkeypatch.setattr(caller, "os", system)
    monkeypatch.setattr(sys, "path", list(sys.path))
    wanted = {MARK: "another", "SAME": "2", "N": ""}
    adopt({"directory": str(tmp_path), "path": ["/somewhere"], "environment": wanted})
    assert environ == {MARK: "its own", "SAME": "2", "N": ""}
    assert (entered, sys.path) == ([str(tmp_path)], ["/somewhere"])


def test_a_directory_that_is_gone_is_left_out(tmp_path, monkeypatch) -> None:
    gone: Path = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert caller.caller_state()["directory"] is None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    adopt(caller.caller_state() | {"directory": str(gone)})
    assert os.getcwd() == str(tmp_path)


@pytest.mark.parametrize("name", ["", "/in/the/path"])
def test_nothing_is_imported_from_the_working_directory(name: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [name, "/else"])
    assert caller.search_path() == ([name] if name else []) + ["/else"]
