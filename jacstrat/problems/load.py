"""Finding a problem: by its name in PROBLEMS, or a user's own by "path/to/file.py:attr" or "module:attr"."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from jacstrat.errors import UsageError, lookup, unknown
from jacstrat.problems import PROBLEMS
from jacstrat.problems.base import Problem


def find_problem(name: str) -> Problem:
    """The problem of that name, or the Problem or plain row-wise function that "file.py:attr" or "module:attr" names.

    Raises:
        UsageError: No such problem, file, module or attribute, or it is neither a Problem nor callable.
    """
    if name in PROBLEMS or ":" not in name:
        return lookup("problem", name, PROBLEMS)
    place, _, attribute = name.rpartition(":")
    module = _file(place) if place.endswith(".py") else _module(place)
    try:
        found = getattr(module, attribute)
    except AttributeError:
        raise UsageError(f"{place}: {unknown('attribute', attribute, _public(module))}") from None
    if isinstance(found, Problem):
        return found
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}, neither a Problem nor a function of x")
    return Problem(
        name=name,
        kind=None,
        formula=f"{attribute}(x)",
        answer="none known: the reference is a dense autograd matrix",
        function=found,
        diagonal=None,
        structure="unknown",
        origin=place,
    )


def _public(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]


def _file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise UsageError(f"{place} does not exist")
    # A name of its own per path: two files called model.py are two modules; each runs once a process.
    name = f"jacstrat_user_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # Its neighbours can be imported as if it ran as a script.
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"{place} cannot be imported: {_words(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _module(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise UsageError(f"module {place} cannot be imported: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
