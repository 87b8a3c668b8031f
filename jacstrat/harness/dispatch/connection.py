"""A client of a Dask scheduler: of one that is there, or of one with workers on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from jacstrat.core.errors import UsageError, in_words
from jacstrat.harness.dispatch.worker import VISIBLE_CARDS
from jacstrat.measure.environment import MACHINE_VARIABLE

try:
    import dask
    import distributed as distributed
except ImportError as error:
    raise UsageError(f"--scheduler needs Dask ({in_words(error)}); pip install 'jacstrat[distributed]'") from None

LOOPBACK = "127.0.0.1"
# A local worker says that it lives every half second.
SILENT_S = 60
# Ctrl-C goes to all processes of a terminal; the client ends the others.
DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
# For a scheduler to answer.
CONNECT_S = 10


@contextmanager
def connected(address: str, tell: Callable[[str], object]) -> Iterator[distributed.Client]:
    """A client of the scheduler, for as long as the with block lasts.

    Args:
        address: "local:4" for four workers on this machine, which end with the block; "tcp://HOST:PORT" or
            "tls://HOST:PORT" of a scheduler, or the JSON file that it has written.
        tell: Takes the address of the dashboard.

    Raises:
        UsageError: It is none of these, or nobody answers there.
    """
    local = re.fullmatch(r"local:(\d{1,4})", address)
    if local is not None and not int(local[1]):
        raise UsageError("local:N starts N workers on this machine, from 1 on, got local:0")
    # Dask logs what happens to workers; what becomes of a cell is told in its row.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    # A client tells of a scheduler that is gone with its traceback; here that is a line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        options: dict[str, Any] = {"timeout": CONNECT_S, "set_as_default": False, "name": "jacstrat"}
        try:
            if local is not None:
                options["address"] = stack.enter_context(local_cluster(int(local[1])))
            else:
                options["address"] = _address_in(address) if address.endswith(".json") else address
                with ThreadPoolExecutor(1) as thread:
                    # A notebook has a loop of its own in this one.
                    thread.submit(asyncio.run, _greet(options["address"])).result()
            client = stack.enter_context(distributed.Client(**options))
        # Whatever listens there may answer anything.
        except Exception as error:
            remedy = "give tcp://HOST:PORT, or local:N for workers on this machine"
            raise UsageError(f"no scheduler answers at {address} ({in_words(error)}); {remedy}") from None
        tell(f"Dask dashboard at {client.dashboard_link}")
        yield client


@contextmanager
def local_cluster(workers: int, machines: Sequence[str] = (), allowed_failures: int = 1) -> Iterator[Any]:
    """A scheduler and workers on this machine, each a process of its own that is started again when it dies.

    All of it listens on the loopback device alone. Of several cards each worker sees one, the first worker the first.

    Args:
        workers: How many.
        machines: A name for each, to let it pass for a machine of its own; empty for this machine, on which they take
            turns at the one slot for the CPU.
        allowed_failures: How many workers may die on a cell before the scheduler lets go of it.
    """
    cards = _visible_cards()

    def options(number: int) -> dict[str, Any]:
        # A sampling profiler that wakes a hundred times a second is no neighbour for a measurement.
        env = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False", "DASK_LOGGING__DISTRIBUTED": "error"}
        env |= {VISIBLE_CARDS: cards[number % len(cards)]} if len(cards) > 1 else {}
        env |= {MACHINE_VARIABLE: machines[number]} if machines else {}
        common = {"nthreads": 1, "memory_limit": 0, "host": LOOPBACK, "silence_logs": logging.ERROR}
        return {**common, "env": env, "preload": [DEAF]}

    settings = {
        "distributed.scheduler.allowed-failures": allowed_failures,
        # A worker that is stopped, and holds its slot, is started again after so long.
        "distributed.scheduler.worker-ttl": f"{SILENT_S}s",
        "distributed.worker.profile.enabled": False,
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"host": LOOPBACK, "dashboard_address": f"{LOOPBACK}:0"}}
    nannies = {number: {"cls": distributed.Nanny, "options": options(number)} for number in range(workers)}
    with dask.config.set(settings), distributed.SpecCluster(nannies, scheduler, silence_logs=logging.ERROR) as cluster:
        try:
            yield cluster
        finally:
            # A worker that is stopped hears of no end, and would be waited for.
            for nanny in cluster.workers.values():
                with suppress(ProcessLookupError, TypeError):
                    os.kill(nanny.pid, signal.SIGCONT)


def _address_in(file: str) -> str:
    """The address that a scheduler has written into its file; Dask itself would wait for the file without an end.

    Raises:
        OSError, ValueError: There is none.
    """
    with open(file, encoding="utf-8") as text:
        content = json.load(text)
    if not isinstance(content, dict) or not isinstance(content.get("address"), str):
        raise ValueError("the file has no address of a scheduler")
    return str(content["address"])


async def _greet(address: str) -> None:
    """Ask who listens there. A client is for a scheduler: one that meets anything else leaves its loop behind, and
    stops whichever thread later collects it.

    Raises:
        Exception: No answer within CONNECT_S, or one that is none.
    """
    security = distributed.Security().get_connection_args("client")
    async with asyncio.timeout(CONNECT_S), distributed.rpc(address, connection_args=security) as scheduler:
        await scheduler.identity()


def _visible_cards() -> list[str]:
    """The cards that torch sees, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = [card.strip() for card in os.environ.get(VISIBLE_CARDS, "").split(",") if card.strip()]
    return named or [str(number) for number in range(torch.cuda.device_count())]
