"""Objects as a walk over them sees them: whose they are, and their fields, past any code of the user."""

from __future__ import annotations

import functools
import sys
import sysconfig
import threading
import types
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from jacstrat.trace.contents import IMMUTABLE

_CORE = ("torch", "numpy", "jacstrat")
_STDLIB = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))

Fields = Mapping[str, Any]


@functools.lru_cache(maxsize=4096)
def origin(module: str) -> Literal["own", "installed", "core"]:
    """Whose a module is, by its name: the user's, a library's, or one of torch, of numpy, of Python itself."""
    top = module.partition(".")[0]
    if top in _CORE:
        return "core"
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return "core" if top in sys.stdlib_module_names else "own"
    if "site-packages" in file or "dist-packages" in file:
        return "installed"
    return "core" if file.startswith(_STDLIB) else "own"


def fields_of(value: Any, kind: type) -> Fields | None:
    """`vars` of an object, by the way that no user's code can take over."""
    if kind is threading.local:  # those of this thread
        return vars(value)
    descriptor = next((vars(one)["__dict__"] for one in kind.__mro__ if "__dict__" in vars(one)), None)
    # A member is that of a class written in C, as of a SimpleNamespace.
    known = (types.GetSetDescriptorType, types.MemberDescriptorType)
    fields = descriptor.__get__(value) if descriptor is not None and type(descriptor) in known else None
    return fields if type(fields) is dict else None


def is_setting(value: Any) -> bool:
    return is_plain(value) or callable(value) or issubclass(type(value), Tensor)


def is_plain(value: Any) -> bool:
    kind = type(value)
    return kind in IMMUTABLE or (kind in (tuple, torch.Size) and all(is_plain(item) for item in value))
