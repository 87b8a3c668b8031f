"""What the process of one side does: prepare a cell in each of its settings, then run so many calls when told to.

A line of JSON comes in and one goes out. Between them the process is blocked in a read, so that it takes nothing from
the side whose turn it is.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Work = Callable[[], Any]
Settings = Mapping[str, Callable[[], Work]]


def serve(settings: Callable[[dict[str, Any], dict[str, np.ndarray]], Settings], versions: Mapping[str, str]) -> None:
    """Answer until there are no more requests.

    - {"prepare": FILE.npz, "kind", "dtype", "values": FILE.npz}: the arrays of FILE are the points x and the weights.
      Each setting is made and called once, its result kept in `values`. Answer: {"versions", "settings": {name: ""}},
      with the reason in place of "" where a setting fails.
    - {"run": name, "calls": k}: answer {"seconds": s} of k calls, each waited for.

    Args:
        settings: (request, arrays) -> for each setting's name, what makes its work: a call that has ended when it
            returns, and gives an array of one Laplacian a point.
        versions: Of what is measured.
    """
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    works: dict[str, Work] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "prepare" in request:
            with np.load(request["prepare"]) as kept:
                arrays = {name: kept[name].astype(request["dtype"]) for name in kept.files}
            works, faults = _prepared(settings(request, arrays), request["values"])
            answer: dict[str, Any] = {"versions": dict(versions), "settings": faults}
            gc.collect()
            gc.disable()
        else:
            answer = {"seconds": _seconds(works[request["run"]], request["calls"])}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _prepared(settings: Settings, file: str) -> tuple[dict[str, Work], dict[str, str]]:
    works: dict[str, Work] = {}
    values: dict[str, np.ndarray] = {}
    faults: dict[str, str] = {}
    for name, make in settings.items():
        try:
            work = make()
            values[name] = np.asarray(work(), dtype=np.float64)
            works[name], faults[name] = work, ""
        except Exception as error:
            faults[name] = " ".join(f"{type(error).__name__}: {error}".split())[:100]
    np.savez(file, **values)
    return works, faults


def _seconds(work: Work, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - begin
