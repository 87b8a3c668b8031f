"""How a choice is made: count the products, predict every candidate, time the promising ones, keep the fastest."""

from __future__ import annotations

import platform
import re
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.available import read_text
from jacstrat.strategies import choices
from jacstrat.strategies.base import Contraction, Function, Operator, Strategy
from jacstrat.strategies.candidates import Candidate, always_exact, taylor_cost
from jacstrat.strategies.choices import Kept
from jacstrat.strategies.counting import PRODUCTS, ProductCost, evaluation, looks_dense, product_cost
from jacstrat.strategies.trial import Trial, run_trial
from jacstrat.strategies.workload import Workload, same_random_numbers

# What is no slower than the fastest by more than this is as fast, as far as a few calls tell; the counts decide then.
NEAR = 1.03


def import_torch_parts() -> None:
    """Have torch import what it imports when a transform or a trace is first used: once a process, and no choice's."""
    import torch._decomp.decompositions_for_jvp
    import torch._dynamo
    import torch.fx.experimental.proxy_tensor
    import torch.fx.experimental.symbolic_shapes  # noqa: F401


class Choice(NamedTuple):
    """What was chosen.

    Fields:
        candidate: What to use.
        reason: Why, in one line.
        single: What to use for a single call instead; see `auto.Chosen`.
        built: What the candidate built, where it was tried.
    """

    candidate: Candidate
    reason: str
    single: Strategy | None = None
    built: Function | Contraction | None = None


@dataclass
class Choosing:
    """One choice under way.

    Fields:
        operator, f, x: What is to be prepared.
        begin: When the time of the first call began to run, by time.perf_counter.
        values: f can be evaluated at x, and rows of J be looked at.
        timed: There may be a trial, too; else counts decide.
        built: What candidates built in the trial.
    """

    operator: Operator
    f: Function
    x: Tensor
    begin: float
    values: bool
    timed: bool
    built: dict[Strategy, Function | Contraction] = field(default_factory=dict)

    def choose(self, conditional: Callable[[bool], list[Candidate]]) -> Choice:
        """The fastest candidate, and why.

        Args:
            conditional: Finds the candidates that are exact for this f alone; told whether a trace may find structure.

        Raises:
            Whatever f raises, where no product serves it.
        """
        with same_random_numbers(self.x.device):
            return self._choose(conditional)

    def _choose(self, conditional: Callable[[bool], list[Candidate]]) -> Choice:
        costs, failures, rows = self._costs()
        ops = 0.0
        if self.operator == "laplacian" and self.timed:
            own = evaluation(self.f, self.x[:rows] if self.x.dim() == 2 else self.x)
            costs["taylor"], ops = taylor_cost(own), own.ops
        workload = Workload.of(self.f, self.x, rows) if self.timed else None
        always = list(always_exact(self.operator, costs, self.x, workload, ops))
        name = self._name(costs, workload) if workload else None
        kept = choices.load(name) if name else None
        if kept and (same := [one for one in always if one.strategy.spec == kept.strategy]):
            known = {one.strategy: one for one in always}
            guessed = {one.strategy: one.seconds(costs[one.product], self.x) for one in always}
            return Choice(same[0], kept.reason, _single(known, guessed, same[0].strategy, 0.0))
        start = time.perf_counter()
        found = [one for one in conditional(self._may_be_sparse(costs)) if one.product in costs]
        trace_s = time.perf_counter() - start
        candidates = {one.strategy: one for one in (*always, *found)}
        predicted = {one.strategy: one.seconds(costs[one.product], self.x) for one in candidates.values()}
        if workload is None:
            return _choice(candidates, predicted, predicted, failures, trace_s)
        if kept and (same := [one for one in found if one.strategy.spec == kept.strategy]):
            return Choice(same[0], kept.reason, _single(candidates, predicted, same[0].strategy, trace_s))
        trial = self._trial(candidates, predicted, workload)
        failures |= {strategy.spec: error for strategy, error in trial.failures.items()}
        seconds = {strategy: trial.typical_s(strategy) for strategy in trial.calls}
        for one, calls in trial.calls.items():
            if candidates[one].setup_s and len(calls) > 1:
                # Never 0, by which it would be one that needs no setting up.
                candidates[one] = replace(candidates[one], setup_s=max(calls[0] - seconds[one], 1e-6))
        choice = _choice(candidates, seconds, predicted, failures, trace_s)
        choice = choice._replace(built=self.built.get(choice.candidate.strategy))
        if name:
            choices.store(name, Kept(choice.candidate.strategy.spec, choice.reason))
        return choice

    def _may_be_sparse(self, costs: Mapping[str, ProductCost]) -> bool:
        """Whether a trace may find structure: not where rows of J are seen to have no zeros, or where n is 1."""
        if self.x.shape[-1] == 1:
            return False
        if not self.values:
            return True
        product = PRODUCTS["vjp" if "vjp" in costs else "reverse"]
        try:
            return not looks_dense(product, self.operator, self.f, self.x)
        except Exception:
            return True

    def _costs(self) -> tuple[dict[str, ProductCost], dict[str, Exception], int]:
        """What each product costs, what those raised that cannot serve f, and how many points were counted."""
        f, x = self.f, self.x
        for points in (x[:1], x) if x.dim() == 2 and len(x) > 1 else (x,):
            costs, failures = {}, {}
            for name, product in PRODUCTS.items():
                if product.serves(self.operator):
                    try:
                        costs[name] = product_cost(product, self.operator, f, points)
                    except Exception as error:
                        failures[name] = error
            if costs:
                return costs, failures, len(points)
        raise failures["reverse"]

    def _trial(
        self, candidates: Mapping[Strategy, Candidate], predicted: Mapping[Strategy, float], workload: Workload
    ) -> Trial[Strategy]:
        """A trial of the candidates; of the way there alone where none has a way back to the parameters."""
        setup = {strategy: candidate.setup_s for strategy, candidate in candidates.items()}
        for one in dict.fromkeys((workload, Workload(workload.x, ()))):
            works = {strategy: self._work(candidate, one) for strategy, candidate in candidates.items()}
            trial = run_trial(works, predicted, self.begin, setup=setup)
            if trial.calls:
                return trial
        raise next(iter(trial.failures.values()))

    def _work(self, candidate: Candidate, workload: Workload) -> Callable[[], None]:
        """Calls of a candidate, which is built within the first: what fails in building fails in the trial."""

        def call() -> None:
            built = self.built.get(candidate.strategy)
            if built is None:
                built = self.built[candidate.strategy] = candidate.build(self.operator, self.f, self.x)
            workload.call(built.evaluate if isinstance(built, Contraction) else built)

        return call

    def _name(self, costs: Mapping[str, ProductCost], workload: Workload) -> str:
        """What the choice is kept under: all that it depends on, memory and load of the machine apart."""
        x = self.x
        device = torch.cuda.get_device_name(x.device) if x.device.type == "cuda" else f"{x.device.type} {_processor()}"
        return choices.digest(
            {
                "products": {name: cost.log for name, cost in costs.items()},
                "operator": self.operator,
                "shape": tuple(x.shape),
                "dtype": str(x.dtype),
                "device": device,
                "threads": torch.get_num_threads(),
                "workload": workload.name,
                "tracked": (torch.is_grad_enabled(), x.requires_grad),
                "torch": torch.__version__,
                "jacstrat": version("jacstrat"),
            }
        )


