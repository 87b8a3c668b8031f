"""Finding a problem: by its name in PROBLEMS, or a user's own by "path/to/file.py:attr" or "module:attr"."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch

from jacstrat.core.errors import UsageError, in_words, lookup, unknown
from jacstrat.problems import PROBLEMS
from jacstrat.problems.base import Problem
from jacstrat.problems.own import as_problem


def find_problem(name: str) -> Problem:
    """The problem of that name, or what "file.py:attr" or "module:attr" names: a Problem, or what makes one.

    Raises:
        UsageError: No such problem, file, module or attribute, its name is no text, or it is nothing that
            `own.as_problem` takes.
    """
    if not name.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in name):
        # As Python has the bytes of a file's name that are no UTF-8: no record could hold it.
        raise UsageError(f"{name!r} is no text in UTF-8; rename the file, or link to it under another name")
    if name.endswith(".py") and name not in PROBLEMS:
        module = _file(name)
        names = [one for one in _public(module) if _is_of(module, getattr(module, one))]
        raise UsageError(f"{name} is a file: name what is in it, {name}:ATTR; it has {', '.join(names) or 'nothing'}")
    if name in PROBLEMS or ":" not in name:
        return lookup("problem", name, PROBLEMS)
    origin, _, attribute = name.rpartition(":")
    module = _file(origin) if origin.endswith(".py") else _module(origin)
    try:
        value = getattr(module, attribute)
    except AttributeError:
        raise UsageError(f"{origin}: {unknown('attribute', attribute, _public(module))}") from None
    return as_problem(value, name, attribute, origin)


def _public(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]


def _is_of(module: ModuleType, value: object) -> bool:
    """Whether it may be a problem, and is not something that the module imported."""
    if isinstance(value, (Problem, torch.nn.Module)):
        return True
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _file(file: str) -> ModuleType:
    path = Path(file).resolve()
    if not path.is_file():
        raise UsageError(f"{file} does not exist")
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
        raise UsageError(f"{file} cannot be imported: {in_words(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise UsageError(f"module {name} cannot be imported: {in_words(error)}") from error
