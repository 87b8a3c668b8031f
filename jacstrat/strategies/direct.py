"""Direct calls, `laplacian(f, x)` in a loop: what serves them is prepared once, for every function like f.

What calls f itself serves any function of the same code, whatever that closes over: f is an argument to it. What rests
on a recording of f serves those of the same values; a value that is another one at a later call is an input from then
on, so that time, noise and conditions cost no new recording. What is kept is bounded, and so is what that keeps alive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator, is_array, is_weight_function, parse_operator
from jacstrat.strategies.checked import wrapping
from jacstrat.strategies.entries import TABLE, CachedEntry, Live, inputs, integers_of
from jacstrat.strategies.glance import Glance, code_of
from jacstrat.strategies.opened import closed, opened
from jacstrat.strategies.points import (
    check_args,
    check_event_dim,
    check_function,
    check_generator,
    check_tensor,
    place_of,
)
from jacstrat.strategies.prepared import Prepared, StaleError
from jacstrat.strategies.process_cache import circumstances_of
from jacstrat.strategies.reduction import FormError, OutputForm
from jacstrat.torch_errors import is_no_error
from jacstrat.trace.arguments import Args, Function
from jacstrat.trace.fingerprint import Same, fingerprint

if TYPE_CHECKING:
    from jacstrat.strategies.base import Strategy

R = TypeVar("R")


def _call(x: Tensor, *args: Any) -> Tensor:
    *rest, live = args
    result: Tensor = live.f(x, *rest)
    return result


def _weigh(x: Tensor, *args: Any) -> Tensor:
    *rest, live = args
    result: Tensor = live.weight(x, *rest)
    return result


def _holding(f: Function, args: Args) -> Function:
    """f with the whole numbers among these arguments in it, a function of the others: values of it like any number."""
    integers = {place: arg for place, arg in enumerate(args) if type(arg) is int}

    def function(x: Tensor, *rest: Any) -> Tensor:
        others = iter(rest)
        count = len(rest) + len(integers)
        return f(x, *(integers[place] if place in integers else next(others) for place in range(count)))

    return wrapping(function, f)


class Direct:
    """One direct call.

    Args:
        strategy: That was asked for.
        operator, f, x, generator, args, event_dim: As for `Strategy.prepare`.
    """

    def __init__(
        self,
        strategy: Strategy,
        operator: Operator,
        f: Function,
        x: Tensor,
        generator: torch.Generator | None,
        args: Args,
        event_dim: int,
    ) -> None:
        self.strategy, self.operator, self.f, self.x = strategy, operator, f, x
        self.generator, self.args, self.event_dim = generator, args, event_dim
        self.weight = operator.weight if is_weight_function(operator.weight) else None
        self.is_held = isinstance(args, tuple | list) and any(type(arg) is int for arg in args)
        if self.is_held:
            self._hold_integers()
        self.key: Hashable = None
        self.form: OutputForm | None = None

    def _hold_integers(self) -> None:
        """Take whole numbers among the arguments for values of f, which are known again apart from their numbers."""
        self.f = _holding(self.f, self.args)
        if self.weight is not None:
            self.weight = _holding(self.weight, self.args)
            self.operator = replace(self.operator, weight=self.weight)
        self.args = tuple(arg for arg in self.args if type(arg) is not int)

    def served(self) -> tuple[Prepared, Args]:
        """What serves the call, and the arguments that it takes."""
        self.is_new = True
        check_function(self.f)
        check_tensor(self.x)
        check_args(self.args)
        check_event_dim(self.event_dim)
        check_generator(self.generator)
        if place_of(self.x) != "free":
            return self._anew(), self.args
        self.opened = opened(self.f)
        circumstances = circumstances_of(self.operator, self.x, self.args)
        source = self.generator and Same(self.generator)
        self.key = (self.strategy, self._weight_key(), source, self.event_dim, circumstances, self.opened.key)
        entry = TABLE.get(self.key)
        if entry is not None and (more := entry.arguments(self.f, self.weight, self.opened.values)) is not None:
            self.is_new = False
            self._glance(entry)
            return (self._drawn(entry) if self.strategy.draws_first else entry.prepared), (*self.args, *more)
        return self._prepare(entry)

    def again(self) -> Prepared:
        """Prepared for this call alone, where what was kept does not serve after all; the next one keeps another."""
        TABLE.drop(self.key)
        return self._anew()

    def _glance(self, entry: CachedEntry) -> None:
        """Know the next call like this one at a glance; where calls of a code take turns, that is tried ever less."""
        entry.hits += 1
        if entry.hits & (entry.hits - 1):  # no power of two
            return
        if self.strategy.draws_first or self.generator is not None or self.operator.weight is not None or self.is_held:
            return
        names, is_guarded = self.opened.names, entry.values is not None
        glance = Glance.of(
            self.strategy, self.operator, self.f, self.x, self.args, self.event_dim, names, is_guarded, self.key, entry
        )
        if glance is not None:
            TABLE.keep_glance(code_of(self.f, self.operator), glance)

    def _prepare(self, entry: CachedEntry | None) -> tuple[Prepared, Args]:
        """What serves where nothing that is kept does; and what is to serve from now on is kept."""
        if entry is not None and entry.values is None and (prepared := self._trusted(entry)) is not None:
            return prepared, self.args
        if entry is not None and entry.values is not None:
            return self._with_inputs(entry)
        prepared = self._anew()
        self._keep(prepared)
        return prepared, self.args

    def _anew(self, strategy: Strategy | None = None) -> Prepared:
        """Prepared for f alone, and held against a witness."""
        prepared, points, self.form = (strategy or self.strategy)._prepared(
            self.operator, self.f, self.x, self.args, self.event_dim, self.generator
        )
        if not torch.compiler.is_compiling():
            prepared.confirm(*points)
        return prepared

    def _keep(self, prepared: Prepared) -> None:
        """Keep what was prepared for f; where that rests on more of f than is known again, what records nothing."""
        if not prepared.contraction.is_traced:
            self._keep_live(prepared)
        elif self._is_understood(prepared):
            prepared.keep_for_others()
            TABLE.keep(self.key, CachedEntry(prepared, self.opened, is_live=False))
        elif (unrecorded := self._unrecorded()) is not None:
            self._keep_live(unrecorded)

    def _keep_live(self, prepared: Prepared) -> None:
        # What it draws now is drawn again at each call, and is to leave the caller's generator alone.
        live = self._live(prepared.strategy, torch.Generator() if self.strategy.draws_first else self.generator)
        live.contraction = replace(live.contraction, reason=prepared.reason, chosen=prepared.contraction.chosen)
        live.trust()
        TABLE.keep(self.key, CachedEntry(live, self.opened, is_live=True))

    def _live(self, strategy: Strategy, generator: torch.Generator | None) -> Prepared:
        """What takes f itself as one more argument."""
        operator = self.operator if self.weight is None else replace(self.operator, weight=_weigh)
        live_args = (*self.args, Live(self.f, self.weight))
        return strategy._prepared(operator, _call, self.x, live_args, self.event_dim, generator, self.form)[0]

    def _unrecorded(self) -> Prepared | None:
        """What serves f without a recording; None where it is slower than to record f, or is not what was asked for."""
        start, recorded_s = time.perf_counter(), 0.0
        for strategy in self.strategy.unrecorded:
            with suppress(UnsupportedError):
                prepared = self._anew(strategy)
                if prepared.contraction.is_traced:  # what a proof of its structure allows
                    recorded_s = recorded_s or time.perf_counter() - start
                    continue
                if not recorded_s:
                    return prepared
                start = time.perf_counter()
                prepared(self.x, *self.args)
                if time.perf_counter() - start < recorded_s:
                    return prepared
        return None

    def _is_understood(self, prepared: Prepared) -> bool:
        """Whether all that a recording of f rests on is in its key and its values, or is watched by a guard.

        A tensor that was made while f was recorded may have numbers of another, as they were then.
        """
        if not self.opened.is_exact or self.weight is not None or (fingerprint_of_f := fingerprint(self.f)) is None:
            return False
        staged: Function = _call
        for stage in prepared.reduction.stages:
            staged = stage.function(staged)
        stages = fingerprint(staged)
        known = fingerprint_of_f.tensors | (stages.tensors if stages else frozenset())
        return all(id(constant) in known for constant in prepared.contraction.constants)

    def _drawn(self, entry: CachedEntry) -> Prepared:
        """What is kept, with probes of this call's own."""
        live = self._live(entry.prepared.strategy, self.generator)
        live.trust()
        return live

    def _trusted(self, entry: CachedEntry) -> Prepared | None:
        """What serves f by the kept choice, right for these integers, too; None where it is not."""
        try:
            prepared = self._anew(entry.prepared.strategy)
        except Exception:  # another strategy may serve it; if none does, that is told then
            return None
        entry.integers.add(integers_of(self.opened.values))
        return prepared

    def _with_inputs(self, entry: CachedEntry) -> tuple[Prepared, Args]:
        """What serves f with what changes as inputs; where it cannot be one, what records nothing, or f alone."""
        places = entry.places | entry.others(self.opened.values)
        if not entry.is_apart:
            with suppress(Exception):
                return self._recorded(entry, places)
            entry.is_apart = True
        if (unrecorded := self._unrecorded()) is not None:
            self._keep_live(unrecorded)
            return unrecorded, self.args
        values = tuple(Same(v) if isinstance(v, Tensor) else (type(v), repr(v)) for v in self.opened.values)
        self.key = (self.key, values)
        if (entry_of_key := TABLE.get(self.key)) is not None:
            return entry_of_key.prepared, self.args
        prepared = self._anew()
        self._keep(prepared)
        return prepared, self.args

    def _recorded(self, entry: CachedEntry, places: frozenset[int]) -> tuple[Prepared, Args]:
        """Recorded anew with inputs.

        Raises:
            UnsupportedError: That cannot be had. Whatever else f raises with such values is a reason, too.
        """
        core, core_args = closed(self.f, places, self.opened.names), (*self.args, *inputs(self.opened, places))
        with torch.no_grad():
            torch.testing.assert_close(core(self.x.detach(), *core_args), self.f(self.x.detach(), *self.args))
        chosen = entry.prepared.strategy
        who = chosen if chosen.records else self.strategy
        prepared, points, _ = who._prepared(self.operator, core, self.x, core_args, self.event_dim, self.generator)
        prepared.confirm(*points)
        if not prepared.contraction.is_traced or not self._is_understood(prepared):
            raise UnsupportedError("it is not recorded, or rests on more than is known")
        prepared.contraction = replace(prepared.contraction, reason=entry.prepared.reason)
        prepared.keep_for_others()
        TABLE.keep(self.key, CachedEntry(prepared, self.opened, is_live=False, places=places))
        return prepared, core_args

    def _weight_key(self) -> Hashable:
        weight = self.operator.weight
        if is_array(weight):  # its numbers are in what was prepared
            return Same(weight)
        return opened(weight).key if self.weight else weight


