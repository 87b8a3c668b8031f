"""Children: what hangs, dies or devours memory is a row, and the rest goes on."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bench.checks.hostile import spec
from jacstrat import JacstratError, read_records
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch import children, isolation, servers
from jacstrat.harness.dispatch.child import ChildLimits
from jacstrat.harness.dispatch.isolation import isolated, measure_isolated
from jacstrat.measure.context import ContextLostError
from tests.harness.conftest import LIMITS, QUICK, mine


def rows(cell, limits=LIMITS):
    return {o.record.strategy: o.record for o in measure_isolated(cell, QUICK, limits) if o.record}


def cases() -> list[psutil.Process]:
    """Children of the fork server that are alive: at most one measures at a time."""
    return [p for child in psutil.Process().children() for p in child.children(recursive=True) if p.is_running()]


def test_a_cell_in_a_child_gives_what_it_gives_here(cell) -> None:
    outcomes = list(measure_isolated(cell("sin", "identity", "hessian"), QUICK, LIMITS))
    found = {o.record.strategy: o.record for o in outcomes if o.record}
    assert (found["identity"].status, found["hessian"].status) == ("ok", "unsupported")
    assert found["identity"].exact
    assert [o.case.split("/")[2] for o in outcomes if o.samples] == ["f", "identity"]


@pytest.mark.long(but_one_in=3)
@pytest.mark.parametrize(
    ("function", "status", "reason"),
    [
        ("exits", "crashed", "f itself: exited with code 3"),
        ("raises_system_exit", "error", "f itself: SystemExit: 5"),
        ("raises_keyboard_interrupt", "error", "f itself: KeyboardInterrupt raised by f"),
        ("aborts", "crashed", "f itself: killed by SIGABRT; last words: terminate called: a C++ exception"),
        ("allocates", "oom", "f itself: "),
        ("hangs", "timeout", "f itself: no end after 1 s"),
        ("closes_the_pipe_and_hangs", "timeout", "f itself: no end after 1 s"),
    ],
)
def test_what_f_does_at_once_is_the_row_of_every_strategy(cell, function: str, status: str, reason: str) -> None:
    found = rows(cell(mine(function)), ChildLimits(1, 2**32))
    assert list(found) == ["identity", "vmap"]
    assert {r.status for r in found.values()} == {status}
    assert all(r.reason.startswith(reason) for r in found.values()), found


REFUSED = "vmap cannot differentiate this function"


@pytest.mark.long(but_one_in=3)
@pytest.mark.parametrize(
    ("function", "limits", "status", "reason"),
    [
        ("hangs_in_transform", ChildLimits(1, 2**32), "timeout", "no end after 1 s"),
        ("segfaults_in_transform", LIMITS, "crashed", "killed by SIGSEGV"),
        ("allocates_behind_torch", ChildLimits(20, 2**28), "oom", "resident memory grew beyond 256 MiB"),
        ("raises_in_transform", LIMITS, "unsupported", f"{REFUSED}: ValueError: mine, over two lines"),
    ],
)
def test_what_one_strategy_does_is_its_row_and_the_others_go_on(cell, function, limits, status, reason) -> None:
    found = rows(cell(mine(function), "identity", "vmap", "ones"), limits)
    assert set(found) == {"identity", "vmap", "ones"}
    assert found["vmap"].status == status
    assert found["vmap"].reason.startswith(reason)
    assert found["identity"].status == found["ones"].status == "ok"


def loses_its_device(cell, attend):
    """Work in which vmap ends the device's context, as an illegal access does: the process can do nothing more."""
    attend("f")
    for case in cell.cases:
        attend(case.strategy)
        if case.strategy == "vmap":
            raise ContextLostError("AcceleratorError: CUDA error: an illegal memory access was encountered")
        yield Outcome.of(case, "ok", str(os.getpid()))


def test_a_lost_device_is_the_row_of_who_lost_it_and_the_others_go_on_in_a_fresh_child(cell) -> None:
    one = cell("sin", "identity", "vmap", "ones", "jvp")
    found = {o.record.strategy: o.record for o in isolated(loses_its_device, Outcome.parse, Outcome.of, one, LIMITS)}
    assert list(found) == ["identity", "vmap", "ones", "jvp"]
    assert (found["vmap"].status, found["vmap"].reason) == (
        "crashed",
        "it ended the device's context: AcceleratorError: CUDA error: an illegal memory access was encountered",
    )
    processes = [found[name].reason for name in ("identity", "ones", "jvp")]
    assert processes[0] != processes[1] == processes[2]


