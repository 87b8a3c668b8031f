"""The samples of a cell: of f, of the lower bound and of the strategies."""

from __future__ import annotations

from jacstrat.core.case import F
from jacstrat.harness.cell.cell_samples import CellSamples, Label
from jacstrat.harness.cell.measuring import measure
from jacstrat.measure.sampling import WorkSamples
from tests.harness.conftest import QUICK


def test_samples_come_with_rounds_and_those_of_f(cell) -> None:
    outcomes = list(measure(cell("sin", "identity"), QUICK))
    samples = {o.case.split("/")[2]: o.samples for o in outcomes}
    assert set(samples) == {"f", "identity"}
    for raw in samples.values():
        assert len(raw["rounds"]) == len(raw["seconds"]) == len(raw["host_s"]) > 0
        assert raw["calls"] >= 1
    assert set(samples["identity"]["rounds"]) <= set(samples["f"]["rounds"])


def test_the_fastest_is_the_one_of_least_median_that_ran_to_the_end() -> None:
    first = {
        F: WorkSamples(seconds={0: 1e-6}),
        "ones": WorkSamples(seconds={0: 1e-5}, error=RuntimeError("late")),
        "vmap": WorkSamples(seconds={0: 3e-5, 1: 5e-5}),
        "jvp": WorkSamples(seconds={0: 2e-5, 1: 7e-5}),
    }
    samples = CellSamples(first, {}, "s")
    assert samples.fastest(["ones", "vmap", "jvp"]) == "vmap"
    assert samples.fastest(["ones"]) is samples.fastest([]) is None


def test_samples_in_other_caches_are_told_by_cache() -> None:
    cold, warm = WorkSamples(calls=3, seconds={2: 1e-5}, host_s={2: 1e-6}), WorkSamples(calls=5)
    samples = CellSamples({"vmap": warm}, {"cold": {"vmap": cold}}, "abc")
    raw = samples.raw_beside("vmap")["cold"]
    assert (raw["session"], raw["calls"], raw["rounds"], raw["seconds"]) == ("abc", 3, [2], [1e-5])
    assert samples.raw("vmap")["calls"] == 5
    assert str(Label("vmap", "cold")) == "vmap cold"
    assert str(Label("vmap")) == "vmap"
