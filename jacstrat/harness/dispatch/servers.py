"""The fork server of this process: started when it is first needed, replaced when it does not serve."""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from jacstrat.core.errors import JacstratError
from jacstrat.harness.dispatch.caller import search_path
from jacstrat.harness.dispatch.server import Server, ServerError, end_marked
from jacstrat.harness.dispatch.strays import own_mark

# How often a fork server may end in its start before there is none.
MOST_STARTS = 3


class Servers:
    """The fork server of this process, started when it is first needed and again when it is gone."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._process = os.getpid()
        # Slots start their children from threads.
        self._starting = Lock()

    def fork(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> tuple[Server, int]:
        """A server and the number of its new child.

        Raises:
            JacstratError: A server ends again and again before it forks; says what it said.
        """
        if self._process != os.getpid():
            # This process is itself a fork of the one that started it.
            self._server, self._process, self._starting = None, os.getpid(), Lock()
        with self._starting:
            for tries_left in reversed(range(MOST_STARTS)):
                server = self._server or Server(_command())
                self._server = server
                try:
                    return server, server.fork(order, descriptors)
                except ServerError as error:
                    self.replace(server)
                    if not tries_left:
                        raise JacstratError(f"no case can be measured in a process of its own: {error}") from None
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the server, if there is one and this process has started it: at the end of the process, whose socket and
        files of it would else be told as left open where warnings are shown."""
        if self._server is not None and self._process == os.getpid():
            self._server.close()
            self._server = None

    def end_left(self) -> None:
        """End the processes of all servers that this process has had, but for the one that serves."""
        end_marked(own_mark(), but=self._server.pid if self._server else None)

    def replace(self, server: Server) -> None:
        """End a server that does not serve, with all that it has started; the next child gets another one."""
        server.close(force=True)
        if self._server is server:
            self._server = None


SERVERS = Servers()
atexit.register(SERVERS.close)


def end_left_processes() -> None:
    """End what functions have started and left, at the end of a run, however it is detached; name what stays.

    After each child its server has done so on Linux. Here is what a server that has died, or another system, leaves.
    """
    SERVERS.end_left()


def _command() -> list[str]:
    """What starts a fork server that imports what this process would, and nothing from the working directory."""
    path = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1))"
    run = f"{path}; from jacstrat.harness.dispatch.child import main; main()"
    return [sys.executable, "-P", "-c", run, json.dumps(search_path())]
