"""Where records come from, and what differs between two such places: machine, software and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jacstrat.core.environment import UNKNOWN, Session, Snapshot


def place_of(sessions: Sequence[Session]) -> tuple[Snapshot, str]:
    """Where the last session of a directory was, and a note where its sessions were at several places."""
    if not sessions:
        return UNKNOWN, ""
    snapshots = [session.start for session in sessions]
    several = len({(snapshot.machine, snapshot.torch, snapshot.python) for snapshot in snapshots}) > 1
    return snapshots[-1], "was measured in several environments; the last one counts" if several else ""


def differences(base: Snapshot, new: Snapshot) -> Iterator[str]:
    """What of two known places differs, in words, BASE first; commit and time, which are to differ, are left out."""
    if base.machine != new.machine:
        yield f"machine {_machine(base)} against {_machine(new)}"
    if base.accelerators != new.accelerators:
        before, after = (", ".join(snapshot.accelerators) or "none" for snapshot in (base, new))
        yield f"accelerator {before} against {after}"
    for name in ("torch", "python"):
        before, after = getattr(base, name), getattr(new, name)
        if before != after:
            yield f"{name} {before or 'unknown'} against {after or 'unknown'}"


def _machine(snapshot: Snapshot) -> str:
    cores = f"{snapshot.logical_cores} cores" if snapshot.logical_cores else ""
    hardware = ", ".join(filter(None, (snapshot.processor, cores))) or "unknown"
    return f"{hardware} ({snapshot.machine})" if snapshot.machine else hardware
