"""Children that are kept from cell to cell: who does what, until something dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest

from jacstrat.harness.dispatch import children as harness_children
from jacstrat.harness.dispatch import servers
from jacstrat.harness.dispatch.child import ChildLimits
from jacstrat.harness.dispatch.children import Children, on_accelerator
from jacstrat.harness.dispatch.isolation import isolated
from tests.harness.conftest import LIMITS
from tests.harness.working import Told, died, tells


@pytest.fixture
def children() -> Iterator[Children]:
    """All are kept, though no device is started."""
    made = Children(keeps=lambda cell: True)
    yield made
    made.close()


def told(cell, children: Children | None, limits: ChildLimits = LIMITS) -> list[Told]:
    return list(isolated(tells, Told.parse, died, cell, limits, children=children))


def who(messages: list[Told]) -> int:
    """The one process that they come from."""
    (process,) = {message.process for message in messages}
    return process


def wait_for_death(process: int) -> None:
    deadline = time.monotonic() + 5
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(process).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.01)


def test_one_child_works_on_many_cells_and_ends_at_the_end(cell, children) -> None:
    first = who(told(cell("sin", "a", "b"), children))
    assert [who(told(cell(problem, "c"), children)) for problem in ("sin", "linear", "sin")] == [first] * 3
    assert psutil.pid_exists(first)
    children.close()
    assert not psutil.pid_exists(first)


def test_a_child_has_one_purpose_in_its_life(cell, children) -> None:
    with children.one_for(cell("sin")) as one, children.one_for(cell("sin"), "another") as other:
        assert one is not other
        one.is_free = other.is_free = True
    for _ in range(2):
        with children.one_for(cell("linear"), "another") as again:
            assert again is not one
            again.is_free = True


def test_problems_that_are_said_to_be_ones_own_share_a_child(cell) -> None:
    sharing = Children(keeps=lambda cell: True, is_own=lambda problem: True)
    first, second = (who(told(cell(problem, "a"), sharing)) for problem in ("sin", "mine.py:f"))
    sharing.close()
    assert first == second


def test_what_a_cell_leaves_behind_is_collected_before_the_next(cell, children) -> None:
    assert [message.tidy for _ in range(3) for message in told(cell("sin", "a"), children)] == [True] * 3


def test_cells_of_the_cpu_have_a_child_each(cell) -> None:
    assert not on_accelerator(cell("sin"))
    assert on_accelerator(cell("sin", device="cuda:1"))
    children = Children()
    first, second = (who(told(cell("sin", "a"), children)) for _ in range(2))
    assert first != second
    assert not psutil.pid_exists(first)
    on_card = [who(told(cell("sin", "a", device="cuda"), children)) for _ in range(2)]
    assert len(set(on_card)) == 1
    children.close()


def test_each_device_has_a_child_and_each_function_of_the_users(cell, children) -> None:
    ours = who(told(cell("sin", "a"), children))
    other = who(told(cell("sin", "a", device="cuda:1"), children))
    assert ours != other
    assert who(told(cell("linear", "a"), children)) == ours
    mine = who(told(cell("mine.py:f", "a"), children))
    assert mine not in (ours, other)
    assert who(told(cell("mine.py:f", "a", n=4), children)) == mine
    assert who(told(cell("yours.py:f", "a"), children)) != mine
    assert not psutil.pid_exists(mine)
    assert who(told(cell("sin", "a", device="cuda:1"), children)) == other


@pytest.mark.parametrize(
    ("strategy", "death"),
    [("aborts", "crashed: killed by SIGABRT; last words: mine: I abort"), ("exits", "crashed: exited with code 3")],
)
def test_after_a_death_a_fresh_child_goes_on_with_the_cell_and_with_later_ones(cell, children, strategy, death) -> None:
    first = who(told(cell("sin", "a"), children))
    before, row, after = told(cell("sin", "b", strategy, "c"), children)
    assert before.process == first
    assert row == Told(strategy, death=death)
    assert after.process != first
    assert who(told(cell("sin", "a"), children)) == after.process


def test_what_ran_out_of_time_is_killed_and_a_fresh_child_goes_on(cell, children) -> None:
    first = who(told(cell("sin", "a"), children))
    row, after = told(cell("sin", "hangs", "c"), children, ChildLimits(0.3, 2**32))
    assert row == Told("hangs", death="timeout: no end after 0.3 s")
    assert not psutil.pid_exists(first)
    assert after.process != first


def test_a_child_that_had_another_cell_before_dies_in_nobodys_name(cell, children) -> None:
    first = who(told(cell("late", "a"), children))
    # Its second task ends it in f; in a fresh child, whose first task this is, it does not.
    second = told(cell("late", "a", "b"), children)
    assert [message.death for message in second] == ["", ""]
    assert who(second) != first


def test_modules_of_jacstrat_share_the_child_of_its_problems(cell, children) -> None:
    first = who(told(cell("sin", "a"), children))
    assert who(told(cell("jacstrat.problems.trained:tanh_3_32x4", "a"), children)) == first
    assert who(told(cell("jacstratum:f", "a"), children)) != first


@pytest.mark.long
def test_a_child_that_died_between_two_cells_is_replaced(cell, children) -> None:
    first = who(told(cell("sin", "a"), children))
    process = psutil.Process(first)
    process.kill()
    psutil.wait_procs([process], timeout=5)
    assert who(told(cell("sin", "a"), children)) != first


def test_last_words_are_those_of_the_task(cell, children) -> None:
    told(cell("sin", "speaks"), children)
    (silent,) = told(cell("sin", "exits"), children)
    assert silent.death == "crashed: exited with code 3"


def test_a_child_whose_cell_is_left_in_the_middle_is_not_kept(cell, children) -> None:
    messages = isolated(tells, Told.parse, died, cell("sin", "a", "hangs"), LIMITS, children=children)
    first = next(messages).process
    messages.close()
    assert not psutil.pid_exists(first)
    assert who(told(cell("sin", "a"), children)) != first


def test_what_is_written_into_the_channel_of_an_earlier_task_is_no_message_of_this_one(cell, children) -> None:
    first = who(told(cell("sin", "keeps_its_channel"), children))
    assert [who(told(cell("sin", "a", "b"), children)) for _ in range(2)] == [first] * 2


def test_a_child_that_takes_no_other_task_is_replaced_in_nobodys_name(cell, children) -> None:
    first = who(told(cell("sin", "refuses_more"), children))
    second = told(cell("sin", "a", "b"), children)
    assert [message.death for message in second] == ["", ""]
    assert who(second) != first


def test_a_child_that_loses_its_device_is_not_kept(cell, children) -> None:
    first = who(told(cell("sin", "a"), children))
    (row,) = told(cell("sin", "loses_its_device"), children)
    assert row.death == "crashed: it ended the device's context: mine: an illegal access"
    assert not psutil.pid_exists(first)
    assert who(told(cell("sin", "a"), children)) != first


@pytest.mark.long
def test_children_of_a_server_that_is_gone_are_replaced(cell, children) -> None:
    first = who(told(cell("sin", "a"), children))
    server = servers.SERVERS._server
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_for_death(first)
    assert who(told(cell("sin", "a"), children)) != first
    children.close()


@pytest.mark.long
def test_slots_that_start_children_at_once_have_one_server(cell, monkeypatch) -> None:
    started = []

    class Counted(servers.Server):
        def __init__(self, command) -> None:
            started.append(self)
            super().__init__(command)

    fresh = servers.Servers()
    monkeypatch.setattr(servers, "Server", Counted)
    monkeypatch.setattr(harness_children, "SERVERS", fresh)
    with ThreadPoolExecutor(2) as slots:
        found = list(slots.map(lambda device: told(cell("sin", "a", device=device), None), ("cuda:0", "cuda:1")))
    assert len({who(messages) for messages in found}) == 2
    assert len(started) == 1
    started[0].close()
