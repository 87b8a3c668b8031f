"""The trial under a clock that only work moves: who is called, how often, and when it ends."""

from __future__ import annotations

from collections import Counter

import pytest

from jacstrat.strategies.auto import trial
from jacstrat.strategies.auto.trial import BEHIND, CALLS, HOPELESS, MAX_ROUNDS, Trial, run_trial


class Bench:
    """Work that takes the seconds it is given, on a clock of its own."""

    def __init__(self, **seconds) -> None:
        self.now, self.calls = 0.0, Counter()
        self.seconds = {name: list(s) if isinstance(s, list) else [s] for name, s in seconds.items()}
        self.works = {name: lambda name=name: self.work(name) for name in seconds}

    def work(self, name: str) -> None:
        times = self.seconds[name]
        self.now += times[min(self.calls[name], len(times) - 1)]
        self.calls[name] += 1

    def run(self, predicted: dict[str, float], **options) -> Trial[str]:
        return run_trial(self.works, predicted, clock=lambda: self.now, **options)


@pytest.fixture(autouse=True)
def _allowance(monkeypatch) -> None:
    monkeypatch.setattr(trial, "ALLOWANCE_S", 0.2)
    monkeypatch.setattr(trial, "LEAST_S", 0.05)


def test_the_fastest_is_found_whatever_was_predicted() -> None:
    bench = Bench(a=2e-3, b=1e-3)
    found = bench.run({"a": 1.0, "b": 2.0})
    assert found.fastest == "b"
    assert found.typical_s("b") == pytest.approx(1e-3)
    assert bench.calls["b"] == trial.SEEN + 1


def test_the_first_call_is_a_warm_up() -> None:
    bench = Bench(a=[0.03, 1e-3], b=2e-3)
    assert bench.run({"a": 1.0, "b": 2.0}).fastest == "a"


def test_what_is_predicted_hopeless_is_not_called() -> None:
    bench = Bench(a=1e-3, b=1e-3)
    assert list(bench.run({"a": 1.0, "b": 1.01 * HOPELESS}).calls) == ["a"]


def test_what_is_hopeless_is_called_where_all_others_fail() -> None:
    bench = Bench(a=1e-3, b=1e-3)
    bench.works["a"] = lambda: 1 / 0
    found = bench.run({"a": 1.0, "b": 100 * HOPELESS})
    assert found.fastest == "b"
    assert isinstance(found.failures["a"], ZeroDivisionError)


def test_nothing_is_fastest_where_all_fail() -> None:
    bench = Bench(a=1e-3)
    bench.works["a"] = lambda: 1 / 0
    assert bench.run({"a": 1.0}).calls == {}


def test_what_fails_later_drops_out() -> None:
    bench = Bench(a=1e-3, b=1.1e-3)
    works = bench.works["a"]

    def fails() -> None:
        works()
        if bench.calls["a"] > 5:
            raise ValueError

    bench.works["a"] = fails
    found = bench.run({"a": 1.0, "b": 1.0})
    assert found.fastest == "b"
    assert list(found.failures) == ["a"]


@pytest.mark.parametrize("call_s", [1e-5, 1e-3, 0.05, 1.0, 60.0])
@pytest.mark.parametrize("ratio", [1.0, 1.05, 2.0, 2.9])
@pytest.mark.parametrize("spent_s", [0.0, 0.1])
def test_the_first_call_is_within_its_budget_where_the_ratio_was_predicted(call_s, ratio, spent_s) -> None:
    bench = Bench(a=call_s, b=ratio * call_s, c=ratio * call_s)
    begin = bench.now
    bench.now += spent_s
    found = bench.run({"a": 1.0, "b": ratio, "c": ratio}, begin=begin)
    assert found.typical_s(found.fastest) == pytest.approx(call_s)
    # The result is one more call.
    assert bench.now + call_s - begin <= CALLS * call_s + trial.ALLOWANCE_S


def test_a_trial_has_a_little_time_however_much_was_spent() -> None:
    bench = Bench(a=1e-3, b=2e-3)
    assert bench.run({"a": 1.0, "b": 1.0}, begin=bench.now - 100).calls.keys() == {"a", "b"}
    assert bench.calls["b"] > 1


