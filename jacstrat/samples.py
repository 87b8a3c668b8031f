"""samples.jsonl: every raw sample, a line of JSON a case. The one reader of the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jacstrat.core.errors import UsageError
from jacstrat.core.plain import parse_json
from jacstrat.core.text import brief

SAMPLES = "samples.jsonl"
# From a picosecond to 30 years: what is beyond is no time of a call.
LEAST_S, MOST_S = 1e-12, 1e9
_BEGIN = b'{"case": "'


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(value: Any) -> bool:
    return _number(value) and LEAST_S <= value <= MOST_S


def _round(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


# What each element of a list has to be, in words and as a test.
_LISTS: Mapping[str, tuple[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "seconds": (f"numbers from {LEAST_S:g} to {MOST_S:g}", _seconds),
        "rounds": ("whole numbers from 0", _round),
    }
)


def checked(row: Any) -> dict[str, Any]:
    """A line of samples; what it has of seconds and rounds can be computed with.

    Raises:
        ValueError: It is no object with a case, or holds a value that is none; names it.
    """
    if not isinstance(row, dict) or not isinstance(row.get("case"), str):
        raise ValueError("it is no object with a case")
    for name, (words, fits) in _LISTS.items():
        values = row.get(name, [])
        if not isinstance(values, list):
            raise ValueError(f"{name} must be a list of {words}, got {brief(values)}")
        if (strange := next((value for value in values if not fits(value)), values)) is not values:
            raise ValueError(f"{name} must be {words}, got {brief(strange)}")
    if "rounds" in row and len(row["rounds"]) != len(row.get("seconds", [])):
        raise ValueError(f"it has {len(row['rounds'])} rounds and {len(row.get('seconds', []))} seconds")
    if not isinstance(row.get("session", ""), str):
        raise ValueError(f"session must be text, got {brief(row['session'])}")
    if not isinstance(row.get("dropped") or [], list | dict):
        raise ValueError(f"dropped must be a list, got {brief(row['dropped'])}")
    return row


def read_samples(path: str | Path, cases: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """Raw samples by case: the last line of each case in samples.jsonl; an incomplete last line is left out.

    Args:
        path: The file, or the directory that has it; none is as an empty one.
        cases: Read these alone; lines of others are not decoded.

    Raises:
        UsageError: A line is no samples; names it, and what is the matter with it.
    """
    samples = {}
    for _, row in _lines(Path(path), cases):
        case = row.pop("case")
        samples[case] = row
    return samples


def copy_samples(path: Path, cases: Collection[str], out: Callable[[bytes], object]) -> None:
    """Hand on the lines of some cases, checked, as they are.

    Raises:
        UsageError: As `read_samples`.
    """
    for line, _ in _lines(path, cases):
        out(line)


def _lines(path: Path, cases: Collection[str] | None) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each line that is wanted with what it says."""
    file = path / SAMPLES if path.is_dir() else path
    if not file.is_file() or (cases is not None and not cases):
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n") or not line.strip() or not (cases is None or _wanted(line, cases)):
                continue
            try:
                row = checked(parse_json(line))
            except ValueError as error:
                raise UsageError(
                    f"{file}, line {number}: {' '.join(str(error).split())}; leave the line out, or measure the case "
                    "again"
                ) from None
            if cases is None or row["case"] in cases:
                yield line, row


def _wanted(line: bytes, cases: Collection[str]) -> bool:
    """The line may be of one of the cases: it begins with its case, as jacstrat writes it, or has to be decoded."""
    if not line.startswith(_BEGIN):
        return True
    try:
        case, _ = json.JSONDecoder().raw_decode(line[len(_BEGIN) - 1 : 10_000 + len(_BEGIN)].decode("utf-8", "ignore"))
    except ValueError:
        return True
    return case in cases


def by_round(samples: Mapping[str, Any]) -> dict[tuple[str, int], float]:
    """Seconds a call by session and round, as `jacstrat.statistics.ratio` takes them.

    Rounds of two sessions (a child that died, a resumed run) were not taken side by side, whatever their numbers.
    """
    session = samples["session"]
    return {(session, r): s for r, s in zip(samples["rounds"], samples["seconds"], strict=True)}
