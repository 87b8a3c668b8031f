"""What installed packages add to the tables: problems and strategies that they register as entry points."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from jacstrat.core.errors import UsageError, in_words

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A read-only table of entries of our own and, behind them, of those that installed packages register.

    Packages are imported when the table is first read and not before: they import jacstrat themselves, and a fork
    server must not run what they run. While they are imported, the table holds our own entries.

    Args:
        built_in: Our own entries, by name.
        group: Of entry points: "jacstrat.problems" or "jacstrat.strategies".
        accept: accept(name, loaded) gives the entry; raises where it cannot be one, saying why.
        taken: Further names that no package may take.
    """

    def __init__(
        self, built_in: Mapping[str, T], group: str, accept: Callable[[str, object], T], taken: Collection[str] = ()
    ) -> None:
        self._entries = dict(built_in)
        self._load: Callable[[], dict[str, T]] | None = lambda: registered(group, {*built_in, *taken}, accept)

    def _all(self) -> dict[str, T]:
        if self._load is not None:
            load, self._load = self._load, None
            self._entries |= load()
        return self._entries

    def __getitem__(self, name: str) -> T:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"


def registered(group: str, taken: Collection[str], accept: Callable[[str, object], T]) -> dict[str, T]:
    """What the entry points of a group give, by name; a bad one is a warning and left out, whatever it does.

    Args:
        group, accept: As of a Table.
        taken: Names that exist already; none of them is overridden.
    """
    registered: dict[str, T] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        package = entry.dist.name if entry.dist else "an unknown package"
        try:
            if not re.fullmatch(r"[\w.-]+", entry.name):
                raise UsageError("a name is letters, digits, _, . and -")
            if entry.name in taken or entry.name in registered:
                raise UsageError("the name exists already; it needs another one")
            registered[entry.name] = accept(entry.name, entry.load())
        except (Exception, SystemExit) as error:
            warnings.warn(
                f"{group}: {entry.name!r} of {package} is left out: {in_words(error)}; update or uninstall {package}",
                stacklevel=2,
            )
    return registered
