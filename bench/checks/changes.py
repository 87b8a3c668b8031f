"""Changes to the files of a run, each drawn from a seed: what tools, people, disks and malice make of a file."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

Change = Callable[[Random, bytes], bytes]

CELLS = (
    *("", " ", "0", "-4", "1", "4.0", "1e3", "1e308", "5e-324", "-1e-9", "nan", "NaN", "inf", "-inf", "NA", "None"),
    *("9" * 30, "9223372036854775808", "1_000", "0x10", "+4", " 4 ", "٣", "1,5", "True", "yes", "TRUE", "0.0", "maybe"),
    *("ok", "wrong", "crashed", "OK", "unknown", "a,b", 'say "no"', "two\nlines", "=1+1", "<script>", "[red]x[/red]"),
    *("\x1b[31mred\x1b[0m", "\x9b31m", "\x00", "\u202egnp", "größe", "漢字", "$x_{1}$", "../../x", "x" * 200_000),
    *("n=4/batch=1", "%2F", "float64", "cuda:0", "replay", "taylor", "ones", "3", "4", "99", "precise", "throttled"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2.5, 10**30, 10**400, 1e308, 5e-324, float("nan"), float("inf")),
    *(
        "",
        "text",
        "\x1b[31m",
        "\ud800",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+00:00",
        "99999-01-01",
        "x" * 100_000,
    ),
    *([], {}, [1, 2], ["a"], [None], [[]], [{}], {"name": 3}, {"a": {"b": []}}),
)
DEPTH = 20_000


def cell(random: Random, content: bytes) -> bytes:
    """Another text in one to three cells."""
    rows = _rows(content)
    for _ in range(random.randint(1, 3)):
        row = random.choice(rows[1:] or rows)
        if row:
            row[random.randrange(len(row))] = random.choice(CELLS)
    return _written(rows)


def column(random: Random, content: bytes) -> bytes:
    """A whole column of one text, of numbers with a fraction, or of truth values spelled otherwise."""
    rows = _rows(content)
    index = random.randrange(len(rows[0]))
    text = random.choice(CELLS)
    how = random.choice((lambda _: text, lambda old: f"{old}.0" if old.isdigit() else old, str.upper, str.lower))
    for row in rows[1:]:
        row[index] = how(row[index])
    return _written(rows)


def columns(random: Random, content: bytes) -> bytes:
    """Columns left out, added, renamed, doubled or in another order."""
    rows = _rows(content)
    places = list(range(len(rows[0])))
    how = random.choice(("fewer", "more", "renamed", "doubled", "shuffled"))
    if how == "fewer":
        places = sorted(random.sample(places, random.randint(1, len(places))))
    elif how == "shuffled":
        random.shuffle(places)
    elif how == "doubled":
        places.append(random.choice(places))
    rows = [[row[i] for i in places] for row in rows]
    if how == "renamed":
        rows[0][random.randrange(len(rows[0]))] = random.choice(CELLS)
    if how == "more":
        rows = [[*row, random.choice(CELLS)] for row in rows]
    return _written(rows)


def rows(random: Random, content: bytes) -> bytes:
    """Rows left out, doubled, blank, cut short or too long; or none but the header."""
    rows = _rows(content)
    index = random.randrange(1, len(rows))
    how = random.choice(("none", "fewer", "doubled", "blank", "short", "long", "headless", "mixed"))
    changed = {
        "none": rows[:1],
        "fewer": rows[:index],
        "doubled": [*rows, rows[index]],
        "blank": [*rows[:index], [], *rows[index:]],
        "short": [*rows[:index], rows[index][: random.randrange(len(rows[index]))], *rows[index + 1 :]],
        "long": [*rows[:index], [*rows[index], "more"], *rows[index + 1 :]],
        "headless": rows[1:],
        "mixed": [rows[0], *random.sample(rows[1:], len(rows) - 1)],
    }
    return _written(changed[how])


def form(random: Random, content: bytes) -> bytes:
    """Another separator, line end, quoting or encoding."""
    rows = _rows(content)
    how = random.choice((";", "\t", "|", "quoted", "\r\n", "\r", "bom", "utf-16", "latin-1", "open quote", "no end"))
    if how in (";", "\t", "|"):
        return _written(rows, delimiter=how)
    if how == "quoted":
        return _written(rows, quoting=csv.QUOTE_ALL)
    if how in ("\r\n", "\r"):
        return _written(rows, lineterminator=how)
    text = content.decode("utf-8", "replace")
    return {
        "bom": b"\xef\xbb\xbf" + content,
        "utf-16": text.encode("utf-16", "replace"),
        "latin-1": (text + "größe\n").encode("latin-1", "replace"),
        "open quote": content + b'"',
        "no end": content.rstrip(b"\n"),
    }[how]


def raw(random: Random, content: bytes) -> bytes:
    """Bytes flipped, put in, left out, cut off; or other content altogether."""
    index = random.randrange(len(content) or 1)
    some = bytes(random.randrange(256) for _ in range(random.randint(1, 8)))
    how = random.choice(("flip", "flip", "put in", "leave out", "cut", "nothing", "zeros", "noise", "text"))
    if how == "flip":
        return content[:index] + some + content[index + len(some) :]
    return {
        "put in": content[:index] + some + content[index:],
        "leave out": content[:index] + content[index + random.randint(1, 200) :],
        "cut": content[:index],
        "nothing": b"",
        "zeros": bytes(len(content)),
        "noise": random.randbytes(300),
        "text": b"no such file\n",
    }[how]


def value(random: Random, content: bytes) -> bytes:
    """JSON with another value somewhere, a key less, or nested very deep."""
    return _plain(json.dumps(_replaced(random, json.loads(content))))


def line(random: Random, content: bytes) -> bytes:
    """JSON Lines with one of its lines changed as JSON is, or left out, doubled, blank."""
    lines = content.decode().splitlines()
    index = random.randrange(len(lines))
    how = random.choice(("value", "value", "value", "fewer", "doubled", "blank", "scalar"))
    if how == "value":
        lines[index] = _plain(json.dumps(_replaced(random, json.loads(lines[index])))).decode("utf-8", "replace")
    elif how == "fewer":
        del lines[index]
    else:
        lines.insert(index, {"doubled": lines[index], "blank": "", "scalar": json.dumps(random.choice(VALUES))}[how])
    return "".join(f"{text}\n" for text in lines).encode("utf-8", "replace")


def setting(random: Random, content: bytes) -> bytes:
    """TOML with a line left out, or with another value."""
    lines = content.decode().splitlines()
    index = random.choice([i for i, text in enumerate(lines) if "=" in text])
    key = lines[index].partition("=")[0]
    values = (
        "0",
        "-1",
        "1e400",
        '"text"',
        "[]",
        "[1, 2]",
        '["a"]',
        "true",
        "nan",
        "9" * 30,
        "[" * DEPTH,
        "{}",
        "'\x1b'",
    )
    lines[index] = random.choice(("", lines[index], f"{key}= {random.choice(values)}", f"x = {random.choice(values)}"))
    return "\n".join([*lines, ""]).encode()


def stored(random: Random, content: bytes) -> bytes:
    """A file of SQLite with another version, a table less, or another value."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "store")
        file.write_bytes(content)
        database = sqlite3.connect(file)
        text = random.choice(CELLS).replace("'", "")
        named = [row[1] for row in database.execute("PRAGMA table_info(results)")]
        runs = [row[1] for row in database.execute("PRAGMA table_info(runs)")]
        how = random.choice(("version", "table", "table", "value", "value", "value", "run", "none", "column"))
        statement = {
            "version": f"PRAGMA user_version = {random.choice((0, 2, 99, -1))}",
            "table": f"DROP TABLE {random.choice(('runs', 'results'))}",
            "value": f'UPDATE results SET "{random.choice(named)}" = ?',
            "run": f'UPDATE OR IGNORE runs SET "{random.choice(runs[1:])}" = ?',
            "none": "DELETE FROM runs",
            "column": f'ALTER TABLE results RENAME COLUMN "{random.choice(named[1:])}" TO other',
        }[how]
        database.execute(statement, (text,) if "?" in statement else ())
        database.commit()
        database.close()
        return file.read_bytes()


