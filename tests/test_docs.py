"""README and docs say what the code says: their tables, their blocks and their numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jacstrat import read_records
from tests.pages import PAGES, README, ROOT, blocks_of, name_of
from tests.reader import LANGUAGES, Reader, parse


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


# Pages whose commands measure, plan or draw for seconds.
LONG = ("accuracy", "advise", "cli", "howto/wavefunction", "notebook", "own", "plan", "report", "scale", "tutorial")
LONG_PAGES = {ROOT / "docs" / f"{name}.md" for name in LONG}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.long if page in LONG_PAGES else (), id=name_of(page)) for page in PAGES],
)
def test_the_blocks_of_a_page_run_and_give_what_they_show(page: Path, tmp_path, monkeypatch) -> None:
    blocks = [block for block in blocks_of(read(page)) if block.info != "indented"]
    Reader(tmp_path, monkeypatch).run(*blocks)
    assert {block.language for block in blocks} <= set(LANGUAGES)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_stands_in_fences(page: Path) -> None:
    indented = [block for block in blocks_of(read(page)) if block.info == "indented"]
    if page == README:
        for block in indented:
            for command in block.text.splitlines():
                parse(command)
    else:
        assert indented == []


def python_blocks(page: Path) -> list[str]:
    return [block.text for block in blocks_of(read(page)) if block.language == "python"]


def test_the_block_of_the_readme_gives_what_it_says() -> None:
    names: dict = {}
    (own,) = python_blocks(README)
    exec(own, names)
    assert names["div"].shape == names["lap"].shape == (256,)
    assert all(parameter.grad is not None for parameter in names["net"].parameters() if parameter.dim() == 2)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^ *```.*?^ *```", "", read(page), flags=re.MULTILINE | re.DOTALL)
    for target, _, anchor in re.findall(r"\]\(([^)#\s]*)(#([^)\s]*))?\)", prose):
        if "://" in target:
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{name_of(page)} links to {target}#{anchor}"


ELSEWHERE = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[^\s<>\"'\\\\]*)?")
"""An address of another place: by https, of a host with a domain, without a port or a user."""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_addresses_elsewhere_are_whole_ones_of_public_places(page: Path) -> None:
    text = read(page)
    prose = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
    for address in re.findall(r"\w+:/+[^\s)\]>\"']+", prose):
        assert ELSEWHERE.fullmatch(address.rstrip(".,;:")), f"{name_of(page)} has {address}"
    for place in ("file:/", "/home/", "/root/"):
        assert place not in text, f"{name_of(page)} has {place}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pictures_are_files_of_the_repository_and_say_what_they_show(page: Path) -> None:
    for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", read(page)):
        assert words, f"{name_of(page)} shows {target} without words"
        assert (page.parent / target).is_file(), f"{name_of(page)} shows {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_first() -> None:
    reached, left = set(), [ROOT / "docs" / "index.md"]
    while left:
        page = left.pop()
        if page not in reached:
            reached.add(page)
            targets = re.findall(r"\]\(([^)#\s]+\.md)", read(page))
            left += [(page.parent / target).resolve() for target in targets if "://" not in target]
    assert set((ROOT / "docs").rglob("*.md")) <= reached


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
    stencil = frame[(frame["problem"] == "bratu") & (frame["n"] == 128) & (frame["status"] == "ok")]
    stencil = stencil.set_index("strategy").sort_values("median_s")
    assert stencil.index[0] == "coloring"
    return (
        f"At n = 128 `{first}` is the fastest right strategy; the next, `{second}`, takes"
        f" {ahead['over_fastest']:.2f} times as long (95 % interval {ahead['over_fastest_low']:.2f} to"
        f" {ahead['over_fastest_high']:.2f}), one unit vector after the other"
        f" {right.loc['identity', 'over_fastest']:.1f} times. `{first}` takes"
        f" {right.loc[first, 'over_floor']:.1f} times the bare matrix products of the best algorithm that is known."
        " `ones` is faster still and wrong, by"
        f" {network.loc['ones', 'rel_error']:.1f} times the sum of |H_ii|. On the post's own example, sin at n = 1001,"
        f" where the Jacobian is diagonal, `ones` is right, and `identity` takes {behind['over_fastest']:.0f} times as"
        " long; both have an error of exactly 0. Bratu's Jacobian is tridiagonal: at n = 128 `coloring` takes"
        f" {stencil.loc['coloring', 'vjp_products']:.0f} products, and the next, `{stencil.index[1]}`,"
        f" {stencil.iloc[1]['over_fastest']:.1f} times as long."
    )


def test_the_readme_states_what_the_reference_run_found() -> None:
    text = " ".join(read(README).split())
    assert " ".join(findings().split()) in text


def statements() -> list[str]:
    """What docs/gpu.md says that an H100 shows, of the Laplacian of `tanh_scalar`."""
    records = read_records(ROOT / "results" / "h100")
    card = records[(records["problem"] == "tanh_scalar") & (records["status"] == "ok")]
    eager = records[(records["workload"] == "evaluate") & (records["status"] == "ok")]
    each_us = 1e6 * eager["median_s"] / eager["aten_ops"]
    times = card.set_index(["workload", "strategy", "n"])["median_s"]
    jvp = card[(card["strategy"] == "jvp:chunk_size=all") & (card["workload"] == "evaluate")].set_index("n")
    shorter = {n: times["evaluate", "vmap", n] / times["replay", "vmap", n] for n in (8, 32)}
    reference = read_records(ROOT / "results" / "reference")
    cell = {"problem": "tanh_scalar", "operator": "laplacian", "dtype": "float32", "workload": "evaluate", "batch": 16}
    for column, value in cell.items():
        reference = reference[reference[column] == value]
    slowest = {}
    for device, rows in (("card", card[card["workload"] == "evaluate"]), ("CPU", reference)):
        at_128 = rows[(rows["n"] == 128) & (rows["status"] == "ok")].sort_values("median_s")
        if device == "CPU":  # of those that the card has
            at_128 = at_128[at_128["strategy"].isin(set(card["strategy"]))]
        assert at_128["strategy"].iloc[-1] == "identity"
        slowest[device] = at_128["median_s"].iloc[-1] / at_128["median_s"].iloc[-2]
    return [
        f"{each_us.min():.0f} to {each_us.max():.0f} us each",
        f"`jvp:chunk_size=all` has {jvp['flops'][512] / jvp['flops'][8]:.0f} times the FLOPs and takes"
        f" {jvp['median_s'][512] / jvp['median_s'][8]:.1f} times as long",
        f"takes the {shorter[8]:.0f}th part at n = 8, the {shorter[32]:.0f}th at n = 32 (`vmap`)",
        f"At n = 128 it takes {slowest['card']:.0f} times as long as the next on the card,"
        f" {slowest['CPU']:.1f} times on the CPU",
    ]


def test_the_page_of_gpus_states_what_the_run_on_an_h100_found() -> None:
    text = " ".join(read(ROOT / "docs" / "gpu.md").split())
    for statement in statements():
        assert statement in text
