"""Records over B at one n, which read as records over n do."""

from collections.abc import Callable

from jacstrat.record import Record
from jacstrat.report.analysis.batches import batch_sweeps
from jacstrat.report.analysis.crossing import crossings
from jacstrat.report.analysis.headline import statement_of

Make = Callable[..., Record]


def test_a_sweep_is_of_the_n_with_the_most_batches_then_of_the_largest(record: Make) -> None:
    rows = [
        record(n=n, batch=batch) for n, batches in ((2, (1, 4, 16)), (8, (64, 1, 4)), (32, (1, 4))) for batch in batches
    ]
    (found,) = batch_sweeps(rows)
    assert (found.n, found.setting.batch, found.setting.size) == (8, 0, "B")
    assert [(row.n, row.batch) for row in found.records] == [(1, 0), (4, 0), (64, 0)]
    assert found.title() == "Divergence of sin, float64, cpu, n = 8"
    assert found.title(also=["seed"]) == "Divergence of sin, float64, cpu, seed 0, n = 8"


def test_two_batches_and_settings_that_differ_in_more_make_none(record: Make) -> None:
    assert batch_sweeps([record(batch=batch) for batch in (1, 4)]) == ()
    assert batch_sweeps([record(batch=batch, dtype=f"float{64 // batch}") for batch in (1, 2, 4)]) == ()
    failed = [
        record(batch=batch, status="oom" if batch > 4 else "ok", median_s=None if batch > 4 else 1e-6)
        for batch in (1, 4, 16)
    ]
    assert batch_sweeps(failed) == ()


def test_what_is_said_over_n_is_said_over_batches(record: Make) -> None:
    rows = [
        record(strategy=name, batch=b, median_s=t)
        for b in (1, 4, 16)
        for name, t in (("vmap", 1e-6 * b**2), ("jvp", 8e-6 * b))
    ]
    (found,) = batch_sweeps(rows)
    (crossing,) = crossings(found.records)
    assert crossing.words == "jvp from B ≈ 8 (4–16)"
    assert statement_of(found.setting, found.records).answer == (
        "vmap at B = 1 to 4 and jvp at B = 16, 2.0 to 8.0 times as fast as the next right one"
    )
    same = [row for row in found.records if row.strategy == "jvp"]
    assert statement_of(found.setting, same).answer == "jvp, the only right one at every B from 1 to 16"


def test_a_row_that_no_machine_has_measured_stands_with_the_others(record: Make) -> None:
    rows = [record(batch=batch, machine="m") for batch in (1, 4, 16)]
    (found,) = batch_sweeps([*rows, record(batch=64, status="crash", median_s=None)])
    assert len(found.records) == 4
    assert {row.machine for row in found.records} == {"m"}