def test_close_candidates_are_called_until_the_rounds_are_up() -> None:
    bench = Bench(a=1e-5, b=1.01e-5)
    assert bench.run({"a": 1.0, "b": 1.0}).fastest == "a"
    assert set(bench.calls.values()) == {MAX_ROUNDS + 1}


def test_what_is_behind_is_dropped_early() -> None:
    bench = Bench(a=1e-5, b=1.02e-5, c=1.1 * BEHIND * 1e-5)
    bench.run({"a": 1.0, "b": 1.0, "c": 1.0})
    assert bench.calls["c"] == trial.SEEN + 1
    assert bench.calls["b"] == MAX_ROUNDS + 1


def test_calls_that_are_held_up_decide_nothing() -> None:
    bench = Bench(a=[1e-3, 9e-3, 1e-3, 9e-3, 9e-3, 1e-3, 9e-3], b=2e-3)
    assert bench.run({"a": 1.0, "b": 1.0}).fastest == "a"


class TestSetup:
    """What is far from nothing to prepare."""

    def test_its_first_call_says_nothing_of_the_others(self) -> None:
        bench = Bench(a=1e-3, b=[0.04, 5e-4])
        found = bench.run({"a": 1e-3, "b": 5e-4}, setup={"b": 0.03})
        assert found.fastest == "b"
        assert found.typical_s("b") == pytest.approx(5e-4)

    def test_what_takes_too_long_to_prepare_is_not_called(self) -> None:
        bench = Bench(a=1e-3, b=[0.5, 5e-4])
        assert list(bench.run({"a": 1e-3, "b": 5e-4}, setup={"b": 0.5}).calls) == ["a"]

    def test_a_machine_that_is_slower_than_predicted_prepares_more_slowly(self) -> None:
        bench = Bench(a=4e-3, b=[0.2, 5e-4])
        assert list(bench.run({"a": 1e-3, "b": 5e-4}, setup={"b": 0.12}).calls) == ["a"]

    def test_a_call_that_takes_far_longer_than_predicted_says_nothing_of_preparing(self) -> None:
        bench = Bench(a=[0.02, 4e-3], b=[0.04, 5e-4])
        assert bench.run({"a": 1e-3, "b": 5e-4}, setup={"b": 0.03}).fastest == "b"

    def test_it_rules_out_no_other_kind(self) -> None:
        bench = Bench(a=1e-3, b=[0.04, 2e-3], c=1.1e-3)
        found = bench.run({"a": 1e-3, "b": 1e-4, "c": 1.1e-3}, setup={"b": 0.03})
        assert list(found.calls) == ["a", "b", "c"]
        assert found.fastest == "a"

    def test_calls_of_it_rule_out_what_is_hopeless_even_if_the_guess_is_off_by_ten(self) -> None:
        for b_s, predicted_s, called in ((1e-3, 0.04, ["b", "a"]), (1e-3, 0.06, ["b"]), (2e-3, 0.06, ["b", "a"])):
            bench = Bench(a=0.01, b=[0.03, b_s])
            found = bench.run({"a": predicted_s, "b": 5e-4}, setup={"b": 0.02}, known={"b": [0.03, b_s]})
            assert list(found.calls) == called

    def test_that_it_takes_far_longer_than_predicted_is_no_sign_of_a_slow_machine_alone(self) -> None:
        bench = Bench(a=0.19, b=0.2)
        found = bench.run({"a": 0.03, "b": 4e-3}, setup={"b": 0.05}, known={"b": [0.25, 0.2]})
        assert found.fastest == "a"

    def test_what_would_take_too_long_even_so_is_not_called(self) -> None:
        bench = Bench(a=9.0, b=0.2)
        found = bench.run({"a": 0.3, "b": 4e-3}, setup={"b": 0.05}, known={"b": [0.25, 0.2]})
        assert list(found.calls) == ["b"]

    def test_it_comes_first_where_a_call_of_the_others_takes_longer(self) -> None:
        bench = Bench(a=1.0, b=[0.04, 1e-2])
        found = bench.run({"a": 1.0, "b": 1e-2}, setup={"b": 0.03})
        assert list(found.calls) == ["b"]
        assert found.typical_s("b") == pytest.approx(1e-2)


