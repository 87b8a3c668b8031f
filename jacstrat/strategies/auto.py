"""The strategy that chooses, and where it may look: a proof, counts, a trial, or what it chose before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from jacstrat.errors import UnsupportedError, UsageError, unknown
from jacstrat.strategies.base import Contraction, Function, Operator, Strategy, circumstances_of
from jacstrat.strategies.candidates import Candidate, assumed_diagonal, on_structure
from jacstrat.strategies.checked import checked
from jacstrat.strategies.choosing import Choosing, import_torch_parts
from jacstrat.strategies.limits import within_limits
from jacstrat.strategies.points import check_points, outside_inference_mode, usable
from jacstrat.strategies.prepared import Prepared
from jacstrat.strategies.probing import Vmap
from jacstrat.strategies.recall import Found, Recall
from jacstrat.strategies.taylor import Taylor
from jacstrat.strategies.witness import Witness
from jacstrat.structure import Structure, UntracedError, detect_structure, prove_structure

ASSUMPTIONS = ("diagonal", "sampled")

# Where a call stands: on its own; in a transform of torch.func, where nothing can be traced or timed; or followed by a
# tracer, a graph being captured, or another mode, which would take in every operation that is not the result's, too.
Place = Literal["free", "transformed", "followed"]


class Chosen(NamedTuple):
    """A choice of this process.

    Fields:
        strategy, reason: As in Prepared.
        conditional: It is right by a proof or an assumption, which is to be made again.
        single: What to use for a single call, with nothing prepared: the fastest that needs no proof and no trace,
            where tracing takes longer than it saves; None where `strategy` is still the best.
    """

    strategy: Strategy
    reason: str
    conditional: bool = False
    single: Strategy | None = None


RECALL: Recall[Chosen] = Recall()


@dataclass(frozen=True)
class Auto(Strategy):
    """The fastest exact strategy for this function, size, device and workload, by structure, counts and a short trial.

    The choice is kept for the prepared operator, for later calls in this process, and on disk. `ones` and `coloring`
    are chosen only where a trace, made in every preparation, proves them right, or under `assume`. With trial=false
    nothing is timed and counts decide. Inside transforms of torch.func there is neither trace nor trial; under
    torch.compile and other tracers the number of calls decides. With assume=diagonal `ones` may be chosen unproved,
    with assume=sampled a pattern will do that was only seen at several points.
    """

    name: ClassVar[str] = "auto"
    cost: ClassVar[str] = "that of its choice"
    exact_when: ClassVar[str] = "always"
    trial: bool = True
    assume: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.trial, bool):
            raise UsageError(f"trial must be true or false, got {self.trial!r}; leave it out for true")
        if self.assume and self.assume not in ASSUMPTIONS:
            raise UsageError(f"{unknown('assumption', str(self.assume), ASSUMPTIONS)}; leave it out for none")

    def apply(self, operator: str, f: Function, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The result at x, for a caller that keeps no prepared operator, such as `divergence` in a training step.

        What was chosen for f before is used at once, and is held against no witness again; a trace is made only where
        the structure saves more.
        """
        check_points(x)
        points = usable(x)
        if not torch.compiler.is_compiling():
            found = RECALL.find(f, (self, *circumstances_of(operator, points)))
            if found is not None:
                try:
                    if (known := self._known(found, operator, f, points)) is not None:
                        return known(points)
                except UnsupportedError:
                    # f is not what it was: its layers, or what it reads, were changed in place.
                    RECALL.forget()
        return self.prepare(operator, f, points)(points)

    def _known(self, found: Found[Chosen], operator: str, f: Function, x: Tensor) -> Callable[[Tensor], Tensor] | None:
        """What was chosen before, where it is there without a trace or a proof that takes longer than it saves."""
        kept = found.value
        if (traced := _traced(kept, operator, f, x)) is not None:
            return traced
        strategy = kept.single or (None if kept.conditional else kept.strategy)
        if strategy is None:
            return None
        return strategy.trusted(operator, f, x) if found.is_own else partial(strategy.apply, operator, f)

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        if torch.compiler.is_compiling():
            return _contraction(_by_calls(), None, operator, f, x)
        circumstances = (self, *circumstances_of(operator, x))
        kept = RECALL.get(f, circumstances)
        place = _place(x)
        if place == "followed" or (place == "transformed" and kept is not None):
            return _contraction(self._followed(kept, place), None, operator, f, x)
        import_torch_parts()
        begin = time.perf_counter()
        free = place == "free"
        if kept is not None and (contraction := self._again(kept, operator, f, x)) is not None:
            return contraction
        values = free and x.numel() > 0 and not x.is_meta
        choosing = Choosing(operator, f, x, begin, values=values, timed=values and self.trial)
        choice = choosing.choose(lambda sparse: self._conditional(operator, f, x, free and sparse))
        chosen = Chosen(choice.candidate.strategy, choice.reason, bool(choice.candidate.ground), choice.single)
        RECALL.keep(f, circumstances, chosen)
        return _contraction(chosen, choice.candidate, operator, f, x, choice.built)

    def _followed(self, kept: Chosen | None, place: Place) -> Chosen:
        """The choice where nothing may run but the result: what was chosen before, if it takes no trace."""
        if kept is None or kept.conditional:
            return _by_calls()
        if isinstance(kept.strategy, Taylor):  # what follows would take in the trace
            return kept._replace(strategy=kept.single or Vmap())
        return kept

    def _again(self, kept: Chosen, operator: Operator, f: Function, x: Tensor) -> Contraction | None:
        """What was chosen for f, or for a function that looks the same, built and held against a witness anew."""
        candidate = None
        if kept.conditional:
            proved = [one for one in self._conditional(operator, f, x, trace=True) if one.strategy == kept.strategy]
            if not proved:
                return None
            candidate = proved[0]
        try:
            contraction = _contraction(kept, candidate, operator, f, x)
            fault = Witness(operator, f, x).fault(contraction, transforms=kept.strategy.transforms)
            return None if fault else contraction
        except UnsupportedError:
            return None

    def _conditional(self, operator: Operator, f: Function, x: Tensor, trace: bool) -> list[Candidate]:
        """Candidates that are right for this function alone, assumed or proved now."""
        if self.assume == "diagonal":
            return [assumed_diagonal()]
        if not trace:
            return []
        structure: Structure | None
        try:
            structure = prove_structure(f, x, operator)
        except UntracedError:
            # Sampling would take five times n products.
            structure = detect_structure(f, x, operator) if self.assume == "sampled" else None
        return on_structure(structure, x) if structure else []


