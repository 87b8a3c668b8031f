"""What installed packages add to the tables: problems and strategies that they register as entry points."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Container
from importlib.metadata import entry_points
from typing import TypeVar

from jacstrat.errors import UsageError, in_words

T = TypeVar("T")


def registered(group: str, taken: Container[str], accept: Callable[[str, object], T]) -> dict[str, T]:
    """What the entry points of a group give, by name; a bad one is a warning and left out, whatever it does.

    Args:
        group: "jacstrat.problems" or "jacstrat.strategies".
        taken: Names that exist already; none of them is overridden.
        accept: accept(name, loaded) gives the table's entry; raises where it cannot be one, saying why.
    """
    found: dict[str, T] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        package = entry.dist.name if entry.dist else "an unknown package"
        try:
            if not re.fullmatch(r"[\w.-]+", entry.name):
                raise UsageError("a name is letters, digits, _, . and -")
            if entry.name in taken or entry.name in found:
                raise UsageError("the name exists already; it needs another one")
            found[entry.name] = accept(entry.name, entry.load())
        except (Exception, SystemExit) as error:
            warnings.warn(
                f"{group}: {entry.name!r} of {package} is left out: {in_words(error)}; update or uninstall {package}",
                stacklevel=2,
            )
    return found
