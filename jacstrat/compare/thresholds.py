"""How much slower is too slow: one number, or by case, strategy or problem from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from jacstrat.core.errors import UsageError, lookup

DEFAULT = 0.05
KINDS = ("case", "strategy", "problem")
"""The tables of the file, the one that counts first."""


@dataclass(frozen=True)
class Thresholds:
    """The effect that matters, as a share of the time: 0.05 is 5 %.

    Fields:
        slower: Of every case that nothing below is about.
        by: By kind, "case", "strategy" or "problem", thresholds by name or pattern, such as "vmap*". A case's own
            counts before its strategy's, and that before its problem's; within a kind the first that fits.
    """

    slower: float = DEFAULT
    by: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def of(self, case: str, strategy: str, problem: str) -> float:
        """The threshold of a case."""
        for kind, name in zip(KINDS, (case, strategy, problem), strict=True):
            table = self.by.get(kind, {})
            if name in table:
                return table[name]
            for pattern, value in table.items():
                if _fits(name, pattern):
                    return value
        return self.slower

    def unused(self, names: Mapping[str, frozenset[str]]) -> Iterator[str]:
        """The entries that fit none of the names of their kind: a name that is misspelt guards nothing."""
        for kind, table in self.by.items():
            for pattern in table:
                if pattern not in names[kind] and not any(_fits(name, pattern) for name in names[kind]):
                    yield f"{kind} {pattern!r}"


@lru_cache(maxsize=65536)
def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern)


def parse_share(name: str, text: Any) -> float:
    """A share of the time: "5%", "0.05" or 0.05.

    Raises:
        UsageError: It is none, or not between 0 and 10.
    """
    words = str(text).strip()
    try:
        value = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if isinstance(text, bool) or not 0 < value < 10:
        raise UsageError(f"{name} must be a share above 0 such as 5% or 0.05, below 10 (1000%), got {words!r}")
    return value


def load_thresholds(file: Path | None, slower: str | None = None) -> Thresholds:
    """Those of a file; `slower` stands over its top.

    Raises:
        UsageError: There is no such file, it is no TOML, or has a key or a value that is none; says which.
    """
    table: dict[str, Any] = {}
    if file is not None:
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise UsageError(f"file of thresholds {file} cannot be read: {error}") from None
    by = {}
    for key, value in table.items():
        lookup(f"key of {file}:", key, dict.fromkeys(("slower", *KINDS)))
        if key == "slower":
            continue
        if not isinstance(value, dict):
            raise UsageError(f"{key} in {file} must be a table of thresholds, [{key}], got {value!r}")
        by[key] = {name: parse_share(f"{key} {name!r} in {file}", share) for name, share in value.items()}
    top = parse_share(f"slower in {file}", table["slower"]) if "slower" in table else DEFAULT
    return Thresholds(parse_share("--slower", slower) if slower else top, by)
