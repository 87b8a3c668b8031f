"""Names of the attributes that a function may read, by the code and the classes that are met in it.

They are found by a walk through all that the function reaches, of some milliseconds; functions of the same code and
classes share what was found.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Collection, Hashable

from jacstrat.trace.fingerprint import Same
from jacstrat.trace.reach import Walk

# None for all.
AttributeNames = frozenset[str] | None
# Names that are kept.
MOST = 1024

_known: dict[Hashable, AttributeNames] = {}


def guessed_names(f: Callable[..., object]) -> AttributeNames:
    """Those of the last function of the same code; none of one that was not met as yet."""
    return _known.get(_root(f), frozenset())


def attribute_names(
    f: Callable[..., object], codes: Collection[types.CodeType], kinds: Collection[type]
) -> AttributeNames:
    """Those of f, in which this code and objects of these classes are met."""
    key = (frozenset(codes), frozenset(map(Same, kinds)))
    names = _known.get(key, _UNKNOWN)
    if names is _UNKNOWN:
        walk = Walk()
        walk.run(f)
        names = _keep(key, walk.names)
    return _keep(_root(f), names)


def _keep(key: Hashable, names: AttributeNames) -> AttributeNames:
    if len(_known) >= MOST:
        _known.clear()
    _known[key] = names
    return names


_UNKNOWN: AttributeNames = frozenset({""})


def _root(f: object) -> Hashable:
    """The code of f, or the class of an object that is called."""
    while isinstance(f, functools.partial | types.MethodType):
        f = f.func if isinstance(f, functools.partial) else f.__func__
    return f.__code__ if isinstance(f, types.FunctionType) else Same(type(f))
