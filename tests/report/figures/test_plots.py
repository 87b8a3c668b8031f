import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D

from jacstrat.core.errors import UsageError
from jacstrat.core.status import STATUSES
from jacstrat.record import Record
from jacstrat.report.analysis.answers import growths
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.figures.palette import WRONG_DASH, style
from jacstrat.report.figures.picture import EPSILON
from jacstrat.report.figures.plots import PICTURES, PLOTS, file_stem, picture_of, write_plots

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]
# Budgets, the Pareto front and samples stand against something else: see their own tests.
OVER_N = ["cost-ratio", "error", "memory", "time"]
COLUMNS = {"time": "median_s", "cost-ratio": "cost_ratio", "memory": "peak_bytes", "error": "rel_error"}


def axes_of(figure: Figure | None) -> Axes:
    assert figure is not None
    (axes,) = figure.axes
    return axes


def lines_of(axes: Axes, label: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_label() == label]


def markers_of(axes: Axes, strategy: str, hollow: bool | None = None) -> dict[float, float]:
    """x and y of the markers of a strategy: all, or only the hollow or the filled ones."""
    found = {}
    for line in lines_of(axes, strategy):
        is_hollow = to_hex(line.get_markerfacecolor()) == "#ffffff"
        if line.get_linestyle() == "None" and hollow in (None, is_hollow):
            found.update(zip(line.get_xdata(), line.get_ydata(), strict=True))
    return found


def strokes_of(axes: Axes, strategy: str) -> list[Line2D]:
    return [line for line in lines_of(axes, strategy) if line.get_linestyle() != "None"]


def is_dashed(line: Line2D) -> bool:
    expected = Line2D([], [], linestyle=WRONG_DASH, linewidth=line.get_linewidth())
    return bool(line._dash_pattern == expected._dash_pattern)


def texts_of(figure: Figure | None) -> list[str]:
    axes = axes_of(figure)
    legend = axes.get_legend()
    assert legend is not None
    shown = [axes.get_title(loc="left"), *(text.get_text() for text in [*axes.texts, *legend.get_texts()])]
    return [*shown, axes.get_xlabel(), axes.get_ylabel()]


def legend_of(figure: Figure | None) -> list[str]:
    legend = axes_of(figure).get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("name", ["time", "cost-ratio", "memory"])
def test_the_points_are_those_of_the_records(name: str, sweep: Sweep, frame_of: FrameOf) -> None:
    rows = sweep("linear")
    axes = axes_of(PLOTS[name](frame_of(rows)))
    for strategy in {row.strategy for row in rows}:
        expected = {row.n: getattr(row, COLUMNS[name]) for row in rows if row.strategy == strategy}
        assert markers_of(axes, strategy) == expected
        stroked = {n: y for line in strokes_of(axes, strategy) for n, y in zip(*line.get_data(), strict=True)}
        assert stroked == expected
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_errors_stand_at_their_value_and_exact_ones_in_the_band(sweep: Sweep, frame_of: FrameOf) -> None:
    rows = sweep("linear")
    axes = axes_of(PLOTS["error"](frame_of(rows)))
    smallest = min(row.rel_error for row in rows if row.rel_error)
    labels = {label.get_text(): y for label, y in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    assert axes.get_ylim()[0] < labels["exact"] < smallest
    for row in rows:
        y = markers_of(axes, row.strategy)[row.n]
        assert y == row.rel_error if row.rel_error else y < smallest


@pytest.mark.parametrize("name", OVER_N)
def test_wrong_points_are_hollow_and_their_lines_dashed(name: str, sweep: Sweep, frame_of: FrameOf) -> None:
    axes = axes_of(PLOTS[name](frame_of(sweep("linear"))))
    assert list(markers_of(axes, "ones", hollow=False)) == [1]
    assert list(markers_of(axes, "ones", hollow=True)) == [2, 4, 8, 16, 32, 64]
    assert [is_dashed(line) for line in strokes_of(axes, "ones")] == [True]
    assert markers_of(axes, "vmap", hollow=True) == {}
    assert not any(is_dashed(line) for line in axes.lines if line.get_label() != "ones")


def test_a_line_is_dashed_only_where_it_touches_a_wrong_point(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, status="wrong" if n == 8 else "ok") for n in (1, 2, 4, 8)]
    strokes = strokes_of(axes_of(PLOTS["time"](frame_of(rows))), "vmap")
    assert [(list(line.get_xdata()), is_dashed(line)) for line in strokes] == [([1, 2, 4], False), ([4, 8], True)]


