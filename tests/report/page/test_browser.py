"""The page in a real browser: nothing complains or leaves the file, tables and plots answer, nothing overflows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jacstrat.core.status import STATUSES
from jacstrat.record import Record
from jacstrat.report.analysis.runs import Run, read_runs
from jacstrat.report.analysis.units import format_seconds
from jacstrat.report.page.cases import FORMATS, PAGE_ROWS
from jacstrat.report.page.write import write_page
from tests.browser import Browser, find_browser
from tests.report.conftest import make, make_sweep

pytestmark = pytest.mark.long(but_one_in=3)

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
LONG = "file/of/some/one_with_a_rather_long_path.py:function_with_a_long_name_too"
ODD = '<b onclick="x()">größe 漢字</b>' + "w" * 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        missing = "no chromium here: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    found = Browser(program, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


def rows_of(record: Make, sweep: Sweep) -> list[Record]:
    """Settings with every status, a single n, 50 strategies, long and odd names, and numbers of all sizes."""
    rows = [*sweep("linear"), *sweep("sin", ns=[8])]
    rows += [
        record(
            problem=LONG,
            strategy=f"vmap:chunk_size={k},some_other_parameter={k}",
            n=n,
            median_s=1.2345e-9 * 7.3**k if k < 14 else 1e-5 * (k + n),
            rel_error=3.21e-17 * 6.7**k if k < 24 else 0.0,
            peak_bytes=3**k if k < 30 else 0,
            flops=5**k if k < 20 else None,
            over_fastest=1.017**k,
        )
        for k in range(50)
        for n in (1, 2, 4)
    ]
    rows += [
        record(
            problem=ODD,
            strategy=f"{ODD}{status}",
            n=n,
            status=status,
            reason="" if status == "ok" else f"{ODD} for a reason that takes more than a few words to tell",
            median_s=1e-5 if status in ("ok", "wrong") else None,
            rel_error=float("inf") if status == "wrong" else None,
        )
        for status in STATUSES
        for n in (1, 64)
    ]
    return rows + [record(problem="map", batch=batch, n=n) for batch in (1, 16) for n in (1, 2, 4, 8, 16, 32)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("page")
    rows = rows_of(make, make_sweep)
    other = [row for row in rows if row.problem == "linear"]
    sides = [Run("left " + LONG, directory, tuple(rows)), Run("right", directory, tuple(other))]
    return write_page(sides, directory / "report.html")


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.open(page)
    return browser


def cells(browser: Browser, title: str) -> list[str]:
    """The texts of a column of the table of cases, as shown."""
    found: list[str] = browser.run(
        f"""(() => {{
            const heads = [...document.querySelectorAll("#table thead th")].map((head) => head.textContent);
            const at = heads.indexOf({title!r});
            return [...document.querySelectorAll("#table tbody tr")].map((row) => row.cells[at].textContent);
        }})()"""
    )
    return found


def click(browser: Browser, selector: str) -> None:
    browser.run(f"document.querySelector({selector!r}).click()")


def test_the_console_is_silent_and_no_request_leaves_the_file(opened: Browser) -> None:
    assert opened.complaints == []
    assert len(opened.requests) == 1
    assert all(address.startswith(("file://", "data:")) for address in opened.requests)


def test_the_policy_stops_a_script_that_is_not_the_pages(browser: Browser, record: Make, tmp_path: Path) -> None:
    page = write_page([Run("run", tmp_path, (record(),))], tmp_path / "report.html")
    text = page.read_text().replace("</main>", '<script>window.bad = 1</script><img src="http://127.0.0.1:9/x"></main>')
    page.write_text(text)
    browser.open(page)
    assert browser.run("window.bad") is None
    assert len([words for words in browser.complaints if "Content Security Policy" in words]) == 2


@pytest.mark.parametrize("width", [375, 768, 1400])
def test_nothing_overflows_the_window(width: int, opened: Browser) -> None:
    opened.resize(width)
    assert opened.run("document.documentElement.scrollWidth") == width
    # Only a region that scrolls by itself may hold something wider than the window.
    wide = opened.run(
        """[...document.querySelectorAll("body *")].filter((part) => {
            const box = part.getBoundingClientRect();
            return box.width && box.right > innerWidth + 1 && !part.closest(".scroll, .sheet, .plot, .defs");
        }).map((part) => part.outerHTML.slice(0, 200))"""
    )
    assert wide == []


def test_on_a_phone_every_row_names_its_problem(opened: Browser) -> None:
    rows = "[...document.querySelectorAll('#tables .cards tbody tr')].map((row) => row.cells[0].innerText)"
    assert "" in opened.run(rows)  # in a table a problem that repeats is named once
    opened.resize(375)
    names = opened.run(rows)
    assert len(names) > 5
    assert "" not in names


def test_the_script_writes_numbers_as_python_does(opened: Browser) -> None:
    # The first rows are Python's; the script writes all of them anew as it starts, and a page at a time.
    data = opened.run("JSON.parse(document.getElementById('data').textContent)")
    shown: dict[str, list[str]] = {column["title"]: [] for column in data["columns"]}
    on = "document.querySelector('[data-step=\"1\"]')"
    while True:
        for title, texts in shown.items():
            texts += cells(opened, title)
        if opened.run(f"{on}.disabled"):
            break
        opened.run(f"{on}.click()")
    numeric = [column for column in data["columns"] if "texts" not in column]
    assert {column["kind"] for column in numeric} >= {"count", "seconds", "factor", "ratio", "error", "bytes"}
    for column in numeric:
        values = [float("inf") if value == "inf" else value for value in column["values"]]
        expected = ["" if value is None else FORMATS[column["kind"]](value) for value in values]
        assert shown[column["title"]] == expected


def test_sorting_by_a_click_and_by_the_keyboard(opened: Browser) -> None:
    heads = opened.run("[...document.querySelectorAll('#table thead th')].map((head) => head.textContent)")
    time = heads.index("time") + 1
    data = opened.run("JSON.parse(document.getElementById('data').textContent).columns")
    ordered = sorted(value for value in data[time - 1]["values"] if value is not None)
    click(opened, f"#table thead th:nth-child({time}) button")
    assert cells(opened, "time") == [format_seconds(value) for value in ordered[:PAGE_ROWS]]
    opened.run(f"document.querySelector('#table thead th:nth-child({time}) button').focus()")
    opened.press("Enter")
    assert cells(opened, "time") == [format_seconds(value) for value in ordered[::-1][:PAGE_ROWS]]
    sorts = opened.run("[...document.querySelectorAll('#table thead th')].map((head) => head.ariaSort)")
    assert [name for name in sorts if name != "none"] == ["descending"]
    assert sorts[time - 1] == "descending"


def test_filtering_by_choice_and_by_words(opened: Browser) -> None:
    choose = "(() => {{ const s = document.querySelector('select[data-filter={0}]'); s.value = {1!r}; \
        s.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
    opened.run(choose.format("status", "timeout"))
    assert cells(opened, "status") == ["timeout"] * 2
    assert "2 of " in opened.run("document.getElementById('shown').textContent")
    opened.run(choose.format("status", ""))
    opened.run(
        "(() => { const i = document.querySelector('.filters input'); i.value = 'CHUNK_SIZE=7, long'; \
        i.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    assert set(cells(opened, "strategy")) == {"vmap:chunk_size=7,some_other_parameter=7"}
    assert len(cells(opened, "strategy")) == 3
    click(opened, ".filters button[type=reset]")
    opened.run("new Promise((done) => setTimeout(done, 20))")
    assert len(cells(opened, "strategy")) == PAGE_ROWS


def test_a_click_on_a_strategy_hides_it_and_a_tab_shows_another_plot(opened: Browser) -> None:
    panel = "[...document.querySelectorAll('.panel')].find((p) => p.querySelectorAll('.tabs button').length > 2)"
    shown = f"[...{panel}.querySelectorAll('.fig')].filter((f) => f.offsetParent).map((f) => f.dataset.name)"
    assert opened.run(shown) == ["time"]
    opened.run(f"{panel}.querySelector('.tabs [data-name=error]').click()")
    assert opened.run(shown) == ["error"]
    entry = f"{panel}.querySelector('.entry')"
    hidden = f"[...{panel}.querySelectorAll('.s.off')].length"
    drawings = opened.run(f"{panel}.querySelectorAll('.s.k' + {entry}.dataset.k).length")
    opened.run(f"{entry}.focus()")
    opened.press("Enter")
    assert opened.run(f"{entry}.ariaPressed") == "false"
    assert opened.run(hidden) == drawings >= 4
    opened.run(f"{panel}.querySelector('.key .all').click()")
    assert opened.run(hidden) == 0


def test_a_legend_lists_what_its_tab_draws_and_says_what_that_plot_says(opened: Browser) -> None:
    panel = "[...document.querySelectorAll('.panel')].find((p) => p.querySelectorAll('.tabs button').length > 2)"
    seen = f"""[...{panel}.querySelectorAll('.tabs button')].map((tab) => {{
        tab.click();
        const figure = {panel}.querySelector(`.fig[data-name=${{tab.dataset.name}}]`);
        const lines = [...{panel}.querySelectorAll('.key li')].filter((line) => line.offsetParent);
        const drawn = new Set([...figure.querySelectorAll('.s')].map((group) => group.classList[1].slice(1)));
        const remarks = lines.flatMap((line) => [...line.querySelectorAll('small')].filter((s) => s.offsetParent));
        return [drawn.size === lines.length && lines.every((l) => drawn.has(l.querySelector('.entry').dataset.k)),
                remarks.every((remark) => remark.dataset.name === tab.dataset.name)];
    }})"""
    assert opened.run(seen) == [[True, True]] * len(
        opened.run(f"[...{panel}.querySelectorAll('.tabs button')].map(String)")
    )
    # What is wrong in the plot is hollow and dashed in the legend, too.
    entry = f"[...{panel}.querySelectorAll('.entry')].find((e) => e.querySelector('b').textContent === 'ones')"
    assert opened.run(f"{entry}.querySelector('use').classList.contains('w')")


def test_the_first_screen_says_what_where_and_who(opened: Browser) -> None:
    seen = opened.run(
        """[...document.querySelectorAll("h1, .lead, header .chip, .headline li, .counts div")].filter((part) => {
            const box = part.getBoundingClientRect();
            return box.height && box.bottom <= innerHeight;
        }).map((part) => part.tagName)"""
    )
    assert {"H1", "P", "SPAN", "LI", "DIV"} == set(seen)


def test_a_small_multiple_tells_its_values(opened: Browser) -> None:
    plot = "document.querySelector('.card .plot')"
    opened.run(f"{plot}.focus()")
    opened.press("ArrowRight")
    assert ", n = " in opened.run("document.querySelector('.card .tip').textContent")


@pytest.mark.parametrize("width", [1400, 375])
def test_of_the_reference_run_nothing_scrolls_sideways(width: int, browser: Browser, tmp_path: Path) -> None:
    browser.open(write_page(read_runs([Path("results/reference")]), tmp_path / "report.html"), width)
    wide = "[...document.querySelectorAll('.sheet')].filter((part) => part.scrollWidth > part.clientWidth + 1).length"
    assert browser.run(wide) == 0
    assert browser.complaints == []
    browser.send("Emulation.setEmulatedMedia", media="print")
    try:
        browser.resize(720)
        assert browser.run("document.documentElement.scrollWidth") <= 720
    finally:
        browser.send("Emulation.setEmulatedMedia", media="")


def test_the_pointer_and_the_arrow_keys_tell_values(opened: Browser) -> None:
    plot = "document.querySelector('.panel .plot')"
    tip = "document.querySelector('.panel .tip').textContent"
    opened.run(f"{plot}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    box = opened.run(
        f"(() => {{ const b = {plot}.querySelector('use').getBoundingClientRect(); \
        return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
    )
    opened.move(*box)
    strategy = opened.run(tip).partition(",")[0]
    assert strategy in {"identity", "ones", "vmap", "jvp", "jacrev", "jacfwd", "vmap:chunk_size=8"}
    opened.move(2, 2)
    assert opened.run(tip) == ""
    opened.run(f"{plot}.focus()")
    words = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        opened.press(key)
        words.append(opened.run(tip))
    assert len(set(words)) == 3
    assert words[0].partition(",")[0] == words[1].partition(",")[0] != words[2].partition(",")[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_seen_in_both_schemes(scheme: str, browser: Browser, sweep: Sweep, tmp_path: Path) -> None:
    run = Run("run", tmp_path, tuple(sweep("linear")))
    browser.open(write_page([run], tmp_path / "report.html"), prefers_color_scheme=scheme)
    contrasts = browser.run(
        """(() => {
            const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
            const light = (color) => {
                const [r, g, b] = rgb(color).map((v) => v / 255).map(
                    (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = (part) => {
                for (let at = part; at; at = at.parentElement) {
                    const color = getComputedStyle(at).backgroundColor;
                    if (!color.endsWith(", 0)")) return color;
                }
                return "rgb(255, 255, 255)";
            };
            const found = {};
            for (const part of document.querySelectorAll("h1,h2,p,td,th,a,button,small,dd,dt,figcaption span")) {
                if (!part.offsetParent || !part.textContent.trim()) continue;
                const [a, b] = [light(getComputedStyle(part).color), light(ground(part))].sort((x, y) => y - x);
                found[part.tagName + "." + part.className] = (a + 0.05) / (b + 0.05);
            }
            return found;
        })()"""
    )
    assert {name: value for name, value in contrasts.items() if value < 4.5} == {}
    assert len(contrasts) > 10


def test_without_a_script_the_plots_and_the_first_rows_are_there(
    browser: Browser, sweep: Sweep, tmp_path: Path
) -> None:
    page = write_page([Run("run", tmp_path, tuple(sweep("linear")))], tmp_path / "report.html")
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        seen = browser.run(
            "[...document.querySelectorAll('.fig')].filter((f) => f.getBoundingClientRect().height > 100).length"
        )
        assert seen == browser.run("document.querySelectorAll('.fig').length") > 3
        assert browser.run("document.querySelectorAll('.fig use title').length") > 100
        assert browser.run("document.getElementById('table').tBodies[0].rows.length") == 49
        assert browser.run(
            "[...document.querySelectorAll('.tabs, .filters, .pager')].every((part) => !part.offsetParent)"
        )
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


def test_print_shows_every_plot_on_white(opened: Browser) -> None:
    opened.send("Emulation.setEmulatedMedia", media="print")
    try:
        figures = opened.run("[...document.querySelectorAll('.fig')].every((figure) => figure.offsetParent)")
        assert figures
        assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    finally:
        opened.send("Emulation.setEmulatedMedia", media="")