def _choice(
    candidates: Mapping[Strategy, Candidate],
    seconds: Mapping[Strategy, float],
    predicted: Mapping[Strategy, float],
    failures: Mapping[str, Exception],
    trace_s: float,
) -> Choice:
    """The fastest by seconds that were measured, or are `predicted` themselves."""
    limit_s = NEAR * min(seconds.values())
    best = min((one for one in seconds if seconds[one] <= limit_s), key=predicted.__getitem__)
    # What was not called takes as many times the best's time as was predicted.
    every = {one: seconds.get(one, predicted[one] / predicted[best] * seconds[best]) for one in candidates}
    found = f"{_time(every[best])}{' by counts' if seconds is predicted else ''}"
    if others := sorted((one for one in candidates if one != best), key=every.__getitem__):
        guess = "" if others[0] in seconds else "a predicted "
        found += f" against {guess}{_time(every[others[0]])} of {others[0]}"
    text = f"{best}: " + "; ".join(filter(None, (candidates[best].ground, found)))
    text += "".join(f"; without {name}: {_headline(error)}" for name, error in failures.items())
    return Choice(candidates[best], text, _single(candidates, every, best, trace_s))


def _single(
    candidates: Mapping[Strategy, Candidate], seconds: Mapping[Strategy, float], best: Strategy, trace_s: float
) -> Strategy | None:
    """The fastest that needs no proof and no trace, where a trace and the best together take longer."""
    plain = [name for name, one in candidates.items() if not one.ground and not one.setup_s and name in seconds]
    fastest = min(plain, key=seconds.__getitem__, default=best)
    made_s = candidates[best].setup_s or trace_s
    return fastest if fastest != best and made_s + seconds[best] > seconds[fastest] else None


def _time(seconds: float) -> str:
    """Three digits and a unit: "31.2 us"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _headline(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {' '.join(str(error).split())}", 80, placeholder=" ...")


@cache
def _processor() -> str:
    """The model of the processor, since a home may be shared between machines."""
    model = re.search(r"^model name\s*:\s*(.+)$", read_text(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()
