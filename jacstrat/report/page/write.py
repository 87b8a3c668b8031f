"""The page from its template: report.html of one or several runs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jacstrat.core.status import STATUSES
from jacstrat.core.whole import write_whole
from jacstrat.report.analysis.answers import MEASURED
from jacstrat.report.analysis.cross_run import agreement, cross_run_table, sides
from jacstrat.report.analysis.headline import MOST_SENTENCES
from jacstrat.report.analysis.noisy_times import noisy_times_table
from jacstrat.report.analysis.runs import Run
from jacstrat.report.analysis.setting import by_setting
from jacstrat.report.analysis.sheet import ROW_STYLES, Sheet
from jacstrat.report.analysis.title import what, when, where
from jacstrat.report.analysis.units import format_factor
from jacstrat.report.figures.palette import on_dark, style
from jacstrat.report.figures.roofline import NEEDS, absent
from jacstrat.report.figures.winnermap import WinnerMap, winner_maps
from jacstrat.report.page.answer import answer_sheet
from jacstrat.report.page.cards import cards_of, chips_of, rows_of
from jacstrat.report.page.cases import MOST_ROWS, PAGE_ROWS, CaseColumn, case_columns, first_rows, for_script
from jacstrat.report.page.markers import marker_symbols, swatch
from jacstrat.report.page.panels import Numbering, sections_of

MOST_SHEET_ROWS = 200
FILTERS = ("run", "problem", "case", "strategy", "status")
MOST_CHOICES = 400
"""Of a column with more texts there is no list to choose from; the search finds them."""


def write_page(runs: Sequence[Run], file: Path) -> Path:
    """Write the page of the runs; the same runs give the same bytes.

    Args:
        runs: One, or several to be compared.
        file: Where to; its directory is made if need be.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, page(runs))
    return file