def called(
    strategy: Strategy,
    work: Callable[[Prepared], Callable[..., R]],
    operator: str | Operator,
    f: Function,
    x: Tensor,
    generator: torch.Generator | None,
    args: Args,
    event_dim: int,
) -> R:
    """A direct call; by what is prepared anew where f is not any more what it was."""
    operator = parse_operator(operator)
    glance = TABLE.glance(code_of(f, operator)) if generator is None else None
    if glance is not None:
        its_args = glance.arguments(strategy, operator, f, x, args, event_dim)
        if its_args is not None:
            prepared = glance.entry.prepared
            try:
                return prepared.recalled(work(prepared), x, its_args)
            except Exception as error:
                if not _may_be_stale(error):
                    raise
            TABLE.drop(glance.key)
    direct = Direct(strategy, operator, f, x, generator, args, event_dim)
    prepared, its_args = direct.served()
    try:
        return prepared.within_limits(work(prepared), x, its_args)
    except Exception as error:
        if not _may_be_stale(error) or (direct.is_new and not isinstance(error, (FormError, StaleError))):
            raise
        # What was kept does not serve; if nothing does, this says so of f itself.
        prepared = direct.again()
        return prepared.within_limits(work(prepared), x, direct.args)


def _may_be_stale(error: Exception) -> bool:
    """Whether what was kept may be at fault, and not the memory that there is, or nothing."""
    return not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or is_no_error(error))
