"""How a result of `benchmark` shows: in a terminal, in a notebook, as a plot."""

from __future__ import annotations

import base64
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from jacstrat import UsageError, benchmark
from jacstrat.harness.benchmark import Benchmark
from jacstrat.report.figures.notebook import WRONG
from jacstrat.report.figures.plots import PLOTS
from tests.harness.benchmarked import BRIEF_S


def test_it_prints_as_a_headline_and_a_table_fastest_first(result: Benchmark, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    text = str(result)
    assert text == repr(result)
    said, blank, title, header, _, *lines = text.splitlines()
    assert (said, blank) == (result.headline, "")
    assert said.startswith("Divergence of coupled: ")
    assert said.endswith("; ones is wrong in 1 of 1 cases.")
    assert title == "divergence of coupled, B = 1, float64, cpu, evaluate, 1 thread, seed 0"
    assert header.split()[:3] == ["strategy", "n", "status"]
    rows = {line.split()[0]: line for line in lines[:4]}
    assert list(rows)[-1] == "hessian"
    assert "WRONG" in rows["ones"]
    assert "exact" in rows["identity"]
    assert "hessian cannot serve the divergence: a field has no Hessian; use jacrev or jacfwd" in lines[-1]
    assert text == "\n".join(line.rstrip() for line in text.splitlines())


def test_the_tables_are_as_wide_as_the_terminal_and_of_its_signs(result: Benchmark, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, str(result).splitlines()[1:])) <= 40
    assert not str(result).isascii()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert str(result).isascii()


class Cells(HTMLParser):
    """The rows of the tables of a page, and the tags that are open at the end or were never opened."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.styles: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "img":
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.styles.append(dict(attrs).get("style") or "")
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def parsed(html: str) -> Cells:
    cells = Cells()
    cells.feed(html)
    assert cells.open == []
    return cells


def test_a_notebook_shows_a_table_with_what_is_wrong_marked(result: Benchmark) -> None:
    page = parsed(result._repr_html_())
    assert page.tags == {"p", "img", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    header, *rows = page.rows
    assert header == ["strategy", "n", "status", "median [quartiles]", "cost", "error", "peak"]
    marked = [row[0] for row, style in zip(page.rows, page.styles, strict=True) if WRONG in style]
    assert marked == ["ones"]
    assert [row[2] for row in rows if row[0] == "ones"] == ["WRONG"]
    assert rows[-1][-1].startswith("hessian cannot serve the divergence")
    # Nothing else has a colour of its own, so that a dark page shows its own text on its own ground.
    assert set(re.findall(r"color:([^;\"]+)", result._repr_html_())) == {WRONG}
    assert "background" not in result._repr_html_()


def test_a_notebook_shows_the_headline_first_and_a_picture_last(result: Benchmark) -> None:
    html = result._repr_html_()
    said = "ones is wrong in 1 of 1 cases."
    assert html.startswith(f"<p>{result.headline}</p><table>")
    assert result.headline.startswith("Divergence of coupled: ")
    assert result.headline.endswith(said)
    picture = base64.b64decode(html.partition("base64,")[2].partition('"')[0])
    assert picture.startswith(b"\x89PNG")
    nothing = replace(result, records=tuple(r for r in result.records if r.strategy == "hessian"))
    assert "<img" not in nothing._repr_html_()


def test_names_are_text_in_a_notebook(result: Benchmark) -> None:
    def named(x: torch.Tensor) -> torch.Tensor:
        return x

    named.__name__ = "<script>alert(1)</script> & [bold]"
    html = benchmark(named, torch.ones(1, 2), strategies="ones", sample_s=BRIEF_S)._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; [bold]" in html
    assert "script" not in parsed(html).tags


def luminance(color: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_mark_is_readable_on_a_bright_and_on_a_dark_page() -> None:
    own = luminance(WRONG) + 0.05
    assert (luminance("#FFFFFF") + 0.05) / own > 4
    assert own / (luminance("#111111") + 0.05) > 4


# Plots of random probes, of problems that are networks, and of raw samples: a user's own function has none of these.
WITHOUT_DATA = ("budget", "products", "floor", "best-flops", "over-light", "samples")
# Where no rates were measured there is no roof.
PERHAPS = ("roofline",)


@pytest.mark.parametrize("kind", [kind for kind in PLOTS if kind not in (*WITHOUT_DATA, *PERHAPS)])
def test_every_plot_of_a_report_can_be_drawn(result: Benchmark, kind: str, tmp_path) -> None:
    figure = result.plot(kind)
    figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 0
    texts = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert {"identity", "vmap"} <= texts


def test_a_plot_without_data_is_refused_by_its_name(result: Benchmark) -> None:
    for kind in WITHOUT_DATA:
        with pytest.raises(UsageError, match=f"there is no {kind} plot, since nothing that it shows was measured"):
            result.plot(kind)


def test_random_probes_have_a_plot_of_their_budget(result: Benchmark) -> None:
    drawn = benchmark(lambda x: x.softmax(-1), torch.rand(2, 8), strategies=["hutchinson", "vmap"], sample_s=0.01)
    assert drawn.plot("budget").axes


def test_the_default_plot_is_time(result: Benchmark) -> None:
    assert result.plot().axes[0].get_ylabel() == "time of one call"


def test_a_notebook_shows_a_plot_by_itself(result: Benchmark) -> None:
    assert result.plot()._repr_png_().startswith(b"\x89PNG")


def test_no_plot_is_one_line(result: Benchmark) -> None:
    with pytest.raises(UsageError, match="unknown plot 'tme'; did you mean time?"):
        result.plot("tme")
    none = benchmark(torch.sin, torch.ones(1, 2), strategies="hessian")
    with pytest.raises(
        UsageError,
        match="there is no time plot, since nothing that it shows was measured; print",
    ):
        none.plot()
