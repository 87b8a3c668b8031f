"""environment.json: where a directory was measured, a session each time its run was begun or gone on with.

The one reader and writer of the file. What measures collects the facts (`measure.environment`), as plain JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from jacstrat.core.errors import UsageError

ENVIRONMENT = "environment.json"
# What tells machines apart and stays while nothing changes but the time.
KEPT = ("machine", "hardware", "accelerator", "cards", "python", "torch")


def _fact(kind: Any, default: Any, *path: str) -> Any:
    return field(default=default, metadata={"kind": kind, "path": path})


_text, _flag = partial(_fact, str, ""), partial(_fact, bool, False)
_number, _list = partial(_fact, (int, float), None), partial(_fact, (list, tuple), ())


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A machine and its software at one time, each fact by where it lies in the file.

    A fact that is not there, as in a file of an older version, or is of another kind than it should, is "", None, False
    or (): nobody tells. `machine` is the hash of the machine's kind; `checkout` the commit of jacstrat's own sources,
    `revision` that of what `jacstrat compare --rev` measured, with its date.
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
    packages: Mapping[str, Any] = field(default_factory=dict, metadata={"kind": Mapping, "path": ("packages",)})
    peers: Mapping[str, Any] = field(default_factory=dict, metadata={"kind": Mapping, "path": ("peers",)})
    checkout: str = _text("checkout", "commit")
    checkout_dirty: bool = _flag("checkout", "dirty")
    revision: str = _text("revision", "commit")
    revision_dirty: bool = _flag("revision", "dirty")
    date: str = _text("revision", "date")
    command: tuple[str, ...] = _list("command")
    utc: str = _text("start", "utc")
    warnings: tuple[str, ...] = _list("warnings")

    @classmethod
    def of(cls, plain: Any) -> Snapshot:
        """What plain JSON tells, whatever it is."""
        facts: dict[str, Any] = {}
        for fact in fields(cls):
            value = plain
            for name in fact.metadata["path"]:
                value = value.get(name) if isinstance(value, Mapping) else None
            if isinstance(value, fact.metadata["kind"]):
                facts[fact.name] = tuple(value) if isinstance(value, list) else value
        return cls(**facts)

    @property
    def known(self) -> bool:
        """It is told at all."""
        return bool(self.machine or self.torch)

    @property
    def accelerators(self) -> tuple[str, ...]:
        """The cards by name, or what else torch computes on besides the CPU, each as often as it is there."""
        names = [card.get("name") if isinstance(card, Mapping) else None for card in self.cards]
        return tuple(name or "no name" for name in names) or (self.kind,) * (int(self.count or 1) if self.kind else 0)

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
        told = self.start
        hardware = {"cpu_model": told.processor, "logical_cores": told.logical_cores}
        some = {"hardware": hardware, "torch": {"version": told.torch}, "start": {"utc": told.utc}}
        start = plain if isinstance(plain := self.plain.get("start"), Mapping) else {}
        return Session({"start": {name: start.get(name) for name in KEPT} | some})


def read_sessions(directory: Path) -> tuple[Session, ...]:
    """The sessions of a directory, the first one first; none where there is no file.

    Raises:
        UsageError: It is cut off, or another file.
    """
    file = directory / ENVIRONMENT
    try:
        plain = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        if not isinstance(plain, list):
            raise ValueError(f"a list of sessions was to be there, not {type(plain).__name__}")
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{file} is not the environment of a run, or is cut off: {error}; leave it out, or measure again"
        ) from None
    return tuple(Session(one) for one in plain if isinstance(one, Mapping))


def write_sessions(directory: Path, sessions: Iterable[Session]) -> None:
    """Write the file whole or not at all, whenever the process is killed."""
    file = directory / ENVIRONMENT
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps([session.plain for session in sessions], indent=2) + "\n", encoding="utf-8")
    temporary.replace(file)


def of_revision(
    plain: Mapping[str, Any], *, name: str, commit: str | None, dirty: bool, date: str | None, is_jacstrat: bool
) -> dict[str, Any]:
    """An environment with the revision that was measured in it.

    Where jacstrat itself is what changes, its sources are those of the revision: they lie in a copy that git knows
    nothing of.
    """
    checkout = {"checkout": {"commit": commit, "dirty": dirty} if commit else None} if is_jacstrat else {}
    return {**plain, **checkout, "revision": {"name": name, "commit": commit, "dirty": dirty, "date": date}}
