"""What the process of a peer does: prepare operators of functions, then call them as often as it is told to.

Run as `python -P serve.py SIDE.py` by the Python of the peer, which has neither jacstrat nor, perhaps, torch: this file
imports the standard library and numpy alone. SIDE.py knows the library; see `serve` for what it defines.

A line of JSON comes in and one goes out; arrays go by files. Between them the process waits for a lock, so that it
takes nothing from the side whose turn it is.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Task:
    """What is to be prepared.

    Fields:
        operator: Name of the operator.
        options: The parameters of the strategy.
        program: f at one point, as `jacstrat.peers.program` writes it.
        goes: Of the arguments behind the point, whether each goes with it.
        batch, n: Points of a call, and coordinates of one.
        dtype: Of the points, by numpy's name.
        device: "cpu" or "cuda"; the only one that the process sees.
        threads: Of one operation on the CPU.
        precision: Of float32 products on an accelerator: "float32" or "tf32".
    """

    operator: str
    options: Mapping[str, Any]
    program: Mapping[str, Any]
    goes: tuple[bool, ...]
    batch: int
    n: int
    dtype: str
    device: str
    threads: int
    precision: str


class Call(Protocol):
    """A prepared operator, in a side."""

    def place(self, arrays: Arrays) -> None:
        """Take "x", (B, n), "arg0", ... and the constants of the program as what calls work on from now on."""

    def __call__(self) -> Any:
        """One call. On the CPU it has ended on return."""

    def wait(self, result: Any) -> None:
        """Return when the call that gave the result, and those before it, have ended."""

    def numbers(self, result: Any) -> np.ndarray:
        """The result as an array (B,)."""


class Side(Protocol):
    """What SIDE.py defines. It raises NotImplementedError, or what its library raises, where it cannot."""

    def software(self, task: Task) -> Mapping[str, str]:
        """Versions of what computes, and how its precision is set."""

    def prepare(self, task: Task) -> Call:
        """Everything that is done once."""


def serve(side: Side, lines: queue.SimpleQueue[str], answers: Any) -> None:
    """Answer until there are no more requests. A request that fails is answered by a fault, and the next one is taken.

    - {"prepare": handle, "task": {...}, "arrays": FILE.npz}: -> {"software": {...}}
    - {"evaluate": handle, "arrays": FILE.npz, "result": FILE.npy}: calls once at other points -> {}
    - {"run": handle, "calls": k}: -> {"seconds": s} of k calls at the points of the last evaluation
    - {"forget": handle}: -> {}
    """
    calls: dict[int, Call] = {}
    while True:
        request = json.loads(lines.get())
        try:
            answer = _answer(side, calls, request)
        except MemoryError as error:
            answer = {"fault": "memory", "text": _line(error)}
        except Exception as error:
            is_memory = type(error).__name__ == "OutOfMemoryError" or "RESOURCE_EXHAUSTED" in str(error)
            answer = {"fault": "memory" if is_memory else "raised", "text": _line(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(side: Side, calls: dict[int, Call], request: Mapping[str, Any]) -> dict[str, Any]:
    if "prepare" in request:
        task = Task(**{**request["task"], "goes": tuple(request["task"]["goes"])})
        call = side.prepare(task)
        call.place(_load(request["arrays"]))
        call.wait(call())
        calls[request["prepare"]] = call
        # A collection inside a block would be put down to the work.
        gc.collect()
        gc.disable()
        return {"software": dict(side.software(task))}
    if "evaluate" in request:
        call = calls[request["evaluate"]]
        call.place(_load(request["arrays"]))
        result = call()
        call.wait(result)
        np.save(request["result"], call.numbers(result))
        return {}
    if "run" in request:
        return {"seconds": _seconds(calls[request["run"]], request["calls"])}
    calls.pop(request["forget"], None)
    gc.collect()
    return {}


def _seconds(call: Call, calls: int) -> float:
    """Seconds of so many calls in a row; the last one is waited for, and with it those before."""
    result = None
    begin = time.perf_counter()
    for _ in range(calls):
        result = call()
    call.wait(result)
    return time.perf_counter() - begin


def _load(file: str) -> dict[str, np.ndarray]:
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def load(file: str) -> Any:
    """The side that a file defines, its folder on the path: it may import what lies beside it."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    spec = importlib.util.spec_from_file_location("side", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(file: str) -> None:
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        # The end of the pipe is that of who asks: whatever is under way then is for nobody.
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    serve(load(file), lines, answers)


if __name__ == "__main__":
    main(sys.argv[1])