@pytest.mark.parametrize("name", OVER_N)
def test_a_strategy_looks_the_same_whatever_else_is_there(name: str, sweep: Sweep, frame_of: FrameOf) -> None:
    rows = sweep("sin")
    alone = [row for row in rows if row.strategy == "jacrev"]
    for frame in (frame_of(rows), frame_of(alone)):
        for line in lines_of(axes_of(PLOTS[name](frame)), "jacrev"):
            assert line.get_color() == style("jacrev").color or line.get_linestyle() == "None"
            assert line.get_marker() in (style("jacrev").marker, "None")
            assert to_hex(line.get_markerfacecolor()).upper() == style("jacrev").color


def test_the_band_is_the_quartiles(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, median_s=n * 1e-6, q1_s=n * 0.9e-6, q3_s=n * 1.2e-6) for n in (1, 2, 4)]
    axes = axes_of(PLOTS["time"](frame_of(rows)))
    (band,) = [item for item in axes.collections if isinstance(item, PolyCollection)]
    corners = {(round(x, 9), round(y * 1e6, 9)) for x, y in band.get_paths()[0].vertices}
    assert corners == {(n, n * factor) for n in (1, 2, 4) for factor in (0.9, 1.2)}


def test_f_is_a_thin_grey_line_of_its_medians(record: Make, frame_of: FrameOf) -> None:
    times = {("vmap", 1): 1e-6, ("jvp", 1): 3e-6, ("ones", 1): None, ("vmap", 2): 4e-6}
    rows = [record(strategy=strategy, n=n, f_median_s=f_s) for (strategy, n), f_s in times.items()]
    (line,) = lines_of(axes_of(PLOTS["time"](frame_of(rows))), "f itself")
    assert [tuple(point) for point in line.get_xydata()] == [(1, pytest.approx(2e-6)), (2, pytest.approx(4e-6))]
    assert line.get_linewidth() <= 1


def test_the_theoretical_lines(sweep: Sweep, frame_of: FrameOf) -> None:
    figure = PLOTS["cost-ratio"](frame_of(sweep("sin")))
    for label, cost in {"1": lambda n: 1.0, "n": lambda n: n, "n + 2": lambda n: n + 2}.items():
        (line,) = lines_of(axes_of(figure), label)
        assert [cost(x) for x in line.get_xdata()] == pytest.approx(list(line.get_ydata()))
    assert "n, n + 2" in texts_of(figure)


def test_theoretical_lines_far_apart_have_a_label_each(sweep: Sweep, frame_of: FrameOf) -> None:
    assert {"1", "n", "n + 2"} <= set(texts_of(PLOTS["cost-ratio"](frame_of(sweep("sin", ns=(1, 2, 3))))))


@pytest.mark.parametrize("dtype", sorted(EPSILON))
def test_the_epsilon_of_the_dtype(dtype: str, record: Make, frame_of: FrameOf) -> None:
    figure = PLOTS["error"](frame_of([record(n=n, dtype=dtype, rel_error=1e-3) for n in (1, 2)]))
    (line,) = lines_of(axes_of(figure), f"ε of {dtype}")
    assert set(line.get_ydata()) == {EPSILON[dtype]}
    assert f"ε of {dtype}" in texts_of(figure)


def test_a_dtype_without_a_known_epsilon_has_no_line(record: Make, frame_of: FrameOf) -> None:
    axes = axes_of(PLOTS["error"](frame_of([record(n=n, dtype="float8", rel_error=1e-3) for n in (1, 2)])))
    assert {line.get_label() for line in axes.lines} == {"vmap"}


