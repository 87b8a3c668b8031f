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
from jacstrat.report.figures.plots import PLOTS, write_plots
from tests.report.figures.artists import axes_of, markers_of, texts_of

Make = Callable[..., Record]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]


@pytest.fixture
def drawn(record: Make) -> Make:
    """A row of a stochastic strategy."""

    def make(strategy: str, products: int, rel_error: float, median_s: float, **values) -> Record:
        shared = {"draws": 100, "coverage": 0.66, "std_error": 0.1, "vjp_products": products, "jvp_products": 0}
        return record(strategy=strategy, rel_error=rel_error, median_s=median_s, **{**shared, **values})

    return make


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


def rows(record: Make, drawn: Make) -> list[Record]:
    """xtrace reaches the target in 2 ms at every n, hutchinson in 100 ms; vmap takes n / 10 ms."""
    found = []
    for n in (8, 16, 32, 64):
        found += [
            record(strategy="vmap", n=n, median_s=n * 1e-4),
            record(strategy="jvp", n=n, median_s=n * 1e-3),
            drawn("hutchinson", 16, 0.1, 1e-3, n=n),
            drawn("xtrace", 16, 0.1, 1e-3, n=n, coverage=0.5),
            drawn("xtrace:probes=64", 64, 1e-3, 4e-3, n=n, jvp_products=1, vjp_products=64),
        ]
    return found


def test_families_have_their_budgets_and_the_exact_strategy_beside_them(
    record: Make, drawn: Make, frame_of: FrameOf
) -> None:
    found = families(frame_of(rows(record, drawn)))
    assert [(f.n, f.strategy) for f in found] == [(n, s) for n in (8, 16, 32, 64) for s in ("hutchinson", "xtrace")]
    xtrace = found[-1]
    assert [(b.products, b.rel_error, b.coverage) for b in xtrace.budgets] == [(16, 0.1, 0.5), (65, 1e-3, 0.66)]
    assert (xtrace.exact, xtrace.exact_s) == ("vmap", 6.4e-3)
    assert xtrace.reach_s == pytest.approx(2e-3)
    assert xtrace.over_exact == pytest.approx(2 / 6.4)


def test_a_crossover_is_where_a_family_wins_for_good(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    found = {c.strategy: c for c in crossovers(frame_of(rows(record, drawn)))}
    # vmap takes 1.6 ms at n = 16 and 3.2 ms at n = 32.
    assert found["xtrace"].n == 32
    assert found["xtrace"].largest.n == 64
    assert found["hutchinson"].n is None
    # A win that does not last is none.
    lost = [*rows(record, drawn), record(strategy="vmap", n=128, median_s=1e-4), drawn("xtrace", 16, 1e-3, 1e-3, n=128)]
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
    frame = frame_of(rows(record, drawn))
    file = io.StringIO()
    Console(file=file, width=140).print(stochastic_table(frame))
    lines = [line.split() for line in file.getvalue().splitlines()]
    assert lines[-2][3:] == ["hutchinson", "64", "16", "0.1", "66%", "100", "ms", "15.6×"]
    assert lines[-1] == ["xtrace", "64", "16–65", "0.1–1.0e-03", "50–66%", "2.00", "ms", "0.312×", "32"]
    assert file.getvalue() in findings_of(frame)
    assert "Stochastic" not in findings_of(frame_of([record()]))


def test_the_plot_has_products_on_its_axis(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    frame = frame_of(rows(record, drawn))
    figure = PLOTS["budget"](frame)
    axes = axes_of(figure)
    assert markers_of(axes, "xtrace") == {16: 0.1, 65: 1e-3}
    assert markers_of(axes, "hutchinson") == {16: 0.1}
    texts = texts_of(figure)
    assert {"products a point", "relative error", "0.01"} <= set(texts)
    assert "Divergence of sin, float64, cpu, B = 1, n = 64" in texts
    assert "Fewest products within a relative error of 0.01: 65, xtrace" in texts


def test_the_plot_of_one_budget_and_of_none(record: Make, drawn: Make, frame_of: FrameOf, tmp_path) -> None:
    texts = texts_of(PLOTS["budget"](frame_of([drawn("hutchinson", 16, 0.1, 1e-3), drawn("xtrace", 16, 0, 1e-3)])))
    assert "products a point: 16; strategies in the order of the legend" in texts
    assert PLOTS["budget"](frame_of([record()])) is None
    names = [file.name for file in write_plots(frame_of([record()]), tmp_path)]
    assert not [name for name in names if "budget" in name]
    none = texts_of(PLOTS["budget"](frame_of([drawn("hutchinson", 16, 0.1, 1e-3)])))
    assert "No budget reaches a relative error of 0.01" in none


def test_time_stands_against_products_beside_the_exact_one(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    rows = [drawn("hutchinson:probes=4", 4, 0.2, 1e-6), drawn("hutchinson:probes=16", 16, 0.1, 3e-6)]
    rows += [drawn("xtrace:probes=4", 4, 0.2, 9e-6), record(strategy="vmap", median_s=4e-6)]
    axes = axes_of(PLOTS["products"](frame_of(rows)))
    assert markers_of(axes, "hutchinson") == {4: 1e-6, 16: 3e-6}
    assert markers_of(axes, "xtrace") == {4: 9e-6}
    assert "Most products in the time of vmap, which is exact: 16, hutchinson" in texts_of(
        PLOTS["products"](frame_of(rows))
    )
    (exact,) = [line for line in axes.lines if line.get_label() == "vmap"]
    assert set(exact.get_ydata()) == {4e-6}
