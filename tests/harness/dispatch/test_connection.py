"""Who does not answer for a scheduler is named, and leaves nothing behind."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from random import Random

import pytest

from jacstrat import UsageError
from jacstrat.harness.dispatch import connection
from jacstrat.harness.dispatch.connection import connected


def test_who_does_not_answer_is_named(monkeypatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.2)
    with pytest.raises(UsageError, match=r"no scheduler answers at tcp://127.0.0.1:9 \(.*\); give tcp://HOST:PORT"):
        connected("tcp://127.0.0.1:9", print).__enter__()
    with pytest.raises(UsageError, match="local:N starts N workers on this machine, from 1 on, got local:0"):
        connected("local:0", print).__enter__()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("", "JSONDecodeError"),
        ("[1]", "the file has no address of a scheduler"),
        ('{"address": 7}', "the file has no address of a scheduler"),
        ('{"address": "no address"}', "ValueError"),
        ("\udcff", "UnicodeDecodeError"),
    ],
)
def test_a_scheduler_file_that_is_none_is_not_waited_for(tmp_path, text: str | None, why: str) -> None:
    file = tmp_path / "scheduler.json"
    if text is not None:
        file.write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError, match=f"no scheduler answers at .*{why}.*; give tcp://HOST:PORT"):
        connected(str(file), print).__enter__()


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 4096, Random(0).randbytes(4096)],
    ids=["nothing", "another protocol", "zeros", "noise"],
)
def test_what_answers_and_is_no_scheduler_is_named(monkeypatch, answer: bytes) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as caller:
                        caller.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(UsageError, match=r"no scheduler answers at tcp://.*; give tcp://HOST:PORT"):
            connected(f"tcp://127.0.0.1:{listener.getsockname()[1]}", print).__enter__()
        listener.shutdown(socket.SHUT_RDWR)
