"""The bench of auto: what meets its targets, what is named as missed, and that it runs."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch

from bench.checks import auto, calls
from bench.checks.auto import AutoOutcome, judge
from bench.checks.figure import Figure
from bench.checks.networks import networks
from jacstrat import parse_strategy


def found(cell: str = "c", over_fastest: float = 1.0, first_s: float = 0.1, fastest_s: float = 1e-3) -> AutoOutcome:
    return AutoOutcome(cell, "vmap", "jvp", over_fastest, 0.9, 1.2, first_s, fastest_s)


def test_97_per_cent_within_10_per_cent_none_beyond_half_and_5_calls_with_150_ms_meet_the_targets() -> None:
    cells = [found(over_fastest=1.10, first_s=0.15, fastest_s=1e-6) for _ in range(99)] + [found("slow", 1.5)]
    share, worst, first = judge(cells)
    assert (share.value, share.met) == (pytest.approx(0.99), True)
    assert share.note.startswith("1 of 100 cells missed; slow: vmap takes 1.50 [0.90, 1.20] times as long as jvp")
    assert (worst.value, worst.met, worst.note) == (1.5, True, "slow")
    assert first.met
    assert first.note == "0 of 100 cells missed"


def test_one_dear_first_call_misses_its_target_and_is_named() -> None:
    share, worst, first = judge([found(), found("dear", first_s=1.0, fastest_s=0.1), found("long", first_s=0.6)])
    assert share.met
    assert worst.met
    assert not first.met
    assert first.value == pytest.approx(0.595)
    assert "1 of 3 cells missed; dear" not in first.note
    assert first.note.startswith("2 of 3 cells missed; dear")


def test_one_cell_far_behind_misses_a_target_of_its_own() -> None:
    share, worst, _ = judge([found() for _ in range(99)] + [found("slow", 1.6)])
    assert share.met
    assert not worst.met


def test_it_measures_a_cell(monkeypatch) -> None:
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    (one,) = auto.measured(["sin/divergence/*/n=10/"], sample_s=0.005)
    # Which is chosen, and whether it is the fastest, is a matter of time.
    chosen = parse_strategy(one.chosen)
    assert chosen.name != "auto"
    assert chosen.name == "ones" or chosen.exact_when.startswith("always")
    assert one.fastest_s > 0
    assert one.first_s > 0
    assert not math.isnan(one.over_fastest)


def test_no_such_cell_is_a_wrong_use(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        auto.main(["no such cell"])
    assert ended.value.code == 2
    assert "no cell of default has no such cell in its key" in capsys.readouterr().err


def test_networks_are_60_of_at_least_6_kinds_and_the_same_each_time() -> None:
    first, again = list(networks()), list(networks())
    assert len(first) >= 60
    assert len({net.key.split("/")[0] for net in first}) >= 6
    assert [net.key for net in first] == [net.key for net in again]
    assert [net.key for net in first] != [net.key for net in networks(1)]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.x, other.x)
        assert all(torch.equal(a, b) for a, b in zip(one.parameters, other.parameters, strict=True))


def test_networks_have_sizes_dtypes_and_workloads_of_all_kinds() -> None:
    nets = list(networks())
    sizes = {net.x.shape[-1] for net in nets}
    assert min(sizes) == 2
    assert max(sizes) == 4096
    assert {len(net.x) for net in nets} >= {1, 64, 4096}
    assert {net.x.dtype for net in nets} == {torch.float32, torch.float64}
    assert {net.train for net in nets} == {False, True}
    assert all(bool(net.parameters) == net.train for net in nets)


@pytest.mark.parametrize("net", [net for net in networks() if net.x.shape[-1] <= 64], ids=lambda net: net.key)
def test_networks_are_row_wise_functions_of_their_operator(net) -> None:
    y = net.f(net.x, *net.args)
    assert y.shape == (net.x.shape if net.operator == "divergence" else net.x.shape[:1])
    torch.testing.assert_close(net.f(net.x[:1], *net.args), y[:1], rtol=1e-4, atol=1e-4)


def test_it_measures_a_network(monkeypatch) -> None:
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    one = next(auto.measured_networks(["separable/divergence/n=8/"], sample_s=0.005))
    assert one.cell.startswith("separable/")
    assert one.fastest_s > 0
    assert not math.isnan(one.over_fastest)


def test_what_is_wrong_is_no_exact_strategy_to_be_beaten_by(monkeypatch) -> None:
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    net = next(net for net in networks() if net.key.startswith("mlp/divergence/n=16/"))
    with torch.set_grad_enabled(net.train):
        right = parse_strategy("vmap").prepare(net.operator, net.f, net.x)
        works = auto._beside(net, right)
    assert "ones" not in works
    assert works


class TestCalls:
    def test_evaluations_are_those_of_the_field_at_each_size(self) -> None:
        (figure,) = calls.evaluations(["two layers, tanh, n = 16"], quick=True)
        assert figure.value > 1
        assert figure.target == 8

    def test_direct_calls_are_measured_beside_the_prepared_operator_and_their_recordings_counted(self) -> None:
        beside, anew = calls.direct(["divergence of a diagonal field, int"], quick=True)
        assert "; prepared takes " in beside.note
        assert anew.target == 0
        assert anew.value >= 0

    def test_recordings_are_seen(self) -> None:
        x = torch.ones(2, 6)
        with calls.recordings() as made:
            parse_strategy("taylor").prepare("laplacian", lambda x: x.sin().sum(-1), x)
        assert made


def test_commands_are_told_from_texts(monkeypatch, capsys) -> None:
    seen = []

    def check(texts, quick, one_in):
        seen.append((tuple(texts), quick, one_in))
        return [Figure("auto", "of a test", 1.0, 2.0)]

    monkeypatch.setattr(auto, "CHECKS", dict.fromkeys(auto.CHECKS, check))
    for arguments in (["sin/"], ["networks", "mlp/", "--quick"], ["evaluations"], ["full", "a", "--one-in", "9"]):
        with pytest.raises(SystemExit) as ended:
            auto.main(arguments)
        assert ended.value.code == 0
    assert seen == [(("sin/",), False, 1), (("mlp/",), True, 1), ((), False, 1), (("a",), False, 9)]
    assert "of a test" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["direct", "--one-in", "2"], ["full", "--one-in", "0"]])
def test_a_share_is_one_of_cells(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        auto.main(arguments)
    assert ended.value.code == 2
    assert "--one-in takes a positive number, and cells: default, full, networks" in capsys.readouterr().err


def test_a_share_is_drawn_by_a_seed_and_stays_in_order() -> None:
    class Keyed(NamedTuple):
        key: str
        number: int

    cells = [Keyed(f"{'ab'[number % 2]}/{number}", number) for number in range(100)]
    assert list(auto.drawn(cells, (), 1)) == cells
    assert [cell.number for cell in auto.drawn(cells, ("a/",), 1)] == list(range(0, 100, 2))
    share = list(auto.drawn(cells, (), 9))
    assert share == sorted(share, key=lambda cell: cell.number) == list(auto.drawn(iter(cells), (), 9))
    assert len(share) == 12
    assert len({later.number - cell.number for cell, later in pairwise(share)}) > 1
