"""What was measured of each strategy, as pictures on its page: the time against n in the runs that are committed.

    python scripts/curves.py build/pages

Each page of a strategy in docs/strategies that a run has a curve of gets a section at its end, and an SVG a run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

from jacstrat.record import Record
from jacstrat.records import read_records
from jacstrat.report.analysis.setting import Setting, by_setting, to_records
from jacstrat.report.figures.multiples import draw_small
from jacstrat.report.figures.notebook import ShownFigure
from jacstrat.report.figures.overn import N
from jacstrat.report.figures.picture import TIME, Picture
from jacstrat.report.figures.series import series_of
from jacstrat.report.figures.small import SMALL, chosen
from jacstrat.strategies import STRATEGIES

RUNS = {"reference": "the reference run, on two CPU cores", "h100": "an NVIDIA H100"}
SHOWN_FIRST = ("tanh_scalar", "tanh_field", "bratu", "sin")
"""Problems, before the others: networks, a stencil, and what is diagonal."""
MOST = 2
"""Pictures side by side."""
INCHES, HEIGHT_INCHES = 3.4, 2.0
HEADING = """## Time against n

Beside the best three right strategies and those that were wrong, in the committed runs.
"""


def pictures_of(name: str, records: Sequence[Record]) -> list[Picture]:
    """The time of a strategy against n beside the best, a picture a problem; at most MOST.

    Args:
        name: Of the strategy; its other specs, such as jvp:chunk_size=all, are drawn with it.
        records: Of a run.
    """
    found: dict[str, tuple[int, Picture]] = {}
    for setting, group in by_setting(records).items():
        times = series_of(group, "median_s", "q1_s", "q3_s")
        own = [line for line in times if is_of(line.strategy, name) and len(line.points) > 1]
        if own:
            best = {line.strategy for line in (*chosen(group), *own)}
            series = tuple(line for line in times if line.strategy in best)
            picture = Picture(SMALL, setting, setting.title(), "", N, "time of one call", TIME, series)
            sizes = max(len(line.points) for line in own)
            kept = found.get(setting.problem)
            if kept is None or (sizes, plain(setting)) > (kept[0], plain(kept[1].setting)):
                found[setting.problem] = sizes, picture
    rank = {problem: i for i, problem in enumerate(SHOWN_FIRST)}
    ordered = sorted(found.values(), key=lambda one: rank.get(one[1].setting.problem, len(rank)))
    return [picture for _, picture in ordered[:MOST]]


def is_of(spec: str, name: str) -> bool:
    """Whether a spec is of the strategy of that name."""
    return re.split("[:(]", spec)[0] == name


def plain(setting: Setting) -> tuple[bool, bool]:
    """Evaluating stands before training and replays, float64 before the others."""
    return setting.workload == "evaluate", setting.dtype == "float64"


def draw(pictures: Sequence[Picture], name: str, file: Path) -> None:
    """The pictures side by side, as an SVG that is the same each time; the strategy's own lines are the thick ones."""
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "jacstrat"})
    size = (INCHES * len(pictures), HEIGHT_INCHES)
    figure = ShownFigure(figsize=size, layout="constrained", facecolor="white")
    for axes, picture in zip(figure.subplots(1, len(pictures), squeeze=False).flat, pictures, strict=True):
        draw_small(axes, picture, INCHES)
        for line in axes.get_lines():
            if is_of(str(line.get_label()), name):
                line.set_linewidth(2.6)
    figure.savefig(file, format="svg", metadata={"Date": None})


def words(name: str, run: str, pictures: Sequence[Picture]) -> str:
    """What a screen reader says the pictures are."""
    return f"Time of {name} against n in {RUNS[run]}: {', '.join(picture.setting.name for picture in pictures)}"


def section(name: str, runs: Mapping[str, Sequence[Record]], pages: Path) -> str:
    """The section of a strategy's page, whose pictures are then beside it; "" where no run has a curve of it."""
    parts = []
    for run, where in RUNS.items():
        if pictures := pictures_of(name, runs[run]):
            file = pages / "docs" / "strategies" / "curves" / f"{name}-{run}.svg"
            file.parent.mkdir(exist_ok=True)
            draw(pictures, name, file)
            link = f"[{where}](../../results/{run}/report.html)"
            parts.append(f"Thick, in {link}:\n\n![{words(name, run, pictures)}](curves/{file.name})\n")
    return "\n".join([HEADING, *parts]) if parts else ""


def main() -> int:
    pages = Path(sys.argv[1])
    runs = {run: to_records(read_records(pages / "results" / run)) for run in RUNS}
    for name in STRATEGIES:
        page = pages / "docs" / "strategies" / f"{name}.md"
        if text := section(name, runs, pages):
            page.write_text(f"{page.read_text(encoding='utf-8').rstrip()}\n\n{text}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
