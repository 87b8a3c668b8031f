"""environment.json: where a directory was measured, a session each time its run was begun or gone on with.

The one reader and writer of the file. What measures collects the facts (`measure.environment`), as plain JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jacstrat.core.errors import UsageError
from jacstrat.core.plain import parse_json
from jacstrat.core.whole import write_whole

ENVIRONMENT = "environment.json"
# What tells machines apart and stays while nothing changes but the time.
STABLE_FACTS = ("machine", "hardware", "accelerator", "cards", "python", "torch")


# A file that came from elsewhere may name any number of them.
MOST_CARDS = 4096


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_list_of(fits: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(fits, value))


def _fact(fits: Callable[[Any], bool], default: Any, *path: str) -> Any:
    return field(default=default, metadata={"fits": fits, "path": path})


_text, _flag, _number = partial(_fact, _is_text, ""), partial(_fact, _is_flag, False), partial(_fact, _is_number, None)
_list = partial(_fact, partial(_is_list_of, lambda value: True), ())
_texts = partial(_fact, partial(_is_list_of, _is_text), ())


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A machine and its software at one time, each fact by where it lies in the file.

    A fact that is not there, as in a file of an older version, or is of another kind than it should, is "", None, False
    or (): nobody tells. `machine` is the hash of the machine's kind; `checkout` the commit of jacstrat's own sources,
    `revision` that of what `jacstrat compare-rev` measured, with its date.
    """

    machine: str = _text("machine")
    processor: str = _text("hardware", "cpu_model")
    physical_cores: int | None = _number("hardware", "physical_cores")
    logical_cores: int | None = _number("hardware", "logical_cores")
    quota_cores: float | None = _number("hardware", "cpu_quota_cores")
    memory_bytes: int | None = _number("hardware", "memory_bytes")
    system: str = _text("hardware", "system")
    kernel: str = _text("hardware", "kernel")
    cards: tuple[Any, ...] = _list("cards")
    kind: str = _text("accelerator", "kind")
    count: int | None = _number("accelerator", "count")
    python: str = _text("python")
    torch: str = _text("torch", "version")
    capability: str = _text("torch", "cpu_capability")
    threads: int | None = _number("torch", "threads")
    cuda: str = _text("torch", "cuda")
    packages: Mapping[str, Any] = field(default_factory=dict, metadata={"fits": _is_map, "path": ("packages",)})
    peers: Mapping[str, Any] = field(default_factory=dict, metadata={"fits": _is_map, "path": ("peers",)})
    checkout: str = _text("checkout", "commit")
    checkout_dirty: bool = _flag("checkout", "dirty")
    revision: str = _text("revision", "commit")
    revision_dirty: bool = _flag("revision", "dirty")
    date: str = _text("revision", "date")
    command: tuple[str, ...] = _texts("command")
    utc: str = _text("start", "utc")
    warnings: tuple[str, ...] = _texts("warnings")

    @classmethod
    def of(cls, plain: Any) -> Snapshot:
        """What plain JSON tells, whatever it is."""
        facts: dict[str, Any] = {}
        for fact in fields(cls):
            value = plain
            for name in fact.metadata["path"]:
                value = value.get(name) if isinstance(value, Mapping) else None
            if fact.metadata["fits"](value):
                facts[fact.name] = tuple(value) if isinstance(value, list) else value
        return cls(**facts)

    @property
    def known(self) -> bool:
        """It is told at all."""
        return bool(self.machine or self.torch)

    @property
    def accelerators(self) -> tuple[str, ...]:
        """The cards by name, or what else torch computes on besides the CPU, each as often as it is there."""
        if self.cards:
            names = [card.get("name") if isinstance(card, Mapping) else None for card in self.cards]
            return tuple(str(name or "no name") for name in names)
        return (self.kind,) * min(int(self.count or 1), MOST_CARDS) if self.kind else ()

    @property
    def commit(self) -> tuple[str, bool]:
        """What was measured, and whether with changes: a revision, or else jacstrat itself."""
        return (self.revision, self.revision_dirty) if self.revision else (self.checkout, self.checkout_dirty)


UNKNOWN = Snapshot()


@dataclass(frozen=True)
class Session:
    """One run into a directory, as the file has it: the environment at its start and its end, and those of workers."""

    plain: Mapping[str, Any]

    @property
    def start(self) -> Snapshot:
        """At the start, where the run was begun."""
        return Snapshot.of(self.plain.get("start"))

    @property
    def end(self) -> Snapshot:
        """At the end; nothing is told where there was none."""
        return Snapshot.of(self.plain.get("end"))

    @property
    def workers(self) -> Mapping[str, Snapshot]:
        """Those that measured in place of the machine where the run was begun, by the column `machine`."""
        workers = self.plain.get("workers")
        return {name: Snapshot.of(one) for name, one in workers.items()} if isinstance(workers, Mapping) else {}

    def with_worker(self, name: str, plain: Mapping[str, Any]) -> Session:
        """The session with one more worker."""
        return Session({**self.plain, "workers": {**self.plain.get("workers", {}), name: plain}})

    def ended(self, plain: Mapping[str, Any]) -> Session:
        """The session with its end."""
        return Session({**self.plain, "end": plain})

    def brief(self) -> Session:
        """What a comparison reads of it: nothing that moves while nothing changes but the time."""
        snapshot = self.start
        hardware = {"cpu_model": snapshot.processor, "logical_cores": snapshot.logical_cores}
        some = {"hardware": hardware, "torch": {"version": snapshot.torch}, "start": {"utc": snapshot.utc}}
        start = plain if isinstance(plain := self.plain.get("start"), Mapping) else {}
        return Session({"start": {name: start.get(name) for name in STABLE_FACTS} | some})


def moment(text: str) -> datetime | None:
    """When, from ISO 8601; in UTC where no zone is told; None of what is no moment."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_sessions(directory: Path) -> tuple[Session, ...]:
    """The sessions of a directory, the first one first; none where there is no file.

    Raises:
        UsageError: It is cut off, or another file.
    """
    file = directory / ENVIRONMENT
    try:
        plain = parse_json(file.read_bytes()) if file.is_file() else []
        if not isinstance(plain, list):
            raise ValueError(f"a list of sessions was to be there, not {type(plain).__name__}")
    except ValueError as error:
        raise UsageError(
            f"{file} is not the environment of a run, or is cut off: {error}; leave it out, or measure again"
        ) from None
    return tuple(Session(one) for one in plain if isinstance(one, Mapping))


def write_sessions(directory: Path, sessions: Iterable[Session]) -> None:
    """Write the file whole or not at all, whenever the process is killed."""
    write_whole(directory / ENVIRONMENT, json.dumps([session.plain for session in sessions], indent=2) + "\n")


def of_revision(
    plain: Mapping[str, Any], *, name: str, commit: str | None, dirty: bool, date: str | None, is_jacstrat: bool
) -> dict[str, Any]:
    """An environment with the revision that was measured in it.

    Where jacstrat itself is what changes, its sources are those of the revision: they lie in a copy that git knows
    nothing of.
    """
    checkout = {"checkout": {"commit": commit, "dirty": dirty} if commit else None} if is_jacstrat else {}
    return {**plain, **checkout, "revision": {"name": name, "commit": commit, "dirty": dirty, "date": date}}
