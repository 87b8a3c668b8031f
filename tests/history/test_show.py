"""Lines as a table and as plots: the worst first, commits by name, the same bytes each time."""

from __future__ import annotations

import pytest

from jacstrat.history.lines import line_of, lines_of
from jacstrat.history.show import file_name, plot, table, write_plots
from tests.history.conftest import commit, points


def test_the_table_has_the_worst_first_and_names_commits(store) -> None:
    lines, _ = lines_of(store.frame(), "cost_ratio")
    sheet = table(lines)
    assert sheet.rows[0][0].startswith("sin/divergence/vmap")
    assert sheet.rows[0][-1] == f"1.33× at {commit(4)[:10]}"
    assert sheet.rows[0][4:6] == ("1.33×", "1.33×")
    assert sheet.styles == ("red", "")
    many = line_of("a", "aten_ops", points([1, 2, 3, 4, 5, 6]))
    assert table([many]).rows[0][-1].startswith("2 earlier, 1.33× at ")


def test_a_plot_shows_points_levels_and_steps(store) -> None:
    lines, _ = lines_of(store.frame(), "cost_ratio", "*/vmap/*")
    (axes,) = plot(lines[0]).axes
    assert list(axes.lines[0].get_ydata()) == [90.0] * 4 + [120.0] * 4
    assert [text.get_text() for text in axes.texts] == [f"1.33× at {commit(4)[:10]}"]
    assert len(axes.collections) == 2


@pytest.mark.long
def test_plots_are_the_same_bytes_each_time(store, tmp_path) -> None:
    lines, _ = lines_of(store.frame(), "cost_ratio", "*/ones/*")
    first, again = write_plots(lines, tmp_path / "one"), write_plots(lines, tmp_path / "two")
    assert [file.suffix for file in first] == [".png", ".svg", ".pdf"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in again]
    assert file_name(line_of("a/B", "x", points([1]))) != file_name(line_of("a/b", "x", points([1])))