def test_what_was_called_once_is_rough() -> None:
    assert Trial({"a": [1.0], "b": [2.0, 1.0], "c": [3.0]}).rough == {"a", "c"}


def test_what_was_called_before_is_not_warmed_up_again() -> None:
    bench = Bench(a=2e-3, b=1e-3)
    found = bench.run({"a": 2e-3, "b": 1e-3}, setup={"b": 0.03}, known={"b": [0.04, 1e-3]})
    assert found.fastest == "b"
    assert found.calls["b"][:2] == [0.04, 1e-3]
    assert bench.calls["b"] == trial.SEEN


class TestPatience:
    def test_without_it_nothing_waits_for_a_compiler(self) -> None:
        bench = Bench(eager=1e-3, program=[5.0, 1e-5])
        assert list(bench.run({"eager": 1e-3, "program": 1e-4}, setup={"program": 5.0}).calls) == ["eager"]
        assert bench.now < 0.2

    def test_with_it_a_program_is_made_and_compared(self) -> None:
        bench = Bench(eager=1e-3, program=[5.0, 1e-5])
        found = bench.run({"eager": 1e-3, "program": 1e-4}, setup={"program": 5.0}, patience_s=60.0)
        assert found.fastest == "program"
        assert 5.0 < bench.now < 5.2

    def test_the_others_have_the_time_that_they_have_without(self) -> None:
        def calls(**options) -> int:
            bench = Bench(a=0.0113, b=0.0123, program=5.0)
            make = bench.works["program"]
            bench.works["program"] = lambda: 1 / 0 if make() is None else None
            bench.run({"a": 0.0113, "b": 0.0113, "program": 1e-3}, setup={"program": 5.0}, **options)
            return bench.calls["a"]

        assert calls(patience_s=60.0) == calls()

    def test_it_ends(self) -> None:
        bench = Bench(eager=1e-3, one=[50.0, 1e-3], two=[50.0, 1e-3], three=[50.0, 1e-3])
        setup = {"one": 20.0, "two": 20.0, "three": 20.0}
        found = bench.run({"eager": 1e-3, "one": 1e-4, "two": 2e-4, "three": 3e-4}, setup=setup, patience_s=60.0)
        assert set(found.calls) == {"eager", "one"}

    def test_what_cannot_be_compiled_drops_out(self) -> None:
        bench = Bench(eager=1e-3, program=1.0)
        bench.works["program"] = lambda: 1 / 0
        found = bench.run({"eager": 1e-3, "program": 1e-4}, setup={"program": 5.0}, patience_s=60.0)
        assert found.fastest == "eager"
        assert isinstance(found.failures["program"], ZeroDivisionError)


def test_a_first_call_leaves_time_for_what_is_to_be_set_up() -> None:
    # There are 0.16 s: the 0.12 s predicted for setting up fit, but not 1.5 times that, as the first call has it.
    for later_s, expected in ((1e-3, "b"), (3e-3, "a")):
        bench = Bench(a=[3e-3, later_s], b=[0.12, 2e-4])
        assert bench.run({"a": 1e-3, "b": 5e-4}, setup={"b": 0.12}).fastest == expected


def test_calls_that_take_as_long_as_setting_up_are_not_made_to_tell_how_fast_the_machine_is() -> None:
    bench = Bench(a=0.05, b=0.05, c=0.05)
    bench.run({"a": 0.05, "b": 0.06, "c": 0.07}, setup={"c": 0.06})
    assert bench.calls["a"] <= 2


def test_rounds_leave_time_that_setting_up_may_take() -> None:
    # Of 0.2 s setting up may take 0.16, which 0.15 fits into, and rounds of calls of 1 ms end at 0.13 and 4 calls.
    bench = Bench(a=1e-3, b=[0.15, 1e-3])
    assert "b" in bench.run({"a": 1e-3, "b": 1e-3}, setup={"b": 0.145}).calls
    bench = Bench(a=1e-3, b=1.02e-3)
    bench.run({"a": 1e-3, "b": 1e-3})
    assert bench.now == pytest.approx((trial.USED_BY_ROUNDS * trial.ALLOWANCE_S) + (CALLS - 1) * 1e-3, abs=2e-3)
