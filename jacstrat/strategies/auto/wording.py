"""A choice in words: why this one, and why none."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from jacstrat.core.errors import UnsupportedError
from jacstrat.strategies.auto.candidates import Candidate
from jacstrat.strategies.auto.timed import Timed
from jacstrat.strategies.base import Strategy

Failures = Mapping[str, Exception]


def reason_of(candidates: Mapping[Strategy, Candidate], timed: Timed, best: Strategy, failures: Failures) -> str:
    """The choice in one line."""
    seconds = timed.every
    text = f"{_time(seconds[best])}{'' if timed.seconds else ' by counts'}"
    others = [one for one in candidates if one != best and one.spec not in failures]
    if others:
        other = min(others, key=seconds.__getitem__)
        guess = "a predicted " if timed.seconds and other not in timed.seconds else ""
        text += f" against {guess}{_time(seconds[other])} of {other}"
    if best.compiles:
        text += f"; {_time(candidates[best].setup_s)} to compile"
    text = f"{best}: " + "; ".join(filter(None, (candidates[best].ground, text)))
    return text + "".join(f"; without {name}: {_headline(error)}" for name, error in failures.items())


def refusal_of(failures: Failures) -> Exception:
    """What to raise where no candidate is right: what f raises, as reverse mode says it."""
    spec = "identity" if "identity" in failures else next(iter(failures))
    error = failures[spec]
    if isinstance(error, UnsupportedError):
        return UnsupportedError(f"no strategy is right for this function; {spec}: {error}")
    return error


def _time(seconds: float) -> str:
    """Three digits and a unit: "31.2 us"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _headline(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {' '.join(str(error).split())}", 80, placeholder=" ...")
