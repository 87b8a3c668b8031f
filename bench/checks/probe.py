"""Problems whose file, loaded by a child, has that child note how long it measures.

Given to a sweep by path, as a user's own: a child is a process of its own, and this is how code gets into it. The
seconds that it spends inside `prepare_case` (prepare, check, count) and `warm_up` go to a file beside this one; those
of the blocks are in samples.jsonl.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from jacstrat.harness.cell import measuring
from jacstrat.harness.dispatch.strays import MARK
from jacstrat.measure import sampling
from jacstrat.problems import PROBLEMS

SPANS = "spans.jsonl"

linear, sin = PROBLEMS["linear"], PROBLEMS["sin"]


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, each call of it a line of the file: its name and its seconds."""
    file = Path(__file__).with_name(SPANS)

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            span = {"name": function.__name__, "seconds": time.perf_counter() - begin}
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(span) + "\n")

    return run


# In a child alone.
if MARK in os.environ:
    for module, name in ((measuring, "prepare_case"), (sampling, "warm_up")):
        setattr(module, name, timed(getattr(module, name)))
