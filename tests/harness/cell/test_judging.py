"""Right stochastic strategies are called right, wrong ones wrong, and what is claimed is stated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import ClassVar

import numpy as np
import pytest
import torch

from jacstrat import PROBLEMS, parse_strategy
from jacstrat.core.operator import parse_operator
from jacstrat.harness.cell import judging
from jacstrat.harness.cell.judging import DRAW_S, LEAST_DRAWS, MOST_DRAWS, Drawn, judge
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.accuracy import TOLERANCES
from jacstrat.problems.base import Reference
from jacstrat.record import COLUMNS
from jacstrat.strategies.base import Strategy
from jacstrat.strategies.contraction import Contraction, Estimate
from jacstrat.strategies.hutchinson import Hutchinson
from tests.harness.conftest import QUICK
from tests.share import shared

# What rounding may add to an error.
EXACT = TOLERANCES["float64"].value


def until(draws: int) -> Callable[[], float]:
    """A clock by which there is time for so many draws, at least LEAST_DRAWS."""
    return chain([0.0] * (1 + draws - LEAST_DRAWS), repeat(DRAW_S)).__next__


def judged(
    strategy: Strategy | str, problem: str = "linear", n: int = 24, batch: int = 2, draws: int = LEAST_DRAWS
) -> Drawn:
    strategy = parse_strategy(strategy)
    instance = PROBLEMS[problem].instance(n, batch)
    operator = instance.problem.operators[0]
    key = f"{strategy} {problem}"
    return judge(
        strategy, operator, instance.f, instance.x, instance.reference(operator), EXACT, key, clock=until(draws)
    )


RIGHT = (
    "hutchinson",
    "hutchinson:probes=1",
    "hutchinson:probes=2",
    "hutchinson:probes=7",
    "hutchinson:probes=4,distribution=normal",
    "hutchinson:probes=4,distribution=sphere,fixed=true",
    "hutch++:probes=5",
    "hutch++",
    "xtrace:probes=4",
    "xtrace",
    "xnystrace:probes=4",
    "xnystrace",
)


ON = ("linear", "softmax", "seed_coupled", "decaying", "sin", "squared_norm", "cubic")


@pytest.mark.long(but_one_in=4)
@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (spec, problem)
        for row, spec in enumerate(RIGHT)
        for column, problem in enumerate(ON)
        if shared(row, column) and parse_strategy(spec).refuse(parse_operator(PROBLEMS[problem].operators[0])) is None
    ],
)
def test_right_strategies_are_called_right(spec: str, problem: str) -> None:
    found = judged(spec, problem, n=3 if problem == "seed_coupled" else 24, draws=100)
    assert found.fault == ""
    assert found.draws == 100


class TestTally:
    """The columns, from two draws by hand: errors 3 and 4, then 0 and -4, at two points whose truths are 10 and 20."""

    @pytest.fixture
    def found(self, monkeypatch) -> Drawn:
        monkeypatch.setattr(judging, "LEAST_DRAWS", 2)
        draws = iter(
            [
                Estimate(torch.tensor([13.0, 24.0]), torch.tensor([3.0, 1.0])),
                Estimate(torch.tensor([10.0, 16.0]), torch.tensor([0.0, 5.0])),
            ]
        )

        @dataclass(frozen=True)
        class Told(Strategy):
            name: ClassVar[str] = "told"
            stochastic: ClassVar[bool] = True

            def build(self, operator, f, x, args, generator):
                return Contraction(f, lambda x: next(draws))

        diagonal = np.array([[10.0, 0.0], [30.0, -10.0]], dtype=np.longdouble)
        return judge(
            Told(),
            "divergence",
            torch.sin,
            torch.zeros(2, 2),
            Reference(diagonal, ""),
            EXACT,
            "",
            clock=iter([0, 9]).__next__,
        )

    def test_errors_are_root_mean_squares_over_draws(self, found: Drawn) -> None:
        first, second = math.sqrt(9 / 2), 4.0
        assert found.abs_error == pytest.approx(second)
        assert found.abs_error_median == pytest.approx((first + second) / 2)
        # Relative to sum |J_ii|: 10 and 40.
        assert found.rel_error == pytest.approx(first / 10)
        assert found.rel_error_median == pytest.approx((first / 10 + second / 40) / 2)
        # Between 8 and 16 two numbers of float32 are 2^-20 apart, between 16 and 32 twice that.
        assert found.ulp_error == pytest.approx(first * 2**20)

    def test_claims(self, found: Drawn) -> None:
        assert found.draws == 2
        assert found.coverage == 3 / 4
        assert found.std_error == pytest.approx(np.median([2, 2.5]))
        assert not found.exact

    def test_columns_are_those_of_a_record(self, found: Drawn) -> None:
        assert set(found.columns) == set(vars(found)) - {"fault"} <= set(COLUMNS)


@dataclass(frozen=True)
class Bent(Strategy):
    """Hutchinson's estimate, bent: times a factor, plus an offset, its standard error times another factor."""

    name: ClassVar[str] = "bent"
    stochastic: ClassVar[bool] = True
    probes: int = 16
    factor: float = 1.0
    offset: float = 0.0
    claim: float = 1.0

    @property
    def claimed_rate(self) -> float | None:
        return Hutchinson(self.probes).claimed_rate

    def build(self, operator, f, x, args, generator):
        prepared = Hutchinson(self.probes).prepare(operator, f, x, generator)

        def estimate(x):
            value, std_error = prepared.estimate(x)
            value = value * self.factor + self.offset
            return Estimate(value, None if std_error is None else std_error * self.claim)

        return Contraction(lambda x: estimate(x).value, estimate)