def test_the_epsilons_are_those_of_ieee() -> None:
    assert EPSILON["float64"] == sys.float_info.epsilon
    assert [math.log2(EPSILON[name]) for name in ("float32", "float16", "bfloat16")] == [-23, -10, -7]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("time", "Fastest at n = 8: jvp, 20.0 µs; next vmap, 2.00× the time"),
        ("cost-ratio", "Fastest at n = 8: jvp, at the cost of 5.00 evaluations of f"),
        ("error", "Wrong: ones"),
        ("memory", "Least at n = 8: vmap, 1.00 KiB"),
    ],
)
def test_the_answer_stands_below_the_title(name: str, answer: str, record: Make, frame_of: FrameOf) -> None:
    shared = {"n": 8, "peak_bytes": 2048, "rel_error": 0.0}
    rows = [
        record(**shared, strategy="jvp", median_s=20e-6, cost_ratio=5.0),
        record(**{**shared, "peak_bytes": 1024}, strategy="vmap", median_s=40e-6, cost_ratio=10.0),
        record(**{**shared, "peak_bytes": 8}, strategy="ones", median_s=1e-6, cost_ratio=0.1, status="wrong"),
        record(**{**shared, "n": 4}, strategy="vmap", median_s=1e-9, cost_ratio=1.0),
    ]
    texts = texts_of(PLOTS[name](frame_of(rows)))
    assert texts[0] == "Divergence of sin, float64, cpu, B = 1"
    assert answer in texts


@pytest.mark.parametrize("name", ["time", "cost-ratio", "memory"])
def test_nothing_right_is_said(name: str, record: Make, frame_of: FrameOf) -> None:
    rows = [record(status="wrong", cost_ratio=2.0, peak_bytes=8)]
    assert "No right result." in texts_of(PLOTS[name](frame_of(rows)))


def test_the_legend_follows_the_ends_of_the_lines_and_says_what_went_wrong(sweep: Sweep, frame_of: FrameOf) -> None:
    rows = [row for row in sweep("linear") if row.strategy in ("jvp", "ones", "vmap")]
    fits = {fit.strategy: (fit.exponent, *fit.interval) for fit in growths(rows)}
    fitted = {name: "~ n^{:.2f} [{:.2f}, {:.2f}]".format(*fit) for name, fit in fits.items()}
    assert legend_of(PLOTS["time"](frame_of(rows))) == [
        f"jvp\n{fitted['jvp']}",
        f"vmap\n{fitted['vmap']}",
        f"ones\n{fitted['ones']}\nwrong at n = 2–64",
    ]


def test_long_names_are_shortened_in_the_middle(record: Make, frame_of: FrameOf) -> None:
    rows = [record(strategy=f"compiled(vmap:chunk_size={k},mode=reduce-overhead)#{k}") for k in (1, 2)]
    labels = legend_of(PLOTS["time"](frame_of(rows)))
    assert all(len(label) <= 28 and "…" in label for label in labels)
    assert len(set(labels)) == 2


@pytest.mark.parametrize("name", OVER_N)
def test_a_single_n_shows_labelled_points_side_by_side(name: str, sweep: Sweep, frame_of: FrameOf) -> None:
    figure = PLOTS[name](frame_of(sweep("linear", ns=[16])))
    axes = axes_of(figure)
    places = [x for strategy in ("jvp", "vmap", "ones") for x in markers_of(axes, strategy)]
    assert len(set(places)) == 3
    assert strokes_of(axes, "vmap") == []
    assert axes.get_xlabel().startswith("n = 16")
    assert len(axes.texts) >= 7


def test_a_single_n_shows_its_quartiles(record: Make, frame_of: FrameOf) -> None:
    axes = axes_of(PLOTS["time"](frame_of([record(q1_s=8e-6, q3_s=13e-6)])))
    (bar,) = [item for item in axes.collections if isinstance(item, LineCollection)]
    assert [list(point) for point in bar.get_segments()[0]] == [[1, 8e-6], [1, 13e-6]]


def test_a_missing_value_breaks_the_line_and_costs_nothing_else(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, median_s=None if n == 4 else n * 1e-6) for n in (1, 2, 4, 8, 16)]
    rows += [record(strategy="jvp", n=n) for n in (1, 2, 4, 8, 16)]
    strokes = strokes_of(axes_of(PLOTS["time"](frame_of(rows))), "vmap")
    assert [list(line.get_xdata()) for line in strokes] == [[1, 2], [8, 16]]


