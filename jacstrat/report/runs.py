"""A run as it lies in its directory: its records with its name, its machine and its versions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jacstrat.records import ENVIRONMENT, SWEEP, Record, read_records
from jacstrat.report.findings import findings
from jacstrat.report.setting import to_records
from jacstrat.report.sheet import Sheet
from jacstrat.report.units import format_bytes


@dataclass(frozen=True, eq=False)
class Run:
    """A run.

    Fields:
        label: Its name, distinct among those of a report.
        directory: Where it lies.
        records: The last of each case.
        sessions: What environment.json holds, an entry each time the run was begun or gone on with; () without one.
        sweep: The text of sweep.toml; "" without one.
    """

    label: str
    directory: Path
    records: tuple[Record, ...]
    sessions: tuple[Mapping[str, Any], ...] = ()
    sweep: str = ""

    @cached_property
    def findings(self) -> tuple[Sheet | str, ...]:
        """What the run found; see `jacstrat.report.findings`."""
        return findings(self.records)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What made the numbers doubtful, each once, in the order in which it was said."""
        moments = [session.get(when) for session in self.sessions for when in ("start", "end")]
        said = [text for moment in moments if isinstance(moment, Mapping) for text in moment.get("warnings") or ()]
        return tuple(dict.fromkeys(map(str, said)))

    @property
    def facts(self) -> dict[str, str]:
        """What was run and where, in words by name; a fact that is not known is left out."""
        start = self.sessions[0].get("start") if self.sessions else None
        known = {name: words(start) for name, words in FACTS.items()} if isinstance(start, Mapping) else {}
        known["measured"] = self._when()
        known["devices"] = ", ".join(dict.fromkeys(record.device for record in self.records))
        return {name: text for name, text in known.items() if text}

    def _when(self) -> str:
        if not self.sessions:
            return ""
        begun = _at(self.sessions[0].get("start"), "start", "utc")
        ended = _at(self.sessions[-1].get("end"), "start", "utc")
        try:
            lasted = datetime.fromisoformat(str(ended)) - datetime.fromisoformat(str(begun))
        except ValueError:
            return str(begun or "")
        times = f", in {len(self.sessions)} sessions" if len(self.sessions) > 1 else ""
        return f"{str(begun).replace('T', ' ')[:16]} UTC, {lasted.total_seconds() / 60:.1f} min{times}"


def _at(value: Any, *path: str) -> Any:
    """What lies in nested mappings at a path; None where there is nothing, or another kind of thing on the way."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(*path: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda start: str(_at(start, *path) or "")


def _cores(start: Mapping[str, Any]) -> str:
    hardware = _at(start, "hardware") or {}
    counts = ((hardware.get("physical_cores"), "cores"), (hardware.get("logical_cores"), "hardware threads"))
    words = [f"{count} {name}" for count, name in counts if count]
    quota = hardware.get("cpu_quota_cores")
    return ", ".join(words + ([f"quota {quota:g}"] if quota else []))


def _cards(start: Mapping[str, Any]) -> str:
    names = [str(_at(card, "name") or "no name") for card in _at(start, "cards") or ()]
    if not names and (kind := _at(start, "accelerator", "kind")):
        names = [str(kind)] * int(_at(start, "accelerator", "count") or 1)
    return ", ".join(f"{count} × {name}" if count > 1 else name for name, count in Counter(names).items())


def _memory(start: Mapping[str, Any]) -> str:
    size = _at(start, "hardware", "memory_bytes")
    return format_bytes(size) if size else ""


def _system(start: Mapping[str, Any]) -> str:
    return ", ".join(str(part) for name in ("system", "kernel") if (part := _at(start, "hardware", name)))


def _commit(start: Mapping[str, Any]) -> str:
    commit = _at(start, "checkout", "commit")
    return f"{str(commit)[:12]}{', with changes' if _at(start, 'checkout', 'dirty') else ''}" if commit else ""


def _torch(start: Mapping[str, Any]) -> str:
    threads = _at(start, "torch", "threads")
    parts = (_at(start, "torch", "version"), _at(start, "torch", "cpu_capability"), threads and f"{threads} threads")
    return ", ".join(str(part) for part in parts if part)


def _command(start: Mapping[str, Any]) -> str:
    return " ".join(map(str, _at(start, "command") or ()))


FACTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "command": _command,
    "processor": _text("hardware", "cpu_model"),
    "cores": _cores,
    "memory": _memory,
    "card": _cards,
    "system": _system,
    "torch": _torch,
    "CUDA": _text("torch", "cuda"),
    "Python": _text("python"),
    "jacstrat": _text("packages", "jacstrat"),
    "commit": _commit,
    "machine": _text("machine"),
}


def read_run(directory: Path, label: str | None = None) -> Run:
    """The run in a directory; a file beside the records that is absent or torn counts as not there.

    Raises:
        UsageError: There are no records, see `read_records`.
    """
    records = tuple(to_records(read_records(directory)))
    home = directory if directory.is_dir() else directory.parent
    try:
        sessions = json.loads((home / ENVIRONMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        sessions = []
    try:
        sweep = (home / SWEEP).read_text(encoding="utf-8")
    except (OSError, ValueError):
        sweep = ""
    known = tuple(one for one in sessions if isinstance(one, Mapping)) if isinstance(sessions, list) else ()
    return Run(label or home.resolve().name, home, records, known, sweep)


def read_runs(directories: Sequence[Path]) -> tuple[Run, ...]:
    """Runs by their directories, with labels that are distinct: as many last parts of the path as that takes."""
    homes = [path.resolve() for path in directories]
    depth = 1
    while len({_tail(home, depth) for home in homes}) < len(set(homes)):
        depth += 1
    labels = [_tail(home, depth) for home in homes]
    # The same directory given twice is shown twice.
    numbered = [
        f"{label} ({labels[: i + 1].count(label)})" if labels.count(label) > 1 else label
        for i, label in enumerate(labels)
    ]
    return tuple(read_run(path, label) for path, label in zip(directories, numbered, strict=True))


def _tail(path: Path, depth: int) -> str:
    return "/".join(path.parts[-depth:])
