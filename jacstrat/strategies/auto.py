"""The strategy that chooses, and where it may look: a proof, counts, a trial, or what it chose before."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from jacstrat.errors import UnsupportedError, UsageError, unknown
from jacstrat.strategies.base import (
    Contraction,
    Function,
    Operator,
    Prepared,
    Strategy,
    as_prepared,
    check_points,
    checked,
    outside_inference_mode,
    usable,
)
from jacstrat.strategies.candidates import Candidate, assumed_diagonal, on_structure
from jacstrat.strategies.choosing import Choosing, import_torch_parts
from jacstrat.strategies.limits import within_limits
from jacstrat.strategies.probing import Vmap
from jacstrat.strategies.recall import Recall
from jacstrat.strategies.taylor import Taylor
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

    def apply(self, operator: str, f: Function, x: Tensor) -> Tensor:
        """The result at x, for a caller that keeps no prepared operator, such as `divergence` in a training step.

        What was chosen for f before is used at once; a trace is made only where the structure saves more.
        """
        check_points(x)
        if not torch.compiler.is_compiling():
            kept = RECALL.get(f, self._circumstances(operator, x))
            if kept is not None:
                try:
                    if (traced := _traced(kept, operator, f, x)) is not None:
                        return traced(x)
                    known = kept.single or (None if kept.conditional else kept.strategy)
                    if known is not None:
                        return known.prepare(operator, f, x)(x)
                except UnsupportedError:
                    # f is not what it was: its layers, or what it reads, were changed in place.
                    RECALL.forget()
        return self.prepare(operator, f, x)(x)

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        if torch.compiler.is_compiling():
            return _contraction(_by_calls(), None, operator, f, x)
        circumstances = self._circumstances(operator, x)
        kept = RECALL.get(f, circumstances)
        place = _place(x)
        if kept is not None and not kept.conditional:
            if place != "free" and isinstance(kept.strategy, Taylor):  # what follows would take in the trace
                kept = kept._replace(strategy=kept.single or Vmap())
            return _contraction(kept, None, operator, f, x)
        if place == "followed":
            return _contraction(_by_calls(), None, operator, f, x)
        import_torch_parts()
        begin = time.perf_counter()
        free = place == "free"
        if kept is not None:
            again = [one for one in self._conditional(operator, f, x, free) if one.strategy == kept.strategy]
            if again:
                return _contraction(kept, again[0], operator, f, x)
        values = free and x.numel() > 0 and not x.is_meta
        choosing = Choosing(operator, f, x, begin, values=values, timed=values and self.trial)
        choice = choosing.choose(lambda sparse: self._conditional(operator, f, x, free and sparse))
        chosen = Chosen(choice.candidate.strategy, choice.reason, bool(choice.candidate.ground), choice.single)
        try:
            contraction = _contraction(chosen, choice.candidate, operator, f, x, choice.built)
        except UnsupportedError:
            # Kept on disk for a function that looks the same, and wrong or refused for this one.
            chosen = _by_calls(f"; {chosen.strategy.spec}, chosen for a function that looks the same, cannot serve it")
            contraction = _contraction(chosen, None, operator, f, x)
        RECALL.keep(f, circumstances, chosen)
        return contraction

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

    def _circumstances(self, operator: str, x: Tensor) -> Hashable:
        """What a choice depends on beside f. Batches of up to twice the size share one."""
        transformed = torch._C._functorch.peek_interpreter_stack() is not None
        points = x.shape[0].bit_length() if x.dim() == 2 else None
        modes = (torch.is_grad_enabled(), torch.get_num_threads(), transformed)
        return (self, operator, x.shape[-1], points, x.dtype, x.device, x.requires_grad, type(x), modes)


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
    return Contraction(evaluate, chosen=chosen.strategy, reason=chosen.reason, passes=contraction.passes)


def _by_shape(traced: Function, single: Strategy, operator: Operator, f: Function, x: Tensor) -> Function:
    """A traced strategy for points like x; other shapes are traced when they come for the second time."""
    shapes = {x.shape}

    def evaluate(x: Tensor) -> Tensor:
        if x.shape in shapes:
            return traced(x)
        shapes.add(x.shape)
        return single.prepare(operator, f, x)(x)

    return evaluate


def _traced(kept: Chosen, operator: str, f: Function, x: Tensor) -> Prepared | None:
    """The operator by `taylor` where that was chosen and the trace of an earlier call serves; else None."""
    if not isinstance(kept.strategy, Taylor):
        return None
    with outside_inference_mode():
        points = usable(x)
        built = kept.strategy.traced(checked(f, operator), points)
    return None if built is None else as_prepared(kept.strategy, "laplacian", points, built)


def _by_calls(why: str = ", where a tracer allows neither counts nor a trial") -> Chosen:
    """The choice where nothing may be run but the result: the fewest calls through f."""
    return Chosen(Vmap(), f"vmap: all products in one call{why}")


def _place(x: Tensor) -> Place:
    capturing = torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()
    if capturing or isinstance(x, FakeTensor) or _get_current_dispatch_mode_stack():
        return "followed"
    return "transformed" if torch._C._functorch.peek_interpreter_stack() is not None else "free"
