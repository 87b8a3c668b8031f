"""One case under exact strategies: right, or refused."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat import JacstratError, parse_strategy
from jacstrat.core.errors import in_words
from jacstrat.strategies.auto.strategy import CHOICE_CACHE
from tests.cases.case import LAPLACIAN, Case, Sample
from tests.cases.truth import Answer, along, answer, directions_of, error_of, gradients_of
from tests.share import shared

# In chunks, or with colours for seeds, products are right and wrong where they are with all vectors at once, as good as
# always; random compositions are held against these forms, too.
PRODUCTS = ("identity", "vmap", "jvp:chunk_size=all", "jacrev", "jacfwd", "coloring")
FIELD = (*PRODUCTS, "chain", "auto")
SCALAR = (*PRODUCTS, "forward_over_forward", "hessian", "taylor", "auto")
BOTH = ("value", "gradient")
VALUE_TOLERANCE, GRADIENT_TOLERANCE = 1e-6, 1e-5


class Seen(NamedTuple):
    """What a strategy did.

    Fields:
        strategy: Its spec.
        what: "value", or "gradient" where gradients were tracked.
        kind: "right", "refused", or "fault".
        detail: Why it refused, or what is wrong.
    """

    strategy: str
    what: str
    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.strategy}: {self.what}: {self.detail}"


def tried(place: int, operator: str) -> list[tuple[str, tuple[str, ...]]]:
    """The strategies that a case is tried with, each with what it is asked for.

    `auto` is tried with every case; for its gradient it is prepared anew, so that cases in turn ask for one of both.

    Args:
        place: Of the case in the table of all.
        operator: One of its operators.
    """
    specs = SCALAR if operator == LAPLACIAN else FIELD
    in_turn = tuple(what for column, what in enumerate(BOTH) if shared(place, column, share=2))
    others = [(spec, BOTH) for column, spec in enumerate(specs) if spec != "auto" and shared(place, column)]
    return [*others, ("auto", in_turn)]


def judged(
    case: Case, operator: str, strategies: Sequence[tuple[str, Sequence[str]]], watch: Callable[[str], None]
) -> list[Seen]:
    """What the strategies do.

    Args:
        case: The case.
        operator: One of its operators.
        strategies: Their specs, each with what it is asked for.
        watch: Told of each strategy before it is at work, since it may end the process.
    """
    watch("the truth")
    sample = case.make()
    expected = answer(case, operator, sample)
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JACSTRAT_CACHE"] = folder
        CHOICE_CACHE.forget()
        for strategy, asked in strategies:
            watch(strategy)
            seen += _seen(strategy, asked, operator, sample, expected)
    return seen


def _seen(strategy: str, asked: Sequence[str], operator: str, sample: Sample, expected: Answer) -> list[Seen]:
    """The value without gradients, then value and gradient with them, as far as asked for.

    One prepared operator serves both, as a trace of f is what most of the time goes into; but for `auto`, whose choice
    without gradients is another, and where it refused the first, since torch has other kernels for the second.
    """
    seen: list[Seen] = []
    prepared = None
    for what in asked:
        with torch.set_grad_enabled(what == "gradient"):
            try:
                if prepared is None or strategy == "auto" or seen[-1].kind != "right":
                    prepared = parse_strategy(strategy).prepare(operator, sample.f, sample.x)
                result = prepared(sample.x)
                gradients = gradients_of(result, sample) if what == "gradient" else None
            except JacstratError as error:
                seen.append(Seen(strategy, what, "refused", str(error)))
            except Exception as error:
                seen.append(Seen(strategy, what, "fault", f"raises {in_words(error)}"))
            else:
                detail = _wrong(result, gradients, sample, expected)
                seen.append(Seen(strategy, what, "fault" if detail else "right", detail))
    return seen


def _wrong(result: Tensor, gradients: Sequence[Tensor | None] | None, sample: Sample, expected: Answer) -> str:
    """What is wrong with a result, and with the gradients where there are any; "" where nothing is."""
    if not (error := error_of(result, expected.result)) <= VALUE_TOLERANCE:
        return f"the value is off by {error:.2g}"
    if gradients is not None:
        pairs = zip(directions_of(sample), expected.slopes, strict=True)
        errors = [abs(along(gradients, direction) - slope) / expected.size for direction, slope in pairs]
        if not all(error <= GRADIENT_TOLERANCE for error in errors):
            return f"the gradient is off by {' and '.join(f'{error:.2g}' for error in errors)} of its terms"
    return ""
