"""Names that code looks up, as far as it does nothing else to find things."""

from __future__ import annotations

import builtins
import dis
import functools
import types
from typing import NamedTuple


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Builtins whose result depends on their arguments alone, and on no name that is computed.
_BUILTINS = words(
    "abs all any bool complex dict divmod enumerate filter float frozenset int isinstance issubclass len "
    "list map max min pow property range reversed round set slice sorted sum super tuple type zip"
)
# Attributes that read a tensor's numbers past the recording, or an object by the back door.
_REFUSED = words(
    "format numpy tolist data_ptr storage untyped_storage grad _version backends modules __array__ "
    "__dict__ __globals__ __closure__ __code__ __getattribute__ __getattr__ __subclasses__"
)
_REFUSED_STEPS = ("IMPORT_", "STORE_GLOBAL", "DELETE_GLOBAL", "FORMAT_", "LOAD_NAME", "LOAD_BUILD_CLASS")


class Names(NamedTuple):
    """Names that code looks up: among globals, and of objects."""

    globals: tuple[str, ...]
    attributes: tuple[str, ...]


@functools.lru_cache(maxsize=4096)
def names_of(code: types.CodeType) -> Names | None:
    """The names in code and in the functions within; None where it does what is not understood."""
    names: dict[str, None] = {}
    attributes: dict[str, None] = {}
    for step in dis.get_instructions(code):
        if step.opname.startswith(_REFUSED_STEPS):
            return None
        if step.opname == "LOAD_GLOBAL":
            names[step.argval] = None
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
            attributes[step.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = names_of(constant)
            if inner is None:
                return None
            names.update(dict.fromkeys(inner.globals))
            attributes.update(dict.fromkeys(inner.attributes))
    if not _REFUSED.isdisjoint(attributes):
        return None
    return Names(tuple(names), tuple(attributes))


def is_plain_builtin(name: str, f: types.FunctionType) -> bool:
    """Whether a name is that of a harmless builtin, or of an exception, and has not been put in the place of one."""
    own = f.__globals__.get("__builtins__", builtins)
    value = vars(own).get(name) if isinstance(own, types.ModuleType) else own.get(name)
    if name not in _BUILTINS and not (isinstance(value, type) and issubclass(value, BaseException)):
        return False
    return value is not None and value is _ORIGINAL.get(name)


_ORIGINAL = dict(vars(builtins))