def test_a_band_is_left_out_where_an_end_is_missing(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, q1_s=None if n == 2 else 9e-6) for n in (1, 2, 4)]
    axes = axes_of(PLOTS["time"](frame_of(rows)))
    assert not axes.collections
    assert list(markers_of(axes, "vmap")) == [1, 2, 4]


def test_lines_that_cover_each_other_are_drawn_wider_below(record: Make, frame_of: FrameOf) -> None:
    rows = [record(strategy=s, n=n, peak_bytes=8 * n * k) for s, k in (("a", 2), ("b", 2), ("c", 1)) for n in (1, 2, 4)]
    axes = axes_of(PLOTS["memory"](frame_of(rows)))
    (width_a,), (width_b,), (width_c,) = ([line.get_linewidth() for line in strokes_of(axes, s)] for s in "abc")
    assert width_a > width_b == width_c


def test_no_bytes_have_a_place(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, peak_bytes=size) for n, size in ((1, 0), (2, 1024), (4, 4096))]
    axes = axes_of(PLOTS["memory"](frame_of(rows)))
    assert markers_of(axes, "vmap") == {1: 0, 2: 1024, 4: 4096}
    assert axes.transData.transform((1, 0))[1] > axes.transAxes.transform((0, 0))[1]


@pytest.mark.parametrize("name", sorted(PLOTS))
def test_nothing_measured_gives_no_figure(name: str, record: Make, frame_of: FrameOf) -> None:
    failed = [record(n=n, status=s, cost_ratio=1.0) for n, s in enumerate(STATUSES, 1) if s not in ("ok", "wrong")]
    assert PLOTS[name](frame_of([])) is None
    assert PLOTS[name](frame_of(failed)) is None
    assert PLOTS[name](frame_of([record(median_s=None)])) is None


def test_a_plot_of_several_settings_is_refused(record: Make, frame_of: FrameOf) -> None:
    frame = frame_of([record(), record(batch=2), record(dtype="float32")])
    with pytest.raises(UsageError, match=r"^a plot shows one setting, got 3 that differ in batch, dtype; choose one$"):
        PLOTS["time"](frame)


@pytest.mark.parametrize("name", OVER_N)
def test_nothing_covers_the_data_and_all_is_on_the_page(name: str, record: Make, frame_of: FrameOf) -> None:
    shared = {"cost_ratio": 3.0, "rel_error": 1e-16, "peak_bytes": 64, "f_median_s": 1e-6}
    rows = [
        record(**shared, problem="some/path/to/a/file.py:problem", strategy=f"vmap:chunk_size={k}", n=n)
        for k in range(50)
        for n in (1, 2, 4, 8)
    ]
    figure = PLOTS[name](frame_of(rows))
    axes = axes_of(figure)
    assert figure is not None
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    page, inside, box = figure.bbox, axes.get_window_extent(), legend.get_window_extent()
    assert box.x0 > inside.x1
    assert box.x1 <= page.x1
    assert box.y0 >= page.y0
    assert inside.width > 0.35 * page.width
    for text in axes.texts:
        assert text.get_window_extent().x1 <= page.x1
        assert text.get_window_extent().x1 < box.x0 or text.get_window_extent().y0 > inside.y1


def test_names_are_no_formulas_and_no_markup(record: Make, frame_of: FrameOf, tmp_path: Path) -> None:
    names = {"$\\frac{$", "_hidden", "<svg>"}
    rows = [record(problem="größe<b> $x_{$", strategy=name) for name in names]
    files = write_plots(frame_of(rows), tmp_path)
    assert [file.suffix for file in files] == [".png", ".svg", ".pdf"]
    assert names == set(legend_of(PLOTS["time"](frame_of(rows))))


