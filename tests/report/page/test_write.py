"""The page as text: escaped, self-contained, of any records."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jacstrat.core.status import STATUSES
from jacstrat.record import Record
from jacstrat.report.analysis.runs import Run, read_runs
from jacstrat.report.page import panels
from jacstrat.report.page.write import page, write_page

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
EVIL = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\u2028 größe 漢字'


class Reader(HTMLParser):
    """Collects elements, attributes and texts; VOID elements have no end."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def run(*records: Record, label: str = "here", sweep: str = "") -> Run:
    return Run(label, Path(label), records, sweep=sweep)


def test_no_text_of_the_records_is_markup(record: Make) -> None:
    rows = [
        record(problem=EVIL, strategy=f"{EVIL}{n}", n=n, status=status, reason=EVIL, cost_ratio=2.0, rel_error=0.1)
        for n, status in enumerate(STATUSES, start=1)
    ]
    text = page([run(*rows, label=EVIL, sweep=EVIL)])
    found = Reader(text)
    assert found.open == []
    assert {tag for tag, _ in found.tags if tag in ("img", "iframe", "object", "base")} == set()
    scripts = [attributes for tag, attributes in found.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}]
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert any("alert(1)" in words for words in found.words)
    data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert EVIL in json.loads(data[1])["columns"][-1]["texts"]


def test_nothing_outside_is_named_and_the_policy_allows_what_is_inside(sweep: Sweep) -> None:
    text = page([run(*sweep("linear"))])
    found = Reader(text)
    for _, attributes in found.tags:
        for name in ("src", "href", "xlink:href", "action", "style"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,")), (name, attributes[name])
    policy = next(str(a["content"]) for _, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        allowed = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{allowed}'" in policy
    assert "url(" not in text
    assert "@import" not in text


def test_every_id_is_one_and_every_link_leads_somewhere(sweep: Sweep) -> None:
    found = Reader(page([run(*sweep("linear"), *sweep("sin"), *sweep("cos"), *sweep("exp"))]))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for tag, attributes in found.tags if tag in ("a", "use")}
    assert links <= set(ids)


def test_the_answer_comes_before_the_plots_before_the_cases_before_the_failures(sweep: Sweep, record: Make) -> None:
    text = page([run(*sweep("linear"), record(strategy="slow", status="timeout", reason="over 30 s", median_s=None))])
    places = [
        text.index(f'<section id="{name}">') for name in ("answer", "tables", "where", "plots", "cases", "failures")
    ]
    assert places == sorted(places)
    failed = text[places[-1] :]
    assert "over 30 s" in failed
    answer, tables = text[places[0] : places[1]], text[places[1] : places[2]]
    headline, cards = answer.index('class="headline"'), answer.index('class="card cpu"')
    assert headline < cards
    assert "ones is wrong in 6 of 7 cases" in answer[:cards]
    assert re.search(r">vmap<.*>ones<", tables, re.DOTALL)


def test_the_title_is_what_was_run_and_where_and_not_the_name_of_the_directory(sweep: Sweep) -> None:
    text = page([run(*sweep("linear"), label="latest")])
    assert "<title>Divergence of linear on 1 CPU thread: jacstrat</title>" in text
    assert "<h1>Divergence of linear</h1>" in text
    assert "latest" not in text


def records_of(kind: str, record: Make, sweep: Sweep) -> list[Record]:
    if kind == "every status":
        return [record(strategy=status, status=status, reason="why") for status in STATUSES]
    if kind == "nothing measured":
        return [record(status="oom", reason="no room", median_s=None)]
    if kind == "single n":
        return sweep("linear", ns=[8])
    if kind == "one strategy":
        return [record(n=n) for n in (1, 2, 4)]
    if kind == "fifty strategies":
        return [record(strategy=f"vmap:chunk_size={k}", n=n, rel_error=0.0) for k in range(50) for n in (1, 2, 4)]
    return []


KINDS = ("every status", "nothing measured", "single n", "one strategy", "fifty strategies", "none")


@pytest.mark.parametrize("kind", KINDS)
def test_any_records_have_a_page(kind: str, record: Make, sweep: Sweep) -> None:
    rows = records_of(kind, record, sweep)
    text = page([run(*rows)])
    found = Reader(text)
    assert found.open == []
    assert ("Nothing was measured" in text) == (kind in ("nothing measured", "none"))
    plots = [attributes for tag, attributes in found.tags if attributes.get("class") == "plot"]
    assert bool(plots) == (kind not in ("nothing measured", "none"))
    for strategy in {row.strategy for row in rows}:
        assert strategy in text


def test_several_runs_are_labelled_and_compared(sweep: Sweep) -> None:
    text = page([run(*sweep("sin"), label="left"), run(*sweep("sin"), label="right")])
    assert "seconds do not compare" in text
    assert text.count(": left</h4>") == text.count(": right</h4>") == 1
    assert "right over left" in text


def test_a_run_over_batches_is_shown_against_them(record: Make) -> None:
    rows = [record(strategy=name, batch=b, n=16, peak_bytes=8) for b in (1, 4, 16, 64, 256) for name in ("vmap", "jvp")]
    text = page([Run("run", Path("run"), rows)])
    assert "Time of one call against B, of the best three" in text
    assert ">n = 16<" in text
    assert ">B = 1<" in text
    assert "vmap, B = 256: 10.0 µs" in text
    assert text.index("Divergence of sin, float64, cpu, n = 16</h") < text.index(
        "Divergence of sin, float64, cpu, B = 1</h"
    )
    both = page([Run("run", Path("run"), [*rows, record(problem="cos", n=1), record(problem="cos", n=2)])])
    assert "Time of one call against B or n, of the best three" in both


def test_what_does_not_fit_is_named(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*sweep("sin"), *sweep("linear"), *sweep("cos")]
    assert "Not drawn here" not in page([run(*rows)])
    monkeypatch.setattr(panels.sections_of, "__defaults__", (400,))
    text = page([run(*rows)])
    assert "Not drawn here, for the size of this page: " in text
    assert "Divergence of cos, float64, cpu, B = 1" in text


def test_the_same_runs_give_the_same_bytes_and_a_small_page(tmp_path: Path) -> None:
    runs = read_runs([Path("results/reference")])
    one, two = (write_page(runs, tmp_path / name / "report.html") for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size < 1e6
