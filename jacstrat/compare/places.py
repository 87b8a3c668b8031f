"""Where records come from, and what differs between two such places: machine, software and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jacstrat.core.environment import UNKNOWN, Session, Snapshot


def place_of(sessions: Sequence[Session]) -> tuple[Snapshot, str]:
    """Where the last session of a directory was, and a note where its sessions were at several places."""
    if not sessions:
        return UNKNOWN, ""
    found = [session.start for session in sessions]
    several = len({(place.machine, place.torch, place.python) for place in found}) > 1
    return found[-1], "was measured in several environments; the last one counts" if several else ""


def differences(base: Snapshot, new: Snapshot) -> Iterator[str]:
    """What of two known places differs, in words, BASE first; commit and time, which are to differ, are left out."""
    if base.machine != new.machine:
        yield f"machine {_machine(base)} against {_machine(new)}"
    if base.accelerators != new.accelerators:
        before, after = (", ".join(place.accelerators) or "none" for place in (base, new))
        yield f"accelerator {before} against {after}"
    for name in ("torch", "python"):
        before, after = getattr(base, name), getattr(new, name)
        if before != after:
            yield f"{name} {before or 'unknown'} against {after or 'unknown'}"


def _machine(place: Snapshot) -> str:
    cores = f"{place.logical_cores} cores" if place.logical_cores else ""
    hardware = ", ".join(filter(None, (place.processor, cores))) or "unknown"
    return f"{hardware} ({place.machine})" if place.machine else hardware