CHANGES: Mapping[str, tuple[Change, ...]] = MappingProxyType(
    {
        "records.csv": (cell, cell, column, columns, rows, form, raw),
        "samples.jsonl": (line, line, line, raw),
        "environment.json": (value, value, value, raw),
        "sweep.toml": (setting, setting, raw),
        "history.sqlite": (stored, stored, raw),
        "benchmark.json": (value, value, raw),
    }
)
"""What may become of each file, by its name; a change that is named twice is drawn twice as often."""


def _rows(content: bytes) -> list[list[str]]:
    limit = csv.field_size_limit(2**30)
    try:
        return list(csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline="")))
    finally:
        # It is the process's own: commands are to meet what they meet in one of theirs.
        csv.field_size_limit(limit)


def _written(rows: list[list[str]], **form: Any) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, **{"lineterminator": "\n", **form}).writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


_DEEP = "\N{DOWNWARDS ARROW}deep"


def _plain(text: str) -> bytes:
    """JSON as bytes, what is to be nested deep put in: `json.dumps` could not write it."""
    deep = "[" * DEPTH + "]" * DEPTH
    return text.replace(json.dumps(_DEEP), deep).encode("utf-8", "replace")


def _replaced(random: Random, plain: Any) -> Any:
    """The plain JSON with one thing in it replaced or left out."""
    parents = [parent for parent in _walk(plain) if parent]
    parent = random.choice(parents)
    key = random.choice([*parent] if isinstance(parent, dict) else range(len(parent)))
    if random.random() < 0.15:
        del parent[key]
    elif random.random() < 0.05:
        parent[key] = _DEEP
    else:
        parent[key] = random.choice(VALUES)
    return plain


def _walk(plain: Any) -> list[Any]:
    """Every object and every list in it."""
    inside = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
    return [*([plain] if isinstance(plain, dict | list) else []), *(inner for part in inside for inner in _walk(part))]
