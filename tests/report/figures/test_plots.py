import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.image import imread

from jacstrat.core.errors import UsageError
from jacstrat.core.status import STATUSES
from jacstrat.record import Record
from jacstrat.report.analysis.batches import batch_sweeps
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.figures.palette import style
from jacstrat.report.figures.plots import PICTURES, PLOTS, file_stem, picture_of, write_plots
from tests.report.figures.artists import OVER_N, FrameOf, Make, Sweep, axes_of, lines_of, texts_of


@pytest.mark.parametrize("name", OVER_N)
def test_a_strategy_looks_the_same_whatever_else_is_there(name: str, sweep: Sweep, frame_of: FrameOf) -> None:
    rows = sweep("sin")
    alone = [row for row in rows if row.strategy == "jacrev"]
    for frame in (frame_of(rows), frame_of(alone)):
        for line in lines_of(axes_of(PLOTS[name](frame)), "jacrev"):
            assert line.get_color() == style("jacrev").color or line.get_linestyle() == "None"
            assert line.get_marker() in (style("jacrev").marker, "None")
            assert to_hex(line.get_markerfacecolor()).upper() == style("jacrev").color


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


@pytest.mark.long
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


@pytest.mark.long
def test_time_and_memory_are_drawn_over_batches_too(record: Make, frame_of: FrameOf, tmp_path: Path) -> None:
    rows = [
        record(strategy=name, batch=b, n=16, peak_bytes=64 * b, median_s=1e-6 * b**k)
        for b in (1, 4, 16, 64, 256)
        for k, name in enumerate(("vmap", "jvp"))
    ]
    rows += [record(strategy="vmap", batch=1024, n=16, status="oom", median_s=None)]
    files = write_plots(frame_of(rows), tmp_path, names=["time", "memory", "pareto"])
    assert [f.name for f in files[::3] if "over-b" in f.name] == [
        "divergence-sin-over-b-time.png",
        "divergence-sin-over-b-memory.png",
    ]
    (sweep,) = batch_sweeps(rows)
    figure = PLOTS["time"](list(sweep.records), sweep.title())
    assert axes_of(figure).get_xlabel() == "B, number of points"
    texts = texts_of(figure)
    assert texts[0] == "Divergence of sin, float64, cpu, n = 16"
    assert any(text.startswith("vmap\n~ B^0.00 [") and text.endswith("\noom at B = 1024") for text in texts)
    assert any(text.startswith("Fastest at B = 256: vmap, 1.00 µs") for text in texts)
