"""The legend: the names of the lines in the order of their ends, as they are, with what went wrong."""

from pathlib import Path

from jacstrat.report.analysis.answers import growths
from jacstrat.report.figures.plots import PLOTS, write_plots
from tests.report.figures.artists import FrameOf, Make, Sweep, legend_of


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


def test_names_are_no_formulas_and_no_markup(record: Make, frame_of: FrameOf, tmp_path: Path) -> None:
    names = {"$\\frac{$", "_hidden", "<svg>"}
    rows = [record(problem="größe<b> $x_{$", strategy=name) for name in names]
    files = write_plots(frame_of(rows), tmp_path)
    assert [file.suffix for file in files] == [".png", ".svg", ".pdf"]
    assert names == set(legend_of(PLOTS["time"](frame_of(rows))))