def _contraction(
    chosen: Chosen,
    candidate: Candidate | None,
    operator: Operator,
    f: Function,
    x: Tensor,
    built: Function | Contraction | None = None,
) -> Contraction:
    """What the chosen strategy builds, or has built, under its name."""
    if built is None:
        with within_limits(chosen.strategy.spec):
            built = candidate.build(operator, f, x) if candidate else chosen.strategy.build(operator, f, x, None)
    contraction = built if isinstance(built, Contraction) else Contraction(built)
    evaluate = contraction.evaluate
    if isinstance(chosen.strategy, Taylor) and chosen.single is not None:
        evaluate = _by_shape(evaluate, chosen.single, operator, f, x)
    return replace(contraction, evaluate=evaluate, chosen=chosen.strategy, reason=chosen.reason, is_confirmed=True)


def _by_shape(traced: Function, single: Strategy, operator: Operator, f: Function, x: Tensor) -> Function:
    """A traced strategy for points like x; other shapes are traced when they come for the second time."""
    shapes = {x.shape}

    def evaluate(x: Tensor) -> Tensor:
        if x.shape in shapes:
            return traced(x)
        shapes.add(x.shape)
        return single.trusted(operator, f, x)(x)

    return evaluate


def _traced(kept: Chosen, operator: str, f: Function, x: Tensor) -> Prepared | None:
    """The operator by `taylor` where that was chosen and the trace of an earlier call serves; else None."""
    if not isinstance(kept.strategy, Taylor):
        return None
    with outside_inference_mode():
        built = kept.strategy.traced(checked(f, operator), x)
    return None if built is None else kept.strategy.trusted("laplacian", f, x, built)


def _by_calls(why: str = ", where a tracer allows neither counts nor a trial") -> Chosen:
    """The choice where nothing may be run but the result: the fewest calls through f."""
    return Chosen(Vmap(), f"vmap: all products in one call{why}")


def _place(x: Tensor) -> Place:
    capturing = torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()
    if capturing or isinstance(x, FakeTensor) or _get_current_dispatch_mode_stack():
        return "followed"
    return "transformed" if torch._C._functorch.peek_interpreter_stack() is not None else "free"
