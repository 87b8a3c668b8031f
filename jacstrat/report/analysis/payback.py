"""How many calls it takes until a strategy that is slow to prepare and fast to call has paid for itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jacstrat.record import Record
from jacstrat.report.analysis.answers import winners
from jacstrat.report.analysis.setting import Setting, Source, by_setting, to_records

# Seconds more than the other's that a preparation must take to be worth a word.
NEGLIGIBLE_S = 0.01


@dataclass(frozen=True)
class Payback:
    """The fastest strategy at one n, where it takes longer to prepare than the next.

    Fields:
        setting, n, strategy: Which.
        other: The fastest of the other strategies with a right result.
        extra_s: How much longer it takes to prepare, the first call included, seconds.
        saved_s: How much less a call takes, seconds.
    """

    setting: Setting
    n: int
    strategy: str
    other: str
    extra_s: float
    saved_s: float

    @property
    def calls(self) -> int:
        """Calls after which it has taken less time than the other."""
        return math.ceil(self.extra_s / self.saved_s)


def paybacks(source: Source) -> tuple[Payback, ...]:
    """Where the fastest strategy is not the fastest to prepare, and that is not negligible.

    One whose time cannot be told from the next one's pays at no number of calls that could be told, and is left out.
    """
    cases = {
        (setting, record.n, record.strategy): record
        for setting, records in by_setting(to_records(source)).items()
        for record in records
    }
    of_winners = []
    for winner in winners(source):
        if winner.runner_up is None or winner.runner_up in winner.level:
            continue
        first, second = (cases[winner.setting, winner.n, name] for name in (winner.strategy, winner.runner_up))
        extra_s, saved_s = _more(first, second, "prepare_s"), _more(second, first, "median_s")
        if extra_s and saved_s and extra_s > NEGLIGIBLE_S:
            of_winners.append(Payback(winner.setting, winner.n, winner.strategy, winner.runner_up, extra_s, saved_s))
    return tuple(of_winners)


def _more(one: Record, other: Record, column: str) -> float | None:
    """How much more the one has in a column; None where either has nothing there."""
    mine, its = getattr(one, column), getattr(other, column)
    return None if mine is None or its is None else mine - its
