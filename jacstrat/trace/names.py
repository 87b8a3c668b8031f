"""Names that code looks up: all that it may, or those alone of code that does nothing else to find things."""

from __future__ import annotations

import builtins
import dis
import functools
import types
from collections.abc import Iterator, Sequence
from typing import NamedTuple


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Builtins whose result depends on their arguments alone, and on no name that is computed.
_BUILTINS = words(
    "NotImplemented Ellipsis "
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


@functools.lru_cache(maxsize=1024)
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


class Reads(NamedTuple):
    """Names that code looks up.

    Fields:
        globals: Of globals.
        attributes: Of attributes, with the global, or variable of a closure, that they are of where it is one.
        asked: Those that `hasattr` or `getattr` ask for, likewise, which need not be there; None is one that is
            computed.
        scope: Those that it takes from `globals()`; None is one that is computed.
        imports: Modules that it imports, with a dot for each level of a relative one.
    """

    globals: dict[str, None]
    attributes: set[tuple[str | None, str]]
    asked: set[tuple[str | None, str | None]]
    scope: set[str | None]
    imports: set[str]


@functools.lru_cache(maxsize=1024)
def names_read(code: types.CodeType) -> Reads:
    """Names that code and the functions within may read, whatever else they do; see `names_of`."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in _NO_STEPS]
    names = Reads({}, set(), set(_asked(steps)), set(_taken_from_globals(steps)), set(_imports(steps)))
    owner: str | None = None
    for step in steps:
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            owner = step.argval
            names.globals[step.argval] = None
        elif step.opname == "LOAD_DEREF":
            owner = step.argval
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
            names.attributes.add((owner, step.argval))
        else:
            owner = None
        if step.opname == "IMPORT_FROM":
            names.attributes.add((None, step.argval))
        if step.opname == "LOAD_CONST":  # perhaps for `getattr`
            constants = step.argval if isinstance(step.argval, tuple) else (step.argval,)
            names.attributes.update((None, one) for one in constants if isinstance(one, str) and one.isidentifier())
    for inner in (names_read(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)):
        names.globals.update(inner.globals)
        names.attributes.update(inner.attributes)
        names.asked.update(inner.asked)
        names.scope.update(inner.scope)
        names.imports.update(inner.imports)
    return names


# What stands between the steps of code and does nothing.
_NO_STEPS = words("EXTENDED_ARG PUSH_NULL CACHE PRECALL RESUME")


def _imports(steps: Sequence[dis.Instruction]) -> Iterator[str]:
    """Modules that are imported, `.` before them for each level, which is the constant before the last."""
    for place, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            level = steps[place - 2].argval if place > 1 else 0
            yield "." * (level if type(level) is int else 0) + step.argval


def _taken_from_globals(steps: Sequence[dis.Instruction]) -> Iterator[str | None]:
    """Names that are looked up in `globals()`: by an index or `get`."""
    for place, step in enumerate(steps):
        if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME") or step.argval != "globals":
            continue
        given = [one for one in steps[place + 1 : place + 5] if not one.opname.startswith("CALL")]
        key = given[1:] if given and given[0].argval == "get" else given[:1]
        is_plain = bool(key) and key[0].opname == "LOAD_CONST" and isinstance(key[0].argval, str)
        is_found = len(given) > 1 and (given[0].argval == "get" or given[1].opname.startswith("BINARY_"))
        yield key[0].argval if is_plain and is_found else None


def _asked(steps: Sequence[dis.Instruction]) -> Iterator[tuple[str | None, str | None]]:
    """Names that `hasattr` and `getattr` ask for in code, each with the global that it is asked of."""
    for place, step in enumerate(steps):
        if step.argval == ("vars" if step.opname == "LOAD_GLOBAL" else "__dict__"):
            yield None, None
        if step.opname != "LOAD_GLOBAL" or step.argval not in ("hasattr", "getattr"):
            continue
        behind = steps[place + 1 :]
        given = behind[: next((k for k, one in enumerate(behind) if one.opname.startswith(("CALL", "PRECALL"))), 0)]
        # An object, perhaps an attribute of one; then the name, and perhaps what is taken where there is none.
        of = next((k for k, one in enumerate(given) if k and not one.opname.startswith("LOAD_ATTR")), len(given))
        rest = given[of:]
        is_plain = bool(rest) and len(rest) <= 2 and rest[0].opname == "LOAD_CONST" and isinstance(rest[0].argval, str)
        is_global = bool(given) and given[0].opname == "LOAD_GLOBAL"
        yield given[0].argval if is_global else None, rest[0].argval if is_plain else None


def is_plain_builtin(name: str, f: types.FunctionType) -> bool:
    """Whether a name is that of a harmless builtin, or of an exception, and has not been put in the place of one."""
    scope = f.__globals__.get("__builtins__", builtins)
    value = vars(scope).get(name) if isinstance(scope, types.ModuleType) else scope.get(name)
    if name not in _BUILTINS and not (isinstance(value, type) and issubclass(value, BaseException)):
        return False
    return value is not None and value is _ORIGINAL.get(name)


_ORIGINAL = dict(vars(builtins))
