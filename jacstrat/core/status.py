"""How a case can end, and the causes that others are not tried for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Status = Literal["ok", "wrong", "unsupported", "skipped", "timeout", "oom", "crashed", "error"]
STATUSES: Mapping[Status, str] = {
    "ok": "the result is within the tolerance of its dtype",
    "wrong": "the result is beyond the tolerance of its dtype",
    "unsupported": "the strategy cannot serve this function; see reason",
    "skipped": "not tried; see reason",
    "timeout": "ended at its time limit",
    "oom": "memory ran out",
    "crashed": "the process died",
    "error": "the function or the strategy raised; see reason",
}
assert tuple(STATUSES) == get_args(Status)

Cause = Literal["", "memory", "after_memory", "after_timeout", "after_oom"]
CAUSES: Mapping[Cause, str] = {
    "": "none that anything follows from",
    "memory": "its predicted peak is beyond the memory that there is",
    "after_memory": "not tried, since a smaller n of its line had the cause memory",
    "after_timeout": "not tried, since a smaller n of its line ended as timeout",
    "after_oom": "not tried, since a smaller n of its line ended as oom",
}
assert tuple(CAUSES) == get_args(Cause)
