from collections.abc import Callable

from jacstrat.record import Record
from jacstrat.report.analysis.cross_run import cross_run_table, shared, sides
from jacstrat.report.analysis.runs import Run
from jacstrat.report.figures.cross_run import cross_run_pictures
from tests.report.conftest import run

Make = Callable[..., Record]


def test_the_table_names_the_fastest_of_each_in_cost_ratios(two_runs: tuple[Run, Run]) -> None:
    sheet = cross_run_table(sides(two_runs))
    assert [column.header for column in sheet.columns] == ["problem", "n", "cpu", "gpu", "same"]
    assert sheet.rows == (
        ("divergence of sin", "2", "jvp (2.00)", "jvp (2.00)", "yes"),
        ("", "4", "jvp (3.00)", "vmap (4.00)", "no"),
        ("", "8", "jvp (4.00)", "vmap (4.00)", "yes"),
    )
    assert not any(unit in cell for row in sheet.rows for cell in row for unit in ("µs", " ns", " ms"))


def test_what_only_one_has_is_not_compared(two_runs: tuple[Run, Run], record: Make) -> None:
    alone = run("cpu", *two_runs[0].records, record(n=16), record(problem="cos"))
    assert [found.n for found in shared(sides([alone, two_runs[1]]))] == [2, 4, 8]
    assert shared(sides([alone])) == ()


def test_one_run_on_two_devices_has_two_sides(record: Make) -> None:
    both = run("here", *(record(device=device, threads=threads) for device, threads in (("cpu", 2), ("cuda", 1))))
    assert [side.label for side in sides([both])] == ["here: cpu, 2 threads", "here: cuda, 1 thread"]
    assert len(shared(sides([both]))) == 1


def test_nothing_in_common_is_no_picture(two_runs: tuple[Run, Run], record: Make) -> None:
    assert cross_run_pictures(sides([two_runs[0], run("other", record(problem="cos", cost_ratio=1.0))])) == ()
    assert cross_run_pictures(sides([run("none"), run("none too")])) == ()
    assert cross_run_table(sides([run("none"), run("none too")])).rows == ()
