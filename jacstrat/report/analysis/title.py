"""The title of a run: what was run, where and when, in a few words from its records and its environment."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import datetime

from jacstrat.core.environment import Session
from jacstrat.record import Record
from jacstrat.report.analysis.setting import quantity
from jacstrat.report.analysis.units import listed

MOST_QUANTITIES = 2
MOST_OPERATORS = 3


def what(records: Sequence[Record]) -> str:
    """What was run: "Laplacian of tanh_scalar", or of many quantities "Divergence and Laplacian of 9 problems"."""
    quantities = dict.fromkeys((record.operator, record.problem) for record in records)
    if not quantities:
        return "No case"
    if len(quantities) <= MOST_QUANTITIES:
        return _upper(listed(quantity(*one) for one in quantities))
    operators = list(dict.fromkeys(operator for operator, _ in quantities))
    problems = list(dict.fromkeys(problem for _, problem in quantities))
    of = problems[0] if len(problems) == 1 else f"{len(problems)} problems"
    if len(operators) > MOST_OPERATORS:
        return f"{len(operators)} operators of {of}"
    names = listed(quantity(operator, "").removesuffix(" of ") for operator in operators)
    return f"{_upper(names)} of {of}"


def where(records: Sequence[Record], sessions: Sequence[Session]) -> str:
    """Where: "2 CPU threads of AMD EPYC", "NVIDIA H100"; several places are joined, of many machines the number."""
    machines = {record.machine for record in records if record.machine}
    devices = [_device(device, records, sessions) for device in dict.fromkeys(record.device for record in records)]
    return listed(devices) + (f", {len(machines)} machines" if len(machines) > 1 else "")


def _device(device: str, records: Sequence[Record], sessions: Sequence[Session]) -> str:
    """A device in words. Of a CPU the threads that the cases had are said, not those of the session that began."""
    starts = [moment for one in sessions for moment in (one.start, *one.workers.values())]
    if device == "cpu":
        threads = sorted({record.threads for record in records if record.device == device})
        name = next((start.processor for start in starts if start.processor), "")
        return f"{listed(map(str, threads))} CPU thread{'s' * (threads != [1])}" + (f" of {name}" if name else "")
    cards = list(dict.fromkeys(card for start in starts for card in start.accelerators))
    return listed(cards) if cards and cards != [device.partition(":")[0]] else device.upper()


def when(sessions: Sequence[Session]) -> str:
    """The day on which the run was begun: "26 November 2026"; "" where nothing tells."""
    begun = sessions[0].start.utc if sessions else ""
    try:
        day = datetime.fromisoformat(begun)
    except ValueError:
        return ""
    return f"{day.day} {calendar.month_name[day.month]} {day.year}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