def test_files_of_a_run(sweep: Sweep, frame_of: FrameOf, tmp_path: Path) -> None:
    directory = tmp_path / "made" / "plots"
    rows = [row for row in sweep("sin", ns=(1, 4)) if row.strategy in ("ones", "vmap")]
    files = write_plots(frame_of(rows), directory)
    drawn = [name for name in PICTURES if picture_of(name, frame_of(rows)) is not None]
    assert {"time", "cost-ratio", "error", "memory", "pareto"} <= set(drawn) < set(PICTURES)
    stems = [f"divergence-sin-{name}" for name in drawn]
    assert files == [directory / f"{stem}.{kind}" for stem in stems for kind in ("png", "svg", "pdf")]
    assert sorted(files) == sorted(directory.iterdir())
    assert all(imread(file).shape[:2] == (750, 1200) for file in files[::3])


def test_settings_are_told_apart_in_file_and_title(record: Make, frame_of: FrameOf, tmp_path: Path) -> None:
    rows = [record(threads=threads, seed=5, n=n) for threads in (1, 2) for n in (1, 2)]
    files = write_plots(frame_of([*rows, record(threads=1, seed=5, problem="cos", median_s=None)]), tmp_path)
    assert [file.name for file in files[::3]] == ["divergence-sin-t1-time.png", "divergence-sin-t2-time.png"]


def test_the_titles_name_what_differs(
    record: Make, frame_of: FrameOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = []

    def spy(records: list[Record], title: str, *_: object) -> None:
        titles.append((len(records), title))

    monkeypatch.setattr("jacstrat.report.figures.plots.PLOTS", {"spy": spy})
    assert write_plots(frame_of([record(), record(n=8), record(workload="train"), record(seed=1)]), tmp_path) == []
    start = "Divergence of sin, float64, cpu, B = 1"
    assert titles == [
        (2, f"{start}, evaluate, seed 0"),
        (1, f"{start}, train, seed 0"),
        (1, f"{start}, evaluate, seed 1"),
    ]


def test_a_plot_without_data_has_no_file(record: Make, frame_of: FrameOf, tmp_path: Path) -> None:
    rows = [record(n=n, status="oom", median_s=None) for n in (1, 2)]
    assert write_plots(frame_of(rows), tmp_path) == []
    assert list(tmp_path.glob("*.png")) == []


def test_the_same_records_give_the_same_bytes(record: Make, frame_of: FrameOf, tmp_path: Path) -> None:
    frame = frame_of([record(n=n) for n in (1, 2)])
    one, two = (write_plots(frame, tmp_path / name) for name in ("one", "two"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]
    assert b"<dc:date>" not in one[1].read_bytes()


SETTING = Setting("sin", "divergence", 1, "float64", "cpu", "evaluate", 1, 0)


def named(**values: object) -> Setting:
    return Setting(**{**vars(SETTING), **values})


def test_a_stem_names_what_differs() -> None:
    every = ("batch", "dtype", "device", "workload", "threads", "seed")
    assert file_stem(SETTING, ()) == "divergence-sin"
    assert file_stem(SETTING, every) == "divergence-sin-b1-float64-cpu-evaluate-t1-s0"


@pytest.mark.parametrize("name", ["path/to/file.py:attr", "Rosenbrock", "größe<b>", "..", "", "a" * 300, "漢字", "x-"])
def test_a_name_that_is_no_file_name_gets_a_hash(name: str) -> None:
    stem = file_stem(named(problem=name), ())
    assert re.fullmatch(r"divergence-[a-z0-9_.-]*[0-9a-f]{8}", stem)
    assert len(stem) < 80


@given(st.text(), st.text())
def test_stems_are_safe_and_distinct(one: str, other: str) -> None:
    stems = {name: file_stem(named(problem=name), ()) for name in (one, other, one.upper())}
    assert all(re.fullmatch(r"[a-z0-9_.-]+", stem) for stem in stems.values())
    assert len(set(stems.values())) == len(stems)


def test_reports_load_neither_torch_nor_pyplot() -> None:
    code = (
        "import sys, jacstrat.report.analysis.answers, jacstrat.report.analysis.tables\n"
        "assert 'matplotlib' not in sys.modules, 'matplotlib'\n"
        "import jacstrat.report.figures.plots, jacstrat.report.figures.drawing\n"
        "import jacstrat.report.analysis.formats, jacstrat.report.page.write\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
