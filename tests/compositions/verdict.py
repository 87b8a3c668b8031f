"""One program under every strategy: what is right, refused or wrong."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat import JacstratError, parse_strategy
from jacstrat.core.errors import in_words
from jacstrat.strategies.auto import trial
from jacstrat.strategies.auto.strategy import CHOICE_CACHE
from tests.compositions.programs import Program
from tests.compositions.shared import shared
from tests.compositions.truth import (
    STEPS,
    Slopes,
    Values,
    along,
    by_differences,
    by_sides,
    directions_of,
    gradients_of,
    slopes,
    values,
)

PRODUCTS = (
    "identity",
    "vmap",
    "vmap:chunk_size=2",
    "jvp",
    "jvp:chunk_size=all",
    "jacrev",
    "jacfwd",
    "coloring",
    "coloring:product=forward",
)
FIELD = (*PRODUCTS, "chain", "auto")
SCALAR = (*PRODUCTS, "forward_over_forward", "hessian", "taylor", "taylor:compress=false", "auto")
VALUE_TOLERANCE, GRADIENT_TOLERANCE = 1e-6, 1e-5
# As far as differences of f tell one value from another.
SEEN = 1e-4
# As far as those from the two sides do where there is no kink.
SMOOTH = 1e-2


class Fault(NamedTuple):
    """What a strategy did that it must not.

    Fields:
        strategy: Its spec.
        what: "value", "elsewhere", "value with gradients" or "gradient".
        kind: "wrong", "raises" or "refused".
        detail: How far off, what it raised, or why it refused.
    """

    strategy: str
    what: str
    kind: str
    detail: str


@dataclass
class Verdict:
    """What came of a program.

    Fields:
        skipped: Why there was no truth to hold anything against; "" where there was.
        faults: What must not be.
        right: How many answers were right.
        refused: Refusals that are none of plain reverse mode's business, by strategy.
        gradient: What the gradients were held against, or why they were not.
        truth_s: Seconds that the truth took.
        total_s: Seconds of it all.
    """

    skipped: str = ""
    faults: list[Fault] = field(default_factory=list)
    right: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    gradient: str = ""
    truth_s: float = 0.0
    total_s: float = 0.0


def strategies_of(program: Program) -> tuple[str, ...]:
    return SCALAR if program.operator == "laplacian" else FIELD


def judge(program: Program, strategies: tuple[str, ...], watch: Callable[[str], None]) -> Verdict:
    """Hold strategies against the truth.

    Args:
        program: The program.
        strategies: Their specs.
        watch: Told of each strategy before it is at work, since it may end the process.
    """
    begin = time.perf_counter()
    verdict = Verdict()
    try:
        at, elsewhere = values(program, program.x), values(program, program.elsewhere)
    except Exception as error:
        verdict.skipped = f"autograd raises {type(error).__name__}"
        return verdict
    if not at.result.isfinite().any():
        verdict.skipped = "not finite"
        return verdict
    slope = slopes(program, at)
    verdict.gradient = slope.reason
    verdict.truth_s = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder, shared():
        os.environ["JACSTRAT_CACHE"] = folder
        CHOICE_CACHE.forget()
        for strategy in strategies:
            watch(strategy)
            _Trial(program, strategy, verdict, at, elsewhere, slope).run()
    verdict.total_s = time.perf_counter() - begin
    return verdict


def settle() -> None:
    """Set this process up: one thread, and no choice of `auto` by the clock, so that a seed gives the same again."""
    torch.set_num_threads(1)
    # A trial calls the most promising a few times and is over.
    trial.ALLOWANCE_S = trial.LEAST_S = 0.0


@dataclass
class _Trial:
    """A strategy on a program."""

    program: Program
    strategy: str
    verdict: Verdict
    at: Values
    elsewhere: Values
    slope: Slopes

    def run(self) -> None:
        """Values without gradients, then with them. One prepared operator serves both where it was right, as a trace is
        what most of the time goes into; but for `auto`, whose choice without gradients is another."""
        program, is_right = self.program, False
        with torch.no_grad():
            prepared = self._prepared("value")
            if prepared is not None and self._value("value", prepared, program.x, self.at) is not None:
                is_right = self._value("elsewhere", prepared, program.elsewhere, self.elsewhere) is not None
        if not self.slope.numbers:
            return
        with torch.enable_grad():
            if self.strategy == "auto" or not is_right:
                prepared = self._prepared("gradient")
            if prepared is not None:
                result = self._value("value with gradients", prepared, program.x, self.at)
                if result is not None:
                    self._gradient(result)

    def _prepared(self, what: str) -> Any:
        program = self.program
        return self._tried(
            what, lambda: parse_strategy(self.strategy).prepare(program.operator, program.function, program.x)
        )

    def _tried(self, what: str, work: Callable[[], Any]) -> Any:
        """What `work` gives; None, and a note in the verdict, where it raises."""
        try:
            return work()
        except JacstratError as error:
            if self.strategy == "auto" and self._owed(what):
                self._fault(what, "refused", str(error))
            else:
                self.verdict.refused[self.strategy] += 1
        except Exception as error:
            self._fault(what, "raises", in_words(error))
        return None

    def _owed(self, what: str) -> bool:
        """Whether plain reverse mode answers this rightly, so that `auto` has to."""
        if what in ("value", "elsewhere"):
            at, x = (self.at, self.program.x) if what == "value" else (self.elsewhere, self.program.elsewhere)
            return at.reverse and bool(at.result.isfinite().all()) and self._seen(at.result, at, x) is not False
        # Where f is smooth and the convention of torch says otherwise, as of ties, not even the value is.
        return self.slope.reverse and self._owed("value")

    def _value(self, what: str, prepared: Callable[[Tensor], Tensor], x: Tensor, truth: Values) -> Tensor | None:
        """The result, held against the truth; None where there is none."""
        result = self._tried(what, lambda: prepared(x))
        if result is None:
            return None
        expected = truth.result
        if result.shape != expected.shape:
            self._fault(what, "wrong", f"shape {tuple(result.shape)}, and not {tuple(expected.shape)}")
            return result
        finite = expected.isfinite()
        difference = (result.detach() - expected)[finite].abs()
        error = float(difference.max()) / truth.size if len(difference) else 0.0
        if error <= VALUE_TOLERANCE:
            self.verdict.right += 1
        elif self._seen(result.detach(), truth, x) is not True:
            row = int(difference.argmax())
            got, wanted = float(result.detach()[finite][row]), float(expected[finite][row])
            self._fault(what, "wrong", f"off by {error:.2g}: {got:.6g} for {wanted:.6g}")
        return result

    def _seen(self, result: Tensor, truth: Values, x: Tensor) -> bool | None:
        """Whether differences of f see this result; None where they do not say, as with kinks and cuts.

        The value is plain reverse mode's; but where torch's own second derivatives are off no one is blamed for better.
        """
        if self.program.cut:
            return None
        wide, narrow = (by_differences(self.program, x, 10 * h) for h in STEPS)
        if self.program.special and x is self.program.x:
            left, right = by_sides(self.program, x, 10 * STEPS[1])
            if not float((left - right).abs().max()) <= SMOOTH * truth.size:
                return None
        if not float((wide - narrow).abs().max()) <= SEEN * truth.size:
            return None
        return float((result - narrow).abs().max()) <= SEEN * truth.size

    def _gradient(self, result: Tensor) -> None:
        try:
            gradients = gradients_of(self.program, result)
        except Exception as error:
            # Where plain reverse mode has no gradient either it is the caller who asks for too much.
            if self.slope.reverse:
                self._fault("gradient", "raises", in_words(error))
            return
        given = [along(gradients, direction)[0] for direction in directions_of(self.program)]
        errors = [abs(a - b) / self.slope.size for a, b in zip(given, self.slope.numbers, strict=True)]
        if max(errors) <= GRADIENT_TOLERANCE:
            self.verdict.right += 1
        else:
            k = max(range(len(errors)), key=lambda k: errors[k])
            numbers = f"{given[k]:.6g} for {self.slope.numbers[k]:.6g} by {self.slope.reason}"
            self._fault("gradient", "wrong", f"off by {max(errors):.2g}: {numbers}")

    def _fault(self, what: str, kind: str, detail: str) -> None:
        self.verdict.faults.append(Fault(self.strategy, what, kind, detail))
