"""Nothing is undocumented: strategies, problems, commands, options, columns, statuses, exit codes, files."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from importlib import import_module

import pytest
import torch

from jacstrat import PROBLEMS, STRATEGIES, benchmark, records
from jacstrat.core.environment import ENVIRONMENT
from jacstrat.core.status import CAUSES, STATUSES
from jacstrat.harness.plan.sweep import DTYPES, WORKLOADS, shipped_sweeps
from jacstrat.measure import sampling
from jacstrat.record import COLUMNS, TABLE
from jacstrat.report.analysis.formats import FORMATS
from jacstrat.report.figures.drawing import MOST_CASES, MOST_SETTINGS, NAMES
from jacstrat.report.page.cases import MOST_ROWS
from jacstrat.report.page.panels import MOST_POINTS
from jacstrat.strategies import ALIASES
from jacstrat.strategies.base import form
from jacstrat.table import Domain
from tests.pages import ROOT, blocks_of
from tests.reader import COMMANDS

DOCS = ROOT / "docs"
STRATEGY_SECTIONS = ("Formula", "Cost", "Right when", "Wrong when|What it refuses|Refuses", "Parameters", "Source")


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def flowing(text: str) -> str:
    """The text without its line breaks."""
    return " ".join(text.split())


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of the second level, by the heading without code marks."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    return {heading.replace("`", ""): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def rows(text: str) -> list[str]:
    """The names in the first cells of tables: `name`."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_has_its_page(name: str) -> None:
    kind, page = STRATEGIES[name], read(f"strategies/{name}.md")
    assert page.splitlines()[0].replace("`", "") == f"# {form(kind)}"
    headings = "\n".join(sections(page))
    assert re.search("\n(?:.*\n)*?".join(f"(?:{heading})" for heading in STRATEGY_SECTIONS), headings), headings
    assert kind.cost in flowing(page)
    assert kind.exact_when in flowing(page)
    for parameter in fields(kind):
        assert f"`{parameter.name}`" in sections(page)["Parameters"]
        assert f"`{str(parameter.default).lower()}`" in sections(page)["Parameters"].lower()
    assert any(block.language == "python" and name in block.text for block in blocks_of(page))


def test_the_index_of_strategies_is_that_of_the_code() -> None:
    index = read("strategies/index.md")
    listed = re.findall(r"^\| \[`([^`]+)`\]\((.*?)\) \| (.*?) \| (.*?) \|", index, re.MULTILINE)
    assert listed == [(form(kind), f"{name}.md", kind.cost, kind.exact_when) for name, kind in STRATEGIES.items()]
    assert {page.stem for page in (DOCS / "strategies").glob("*.md")} == {*STRATEGIES, "index"}
    assert set(ALIASES) <= set(re.findall(r"`([^`]+)`", index))


def test_every_page_of_strategies_and_problems_is_in_the_contents_of_the_site() -> None:
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page for folder in ("strategies", "problems") for page in (DOCS / folder).glob("*.md")]
    assert [str(path) for page in pages if f"- {(path := page.relative_to(ROOT))}\n" not in contents] == []


def test_every_problem_is_on_a_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "problems").glob("*.md"))
    assert [name for name in PROBLEMS if f"`{name}`" not in pages] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_options_on_the_page_of_the_command_line(name: str) -> None:
    page = sections(read("cli.md"))
    own = page[f"jacstrat {name}"]
    if "(#choosing-cases)" in own:
        own += page["Choosing cases"]
    for parameter in COMMANDS[name].params:
        # An argument by its name in capitals, as in the usage line.
        argument = parameter.metavar or str(parameter.name).upper()
        for spelling in [argument] if parameter.param_type_name == "argument" else parameter.opts:
            assert re.search(rf"`{spelling}\b", own), f"{spelling} of jacstrat {name}"


def test_the_page_of_the_command_line_invents_nothing() -> None:
    page = read("cli.md")
    known = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"`(--?[a-z][\w-]*)", page)) <= known | {"--help"}
    assert {name.removeprefix("jacstrat ") for name in sections(page) if name.startswith("jacstrat ")} == set(COMMANDS)


