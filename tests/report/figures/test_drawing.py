from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jacstrat.core.errors import UsageError
from jacstrat.record import Record
from jacstrat.records import RecordWriter
from jacstrat.report.analysis.runs import Run
from jacstrat.report.figures.drawing import CHOICES, FIRST, MOST_CASES, MOST_SETTINGS, NAMES, draw_plots, too_many

Make = Callable[..., Record]


def test_a_plot_by_name_is_drawn_alone(record: Make, tmp_path: Path) -> None:
    run = Run("run", tmp_path, tuple(record(n=n, cost_ratio=2.0) for n in (1, 2)))
    stem = tmp_path / "plots" / "divergence-sin-cost-ratio"
    assert draw_plots([run], ["cost-ratio"]) == [stem.with_suffix(f".{kind}") for kind in ("png", "svg", "pdf")]
    assert len(list((tmp_path / "plots").iterdir())) == 3


def test_an_unknown_plot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^unknown plot 'tme'; did you mean time\?$"):
        draw_plots([Run("run", tmp_path, ())], ["tme"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_samples_maps_and_what_is_between_runs(record: Make, tmp_path: Path) -> None:
    doubtful = [record(n=n, batch=batch, samples=3, cost_ratio=2.0) for batch in (1, 4) for n in (2, 3)]
    runs = [Run(name, tmp_path / name, tuple(doubtful)) for name in ("one", "two")]
    for run in runs:
        run.directory.mkdir()
        with RecordWriter(run.directory) as writer:
            writer.write_samples(doubtful[0].case, {"rounds": [0, 1, 2], "seconds": [1.0, 2.0, 3.0]})
    names = [str(path.relative_to(tmp_path)) for path in draw_plots(runs, ["samples", "winner-map", "between"])]
    own = [f"plots/divergence-sin-{name}.png" for name in ("b1-samples", "winner-map")]
    between = [f"one/plots/divergence-sin-b{batch}-between-two.png" for batch in (1, 4)]
    own.reverse()
    assert names[::3] == [f"{run}/{name}" for run in ("one", "two") for name in own] + between


def test_of_too_many_settings_nothing_is_drawn_unasked(record: Make, tmp_path: Path) -> None:
    many = Run("many", tmp_path, tuple(record(seed=seed) for seed in range(MOST_SETTINGS + 1)))
    assert too_many(many)
    assert draw_plots([many]) == []
    one = record()
    assert too_many(Run("long", tmp_path, (one,) * (MOST_CASES + 1)))
    assert not too_many(Run("few", tmp_path, tuple(replace(one, seed=seed) for seed in range(MOST_SETTINGS))))


def test_unasked_only_what_the_page_shows_first_is_drawn(record: Make, tmp_path: Path) -> None:
    rows = tuple(record(n=n, batch=batch, rel_error=0.0) for n in (1, 2) for batch in (1, 8))
    run = Run("run", tmp_path, rows)
    assert {path.stem for path in draw_plots([run])} == {"answer", "divergence-sin-winner-map"}
    assert set(FIRST) < set(CHOICES["all"]) == set(NAMES)
