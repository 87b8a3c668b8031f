"""Direct calls like the latest one of the same code, known at a glance: some microseconds in place of a key of all.

A key is made of all that a call is, to be found among others. To tell that nothing but values has changed since the
latest call takes less: each thing is held against what it was, and nothing is written down.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Hashable
from operator import attrgetter, call
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.graphs import is_capturing
from jacstrat.strategies.attribute_names import AttributeNames
from jacstrat.strategies.entries import CachedEntry
from jacstrat.strategies.pattern import FunctionPattern
from jacstrat.trace.arguments import Args, Function
from jacstrat.trace.tracers import is_alone

if TYPE_CHECKING:
    from jacstrat.strategies.base import Strategy

# What a call depends on of its points, and of the process.
_POINTS = attrgetter("shape", "dtype", "device", "layout", "requires_grad")
_MODES: tuple[Callable[[], Hashable], ...] = (torch.is_grad_enabled, torch.get_num_threads, torch.get_default_dtype)
# Further arguments that are known again by their values.
_PLAIN = (bool, str, types.NoneType)


class Glance:
    """What tells that a call is like one that an entry has served.

    Fields:
        key: Of the entry.
        entry: What serves it.
    """

    __slots__ = ("_around", "_event_dim", "_operator", "_pattern", "_strategy", "entry", "key")

    def __init__(
        self,
        strategy: Strategy,
        operator: Operator,
        event_dim: int,
        around: Hashable,
        pattern: FunctionPattern,
        key: Hashable,
        entry: CachedEntry,
    ) -> None:
        self._strategy, self._operator, self._event_dim = strategy, operator, event_dim
        self._around, self._pattern = around, pattern
        self.key, self.entry = key, entry

    @classmethod
    def of(
        cls,
        strategy: Strategy,
        operator: Operator,
        f: Function,
        x: Tensor,
        args: Args,
        event_dim: int,
        names: AttributeNames,
        is_guarded: bool,
        key: Hashable,
        entry: CachedEntry,
    ) -> Glance | None:
        """That of a call that was served; None where others like it cannot be known so.

        Args:
            strategy, operator, f, x, args, event_dim: Of the call, without a generator and without a weight.
            names, is_guarded: As for `FunctionPattern`.
            key, entry: What has served it.
        """
        if (around := _around(x, args)) is None:
            return None
        pattern = FunctionPattern(f, names, is_guarded)
        return cls(strategy, operator, event_dim, around, pattern, key, entry)

    def arguments(
        self, strategy: Strategy, operator: Operator, f: Function, x: Tensor, args: Args, event_dim: int
    ) -> Args | None:
        """What the entry takes for a call; None where that is another one, or may be."""
        if (strategy is not self._strategy and strategy != self._strategy) or event_dim != self._event_dim:
            return None
        if operator is not self._operator and operator != self._operator:
            return None
        if _around(x, args) != self._around or (values := self._pattern.values_of(f)) is None:
            return None
        more = self.entry.arguments(f, None, values)
        return more if more is None else (*args, *more)


def code_of(f: Function, operator: Operator) -> Hashable:
    """What glances are kept by: they look themselves whether they are for f."""
    return (id(f.__code__) if type(f) is types.FunctionType else id(type(f)), operator.name)


def _around(x: Any, args: Any) -> Hashable | None:
    """All that a call depends on beside f, where that is nothing out of the ordinary; else None."""
    if type(args) is not tuple or not isinstance(x, Tensor) or x.is_meta or not is_alone() or is_capturing():
        return None
    around = (type(x), *_POINTS(x), *map(call, _MODES))
    if not args:
        return around
    forms = tuple(map(_form, args))
    return None if None in forms else (*around, *forms)


def _form(arg: object) -> Hashable | None:
    """What an argument has in common with others that are served alike; None where others have more."""
    if type(arg) is Tensor or type(arg) is torch.nn.Parameter:
        return (arg.size(), arg.dtype, arg.device, arg.requires_grad)
    if type(arg) is float:
        return float
    return (type(arg), arg) if type(arg) in _PLAIN else None
