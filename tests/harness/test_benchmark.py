"""Strategies measured on a function at hand: what comes back, how it shows, what is refused."""

from __future__ import annotations

import base64
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
import torch

import jacstrat
from jacstrat import ShapeError, UsageError, benchmark, parse_strategy, read_records
from jacstrat.core.operator import parse_operator
from jacstrat.harness.benchmark import Benchmark
from jacstrat.record import COLUMNS
from jacstrat.records import RecordWriter, by_round, to_frame
from jacstrat.report.figures.notebook import WRONG
from jacstrat.report.figures.plots import PLOTS
from jacstrat.statistics import ratio
from jacstrat.strategies import default_strategies

BRIEF_S = 1e-4
A = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]], dtype=torch.float64)


def coupled(x: torch.Tensor) -> torch.Tensor:
    return (x @ A.T) * x


@pytest.fixture(scope="module")
def result() -> Benchmark:
    """One result that most tests look at: two that are right, one that is wrong, one that cannot."""
    x = torch.ones(1, 3, dtype=torch.float64)
    return benchmark(coupled, x, strategies=["identity", "ones", "vmap", "hessian"], sample_s=BRIEF_S)


def by_strategy(result: Benchmark) -> dict[str, jacstrat.record.Record]:
    return {record.strategy: record for record in result.records}


def test_the_strategies_are_measured_on_this_function_at_these_points(result: Benchmark) -> None:
    found = by_strategy(result)
    assert {name: record.status for name, record in found.items()} == {
        "identity": "ok",
        "ones": "wrong",
        "vmap": "ok",
        "hessian": "unsupported",
    }
    # 92 for 62 at (1, 1, 1).
    assert found["ones"].abs_error == 30
    assert found["identity"].exact
    assert found["identity"].reference == "dense autograd in float64"
    for record in result.records:
        assert record.problem == "coupled"
        assert (record.operator, record.n, record.batch, record.seed) == ("divergence", 3, 1, 0)
        assert (record.dtype, record.device, record.workload, record.threads) == ("float64", "cpu", "evaluate", 1)
    for name in ("identity", "ones", "vmap"):
        assert found[name].median_s > 0
        assert found[name].cost_ratio > 1


def test_the_samples_are_those_of_the_records_side_by_side(result: Benchmark) -> None:
    samples = {case.split("/")[2]: by_round(raw) for case, raw in result.samples.items()}
    assert set(samples) == {"f", "identity", "ones", "vmap"}
    for name in ("identity", "ones", "vmap"):
        assert ratio(samples[name], samples["f"]).median == by_strategy(result)[name].cost_ratio


@pytest.mark.parametrize("operator", ["divergence", "laplacian", "jacobian_diagonal"])
def test_all_strategies_that_serve_the_operator_are_the_default(operator: str) -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return x.square().sum(-1) if operator == "laplacian" else x.square()

    found = benchmark(f, torch.ones(2, 2), operator, sample_s=BRIEF_S)
    serve = [name for name in default_strategies() if parse_strategy(name).refuse(parse_operator(operator)) is None]
    assert [record.strategy for record in found.records] == serve
    assert not {record.status for record in found.records} & {"unsupported", "error"}


def test_strategies_come_by_spec_or_as_values_each_once_in_the_order_asked_for() -> None:
    asked = ["vmap:chunk_size=all", parse_strategy("ones"), "vmap"]
    found = benchmark(torch.sin, torch.ones(2, 2), strategies=asked, sample_s=BRIEF_S)
    assert [record.strategy for record in found.records] == ["vmap", "ones"]
    (record,) = benchmark(torch.sin, torch.ones(2, 2), strategies="vmap:chunk_size=1", sample_s=BRIEF_S).records
    assert record.strategy == "vmap:chunk_size=1"


@pytest.mark.parametrize(
    ("x", "n", "batch", "dtype"),
    [
        (torch.ones(4), 4, 1, "float32"),
        (torch.ones(5, 2, dtype=torch.float64), 2, 5, "float64"),
        (torch.ones(2, 3, dtype=torch.bfloat16), 3, 2, "bfloat16"),
    ],
)
def test_the_columns_are_those_of_x(x: torch.Tensor, n: int, batch: int, dtype: str) -> None:
    (record,) = benchmark(torch.sin, x, strategies="ones", sample_s=BRIEF_S).records
    assert (record.n, record.batch, record.dtype, record.status) == (n, batch, dtype, "ok")


def test_the_name_is_that_of_the_function() -> None:
    x = torch.ones(1, 2)

    def named(f: object) -> str:
        return benchmark(f, x, strategies="ones", sample_s=BRIEF_S).records[0].problem

    assert named(torch.nn.Tanh()) == "Tanh"
    assert named(lambda x: x) == "<lambda>"


