"""Where records come from: machine, software and time, as far as environment.json tells, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a set of records was measured on and with; "" or None for what nobody tells.

    Fields:
        machine: Hash of the machine's kind, as in environment.json.
        hardware: The machine in words.
        accelerator: What torch computes on besides the CPU, in words.
        torch, python: Versions.
        utc: When it began.
        commit: Of jacstrat's sources.
    """

    machine: str = ""
    hardware: str = ""
    accelerator: str = ""
    torch: str = ""
    python: str = ""
    utc: datetime | None = None
    commit: str = ""

    @property
    def known(self) -> bool:
        """It is told at all."""
        return bool(self.machine or self.torch)


UNKNOWN = Place()


def place_of(environment: Any) -> Place:
    """The place of one snapshot of the environment; UNKNOWN of what is none."""
    if not isinstance(environment, Mapping):
        return UNKNOWN
    hardware, torch = _mapping(environment, "hardware"), _mapping(environment, "torch")
    checkout, start = _mapping(environment, "checkout"), _mapping(environment, "start")
    cores = hardware.get("logical_cores")
    words = [_text(hardware, "cpu_model"), f"{cores} cores" if cores else ""]
    cards = environment.get("cards") or ()
    names = [_text(card, "name") for card in cards if isinstance(card, Mapping)]
    kind = _text(_mapping(environment, "accelerator"), "kind")
    commit = _text(checkout, "commit")
    return Place(
        machine=_text(environment, "machine"),
        hardware=", ".join(filter(None, words)),
        accelerator=", ".join(filter(None, names)) or kind,
        torch=_text(torch, "version"),
        python=_text(environment, "python"),
        utc=moment(start.get("utc")),
        commit=commit[:12] + (" with changes" if commit and checkout.get("dirty") else ""),
    )


def place_of_sessions(sessions: Any) -> tuple[Place, str]:
    """The place of the last session of a directory, and a note where its sessions were at several."""
    found = [place_of(session.get("start")) for session in sessions if isinstance(session, Mapping)]
    if not found:
        return UNKNOWN, ""
    several = len({(place.machine, place.torch, place.python) for place in found}) > 1
    return found[-1], "was measured in several environments; the last one counts" if several else ""


def differences(base: Place, new: Place) -> Iterator[str]:
    """What of two known places differs, in words, BASE first; the commit, which is to differ, is left out."""
    if base.machine != new.machine:
        yield f"machine {_machine(base)} against {_machine(new)}"
    if base.accelerator != new.accelerator:
        yield f"accelerator {base.accelerator or 'none'} against {new.accelerator or 'none'}"
    for name in ("torch", "python"):
        before, after = getattr(base, name), getattr(new, name)
        if before != after:
            yield f"{name} {before or 'unknown'} against {after or 'unknown'}"


def _machine(place: Place) -> str:
    return f"{place.hardware or 'unknown'} ({place.machine})" if place.machine else place.hardware or "unknown"


def _mapping(environment: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = environment.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(mapping: Mapping[str, Any], name: str) -> str:
    value = mapping.get(name)
    return value if isinstance(value, str) else ""


def moment(text: Any) -> datetime | None:
    """When, from ISO 8601; in UTC where no zone is told; None of what is no moment."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
