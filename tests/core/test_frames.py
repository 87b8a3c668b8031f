"""Frames: what was sent comes, whatever its parts; what others write is found out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.core import frames
from jacstrat.core.frames import FrameError, Receiver, Sender, new_key, out_of_the_way

KEY = new_key()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        try:
            os.close(descriptor)
        except OSError:
            continue


def all_of(receiver: Receiver) -> list:
    found = []
    while part := receiver.receive():
        found += part
    return found


def sent(*values) -> bytes:
    """The frames of the values, as bytes."""
    read, write = os.pipe()
    sender = Sender(write, KEY)
    for value in values:
        sender.send(value)
    os.close(write)
    with open(read, "rb") as file:
        return file.read()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=20)
@given(values=st.lists(json_values, max_size=4), cut=st.integers(5, 200))
def test_what_is_sent_comes_however_it_is_cut(values, cut: int) -> None:
    read, write = os.pipe()
    receiver, content, found = Receiver(read, KEY), sent(*values), []
    for start in range(0, len(content), cut):
        os.write(write, content[start : start + cut])
        found += all_of(receiver)
    os.close(write)
    with pytest.raises(EOFError):
        receiver.receive()
    os.close(read)
    assert found == values


def test_numbers_of_numpy_and_what_is_no_number_come_as_python_has_them(pipe) -> None:
    Sender(pipe[1], KEY).send([np.int64(3), np.bool_(True), np.float32(0.5), math.nan, math.inf, "\udcff"])
    (found,) = Receiver(pipe[0], KEY).receive()
    assert found[:3] == [3, True, 0.5]
    assert math.isnan(found[3])
    assert found[4:] == [math.inf, "\udcff"]


@settings(max_examples=25)
@given(garbage=st.binary(min_size=36, max_size=200))
def test_bytes_of_others_are_no_message(garbage: bytes) -> None:
    read, write = os.pipe()
    os.write(write, garbage)
    with pytest.raises(FrameError, match="what comes is no message"):
        Receiver(read, KEY).receive()
    os.close(read)
    os.close(write)


@settings(max_examples=25)
@given(place=st.integers(0, 1000), bit=st.integers(0, 7))
def test_a_changed_bit_is_found_out(place: int, bit: int) -> None:
    content = bytearray(sent({"record": "row"}))
    content[place % len(content)] ^= 1 << bit
    read, write = os.pipe()
    os.write(write, content)
    with pytest.raises(FrameError):
        all_of(Receiver(read, KEY))
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (1,)])
def test_a_frame_that_is_left_out_or_comes_twice_is_no_message(pipe, order) -> None:
    first = sent("first")
    both = [first, sent("first", "second")[len(first) :]]
    for number in order:
        os.write(pipe[1], both[number])
    with pytest.raises(FrameError):
        all_of(Receiver(pipe[0], KEY))


def test_a_message_beyond_all_bounds_is_not_sent(pipe, monkeypatch) -> None:
    monkeypatch.setattr(frames, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="a message of 202 bytes is beyond the 100 that a channel takes"):
        Sender(pipe[1], KEY).send("x" * 200)
    with pytest.raises(TypeError, match="object is no data"):
        Sender(pipe[1], KEY).send(object())


def test_a_fork_of_the_sender_says_nothing_and_ends(pipe) -> None:
    sender = Sender(pipe[1], KEY)
    pid = os.fork()
    if pid == 0:
        sender.send("forked")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    sender.send("own")
    assert Receiver(pipe[0], KEY).receive() == ["own"]


def test_the_descriptor_is_far_from_those_that_f_tries(pipe) -> None:
    import resource

    moved = out_of_the_way(os.dup(pipe[1]))
    limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1024)
    assert limit * 3 // 4 <= moved < limit
    assert not os.get_inheritable(moved)
    Sender(moved, KEY).send(1)
    os.close(moved)
    assert Receiver(pipe[0], KEY).receive() == [1]