def test_output_goes_nowhere_and_meddling_ends_with_the_child(cell, capfd) -> None:
    assert {r.status for r in rows(cell(mine("prints"))).values()} == {"ok"}
    assert {r.status for r in rows(cell(mine("meddles"))).values()} == {"ok"}
    assert capfd.readouterr() == ("", "")
    assert {r.status for r in rows(cell("sin", dtype="float32")).values()} == {"ok"}


def test_no_child_stays_when_the_run_is_left_in_the_middle(cell) -> None:
    running = measure_isolated(cell(mine("hangs_in_transform"), "ones", "identity", "vmap"), QUICK, LIMITS, attend)
    with pytest.raises(KeyboardInterrupt):
        list(running)
    running.close()
    deadline = time.monotonic() + 5
    while cases() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cases() == []


def attend(name: str) -> None:
    """Ctrl-C as soon as vmap is at work."""
    if name == "vmap":
        signal.raise_signal(signal.SIGINT)


@pytest.mark.long
def test_children_import_nothing_from_the_working_directory(tmp_path) -> None:
    (tmp_path / "statistics.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "jacstrat").mkdir()
    (tmp_path / "jacstrat" / "__init__.py").write_text("raise SystemExit('the wrong checkout')")
    command = ["run", "-p", "sin", "-o", "divergence", "-s", "ones", "-n", "2", "--sample", "0.01", "--out", "out"]
    done = subprocess.run(
        [Path(sys.executable).with_name("jacstrat"), *command], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(read_records(tmp_path / "out")["status"]) == ["ok"]


def test_no_file_is_left_in_the_temporary_directory(cell, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows(cell("sin"))
    rows(cell(mine("exits")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("function", "status", "reason"),
    [
        ("garbage_every_descriptor", "crashed", "f writes into the channel of the harness: what comes is no message"),
        ("forged_end", "crashed", "f writes into the channel of the harness: what comes is no message"),
        ("sends_by_the_harness", "crashed", "it sends what is no message: ValueError"),
        ("says_it_is_done", "crashed", "it ended before its time"),
        ("points_at_no_strategy", "crashed", "exited with code 9"),
        ("raises_what_cannot_be_said", "error", "UnsayableError: no message: its own __str__ raises RuntimeError"),
        ("raises_its_own_base", "error", "NoExceptionOfPythons: mine"),
        ("closes_everything", "crashed", "exited with code 1; last words: OSError: [Errno 9] Bad file descriptor"),
    ],
)
def test_what_a_hostile_function_says_is_its_own_row(cell, function: str, status: str, reason: str) -> None:
    found = rows(cell(spec(function)), ChildLimits(5, 2**32))
    assert {row.status for row in found.values()} == {status}
    assert all(row.reason.removeprefix("f itself: ").startswith(reason) for row in found.values()), found


def test_a_message_is_cut_where_it_is_made(cell) -> None:
    found = rows(cell(spec("huge_message")))
    assert {row.status for row in found.values()} == {"error"}
    assert all(len(row.reason) < 1100 and row.reason.endswith("…") for row in found.values())


def test_processes_that_f_leaves_end_with_its_child(cell) -> None:
    function = spec("leaves_a_command_without_environment")
    assert {row.status for row in rows(cell(function)).values()} == {"ok"}
    # Told by the server's number from that of another run of these tests on the machine.
    command = ["sleep", f"614.{servers.SERVERS._server.pid}"]
    alive = (one for one in psutil.process_iter(["cmdline", "status"]) if one.info["status"] != psutil.STATUS_ZOMBIE)
    assert [one for one in alive if one.info["cmdline"] == command] == []


@pytest.mark.long
def test_a_server_that_f_stops_is_replaced_and_the_next_cell_is_measured(cell) -> None:
    function = spec("stops_the_server")
    assert {row.status for row in rows(cell(function)).values()} == {"ok"}
    before = servers.SERVERS._server
    assert {row.status for row in rows(cell("sin")).values()} == {"ok"}
    assert servers.SERVERS._server is not before


def test_a_server_that_never_starts_is_one_line(cell, monkeypatch) -> None:
    monkeypatch.setattr(children, "SERVERS", servers.Servers())
    monkeypatch.setattr(servers, "_command", lambda: [sys.executable, "-c", "raise SystemExit('no torch')"])
    expected = "no case can be measured in a process of its own: the process that imports torch has ended: no torch"
    with pytest.raises(JacstratError, match=expected):
        rows(cell("sin"))


@pytest.mark.long(but_one_in=2)
@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_ends_nothing_and_a_hang_still_ends(cell, monkeypatch, jump_s: float) -> None:
    """The parent's clock, an hour off from its third look on."""
    looks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + (jump_s if next(looks) > 3 else 0.0), sleep=time.sleep)
    monkeypatch.setattr(isolation, "time", clock)
    found = rows(cell(mine("hangs_in_transform"), "identity", "vmap"), ChildLimits(2, 2**32))
    assert (found["identity"].status, found["vmap"].status) == ("ok", "timeout")


def test_signs_of_life_do_not_last_for_ever(cell, monkeypatch) -> None:
    monkeypatch.setattr(isolation, "MOST_STEPS", 2)
    found = rows(cell(spec("says_that_it_lives_and_sleeps")), ChildLimits(0.5, 2**32))
    assert {row.reason for row in found.values()} == {"f itself: no end after 2 steps of up to 0.5 s"}


def test_what_was_timed_is_profiled_in_another_child(cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a card: the CPU has no kernels, but traces tell that it was looked at, and where."""
    monkeypatch.setattr(isolation, "is_apart", lambda cell, traces: True)
    kept = children.Children(keeps=lambda cell: True)
    processes: list[int] = []
    begin = children.Child.begin

    def beginning(self: children.Child, order, descriptors) -> None:
        begin(self, order, descriptors)
        processes.append(self.pid)

    monkeypatch.setattr(children.Child, "begin", beginning)
    try:
        for n in (3, 4):
            one = cell("sin", "identity", "hessian", "vmap", n=n)
            outcomes = list(measure_isolated(one, QUICK, LIMITS, traces=tmp_path, children=kept))
            found = {o.record.strategy: o for o in outcomes if o.record}
            assert {name: o.record.status for name, o in found.items()} == {
                "identity": "ok",
                "hessian": "unsupported",
                "vmap": "ok",
            }
            for name in ("identity", "vmap"):
                assert found[name].samples["phases_s"]["profile"] > 0
    finally:
        kept.close()
    # Two that are kept: one times, the other profiles.
    first, second, *later = processes
    assert first != second
    assert later == [first, second]
    assert len([*tmp_path.iterdir()]) == 4


def test_a_case_whose_profile_dies_keeps_its_times(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "is_apart", lambda cell, traces: True)
    monkeypatch.setattr(isolation, "profiles", dies)
    found = rows(cell("sin", "identity", "vmap"))
    assert {(name, row.status, row.kernels) for name, row in found.items()} == {
        ("identity", "ok", None),
        ("vmap", "ok", None),
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt(), JacstratError("no child can be started")])
def test_what_was_timed_stands_where_its_profiles_end(cell, monkeypatch: pytest.MonkeyPatch, error) -> None:
    monkeypatch.setattr(isolation, "is_apart", lambda cell, traces: True)
    isolated, found = isolation.isolated, []

    def ending(work, *args):
        if isolation.PROFILES in args:
            raise error
        return isolated(work, *args)

    monkeypatch.setattr(isolation, "isolated", ending)
    outcomes = measure_isolated(cell("sin", "identity", "vmap"), QUICK, LIMITS)
    with pytest.raises(type(error)):
        # What came before it counts.
        deque(map(found.append, outcomes), maxlen=0)
    assert [one.record.strategy for one in found if one.record] == ["identity", "vmap"]
    assert {one.record.status for one in found if one.record} == {"ok"}


def dies(cell, attend, cache=None, traces=None):
    attend(cell.strategies[0])
    os._exit(3)
    yield
