"""The strategy that chooses, and where it may look: a proof, counts, a trial, or what it chose before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from jacstrat.core.errors import UsageError, unknown
from jacstrat.core.operator import Operator
from jacstrat.core.torch_parts import import_torch_parts
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.choosing import Choosing
from jacstrat.strategies.auto.counting import UNKNOWN, product_costs
from jacstrat.strategies.auto.offers import on_ground
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction, Together
from jacstrat.strategies.hold import Hold
from jacstrat.strategies.limits import within_limits
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.points import CallScope, beside_the_result, place_of
from jacstrat.strategies.probing import Identity, Vmap
from jacstrat.strategies.process_cache import ProcessCache, circumstances_of
from jacstrat.strategies.program import start_compiler
from jacstrat.strategies.reduction import outputs_of
from jacstrat.structure import Structure, UntracedError, detect_structure, prove_structure
from jacstrat.trace.tracers import is_exported

ASSUMPTIONS = ("diagonal", "sampled")


class Chosen(NamedTuple):
    """A choice of this process.

    Fields:
        strategy, reason: As in Prepared.
        conditional: It is right by a proof or an assumption, which is to be made again.
        single: What to use for a single call, with nothing prepared: the fastest that needs no proof and no trace,
            where tracing takes longer than it saves; None where `strategy` is still the best. It was held against no
            witness as yet.
    """

    strategy: Strategy
    reason: str
    conditional: bool = False
    single: Strategy | None = None


CHOICE_CACHE: ProcessCache[Chosen] = ProcessCache()


@dataclass(frozen=True)
class Auto(Strategy):
    """The fastest exact strategy for this function, size, device and workload, by structure, counts and a short trial.

    The choice is kept for the prepared operator, for later calls in this process, and on disk. `ones` and `coloring`
    are chosen only where a trace, made in every preparation, proves them right, or under `assume`. With trial=false
    nothing is timed and counts decide. Inside transforms of torch.func there is neither trace nor trial; under
    torch.compile and other tracers the number of calls decides. With assume=diagonal `ones` may be chosen unproved,
    with assume=sampled a pattern will do that was only seen at several points. With compile=true programs of a compiler
    are tried, too, where an operator is prepared; a direct call keeps no program, and chooses as without.
    """

    name: ClassVar[str] = "auto"
    cost: ClassVar[str] = "that of its choice"
    exact_when: ClassVar[str] = "always"
    takes_outputs: ClassVar[bool] = True
    trial: bool = True
    assume: str = ""
    compile: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.trial, bool):
            raise UsageError(f"trial must be true or false, got {self.trial!r}; leave it out for true")
        if self.assume and self.assume not in ASSUMPTIONS:
            raise UsageError(f"{unknown('assumption', str(self.assume), ASSUMPTIONS)}; leave it out for none")
        if not isinstance(self.compile, bool):
            raise UsageError(f"compile must be true or false, got {self.compile!r}; leave it out for false")
        if self.compile and not self.trial:
            raise UsageError("compile=true compares programs by a trial, got trial=false; leave out one of the two")

    @property
    def unrecorded(self) -> tuple[Strategy, ...]:
        return (replace(self, trial=False, compile=False), Vmap(), Identity())

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        if torch.compiler.is_compiling():
            return _contraction(_by_calls(), None, operator, f, x, args)
        circumstances = (self, *circumstances_of(operator, x, args))
        earlier = CHOICE_CACHE.get(f, circumstances)
        scope = place_of(x)
        if scope == "followed" or (scope == "transformed" and earlier is not None):
            return _contraction(self._followed(earlier, scope), None, operator, f, x, args)
        import_torch_parts()
        if self.compile:
            start_compiler(x.device)
        begin = time.perf_counter()
        free = scope == "free"
        if earlier is not None and (contraction := self._again(earlier, operator, f, x, args)) is not None:
            return contraction
        values = free and x.numel() > 0 and not x.is_meta
        timed = values and self.trial
        choosing = Choosing(operator, f, x, args, begin, values=values, timed=timed, compiles=timed and self.compile)
        choice = choosing.choose(lambda sparse, known: self._structured(known, f, args, free and sparse))
        chosen = Chosen(choice.candidate.strategy, choice.reason, bool(choice.candidate.ground), choice.single)
        CHOICE_CACHE.keep(f, circumstances, chosen)
        contraction = _contraction(chosen, choice.candidate, operator, f, x, args, choice.built)
        return replace(contraction, considered=choice.considered)

    def _followed(self, earlier: Chosen | None, scope: CallScope) -> Chosen:
        """The choice where nothing may run but the result: what was chosen before, if it takes no trace."""
        if earlier is None or earlier.conditional:
            return _by_calls()
        if earlier.strategy.records:  # what follows would take in the trace
            return earlier._replace(strategy=earlier.single or _by_calls().strategy)
        return earlier

    def _again(self, earlier: Chosen, operator: Operator, f: Function, x: Tensor, args: Args) -> Contraction | None:
        """What was chosen for f, or for a function that looks the same, built and held against a witness anew."""
        candidate = None
        if earlier.conditional:
            known = Evidence(operator, x, product_costs(operator, UNKNOWN.work), UNKNOWN.work, compiles=self.compile)
            structured = on_ground(self._structured(known, f, args, trace=True))
            proved = [one for one in structured if one.strategy == earlier.strategy]
            if not proved:
                return None
            candidate = proved[0]
        try:
            contraction = _contraction(earlier, candidate, operator, f, x, args)
            fault = Hold(operator, f, x, args).fault(contraction, transforms=earlier.strategy.transforms)
        except (
            Exception
        ):  # what served another function may fail at this one in any way; if nothing serves, that is told
            return None
        return None if fault else contraction

    def _structured(self, known: Evidence, f: Function, args: Args, trace: bool) -> Evidence:
        """With the structure of J, as assumed or as proved now."""
        if outputs_of(f):  # each has a structure of its own
            return known
        if self.assume == "diagonal":
            return replace(known, assumed=True)
        if not trace:
            return known
        structure: Structure | None
        try:
            structure = prove_structure(f, known.x, known.operator, args)
        except UntracedError:
            # Sampling would take five times n products.
            sampled = self.assume == "sampled"
            structure = detect_structure(f, known.x, known.operator, args) if sampled else None
        return replace(known, structure=structure)


def _contraction(
    chosen: Chosen,
    candidate: Candidate | None,
    operator: Operator,
    f: Function,
    x: Tensor,
    args: Args,
    built: Contraction | None = None,
) -> Contraction:
    """What the chosen strategy builds, or has built, under its name."""
    if built is None:
        with within_limits(chosen.strategy.spec):
            if candidate:
                built = candidate.build(operator, f, x, args)
            else:
                built = chosen.strategy.contracted(operator, f, x, args, None)
    evaluate, together = built.evaluate, built.together
    if chosen.strategy.records and chosen.single is not None:
        evaluate, together = _by_shape(built, chosen.single, operator, f, x)
    return replace(
        built, evaluate=evaluate, together=together, chosen=chosen.strategy, reason=chosen.reason, is_confirmed=True
    )


def _by_shape(
    traced: Contraction, single: Strategy, operator: Operator, f: Function, x: Tensor
) -> tuple[Function, Callable[..., Together] | None]:
    """A traced strategy for points like x; other shapes are traced when they come for the second time.

    What serves a single call is held against a witness at the first of them, for which first calls have no time.
    """
    shapes = {x.shape}
    is_right: dict[bool, bool] = {}  # by whether gradients are tracked

    def at(x: Tensor, args: Args) -> Contraction:
        tracked = torch.is_grad_enabled()
        if x.shape in shapes or not is_right.get(tracked, True):
            return traced
        shapes.add(x.shape)
        try:
            built = single.contracted(operator, f, x, args, None)
            if tracked not in is_right and has_numbers(x):
                with beside_the_result():
                    is_right[tracked] = not Hold(operator, f, x, args).fault(built, transforms=single.transforms)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception:  # it does not serve f
            is_right[tracked] = False
        return built if is_right.get(tracked, True) else traced

    def together(x: Tensor, *args: Any) -> Together:
        built = at(x, args)
        return built.together(x, *args) if built.together else Together(built.evaluate(x, *args))

    return (lambda x, *args: at(x, args).evaluate(x, *args)), together


def _by_calls(why: str = ", where a tracer allows neither counts nor a trial") -> Chosen:
    """The choice where nothing may be run but the result: the fewest calls through f."""
    if is_exported():
        return Chosen(Identity(), "identity: what torch.export can follow")
    return Chosen(Vmap(), f"vmap: all products in one call{why}")
