import csv
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from jacstrat.core.status import STATUSES
from jacstrat.record import Record
from jacstrat.report.analysis.formats import FORMATS
from jacstrat.report.analysis.runs import Run

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
ODD = 'a|b<i>$x_1$ & "q" \\n* `c` #~^{}%'


def run(*records: Record, label: str = "here") -> Run:
    return Run(label, Path(label), records)


def test_markdown_has_a_table_of_equal_rows_and_no_mark_up_of_names(record: Make) -> None:
    text = FORMATS["markdown"]([run(record(problem=ODD, strategy="a|b"), record(problem=ODD, status="wrong", n=8))])
    assert text.startswith("**Fastest right strategy")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) >= 2
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert "<i>" not in text.replace("\\<i\\>", "")
    assert "a\\|b" in text


def test_latex_has_balanced_tables_and_escapes_everything(record: Make) -> None:
    text = FORMATS["latex"]([run(record(problem=ODD), record(status="wrong", n=8, rel_error=0.5))])
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\toprule") >= 2
    for block in re.findall(r"\\begin\{tabular\}\{([^\n]*)\}\n(.*?)\\end", text, re.DOTALL):
        sides = len(re.sub(r"p\{.*?\\linewidth\}", "p", block[0]))
        rows = [line for line in block[1].splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {sides}
    assert r"a\textbar{}b\textless{}i\textgreater{}\$x\_1\$ \& " in text
    assert r"\textbackslash{}n" in text


def test_csv_has_the_winners_with_all_digits(sweep: Sweep) -> None:
    rows = sweep("linear", ns=(1, 64))
    found = list(csv.DictReader(io.StringIO(FORMATS["csv"]([run(*rows), run(*rows, label="there")]))))
    assert [(row["run"], row["n"]) for row in found] == [(r, n) for r in ("here", "there") for n in ("1", "64")]
    for row in found:
        best = min((r for r in rows if r.n == int(row["n"]) and r.status == "ok"), key=lambda r: r.median_s or math.inf)
        assert (row["strategy"], float(row["median_s"])) == (best.strategy, best.median_s)
        assert row["strategy"] in row["level"].split()


def test_json_has_everything_and_is_plain(sweep: Sweep, record: Make) -> None:
    rows = [*sweep("linear"), record(strategy="x", status="wrong", n=1, rel_error=math.inf)]
    rows += [record(strategy=name, status=name, reason=name, median_s=None) for name in STATUSES if name != "ok"]
    text = FORMATS["json"]([run(*rows)])
    (found,) = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["statuses"]["timeout"] == 1
    assert {row["strategy"] for row in found["wrong"]} == {"ones", "x", "wrong"}
    assert {row["status"] for row in found["failures"]} == {"skipped", "timeout", "oom", "crashed", "error"}
    assert next(row for row in found["wrong"] if row["strategy"] == "x")["rel_error_high"] == "inf"
    assert found["fastest"][0]["problem"] == "linear"
    growth = next(row for row in found["growth_of_time"] if row["strategy"] == "jvp")
    assert growth["interval"][0] < growth["exponent"] < growth["interval"][1]


def test_several_runs_are_first_beside_each_other(sweep: Sweep) -> None:
    text = FORMATS["markdown"]([run(*sweep("sin")), run(*sweep("sin"), label="there")])
    assert text.startswith("**Fastest right strategy of each, with its cost ratio")
    assert "\nhere:\n" in text
    assert "\nthere:\n" in text


@pytest.mark.parametrize("name", FORMATS)
def test_no_case_is_a_text_too(name: str) -> None:
    assert FORMATS[name]([run()]).endswith("\n")
