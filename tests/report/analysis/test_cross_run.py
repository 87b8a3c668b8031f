from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.collections import PolyCollection

from jacstrat.record import Record
from jacstrat.report.analysis.cross_run import cross_run_table, shared, sides
from jacstrat.report.analysis.runs import Run
from jacstrat.report.figures.cross_run import cross_run_pictures
from jacstrat.report.figures.plots import draw_picture
from tests.report.figures.artists import axes_of, lines_of, markers_of

Make = Callable[..., Record]


def run(label: str, *records: Record) -> Run:
    return Run(label, Path(label), records)


@pytest.fixture
def two(record: Make) -> tuple[Run, Run]:
    """On the CPU jvp wins, on the GPU vmap from n = 4 on; at n = 8 it is level there."""

    def rows(device: str, ratios: dict[str, tuple[float, ...]]) -> list[Record]:
        return [
            record(
                strategy=name,
                n=n,
                device=device,
                cost_ratio=ratio,
                cost_ratio_low=ratio * 0.9,
                cost_ratio_high=ratio * 1.1,
                median_s=ratio * (1e-6 if device == "cpu" else 1e-8),
                over_fastest_low=low,
            )
            for name, line in ratios.items()
            for n, ratio in zip((2, 4, 8), line, strict=True)
            for low in [0.9 if (device, n, name) == ("cuda", 8, "jvp") else None]
        ]

    return (
        run("cpu", *rows("cpu", {"jvp": (2.0, 3.0, 4.0), "vmap": (4.0, 5.0, 6.0)})),
        run("gpu", *rows("cuda", {"jvp": (2.0, 6.0, 16.0), "vmap": (3.0, 4.0, 4.0)})),
    )


def test_the_table_names_the_fastest_of_each_in_cost_ratios(two: tuple[Run, Run]) -> None:
    sheet = cross_run_table(sides(two))
    assert [column.header for column in sheet.columns] == ["problem", "n", "cpu", "gpu", "same"]
    assert sheet.rows == (
        ("divergence of sin", "2", "jvp (2.00)", "jvp (2.00)", "yes"),
        ("", "4", "jvp (3.00)", "vmap (4.00)", "no"),
        ("", "8", "jvp (4.00)", "vmap (4.00)", "yes"),
    )
    assert not any(unit in cell for row in sheet.rows for cell in row for unit in ("µs", " ns", " ms"))


def test_what_only_one_has_is_not_compared(two: tuple[Run, Run], record: Make) -> None:
    alone = run("cpu", *two[0].records, record(n=16), record(problem="cos"))
    assert [found.n for found in shared(sides([alone, two[1]]))] == [2, 4, 8]
    assert shared(sides([alone])) == ()


def test_one_run_on_two_devices_has_two_sides(record: Make) -> None:
    both = run("here", *(record(device=device, threads=threads) for device, threads in (("cpu", 2), ("cuda", 1))))
    assert [side.label for side in sides([both])] == ["here: cpu, 2 threads", "here: cuda, 1 thread"]
    assert len(shared(sides([both]))) == 1


def test_the_picture_is_the_quotient_of_cost_ratios(two: tuple[Run, Run]) -> None:
    ((_, picture),) = cross_run_pictures(sides(two))
    axes = axes_of(draw_picture(picture))
    assert markers_of(axes, "jvp") == {2: 1.0, 4: 2.0, 8: 4.0}
    assert markers_of(axes, "vmap") == pytest.approx({2: 0.75, 4: 0.8, 8: 4 / 6})
    bands = {item.get_label(): item.get_paths()[0].vertices for item in axes.collections}
    assert isinstance(axes.collections[0], PolyCollection)
    assert [8, pytest.approx(4.0 * 1.1 / 0.9)] in [list(corner) for corner in bands["jvp"]]
    assert set(lines_of(axes, "the same")[0].get_ydata()) == {1.0}
    assert picture.answer == "Cost ratios from 0.667× (vmap, n = 8) to 4.00× (jvp, n = 8) those of cpu"
    assert picture.title.endswith("gpu over cpu")


def test_three_runs_stand_each_over_the_first(two: tuple[Run, Run]) -> None:
    again = run("again", *two[1].records)
    found = cross_run_pictures(sides([*two, again]))
    assert [label for label, _ in found] == ["gpu", "again"]
    assert [picture.title.split(": ")[1] for _, picture in found] == ["gpu over cpu", "again over cpu"]


def test_nothing_in_common_is_no_picture(two: tuple[Run, Run], record: Make) -> None:
    assert cross_run_pictures(sides([two[0], run("other", record(problem="cos", cost_ratio=1.0))])) == ()
    assert cross_run_pictures(sides([run("none"), run("none too")])) == ()
    assert cross_run_table(sides([run("none"), run("none too")])).rows == ()
