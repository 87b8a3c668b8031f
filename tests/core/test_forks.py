"""How a child is ended, and what is said of its end; requests with descriptors beside them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import pytest

from jacstrat.core.forks import answer, end, request


def started(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE)


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -TERM $$", -signal.SIGTERM), ("exit 0", 0)])
def test_a_child_that_ends_within_its_grace_says_how(script: str, status: int) -> None:
    with started(script) as child:
        assert end(child.pid, grace_s=20.0) == status
        child.returncode = 0  # it is reaped


def test_a_child_that_runs_on_is_killed_with_its_group() -> None:
    with started("sleep 600 & echo $!; wait") as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert end(child.pid) == 0
        # The grandchild held the pipe, too.
        assert child.stdout.read() == b""
        child.returncode = 0


def test_a_request_has_its_descriptors_beside_it_and_none_is_the_end() -> None:
    here, there = socket.socketpair()
    read, write = os.pipe()
    with here, there:
        socket.send_fds(here, [b'{"do": '], [write])
        here.sendall(b'"fork"}\n')
        asked = request(there)
        assert asked is not None
        order, (received,) = asked
        assert order == {"do": "fork"}
        os.write(received, b"x")
        assert os.read(read, 1) == b"x"
        answer(there, {"pid": 7})
        assert here.recv(100) == b'{"pid": 7}\n'
        here.close()
        assert request(there) is None
    for descriptor in (read, write, received):
        os.close(descriptor)
