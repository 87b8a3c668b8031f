"""The findings for other programs: Markdown and LaTeX as tables, CSV and JSON as data with all digits."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from jacstrat.core.plain import show_json
from jacstrat.core.text import printable
from jacstrat.report.analysis.answers import Winner, failures, growths, unsupported, winners, wrong
from jacstrat.report.analysis.cross_run import cross_run_table, sides
from jacstrat.report.analysis.crossing import crossings
from jacstrat.report.analysis.payback import paybacks
from jacstrat.report.analysis.runs import Run
from jacstrat.report.analysis.setting import SETTING
from jacstrat.report.analysis.sheet import Sheet

ReportBlocks = Sequence[Sheet | str]


def blocks_of(runs: Sequence[Run]) -> tuple[Sheet | str, ...]:
    """What is to be said: of one run its findings, of several the runs beside each other, then what each found."""
    if len(runs) == 1:
        return runs[0].findings
    compared = sides(runs)
    parts: list[Sheet | str] = [cross_run_table(compared)]
    for run in runs:
        parts += [f"{run.label}:", *run.findings]
    return tuple(parts)


def markdown(runs: Sequence[Run]) -> str:
    """Tables as GitHub has them, sentences between them."""
    return "\n".join(_blocks(blocks_of(runs), _markdown_table, _plain))


def latex(runs: Sequence[Run]) -> str:
    """Tabulars for the package booktabs, each below its title, sentences between them."""
    return "% needs \\usepackage{booktabs}\n" + "\n".join(_blocks(blocks_of(runs), _latex_table, _latex_text))


def as_csv(runs: Sequence[Run]) -> str:
    """The fastest right strategy at each n of each setting of each run: a row each, numbers with all their digits."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["run", *SETTING, *WINNER])
    for run in runs:
        for winner in winners(run.records):
            columns = {**_winner(winner), "level": " ".join(winner.level)}
            row = [run.label, *(columns[name] for name in (*SETTING, *WINNER))]
            rows.writerow([printable(each) if isinstance(each, str) else each for each in row])
    return out.getvalue()


def as_json(runs: Sequence[Run]) -> str:
    """Everything that is found, by run, as one object of JSON."""
    return show_json(_finite([_facts_of(run) for run in runs]), indent=2)


def _finite(value: Any) -> Any:
    """The value with infinity as "inf", for which JSON has no number."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


FORMATS: Mapping[str, Callable[[Sequence[Run]], str]] = MappingProxyType(
    {"markdown": markdown, "csv": as_csv, "json": as_json, "latex": latex}
)

WINNER = ("n", "strategy", "median_s", "cost_ratio", "level", "runner_up", "over_runner_up", "slowest", "over_slowest")


def _winner(winner: Winner) -> dict[str, Any]:
    values = asdict(winner)
    return {**values.pop("setting"), **values}


def _facts_of(run: Run) -> dict[str, Any]:
    records = run.records

    def flat(values: Sequence[Any]) -> list[dict[str, Any]]:
        return [{**(row.pop("setting", None) or {}), **row} for row in map(asdict, values)]

    return {
        "run": run.label,
        "facts": run.facts,
        "warnings": list(run.warnings),
        "statuses": dict(Counter(record.status for record in records)),
        "fastest": flat(winners(records)),
        "crossovers": flat(crossings(records)),
        "wrong": flat(wrong(records)),
        "growth_of_time": [{**flat([fit])[0], "interval": fit.interval} for fit in growths(records)],
        "paybacks": [{**flat([payback])[0], "calls": payback.calls} for payback in paybacks(records)],
        "unsupported": flat(unsupported(records)),
        "failures": flat(failures(records)),
    }


def _blocks(parts: ReportBlocks, table: Callable[[Sheet], str], text: Callable[[str], str]) -> list[str]:
    return [table(each) if isinstance(each, Sheet) else f"{text(each)}\n" for each in parts]


def _plain(text: str) -> str:
    """Text that Markdown takes as it is: no mark-up, no line of its own, no cell of its own."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", _line(text))


def _line(text: str) -> str:
    return " ".join(printable(text).split())


def _markdown_table(sheet: Sheet) -> str:
    lines = [f"**{_plain(sheet.title)}**", ""]
    if not sheet.rows:
        return "\n".join([*lines, "none", ""])
    lines.append("| " + " | ".join(_plain(column.header) for column in sheet.columns) + " |")
    lines.append("|" + "|".join("--:" if column.numeric else "---" for column in sheet.columns) + "|")
    lines += ["| " + " | ".join(map(_plain, row)) + " |" for row in sheet.rows]
    return "\n".join([*lines, ""])


_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "µ": r"$\mu$",
    "–": "--",
    "−": "$-$",
    "…": r"\ldots{}",
    "ε": r"$\varepsilon$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in _line(text))


def _latex_table(sheet: Sheet) -> str:
    title = f"\\paragraph{{{_latex_text(sheet.title)}}}"
    if not sheet.rows:
        return f"{title} none\n"
    # Prose folds in a column of its own width; of the others none does.
    sides = "".join("r" if column.numeric else "p{0.4\\linewidth}" if column.prose else "l" for column in sheet.columns)
    rows = [" & ".join(map(_latex_text, row)) + r" \\" for row in sheet.rows]
    head = " & ".join(_latex_text(column.header) for column in sheet.columns) + r" \\"
    body = "\n".join([f"\\begin{{tabular}}{{{sides}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"])
    return f"{title}\n\n{body}\n\\end{{tabular}}\n"