@pytest.mark.long
class TestWrong:
    def test_what_is_not_bent_is_right(self) -> None:
        assert judged(Bent()).fault == judged(Bent(probes=1)).fault == ""

    def test_a_claim_that_is_too_small(self) -> None:
        fault = judged(Bent(claim=0.3), batch=16).fault
        assert fault.startswith("the truth is within one standard error in ")
        assert fault.endswith(f"% of {LEAST_DRAWS * 16} estimates, at least 50.0% are claimed")
        # A claim that is too large covers the truth, as it says.
        assert judged(Bent(claim=3)).fault == ""

    def test_a_bias_of_two_standard_errors(self) -> None:
        spread = judged(Bent()).std_error
        assert judged(Bent(offset=2 * spread)).fault
        assert judged(Bent(offset=-2 * spread)).fault

    def test_a_bias_of_one_standard_error_needs_more_draws(self) -> None:
        spread = judged(Bent()).std_error
        fault = judged(Bent(offset=spread), draws=200).fault
        assert fault.startswith("the mean of 200 draws is off by ")
        assert fault.endswith("times what their spread explains")

    @pytest.mark.parametrize("probes", [1, 2, 16])
    def test_a_product_of_which_a_part_is_left_out(self, probes: int) -> None:
        assert judged(Bent(probes, factor=0.5), "squared_norm").fault

    def test_one_probe_claims_nothing_and_its_bias_is_found(self) -> None:
        scale = judged(Bent(1)).abs_error
        found = judged(Bent(1, offset=2 * scale))
        assert found.coverage is found.std_error is None
        assert found.fault.startswith(f"the mean of {LEAST_DRAWS} draws is off by ")

    def test_the_ones_vector_as_if_it_were_a_random_one(self, monkeypatch) -> None:
        monkeypatch.setattr(
            "jacstrat.strategies.hutchinson.draw", lambda _, count, x, __: torch.ones(count, *x.shape).double()
        )
        found = judged("hutchinson:probes=1")
        assert found.fault.endswith("and they do not spread")
        assert judged("hutchinson:probes=4").coverage == 0
        assert judged("hutchinson:probes=4").fault.startswith("the truth is within one standard error in 0.0% of 80")
        # On a diagonal Jacobian the ones vector is right, and so is what stands on it.
        assert judged("hutchinson:probes=1", "sin").fault == ""

    def test_a_sketch_that_has_seen_the_probe_that_it_is_tested_on(self, monkeypatch) -> None:
        monkeypatch.setattr("jacstrat.strategies.xtrace._left_out", torch.zeros_like)
        assert judged("xtrace", "squared_norm").fault.startswith("the truth is within one standard error in 0.0% of")
        assert judged("xtrace", "decaying", draws=100).fault

    def test_a_sketch_that_is_not_orthogonal(self, monkeypatch) -> None:
        normalise = torch.nn.functional.normalize
        monkeypatch.setattr("jacstrat.strategies.hutchpp.orthonormal", lambda Y: (normalise(Y, dim=-2), None))
        assert judged("hutch++", "decaying").fault
        assert judged("hutch++", "squared_norm", draws=100).fault

    def test_a_result_that_is_no_number(self) -> None:
        assert judged(Bent(offset=math.nan)).fault == "the result is not finite"
        assert judged(Bent(offset=math.inf)).fault == "the result is not finite"


