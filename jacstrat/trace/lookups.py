"""What a function looks up in ways that are no global of its own: imports within it, `globals()`, `sys.modules`,
and the environment.

All of it is told by names in the code, and looked up past it; where a name is computed, all that it may be counts.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from jacstrat.trace.names import Reads, names_read
from jacstrat.trace.objects import origin


class Lookups(NamedTuple):
    """What a function looks up.

    Fields:
        modules: Those that it imports, or takes from `sys.modules`, that are the user's and there by now.
        globals: Names that it takes from `globals()`.
        environment: Names of variables of the environment.
    """

    modules: tuple[types.ModuleType, ...]
    globals: tuple[str, ...]
    environment: tuple[str, ...]


def lookups_of(f: types.FunctionType) -> Lookups:
    """What f looks up as its code stands."""
    reads, scope = names_read(f.__code__), f.__globals__
    texts = {name for owner, name in reads.attributes if owner is None}
    names = tuple(scope) if None in reads.scope else tuple(name for name in reads.scope if name is not None)
    environment = texts if {"environ", "getenv"} & {*reads.globals, *(name for _, name in reads.attributes)} else ()
    return Lookups(tuple(_modules(reads, scope, texts)), names, tuple(sorted(environment)))


def is_variable(value: str | None, name: str) -> bool:
    """Whether a variable of the environment has this value."""
    return os.environ.get(name) == value


def _modules(reads: Reads, scope: dict[str, Any], texts: set[str]) -> Iterator[types.ModuleType]:
    names: set[str] = set()
    for name in reads.imports:
        with suppress(ImportError, TypeError, ValueError):  # relative to no package
            absolute = importlib.util.resolve_name(name, scope.get("__package__"))
            names.update((absolute, absolute.partition(".")[0]))
    if ("sys", "modules") in reads.attributes:
        names.update(texts, {str(scope.get("__name__"))})
    for name in sorted(names):
        module = sys.modules.get(name)
        if isinstance(module, types.ModuleType) and origin(name) == "own":
            yield module
