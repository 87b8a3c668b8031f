"""A peer's process: what is asked, what it answers, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from jacstrat import UnsupportedError
from jacstrat.core.errors import CrashedError, JacstratError
from jacstrat.peers.process import Process, end_all, process_of, surroundings

from .toy import HERE

ARRAYS = {"x": np.zeros((2, 3))}


def task(**options: object) -> dict[str, object]:
    program = {"nodes": [{}], "output": {"slot": 0}, "is_row": False, "arguments": 0}
    sizes = {"batch": 2, "n": 3, "dtype": "float64", "device": "cpu", "threads": 1, "precision": "float64"}
    return {"operator": "laplacian", "options": options, "program": program, "goes": (), **sizes}


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    found = Process("toy", sys.executable, HERE / "toy_side.py", "cpu", 1)
    yield found
    found.end()


def test_it_prepares_evaluates_and_takes_the_time_of_calls(process: Process) -> None:
    handle, software = process.prepare(task(), ARRAYS)
    assert software == {"toy": "1.0", "precision": "float64", "threads": "1"}
    assert process.evaluate(handle, {"x": np.zeros((4, 5))}).tolist() == [10.0] * 4
    slow, _ = process.prepare(task(sleep_s=0.001), ARRAYS)
    assert process.seconds(slow, 5) >= 0.005
    process.forget(slow)
    with pytest.raises(JacstratError, match="KeyError"):
        process.seconds(slow, 1)
    # One that failed is no end of the others.
    assert process.seconds(handle, 3) > 0


def test_what_a_library_cannot_is_unsupported_and_no_memory_is_that(process: Process) -> None:
    nothing = task()
    nothing["program"] = {"nodes": []}
    with pytest.raises(UnsupportedError, match="toy cannot: NotImplementedError: toy has no rule for nothing"):
        process.prepare(nothing, ARRAYS)
    for fault in ("memory", "device memory"):
        with pytest.raises(MemoryError):
            process.prepare(task(fault=fault), ARRAYS)


def test_a_process_that_ends_says_its_last_words() -> None:
    process = Process("toy", sys.executable, HERE / "toy_side.py", "cpu", 1)
    with pytest.raises(
        CrashedError, match="the process of toy ended with code 3; last words: these are its last words"
    ):
        process.prepare(task(fault="exit"), ARRAYS)
    assert not process.is_alive
    process.forget(0)
    with pytest.raises(CrashedError):
        process.seconds(0, 1)
    process.end()


def test_there_is_one_process_for_a_device_and_so_many_threads_and_a_new_one_once_it_has_ended() -> None:
    one = process_of("toy", sys.executable, HERE / "toy_side.py", "cpu", 1)
    assert process_of("toy", sys.executable, HERE / "toy_side.py", "cpu", 1) is one
    end_all()
    assert not one.is_alive
    other = process_of("toy", sys.executable, HERE / "toy_side.py", "cpu", 1)
    assert other is not one
    end_all()


def test_a_process_sees_its_device_alone_and_has_so_many_threads() -> None:
    environ = {"PYTHONPATH": "/ours", "PYTHONSAFEPATH": "1", "HOME": "/home", "CUDA_VISIBLE_DEVICES": "3,5"}
    found = surroundings(environ, "cuda:1", 4, is_ours=False)
    assert found["CUDA_VISIBLE_DEVICES"] == "5"
    assert found["JAX_PLATFORMS"] == "cuda"
    assert found["NPROC"] == found["OMP_NUM_THREADS"] == "4"
    assert found["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert not [name for name in found if name.startswith("PYTHON")]
    on_cpu = surroundings({}, "cpu", 1, is_ours=True)
    assert (on_cpu["CUDA_VISIBLE_DEVICES"], on_cpu["JAX_PLATFORMS"]) == ("", "cpu")
    assert on_cpu["PYTHONPATH"]
    assert surroundings({}, "cuda", 1, is_ours=True)["CUDA_VISIBLE_DEVICES"] == "0"