def test_rounding_of_an_exact_estimate_is_no_fault() -> None:
    found = judged("hutchinson:probes=3", "cosine_sum", 100)
    assert 0 < found.abs_error < 1e-12
    assert (found.coverage, found.fault, found.exact) == (1.0, "", False)
    assert judged("xtrace", "squared_norm", n=8).exact


@pytest.mark.long
def test_draws_are_bounded_by_time_and_number() -> None:
    assert judged("hutchinson").draws == LEAST_DRAWS
    assert judged("hutchinson", draws=100).draws == 100
    assert judged("hutchinson", draws=10_000).draws == MOST_DRAWS


def test_the_key_seeds_the_draws() -> None:
    instance = PROBLEMS["linear"].instance(24, 2)

    def found(key: str) -> Drawn:
        reference = instance.reference("divergence")
        strategy = parse_strategy("hutchinson")
        return judge(strategy, "divergence", instance.f, instance.x, reference, EXACT, key, clock=until(LEAST_DRAWS))

    assert found("a") == found("a") != found("b")


def test_each_draw_is_a_sign_of_life() -> None:
    instance = PROBLEMS["linear"].instance(4, 2)
    seen = []
    drawn = judge(
        parse_strategy("hutchinson:fixed=true"),
        "divergence",
        instance.f,
        instance.x,
        instance.reference("divergence"),
        EXACT,
        "",
        attend=lambda: seen.append(1),
    )
    assert len(seen) == drawn.draws
    # Fixed probes are drawn anew for each: else all errors were the same, and the mean were off.
    assert drawn.fault == ""


def test_false_alarms_are_rare_for_draws_as_skewed_as_a_squared_normal() -> None:
    """One probe along one eigenvector: the estimate is a squared normal value, the worst of all quadratic forms."""
    tally = judging._Tally(*(np.zeros(1) for _ in range(5)))
    draws = np.random.default_rng(0).standard_normal((20_000, LEAST_DRAWS)) ** 2 - 1
    alarms = sum(bool(replace(tally, means=list(row))._biased()) for row in draws)
    assert alarms <= 20_000 * 1e-3


class TestCell:
    def rows(self, cell: Cell):
        return {o.record.strategy: o.record for o in measure(cell, QUICK) if o.record}

    def test_a_row_has_its_draws_and_exact_strategies_have_none(self, cell) -> None:
        found = self.rows(cell("linear", "vmap", "hutchinson", "hutchinson:probes=1", "xtrace", n=24))
        assert {r.status for r in found.values()} == {"ok"}
        assert found["vmap"].draws is found["vmap"].coverage is found["vmap"].std_error is None
        for name in ("hutchinson", "xtrace"):
            record = found[name]
            assert record.draws >= LEAST_DRAWS
            assert 0.3 < record.coverage < 0.9
            assert record.std_error > 0
            assert record.rel_error > 0.01
            assert record.rel_error >= record.rel_error_median > 0
            assert record.vjp_products == 16
        assert found["hutchinson:probes=1"].coverage is None
        assert found["hutchinson:probes=1"].draws >= LEAST_DRAWS

    def test_the_fastest_is_an_exact_one(self, cell) -> None:
        found = self.rows(cell("linear", "jacrev", "hutchinson:probes=1", n=64, batch=64))
        assert found["jacrev"].over_fastest == 1
        assert found["hutchinson:probes=1"].over_fastest is not None
        alone = self.rows(cell("linear", "hutchinson"))
        assert alone["hutchinson"].over_fastest is None

    def test_a_wrong_one_is_a_row_with_its_reason(self, cell, monkeypatch) -> None:
        monkeypatch.setattr(
            "jacstrat.strategies.hutchinson.draw", lambda _, count, x, __: torch.ones(count, *x.shape).double()
        )
        record = self.rows(cell("linear", "hutchinson"))["hutchinson"]
        assert record.status == "wrong"
        assert record.reason.startswith("the truth is within one standard error in 0.0% of ")

    @pytest.mark.long
    def test_training_is_judged_alike(self, cell) -> None:
        found = self.rows(cell("tanh_scalar", "hutchinson", "hutch++", operator="laplacian", n=20, workload="train"))
        assert {r.status for r in found.values()} == {"ok"}
        assert all(r.draws for r in found.values())
