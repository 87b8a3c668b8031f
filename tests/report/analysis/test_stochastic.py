import io
import math
from collections.abc import Callable, Iterable

import pandas as pd
import pytest
from rich.console import Console

from jacstrat.record import Record
from jacstrat.report.analysis.answers import winners
from jacstrat.report.analysis.findings import print_findings
from jacstrat.report.analysis.stochastic import Budget, crossovers, families, family, time_to_reach
from jacstrat.report.analysis.tables import stochastic_table
from tests.report.conftest import stochastic_rows

Make = Callable[..., Record]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("hutchinson", "hutchinson"),
        ("hutchinson:probes=64", "hutchinson"),
        ("hutchinson:probes=64,distribution=normal", "hutchinson:distribution=normal"),
        ("hutch++:product=forward,probes=8", "hutch++:product=forward"),
        ("hutchinson:probes=4,fixed=true,chunk_size=2", "hutchinson:fixed=true,chunk_size=2"),
    ],
)
def test_a_family_is_a_spec_without_its_probes(spec: str, name: str) -> None:
    assert family(spec) == name


def test_a_stochastic_strategy_is_no_winner(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    (winner,) = winners(frame_of([drawn("hutchinson", 16, 0.1, 1e-6), record(strategy="vmap")]))
    assert (winner.strategy, winner.runner_up) == ("vmap", None)
    assert winners(frame_of([drawn("hutchinson", 16, 0.1, 1e-6)])) == ()


class TestTimeToReach:
    def budgets(self, *values: tuple[float, float]) -> list[Budget]:
        return [Budget(4**i, error, None, seconds) for i, (error, seconds) in enumerate(values, 1)]

    def test_hutchinson_pays_with_the_square_of_the_error(self) -> None:
        assert time_to_reach("hutchinson", self.budgets((0.1, 1e-3)), 0.01) == pytest.approx(0.1)
        # The budget that is relatively cheaper counts.
        two = self.budgets((0.1, 1e-3), (0.05, 2e-3))
        assert time_to_reach("hutchinson:fixed=true", two, 0.01) == pytest.approx(0.05)

    def test_a_budget_within_the_target_has_reached_it(self) -> None:
        assert time_to_reach("hutchinson", self.budgets((0.02, 1.0), (0.01, 1.5)), 0.01) == 1.5
        assert time_to_reach("xtrace", self.budgets((0.001, 2e-3)), 0.01) == 2e-3

    def test_others_are_interpolated_between_two_budgets(self) -> None:
        # From 1e-1 to 1e-3 the target 1e-2 is half way, in the logarithms of both.
        assert time_to_reach("hutch++", self.budgets((1e-1, 1e-3), (1e-3, 4e-3)), 1e-2) == pytest.approx(2e-3)

    def test_others_that_do_not_reach_it_are_not_known(self) -> None:
        assert time_to_reach("xtrace", self.budgets((0.5, 1e-3), (0.02, 4e-3)), 1e-2) is None
        assert time_to_reach("xtrace", self.budgets((0.5, 1e-3)), 1e-2) is None

    def test_an_error_of_zero_and_one_that_is_infinite(self) -> None:
        assert time_to_reach("xtrace", self.budgets((0.1, 1e-3), (0.0, 4e-3)), 1e-2) == 4e-3
        assert time_to_reach("xtrace", self.budgets((math.inf, 1e-3), (1e-3, 4e-3)), 1e-2) == 4e-3
        assert time_to_reach("hutchinson", self.budgets((math.inf, 1e-3)), 1e-2) is None


def test_families_have_their_budgets_and_the_exact_strategy_beside_them(
    record: Make, drawn: Make, frame_of: FrameOf
) -> None:
    found = families(frame_of(stochastic_rows(record, drawn)))
    assert [(f.n, f.strategy) for f in found] == [(n, s) for n in (8, 16, 32, 64) for s in ("hutchinson", "xtrace")]
    xtrace = found[-1]
    assert [(b.products, b.rel_error, b.coverage) for b in xtrace.budgets] == [(16, 0.1, 0.5), (65, 1e-3, 0.66)]
    assert (xtrace.exact, xtrace.exact_s) == ("vmap", 6.4e-3)
    assert xtrace.reach_s == pytest.approx(2e-3)
    assert xtrace.over_exact == pytest.approx(2 / 6.4)


def test_a_crossover_is_where_a_family_wins_for_good(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    found = {c.strategy: c for c in crossovers(frame_of(stochastic_rows(record, drawn)))}
    # vmap takes 1.6 ms at n = 16 and 3.2 ms at n = 32.
    assert found["xtrace"].n == 32
    assert found["xtrace"].largest.n == 64
    assert found["hutchinson"].n is None
    # A win that does not last is none.
    lost = [
        *stochastic_rows(record, drawn),
        record(strategy="vmap", n=128, median_s=1e-4),
        drawn("xtrace", 16, 1e-3, 1e-3, n=128),
    ]
    assert {c.strategy: c.n for c in crossovers(frame_of(lost))}["xtrace"] is None


def test_what_is_wrong_or_exact_is_no_family(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    assert families(frame_of([record(), drawn("hutchinson", 16, 0.1, 1e-3, status="wrong")])) == ()


def test_without_an_exact_result_there_is_nothing_to_win_over(drawn: Make, frame_of: FrameOf) -> None:
    (found,) = crossovers(frame_of([drawn("hutchinson", 16, 0.1, 1e-3)]))
    assert (found.n, found.largest.exact, found.largest.over_exact) == (None, None, None)


def findings_of(frame: pd.DataFrame) -> str:
    file = io.StringIO()
    print_findings(frame, Console(file=file, width=140))
    return file.getvalue()


def test_the_table_and_where_it_is_printed(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    frame = frame_of(stochastic_rows(record, drawn))
    file = io.StringIO()
    Console(file=file, width=140).print(stochastic_table(frame))
    lines = [line.split() for line in file.getvalue().splitlines()]
    assert lines[-2][3:] == ["hutchinson", "64", "16", "0.1", "66%", "100", "ms", "15.6×"]
    assert lines[-1] == ["xtrace", "64", "16–65", "0.1–1.0e-03", "50–66%", "2.00", "ms", "0.312×", "32"]
    assert file.getvalue() in findings_of(frame)
    assert "Stochastic" not in findings_of(frame_of([record()]))
