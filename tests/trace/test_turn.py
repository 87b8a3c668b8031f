"""One thread at a time, and no thread that is not there."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest
import torch

from jacstrat import UnsupportedError, laplacian
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


def test_who_is_waited_for_by_the_holder_is_told_so_and_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jacstrat.trace.turn.LOOK_S", 0.01)
    turn, said, left = Turn(), [], Event()

    def enter() -> None:
        with turn:
            pass

    def join() -> None:
        try:
            enter()
        except UnsupportedError as error:
            said.append(str(error))

    with ThreadPoolExecutor(1) as pool, turn:
        with pytest.raises(UnsupportedError, match="waits for a thread which it has given work"):
            pool.submit(enter).result(60)
        thread = Thread(target=join)
        thread.start()
        thread.join(60)
        assert len(said) == 1
        other = Thread(target=lambda: (enter(), left.set()))  # of whom nobody waits for the end
        other.start()
        assert not left.wait(0.1)
    other.join(60)
    assert left.is_set()


def test_a_function_that_asks_in_threads_is_served_by_what_does_not_record_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jacstrat.trace.turn.LOOK_S", 0.01)
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3)

    def f(x: torch.Tensor) -> torch.Tensor:
        with ThreadPoolExecutor(1) as pool:
            inner = pool.submit(laplacian, lambda y: y.sin().sum(-1), torch.ones(2, 3), "jvp").result(60)
        return (x**3).sum(-1) * float(inner[0])

    with pytest.raises(UnsupportedError):
        laplacian(f, x, "jvp")
    expected = -6 * x.sum(-1) * 3 * float(torch.ones(()).sin())
    torch.testing.assert_close(laplacian(f, x, "identity"), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(laplacian(f, x), expected, rtol=1e-6, atol=0)


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