def page(runs: Sequence[Run]) -> str:
    """The page as text: HTML with its style, its script and its data inside, and a policy that lets nothing else in."""
    numbers = Numbering()
    several = len(runs) > 1
    records = [record for run in runs for record in run.records]
    sections, left_out = sections_of(runs, numbers)
    columns = case_columns(runs)
    script = _asset("page.js")
    context: dict[str, Any] = {
        "title": f"{' beside '.join(dict.fromkeys(run.title for run in runs))}: jacstrat",
        "heading": what(records),
        "leads": [_lead(run, several) for run in runs],
        "chips": chips_of(list(by_setting(records))),
        "heads": [_head(run, numbers) for run in runs],
        "counts": _counts(runs),
        "measured": any(record.median_s is not None for record in records),
        "several": several,
        "labels": [run.label for run in runs],
        "agreed": agreement(sides(runs)) if several else "",
        "beside": rows_of(runs, numbers) if several else ((), 0),
        "between": cross_run_table(sides(runs)) if several or len(sides(runs)) > 1 else None,
        "answers": [{"label": run.label, "found": _answers(run)} for run in runs],
        "failed": [{"label": run.label, "found": _failed(run)} for run in runs],
        "warned": [{"label": run.label, "warnings": run.warnings} for run in runs if run.warnings],
        "facts": _facts(runs),
        "sweeps": [{"label": run.label, "sweep": run.sweep} for run in runs if run.sweep],
        "sections": sections,
        "left_out": left_out,
        "absent": [reason for name in NEEDS if (reason := absent(name, records))] if sections else [],
        "columns": columns,
        "rows": _rows(columns),
        "shown": _shown(len(records)),
        "filters": _filters(columns),
        "data": Markup(_data(for_script(columns))),
        "statuses": [{"name": name, "words": words} for name, words in STATUSES.items()],
        "version": next((f" {run.facts['jacstrat']}" for run in runs if "jacstrat" in run.facts), ""),
        "links": _links(bool(sections)),
        "known": {record.strategy for record in records},
        "number": numbers,
        "swatch": lambda strategy, wrong=False: Markup(swatch(strategy, wrong)),
        "symbols": Markup(marker_symbols()),
        "most_rows": MOST_SHEET_ROWS,
        "wrong_style": ROW_STYLES["wrong"],
        "script": Markup(script),
        "script_hash": _hash(script),
    }
    for record in records:
        numbers(record.strategy)
    css = _asset("page.css") + _colors(numbers)
    environment = Environment(
        loader=PackageLoader("jacstrat.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(context, style=Markup(css), style_hash=_hash(css))


def _asset(name: str) -> str:
    return files("jacstrat.report.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy allows: this text alone."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _colors(numbers: Numbering) -> str:
    """A colour a strategy, by its number: the palette's, and on a dark ground what can be seen there."""
    light = "".join(f".k{i}{{--c:{style(name).color}}}" for name, i in numbers.items())
    dark = "".join(f".k{i}{{--c:{on_dark(style(name).color)}}}" for name, i in numbers.items())
    return f"{light}@media screen and (prefers-color-scheme: dark){{{dark}}}\n"


def _data(value: object) -> str:
    """JSON that ends no script element and starts no comment, whatever texts are in it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _lead(run: Run, several: bool) -> str:
    """Where and when a run was measured, after its label where there are several."""
    torch = f"torch {run.facts['torch'].partition(',')[0]}" if "torch" in run.facts else ""
    machine = where(run.records, run.sessions) if run.records else ""
    words = ", ".join(filter(None, (machine, when(run.sessions), torch)))
    return f"{run.label}: {words}" if several else words


def _head(run: Run, numbers: Numbering) -> dict[str, Any]:
    """The headline of a run, and its cards."""
    cards, more = cards_of(run, numbers)
    headline = run.headline
    points = [
        {"subject": one.subject, "scope": one.scope(headline.differing), "answer": one.answer, "faults": one.faults}
        for one in headline.statements
    ]
    points += [{"subject": "", "scope": "", "answer": sentence, "faults": ""} for sentence in headline.random]
    # One sentence more is no reason to fold.
    first = MOST_SENTENCES if len(points) > MOST_SENTENCES + 1 else len(points)
    return {
        "label": run.label,
        "first": points[:first],
        "rest": points[first:],
        "totals": headline.totals,
        "cards": cards,
        "sizes": " or ".join(dict.fromkeys(card.size for card in cards)),
        "more": more,
        "maps": [_map(winner_map) for winner_map in winner_maps(run.records)],
    }


def _counts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    records = [record for run in runs for record in run.records]
    status = Counter(record.status for record in records)
    nothing = sum(count for name, count in status.items() if name not in MEASURED)
    doubtful = sum(len(run.doubts) for run in runs)
    return [
        {"title": "cases", "value": len(records), "look": ""},
        {"title": "right", "value": status["ok"], "look": "good" if status["ok"] else ""},
        {"title": "wrong", "value": status["wrong"], "look": "bad" if status["wrong"] else ""},
        {"title": "no result", "value": nothing, "look": "note" if nothing else ""},
        {"title": "doubtful times", "value": doubtful, "look": "note" if doubtful else ""},
    ]


def _answers(run: Run) -> list[Sheet | str]:
    """What was found: the winners with who is wrong, then the rest but for failures, which have a part of their own."""
    blocks = [part for part in run.findings if not (isinstance(part, Sheet) and part.is_unmeasured)]
    if run.records:
        blocks[0] = answer_sheet(run.records, run.ranges)  # the first thing found is who wins
    return blocks


def _failed(run: Run) -> list[Sheet | str]:
    failed: list[Sheet | str] = [each for each in run.findings if isinstance(each, Sheet) and each.is_unmeasured]
    return [
        *(failed or ["Every case has a result."]),
        noisy_times_table(run.records) if run.doubts else "No time is doubtful.",
    ]


def _facts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    of_runs = [run.facts for run in runs]
    rows = []
    for name in dict.fromkeys(name for facts in of_runs for name in facts):
        texts = [facts.get(name, "") for facts in of_runs]
        rows.append({"name": name, "texts": texts, "differs": len(set(texts)) > 1})
    return rows


def _map(winner_map: WinnerMap) -> dict[str, Any]:
    def cell(n: int, batch: int) -> dict[str, str]:
        if (n, batch) not in winner_map.cells:
            return {"strategy": "", "lead": ""}
        winner = winner_map.cells[n, batch]
        if winner is None:
            return {"strategy": "", "lead": "no right result"}
        lead = format_factor(winner.over_next) or ("level" if winner.runner_up else "")
        return {"strategy": winner.strategy, "lead": lead}

    rows = [{"batch": batch, "cells": [cell(n, batch) for n in winner_map.ns]} for batch in winner_map.batches]
    return {"title": winner_map.title, "ns": winner_map.ns, "rows": rows}


def _rows(columns: Sequence[CaseColumn]) -> list[dict[str, Any]]:
    status = next((column.values for column in columns if column.title == "status"), ())
    return [
        {"cells": cells, "bad": how == "wrong", "dim": how not in MEASURED}
        for cells, how in zip(first_rows(columns), status, strict=False)
    ]


def _shown(cases: int) -> str:
    if cases > MOST_ROWS:
        return (
            f"{MOST_ROWS} of {cases} cases: first those that are wrong or have no result, then those nearest to the "
            f"fastest; all of them are in records.csv, the first {PAGE_ROWS} shown"
        )
    return f"{cases} cases" + (f", the first {PAGE_ROWS} shown" if cases > PAGE_ROWS else "")


def _filters(columns: Sequence[CaseColumn]) -> list[dict[str, Any]]:
    filters = []
    for column in columns:
        texts = sorted({str(value) for value in column.values})
        if column.title in FILTERS and 1 < len(texts) <= MOST_CHOICES:
            filters.append({"title": column.title, "texts": texts})
    return filters


def _links(plots: bool) -> list[dict[str, str]]:
    names = {"answer": "Answer", "tables": "Tables", "where": "Where", "plots": "Plots", "cases": "All cases"}
    names["failures"] = "No result"
    return [{"id": name, "title": title} for name, title in names.items() if plots or name != "plots"]
