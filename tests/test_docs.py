"""README and docs say what the code says: their tables, their blocks and their numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jacstrat import STRATEGIES, read_records
from jacstrat.records import COLUMNS, STATUSES

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    blocks = python_blocks(page)
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert bool(names) == bool(blocks)


def test_the_blocks_of_the_readme_give_what_they_say(monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    names: dict = {}
    own, records = python_blocks(ROOT / "README.md")
    exec(own, names)
    assert names["div"].shape == names["lap"].shape == (256,)
    assert all(parameter.grad is not None for parameter in names["net"].parameters() if parameter.dim() == 2)
    exec(records, names)
    assert set(names["right"]["status"]) == {"ok"}
    assert "median_s" in capsys.readouterr().out


def test_the_table_of_strategies_is_that_of_the_code() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` \| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert rows == [(name, kind.cost, kind.exact_when) for name, kind in STRATEGIES.items()]


def test_statuses_and_columns_that_the_readme_names_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{status}`" in text for status in STATUSES)
    named = set(re.findall(r"`([a-z0-9_]+_(?:s|bytes|error|products|ops|evaluations|ratio))`", text))
    assert named
    assert named <= set(COLUMNS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def findings() -> str:
    """The README's paragraph on the reference run, with the numbers of its records."""
    frame = read_records(ROOT / "results" / "reference")
    network = frame[(frame["problem"] == "tanh_scalar") & (frame["dtype"] == "float64") & (frame["n"] == 128)]
    network = network.set_index("strategy")
    right = network[network["status"] == "ok"].sort_values("median_s")
    first, second = right.index[0], right.index[1]
    ahead = right.loc[second]
    sine = frame[(frame["problem"] == "sin") & (frame["n"] == 1001)].set_index("strategy")
    behind = sine.loc["identity"]
    assert sine.loc["ones", "exact"]
    assert behind["exact"]
    assert sine["median_s"].idxmin() == "ones"
    assert network.loc["ones", "status"] == "wrong"
    return (
        f"At n = 128 `{first}` is the fastest right strategy; the next, `{second}`, takes"
        f" {ahead['over_fastest']:.2f} times as long (95 % interval {ahead['over_fastest_low']:.2f} to"
        f" {ahead['over_fastest_high']:.2f}), one unit vector after the other"
        f" {right.loc['identity', 'over_fastest']:.1f} times. `ones` is faster still and wrong, by"
        f" {network.loc['ones', 'rel_error']:.1f} times the sum of |H_ii|. On the post's own example, sin at n = 1001,"
        f" where the Jacobian is diagonal, `ones` is right, and `identity` takes {behind['over_fastest']:.0f} times as"
        " long; both have an error of exactly 0."
    )


def test_the_readme_states_what_the_reference_run_found() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert " ".join(findings().split()) in text
