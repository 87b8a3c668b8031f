"""Pairs of processes: what their verdicts say of ratios that are known."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.compare.pairs import LEAST_PAIRS, SETTLED_PAIRS, SPREAD, centres, judge_pairs, undecided
from jacstrat.compare.verdict import Verdict


def pairs_of(ratio: float, count: int, spread: float = 0.0, seed: int = 0, blocks: int = 5) -> list:
    """Pairs of processes whose blocks differ by a ratio and, process by process, by chance."""
    rng = random.Random(seed)
    return [([1e-3] * blocks, [1e-3 * ratio * math.exp(rng.gauss(0, spread))] * blocks) for _ in range(count)]


def verdict(ratio: float, count: int = 8, threshold: float = 0.05, **options) -> Verdict:
    return judge_pairs({"a": pairs_of(ratio, count, **options)}, {"a": threshold})["a"].verdict


@pytest.mark.parametrize(
    ("ratio", "found"),
    [
        (1.0, Verdict.SAME),
        (1.10, Verdict.SLOWER),
        (1 / 1.10, Verdict.FASTER),
        (1.03, Verdict.AMBIGUOUS),
        (1 / 1.03, Verdict.AMBIGUOUS),
        (1.05, Verdict.AMBIGUOUS),
    ],
)
def test_what_is_known_is_found(ratio, found) -> None:
    assert verdict(ratio) is found


def test_a_regression_is_what_is_slower() -> None:
    found = judge_pairs(
        {"a": pairs_of(1.2, 5), "b": pairs_of(1.0, 5), "c": pairs_of(0.8, 5)}, dict.fromkeys("abc", 0.05)
    )
    assert [finding.regression for finding in found.values()] == [True, False, False]
    assert found["a"].ratio == pytest.approx(1.2)
    assert found["a"].low < 1.2 < found["a"].high
    assert found["a"].reason.startswith("time +20.0% (+")
    assert found["a"].reason.endswith("%, 5 pairs of processes)")
    assert found["a"].base == pytest.approx(1e-3)
    assert found["a"].new == pytest.approx(1.2e-3)


def test_the_threshold_is_that_of_the_case() -> None:
    cases = {"loose": pairs_of(1.2, 6), "tight": pairs_of(1.2, 6)}
    found = judge_pairs(cases, {"loose": 0.5, "tight": 0.05})
    assert (found["loose"].verdict, found["tight"].verdict) == (Verdict.SAME, Verdict.SLOWER)


@pytest.mark.parametrize("count", range(1, LEAST_PAIRS))
def test_fewer_pairs_than_needed_decide_nothing(count) -> None:
    (finding,) = judge_pairs({"a": pairs_of(2.0, count)}, {"a": 0.05}).values()
    assert finding.verdict is Verdict.AMBIGUOUS
    assert not finding.regression
    assert finding.reason.endswith(f"a verdict needs {LEAST_PAIRS} pairs; give a longer --time-limit")


def test_three_pairs_that_agree_by_chance_are_not_taken_for_certain() -> None:
    (centre,) = centres([pairs_of(1.0, 3)])
    assert centre.half > SPREAD


def test_noise_of_a_run_that_is_larger_than_known_widens_every_interval() -> None:
    quiet, wild = pairs_of(1.0, 6), [pairs_of(1.0, 6, spread=0.1, seed=i) for i in range(5)]
    alone, among = centres([quiet])[0], centres([quiet, *wild])[0]
    assert among.half > 2 * alone.half


def test_an_outlier_of_a_pair_moves_little() -> None:
    pairs = [*pairs_of(1.0, 6), ([1e-3] * 5, [3e-3] * 5)]
    assert judge_pairs({"a": pairs}, {"a": 0.05})["a"].ratio == 1.0


def test_one_process_that_is_off_makes_no_verdict() -> None:
    pairs = [*pairs_of(1.0, 2, spread=0.005), *pairs_of(1.4, 1)]
    assert judge_pairs({"a": pairs}, {"a": 0.05})["a"].verdict is Verdict.AMBIGUOUS


@given(st.floats(0.5, 2.0), st.integers(3, 9), st.integers(0, 100))
def test_swapped_sides_have_the_opposite_verdict(ratio, count, seed) -> None:
    forth = pairs_of(ratio, count, spread=0.02, seed=seed)
    back = [(new, base) for base, new in forth]
    one, other = (judge_pairs({"a": pairs}, {"a": 0.05})["a"] for pairs in (forth, back))
    opposite = {Verdict.SLOWER: Verdict.FASTER, Verdict.FASTER: Verdict.SLOWER}
    assert other.verdict is opposite.get(one.verdict, one.verdict)
    assert other.ratio == pytest.approx(1 / one.ratio)
    assert other.low == pytest.approx(1 / one.high)


def test_blocks_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks of a pair come in twos, got 2 and 1"):
        centres([[([1.0, 1.0], [1.0])]])
    with pytest.raises(ValueError, match="blocks of a pair come in twos, got 0 and 0"):
        centres([[([], [])]])


def test_undecided_is_what_more_pairs_may_decide() -> None:
    cases = {
        "same": pairs_of(1.0, 8),
        "slower": pairs_of(1.2, 8),
        "few": pairs_of(1.0, 1),
        "near": pairs_of(1.05, 8),
        "settled": pairs_of(1.035, 12),
        "settled too": pairs_of(1 / 1.035, 12),
        "not yet": pairs_of(1.035, SETTLED_PAIRS - 2),
    }
    assert undecided(cases, dict.fromkeys(cases, 0.05)) == {"few", "near", "not yet"}
    assert undecided({}, {}) == set()


def tried(ratio: float, spread: float, seed: int, others: int = 3) -> list[Verdict]:
    """The verdicts on a case of a known ratio and on others that are the same, pairs added as long as it needs them."""
    rng = random.Random(seed)
    thresholds = dict.fromkeys(map(str, range(1 + others)), 0.05)
    cases: dict[str, list] = {case: [] for case in thresholds}
    left = set(cases)
    while left and max(map(len, cases.values())) < 15:
        for case in left:
            own = (ratio if case == "0" else 1.0) * math.exp(rng.gauss(0, spread))
            cases[case].append(([1.0], [own]))
        left = undecided(cases, thresholds) if len(cases["0"]) >= LEAST_PAIRS else left
    return [finding.verdict for finding in judge_pairs(cases, thresholds).values()]


def test_of_what_is_the_same_nothing_is_called_slower_or_faster() -> None:
    found = Counter(verdict for seed in range(25) for verdict in tried(1.0, 0.028, seed))
    assert set(found) <= {Verdict.SAME, Verdict.AMBIGUOUS}


def test_ten_per_cent_are_found_and_three_are_not_passed_over() -> None:
    found = Counter(tried(1.10, 0.02, seed)[0] for seed in range(25))
    assert found[Verdict.SLOWER] >= 24
    slightly = Counter(tried(1.03, 0.02, seed)[0] for seed in range(25))
    assert slightly[Verdict.FASTER] == 0
    assert slightly[Verdict.SAME] <= 2