def test_values_of_options_are_on_the_page_of_the_command_line() -> None:
    page = read("cli.md")
    for name in (*shipped_sweeps(), *WORKLOADS, *DTYPES):
        assert f"`{name}`" in page


def test_every_column_has_its_row_in_the_order_of_the_file() -> None:
    table = sections(read("records.md"))["records.csv"]
    assert rows(table) == list(COLUMNS)
    units = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    for suffix, unit in (("_s", "s"), ("_bytes", "bytes"), ("_j", "J")):
        named = {name for name in COLUMNS if name.endswith(suffix)}
        assert {name for name, given in units.items() if given == unit} >= named
    assert all(units.values())


def test_the_domain_of_every_column_is_told() -> None:
    told = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", sections(read("records.md"))["What is read"], re.MULTILINE))
    for name, column in TABLE.items():
        if column.domain != Domain() or column.kind is bool:
            stem = re.sub("_(low|high|median)$", "", name)
            names = next(names for names in told if f"`{name}`" in names or f"`{stem}`" in names)
            assert told[names].startswith(column.domain.words(column.kind)), name


def test_every_status_cause_reason_to_stop_and_exit_code_has_its_row() -> None:
    page = sections(read("records.md"))
    assert rows(page["Statuses"]) == list(STATUSES)
    assert rows(page["Causes"]) == [cause for cause in CAUSES if cause]
    codes = {0, *(value for name, value in vars(import_module("jacstrat.cli.app")).items() if name.startswith("EXIT_"))}
    assert {int(code) for code in rows(page["Exit codes"])} == codes
    stops = {sampling.PRECISE, sampling.TIME_LIMIT, sampling.MAX_SAMPLES, sampling.OTHERS_DONE, sampling.THROTTLED}
    assert set(rows(page["Reasons to stop"])) == stops


def test_every_file_of_a_run_has_its_row() -> None:
    tables = {records.RECORDS, records.PARQUET}
    files = tables | {
        records.SAMPLES,
        ENVIRONMENT,
        records.SWEEP,
        records.PAGE,
        f"{records.PLOTS_DIRECTORY}/",
        f"{records.TRACES}/",
    }
    assert set(rows(sections(read("records.md"))["Files"])) == files


def test_every_key_of_the_samples_has_its_row() -> None:
    found = benchmark(torch.sin, torch.ones(1, 2), strategies="ones", sample_s=1e-4)
    # What another process computes with is told of a peer alone, and a graph of the bare products where a strategy is a
    # graph; tests/peers and tests/harness/cell/test_lower_bound.py look at them.
    keys = {"case", "software", "replayed", *(key for raw in found.samples.values() for key in raw)}
    assert set(rows(sections(read("records.md"))["samples.jsonl"])) == keys


def test_every_plot_and_format_of_a_report_is_on_its_page() -> None:
    page = sections(read("report.md"))
    assert set(rows(page["Plots"])) == set(NAMES)
    for name in FORMATS:
        assert f"`{name}`" in page["For papers and programs"]
    for number in (MOST_ROWS, MOST_POINTS, MOST_SETTINGS, MOST_CASES):
        assert f"{number:,}".replace(",", " ") in read("report.md")


def parameters(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Names that a call of it may give, and of a class its fields."""
    if isinstance(node, ast.FunctionDef):
        given = node.args
        every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
        return {one.arg for one in every if one}
    fields = {one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)}
    return fields.union(*(parameters(one) for one in node.body if getattr(one, "name", "") in ("__init__", "__call__")))


def test_what_a_docstring_calls_an_argument_is_one() -> None:
    wrong = []
    for file in [path for room in ("jacstrat", "bench", "peers") for path in (ROOT / room).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            _, _, section = (ast.get_docstring(node) or "").partition("Args:\n")
            entries = re.findall(r"^    ([\w*]+(?:, [\w*]+)*): ", re.split(r"\n(?=\S)", section)[0], re.MULTILINE)
            names = {name.lstrip("*") for entry in entries for name in entry.split(", ")}
            wrong += [f"{file.name}: {node.name}: {name}" for name in names - parameters(node)]
    assert wrong == []
