"""Fork servers: asked with a limit of time, ended with all that their children have left. These import no torch."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest

from jacstrat.harness.dispatch import server as servers
from jacstrat.harness.dispatch.server import Server, ServerError, end_marked, last_line, scratch_file

# A child says in its first descriptor how it is, does what it is told, and sleeps.
LOOP = """
import os, signal, socket, subprocess, sys, time
from jacstrat.core.forks import answer, detach, redirect, serve
control = socket.socket(fileno=int(sys.argv[-1]))
def become(order, descriptors):
    detach()
    redirect(descriptors[0])
    exec(order["code"])
answer(control, {"ready": True})
serve(control, become)
"""
# Told from those of another run of these tests on the machine.
SLEEP = ["sleep", f"611.{os.getpid()}"]
DAEMON = f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", {SLEEP!r}, {{}})
    os._exit(0)
os.wait()
"""


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Starts a server of this code; closed at the end."""
    started = []

    def make(code: str = LOOP) -> Server:
        started.append(Server([sys.executable, "-c", code]))
        return started[-1]

    yield make
    for server in started:
        server.close()


def fork(server: Server, code: str) -> tuple[int, object]:
    """A child that does something, and the file of its errors."""
    errors = scratch_file()
    return server.fork({"code": code}, [errors.fileno()]), errors


def sleepers() -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if _arguments(p) == SLEEP]


def _arguments(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    return []


def eventually(fact: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not fact() and time.monotonic() < deadline:
        time.sleep(0.01)
    return fact()


def test_how_a_child_ended_is_told_with_its_last_words(start) -> None:
    server = start()
    for code, status in (("os._exit(3)", 3), ("os.abort()", -signal.SIGABRT), ("pass", 0), ("1 / 0", 1)):
        pid, errors = fork(server, code)
        assert server.end(pid, 5.0) == status
    assert last_line(errors) == "ZeroDivisionError: division by zero"
    pid, _ = fork(server, "time.sleep(1000)")
    assert server.end(pid) == 0
    assert not psutil.pid_exists(pid)


def test_what_a_child_leaves_ends_with_it_whatever_its_session_and_environment(start) -> None:
    server = start()
    pid, _ = fork(server, DAEMON + "os.write(2, b'left'); time.sleep(1000)")
    assert eventually(lambda: len(sleepers()) == 1)
    server.end(pid)
    assert sleepers() == []


def test_what_forks_without_an_end_is_ended(start) -> None:
    server = start()
    code = "os.setpgid(0, 0) if os.getpid() != os.getsid(0) else None\n"
    code += "for _ in range(300):\n    if os.fork(): os._exit(0)\n    os.setsid(); time.sleep(0.001)\n"
    pid, _ = fork(server, code)
    server.end(pid, 5.0)
    assert psutil.Process(server.pid).children(recursive=True) == []


def test_children_and_what_they_left_end_with_the_server(start) -> None:
    server = start()
    pid, _ = fork(server, DAEMON + "time.sleep(1000)")
    assert eventually(lambda: len(sleepers()) == 1)
    server.close()
    assert eventually(lambda: not psutil.pid_exists(pid) and sleepers() == [])


@pytest.mark.long(but_one_in=2)
@pytest.mark.parametrize(
    ("do", "how"),
    [
        (lambda pid: os.kill(pid, signal.SIGSTOP), "the process that imports torch is stopped"),
        (lambda pid: os.kill(pid, signal.SIGKILL), "the process that imports torch has ended"),
    ],
)
def test_a_server_that_is_stopped_or_dead_is_not_waited_for(start, do, how: str, monkeypatch) -> None:
    monkeypatch.setattr(servers, "STOPPED_S", 0.2)
    server = start()
    pid, _ = fork(server, DAEMON + "time.sleep(1000)")
    assert eventually(lambda: len(sleepers()) == 1)
    do(server.pid)
    with pytest.raises(ServerError, match=how):
        server.end(pid)
    server.close(force=True)
    assert eventually(lambda: not psutil.pid_exists(server.pid) and not psutil.pid_exists(pid))
    if "stopped" in how:
        assert eventually(lambda: sleepers() == [])
    for sleeper in sleepers():
        # With an empty environment, and the server dead before it was asked, nothing tells whose it is.
        sleeper.kill()


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import sys; sys.exit('no room')", "has ended: no room"),
        ("import time; time.sleep(1000)", "does not answer for 0.3 s"),
        ("import os, sys, time; os.write(int(sys.argv[-1]), b'no JSON\\n'); time.sleep(9)", "has ended"),
    ],
)
def test_a_server_that_does_not_start_is_told(start, monkeypatch, code: str, how: str) -> None:
    monkeypatch.setattr(servers, "START_S", 0.3 if "answer" in how else 60.0)
    server = start(code)
    with pytest.raises(ServerError, match=f"the process that imports torch {how}"):
        fork(server, "pass")
    server.close(force=True)


def test_after_an_answer_that_was_not_waited_for_a_server_is_asked_nothing(start, monkeypatch) -> None:
    server = start()
    fork(server, "pass")

    def interrupted(limit_s: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(server, "_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fork(server, "pass")
    with pytest.raises(ServerError, match="was left in the middle of an answer"):
        fork(server, "pass")


def test_what_has_the_mark_is_ended_and_what_stays_is_named(start, monkeypatch, caplog) -> None:
    server = start()
    pid, _ = fork(server, "time.sleep(1000)")
    end_marked(server.mark, but=server.pid)
    assert eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert psutil.Process(server.pid).status() != psutil.STATUS_ZOMBIE
    monkeypatch.setattr(servers, "END_S", 0.1)
    monkeypatch.setattr(psutil.Process, "kill", lambda process: None)
    assert caplog.messages == []
    end_marked(server.mark)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"process {server.pid} (")
    assert caplog.messages[0].endswith("which a function has started, does not end; end it by hand")


def test_the_server_of_a_process_ends_with_it_and_not_with_a_fork_of_it() -> None:
    from types import SimpleNamespace

    from jacstrat.harness.dispatch.servers import Servers

    closed: list[str] = []
    servers = Servers()
    servers.close()
    servers._server = SimpleNamespace(close=lambda: closed.append("closed"))
    servers._process += 1
    servers.close()
    assert closed == []
    servers._process -= 1
    servers.close()
    servers.close()
    assert closed == ["closed"]
