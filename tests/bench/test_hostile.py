"""The table of hostile functions, and what is said of a run of them."""

from __future__ import annotations

from dataclasses import replace

from bench.checks import hostile
from bench.checks.hostile import CLEAN, HOSTILE, STRATEGIES, HostileOutcome, judge, statuses
from jacstrat.core.status import STATUSES

NAMES = ("exits", "sleeps")
ROWS = {(problem, strategy): [("ok", "")] for problem in CLEAN for strategy in STRATEGIES}
ROWS |= {(hostile.spec("exits"), strategy): [("crashed", "exited with code 3")] for strategy in STRATEGIES}
ROWS |= {(hostile.spec("sleeps"), strategy): [("timeout", "no end")] for strategy in STRATEGIES}
FOUND = HostileOutcome(0, 12.0, ROWS)


def test_there_are_a_hundred_that_say_how_they_end() -> None:
    assert len(HOSTILE) >= 100
    assert all(set(statuses(name)) <= set(STATUSES) for name in HOSTILE)


def test_a_run_as_it_should_be_meets_all() -> None:
    figures = judge(NAMES, FOUND)
    assert [figure.value for figure in figures] == [0] * 5
    assert figures[0].note == "2 functions in 12 s"


def test_each_fault_is_counted_and_the_first_is_told() -> None:
    rows = ROWS | {(hostile.spec("exits"), "vmap"): [("ok", "")], (hostile.spec("sleeps"), "vmap"): []}
    rows |= {("sin", "vmap"): [("crashed", "why")]}
    found = replace(FOUND, code=1, rows=rows, staying=("sleep 600",), folders=("jacstrat-run-1",))
    figures = judge(NAMES, found)
    assert [figure.value for figure in figures] == [2, 1, 1, 1, 1]
    assert figures[0].note == "2 functions in 12 s; for one, exits by vmap is ok: "
    assert figures[1].note == "for one, ('sin', 'vmap') has [('crashed', 'why')]"
    assert [figure.note for figure in figures[2:]] == ["for one, 1", "for one, sleep 600", "for one, jacstrat-run-1"]


def test_a_run_of_one_is_judged_by_its_files(tmp_path, monkeypatch) -> None:
    """With a command in place of the run: it leaves a file, a process and two rows."""
    code = (
        "import subprocess, sys, tempfile; from pathlib import Path; from jacstrat.core.case import Case;"
        "from jacstrat.records import Record, RecordWriter;"
        "out = Path(sys.argv[sys.argv.index('--out') + 1]); out.mkdir();"
        "case = Case('sin', 'divergence', 'vmap', 3, 2, 'float64', 'cpu', 'evaluate', 1, 0);"
        "writer = RecordWriter(out); writer.write(Record.of(case, 'ok'));"
        "Path(tempfile.gettempdir(), 'left').touch(); subprocess.Popen(['sleep', '613'])"
    )
    monkeypatch.setattr(hostile, "QUIETLY", code)
    monkeypatch.setattr(hostile, "GRACE_S", 0.1)
    found = hostile.found_of(["sin"], tmp_path)
    assert (found.code, found.rows, found.folders) == (0, {("sin", "vmap"): [("ok", "")]}, ["left"])
    assert found.staying == ["sleep 613"]
