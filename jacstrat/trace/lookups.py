"""What a function looks up in ways that are no global of its own: imports within it, `globals()`, `sys.modules`,
the environment, and what modules of libraries have.

All of it is told by names in the code, and looked up past it; where a name is computed, all that it may be counts.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from collections import ChainMap
from collections.abc import Iterator, Mapping
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
        libraries: Modules of libraries with names of what it takes from them, as somebody may put another thing there.
    """

    modules: tuple[types.ModuleType, ...]
    globals: tuple[str, ...]
    environment: tuple[str, ...]
    libraries: tuple[tuple[types.ModuleType, str], ...]


def lookups_of(f: types.FunctionType) -> Lookups:
    """What f looks up as its code stands."""
    reads, scope = names_read(f.__code__), f.__globals__
    texts = {name for owner, name in reads.attributes if owner is None}
    names = tuple(scope) if None in reads.scope else tuple(name for name in reads.scope if name is not None)
    environment = texts if {"environ", "getenv"} & {*reads.globals, *(name for _, name in reads.attributes)} else ()
    libraries = tuple(dict.fromkeys(_of_libraries(reads, _variables(f))))
    return Lookups(tuple(_modules(reads, scope, texts)), names, tuple(sorted(environment)), libraries)


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


def _variables(f: types.FunctionType) -> Mapping[str, Any]:
    """What the names in the code of f are, where these are no locals."""
    cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    filled = {}
    for name, cell in cells.items():
        with suppress(ValueError):  # it is empty as yet
            filled[name] = cell.cell_contents
    return ChainMap(filled, f.__globals__)


def _of_libraries(reads: Reads, variables: Mapping[str, Any]) -> Iterator[tuple[types.ModuleType, str]]:
    """What is named of modules and of those within, as all of `torch.nn.functional.silu`; Python's own apart."""
    imported = [(None, sys.modules.get(name)) for name in sorted(reads.imports)]
    owners = sorted({owner for owner, _ in reads.attributes if owner is not None})
    for owner, value in (*imported, *((owner, variables.get(owner)) for owner in owners)):
        names = [name for of, name in reads.attributes if of == owner]
        left, seen = [value], set[int]()
        while left:
            module = left.pop()
            if isinstance(module, types.ModuleType) and _is_library(module.__name__) and id(module) not in seen:
                seen.add(id(module))
                found = [name for name in names if name in vars(module)]
                yield from ((module, name) for name in found)
                left += [vars(module)[name] for name in found]


def _is_library(module: str) -> bool:
    return origin(module) != "own" and module.partition(".")[0] not in sys.stdlib_module_names
