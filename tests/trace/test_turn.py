"""One thread at a time, and no thread that is not there."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from jacstrat.trace.turn import Turn


def test_another_thread_waits_and_the_same_does_not() -> None:
    turn, entered = Turn(), Event()

    def enter() -> None:
        with turn:
            entered.set()

    with ThreadPoolExecutor(1) as pool:
        with turn, turn:
            waiting = pool.submit(enter)
            assert not entered.wait(0.05)
        waiting.result(60)
    assert entered.is_set()


def test_it_is_let_go_of_after_an_error() -> None:
    turn = Turn()
    with pytest.raises(ValueError, match="mine"), turn:
        raise ValueError("mine")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(turn.__enter__).result(60) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    turn, inside, leave = Turn(), Event(), Event()

    def hold() -> None:
        with turn:
            inside.set()
            leave.wait(60)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        assert inside.wait(60)
        child = os.fork()
        if child == 0:
            os._exit(0 if turn._lock.acquire(blocking=False) else 1)
        leave.set()
        held.result(60)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_who_forks_within_leaves_it_in_the_child_too() -> None:
    turn, code = Turn(), 1
    try:
        with turn:
            child = os.fork()
        # Raises where another lock has taken its place.
        code = 0
    finally:
        if child == 0:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
