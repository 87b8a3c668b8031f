"""Choices of `auto`, and rates of devices, on disk: a small JSON file each, by a hash of all that it depends on.

What is read is a hint about speed and nothing else: whoever reads it checks that the strategy is right here. So a file
that is corrupt, foreign or out of date costs time, never a wrong result, and a place that cannot be written none.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jacstrat.available import read_text
from jacstrat.core.plain import parse_json

VARIABLE = "JACSTRAT_CACHE"
OFF = ("", "off")


class StoredChoice(NamedTuple):
    """A strategy's spec, and why it was chosen, in one line."""

    strategy: str
    reason: str


def folder() -> Path | None:
    """Where choices are kept: $JACSTRAT_CACHE, else $XDG_CACHE_HOME/jacstrat, else ~/.cache/jacstrat.

    None where $JACSTRAT_CACHE is empty or "off", and where there is no home.
    """
    if (directory := os.environ.get(VARIABLE)) is not None:
        return None if directory.lower() in OFF else Path(directory)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "jacstrat"
    try:
        return Path.home() / ".cache" / "jacstrat"
    except RuntimeError:
        return None


def digest(facts: Mapping[str, object]) -> str:
    """A name for what a choice depends on: equal facts, equal names; another size, device or version, another."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


@cache
def processor() -> str:
    """The model of the processor, since a home may be shared between machines."""
    model = re.search(r"^model name\s*:\s*(.+)$", read_text(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def load(name: str) -> StoredChoice | None:
    """The choice of that name; None where there is none that can be read."""
    entry = read(name)
    try:
        choice = StoredChoice(entry["strategy"], entry["reason"]) if entry else None
    except KeyError:
        return None
    return choice if choice and all(isinstance(text, str) for text in choice) else None


def store(name: str, choice: StoredChoice) -> None:
    """Keep a choice, where that can be done."""
    write(name, choice._asdict())


def read(name: str) -> dict[str, Any] | None:
    """What was written under that name; None where there is nothing that can be read."""
    if (directory := folder()) is None:
        return None
    try:
        entry = parse_json((directory / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return entry if isinstance(entry, dict) else None


def write(name: str, values: Mapping[str, object]) -> None:
    """Write values, where that can be done: the file is there as a whole or not at all."""
    if (directory := folder()) is None:
        return
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=name[:8], suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(dict(values), file)
            os.replace(temporary, directory / f"{name}.json")
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