def test_training_goes_back_to_the_parameters_of_a_module_or_to_those_given() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).double()
    x = torch.ones(2, 2, dtype=torch.float64)
    ways = (
        benchmark(net, x, strategies="vmap", workload="train", sample_s=BRIEF_S),
        benchmark(lambda x: net(x), x, strategies="vmap", workload="train", parameters=net.parameters(), sample_s=1e-4),
        benchmark(net, x, strategies="vmap", sample_s=BRIEF_S),
    )
    module, closure, evaluated = (by_strategy(found)["vmap"] for found in ways)
    assert module.status == closure.status == evaluated.status == "ok"
    assert module.workload == closure.workload == "train"
    assert module.flops == closure.flops > evaluated.flops
    assert all(p.grad is None for p in net.parameters())


def test_what_surrounds_it_is_left_as_it_was() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    torch.manual_seed(0)
    state, threads, tracked = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
    benchmark(torch.sin, x, strategies="ones", sample_s=BRIEF_S)
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.is_grad_enabled(), x.grad) == (threads, tracked, None)


def test_it_serves_within_inference_mode() -> None:
    with torch.inference_mode():
        x = torch.ones(2, 2)
        found = benchmark(torch.sin, x, strategies=["identity", "vmap"], sample_s=BRIEF_S)
        assert torch.is_inference_mode_enabled()
    assert {record.status for record in found.records} == {"ok"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"f": "net"}, "f must be a row-wise function of x, got str"),
        ({"x": [1.0]}, "x must be a torch.Tensor, got list"),
        ({"x": torch.ones(2, dtype=torch.int64)}, "x must be real and floating-point, got torch.int64; use x.double()"),
        ({"x": torch.ones(0, 2)}, "x must hold at least one point, got shape (0, 2)"),
        (
            {"x": torch.ones(1, 2).to(torch.float8_e5m2)},
            "x must be of float64, float32, float16, bfloat16, got torch.float8_e5m2; use x.float()",
        ),
        ({"x": torch.ones(1, 2, device="meta")}, "device meta is not available; here: cpu"),
        ({"operator": "divergance"}, "unknown operator 'divergance'; did you mean divergence?"),
        ({"strategies": ["vmpa"]}, "unknown strategy 'vmpa'; did you mean vmap?"),
        ({"strategies": []}, "strategies is empty; leave it out for all that serve the operator"),
        ({"workload": "trian"}, "unknown workload 'trian'; did you mean train?"),
        (
            {"workload": "train"},
            "f has no parameters that require grad; give those to train as parameters=net.parameters()",
        ),
        ({"seed": -1}, "seed must be a whole number from 0 to 2^63 - 1, got -1"),
        ({"seed": 0.5}, "seed must be a whole number from 0 to 2^63 - 1, got 0.5"),
        ({"sample_s": 0}, "sample_s must be more than 0 seconds and finite, got 0"),
        ({"sample_s": "long"}, "sample_s must be more than 0 seconds and finite, got 'long'"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: dict, message: str) -> None:
    if "meta" in message and torch.accelerator.is_available():
        message = message.removesuffix("here: cpu")
    with pytest.raises(UsageError) as raised:
        benchmark(**{"f": torch.sin, "x": torch.ones(2, 2), "sample_s": BRIEF_S, **arguments})
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_what_f_itself_raises_is_raised() -> None:
    with pytest.raises(ShapeError, match=r"the field must map \(2, 2\) to \(2, 2\), got \(2,\)"):
        benchmark(lambda x: x.sum(-1), torch.ones(2, 2))

    def broken(x: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("of mine")

    with pytest.raises(UsageError, match=r"^ZeroDivisionError: of mine \(test_benchmark.py, line \d+\)$"):
        benchmark(broken, torch.ones(2, 2))


def test_an_interrupt_passes_and_leaves_the_surroundings() -> None:
    calls = 0

    def interrupted(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise KeyboardInterrupt
        return x.sin()

    with pytest.raises(KeyboardInterrupt):
        benchmark(interrupted, torch.ones(2, 2), strategies=["identity", "vmap"])
    assert torch.is_grad_enabled()


def test_a_strategy_that_raises_is_a_row() -> None:
    def reverse_only(x: torch.Tensor) -> torch.Tensor:
        return Reversed.apply(x)

    found = by_strategy(benchmark(reverse_only, torch.ones(2, 2), strategies=["identity", "jvp"], sample_s=BRIEF_S))
    assert found["identity"].status == "ok"
    assert found["jvp"].status == "unsupported"
    assert found["jvp"].reason.startswith("jvp cannot differentiate this function: ")


class Reversed(torch.autograd.Function):
    """x^2, with a backward of the old style alone."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g


def test_the_frame_is_what_read_records_gives(result: Benchmark, tmp_path) -> None:
    with RecordWriter(tmp_path) as writer:
        for record in result.records:
            writer.write(record)
    frame = result.to_dataframe()
    pd.testing.assert_frame_equal(frame, read_records(tmp_path))
    assert list(frame.columns) == list(COLUMNS)


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


def test_results_are_frozen_values(result: Benchmark) -> None:
    with pytest.raises(AttributeError):
        result.records = ()  # type: ignore[misc]
    assert result == Benchmark(result.records, result.samples)
    assert len(to_frame(result.records)) == 4
