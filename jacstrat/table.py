"""A table of text with typed columns: what people and programs write is read, and a value that is none is named.

Read are commas, semicolons and tabs between cells, with decimal commas beside the latter two, as spreadsheets have them
where these are usual; a byte order mark; whole numbers as 4.0 or 1e3, which is what becomes of them beside empty cells
in pandas; truth values as True, TRUE, 1, 1.0 or yes; columns in any order.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jacstrat.core.errors import UsageError
from jacstrat.core.text import brief, printable

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t")
LARGEST = 2**63 - 1
"""The largest whole number of a column."""
TRUTH: Mapping[str, bool] = MappingProxyType(
    {
        **dict.fromkeys(("true", "1", "1.0", "yes", "y", "t"), True),
        **dict.fromkeys(("false", "0", "0.0", "no", "n", "f"), False),
    }
)
# A cell that is a number and nothing else.
_DECIMAL_COMMA = r"^(\s*[-+]?\d*),(\d+(?:[eE][-+]?\d+)?\s*)$"
# Row 1 of a file is its header, as a spreadsheet counts.
FIRST_ROW = 2


@dataclass(frozen=True)
class Domain:
    """What a column may hold: numbers from `low` to `high`, both among them, or one of some texts."""

    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    def holds(self, value: Any) -> bool:
        """A value of the column's type is within; None, which is an empty cell, always is."""
        if value is None or isinstance(value, bool):
            return True
        if isinstance(value, str):
            return not self.choices or value in self.choices
        return self.low <= value <= self.high

    def words(self, kind: type) -> str:
        """What a value has to be, after "must be"."""
        if self.choices:
            return f"one of {', '.join(filter(None, self.choices))}" + (", or nothing" if "" in self.choices else "")
        if kind is bool:
            return "True or False"
        noun = "a whole number" if kind is int else "a number"
        if math.isfinite(self.high):
            return f"{noun} from {self.low:g} to {'2^63 - 1' if self.high == LARGEST else f'{self.high:g}'}"
        return f"{noun} from {self.low:g} on" if math.isfinite(self.low) else noun


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Fields:
        name: In the header.
        kind: int, float, bool or str.
        domain: Which values it may hold.
        required: No cell may be empty.
    """

    name: str
    kind: type
    domain: Domain = Domain()
    required: bool = False

    @property
    def dtype(self) -> str:
        """That of pandas: an empty cell is <NA>, or of text the empty one."""
        return {int: "Int64", float: "Float64", bool: "boolean", str: "string"}[self.kind]


def read_text(file: Path, known: Collection[str]) -> pd.DataFrame:
    """The cells of a file as text, and empty ones as ""; columns without a name, and blank rows, are left out.

    A last line without its end is left out: it is being written, or was when its run was killed.

    Args:
        file: UTF-8, rows on lines, the names of the columns on the first.
        known: Names by which the separator is found.

    Returns:
        A row a row, its index counted from 0 with the blank ones.

    Raises:
        UsageError: It is no such table; says in which row, where that is known.
    """
    import pandas as pd

    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 at byte {error.start}; save it as CSV in UTF-8") from None
    text = text[: text.rfind("\n") + 1]
    separator, names = _header(text.partition("\n")[0], known)
    if twice := [name for name in known if names.count(name) > 1]:
        raise UsageError(f"{file} has the column {twice[0]} {names.count(twice[0])} times; leave one of them")
    try:
        with warnings.catch_warnings():
            # A row with more cells than there are names would lose them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                StringIO(text),
                sep=separator,
                dtype="string",
                na_filter=False,
                index_col=False,
                skip_blank_lines=False,
            )
    except pd.errors.ParserWarning:
        raise UsageError(f"{file} has more cells in its rows than names in its header; name each column") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise UsageError(f"{file} is not a table of records: {printable(str(error).strip())}") from None
    frame.columns = frame.columns.str.strip()
    frame = frame.loc[:, [bool(name) for name in names] if len(names) == frame.shape[1] else slice(None)]
    if separator != ",":
        frame = frame.apply(lambda cells: cells.str.replace(_DECIMAL_COMMA, r"\1.\2", regex=True))
    blank = frame.index[frame.iloc[:, 0] == ""]
    return frame.drop(blank[(frame.loc[blank] == "").all(axis=1)])


def _header(line: str, known: Collection[str]) -> tuple[str, list[str]]:
    """The separator that gives the most names that are known, and the names."""

    def names(separator: str) -> list[str]:
        try:
            return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
        except csv.Error:
            # A name longer than the module takes is none of those that are known.
            return []

    separator = max(SEPARATORS, key=lambda separator: len(set(names(separator)) & set(known)))
    return separator, names(separator)


def typed(cells: pd.Series, column: Column, where: str, first: int = FIRST_ROW) -> pd.Series:
    """The cells of a column as its type, an empty one as missing.

    Args:
        cells: Of any dtype; texts are parsed.
        column: What they are to be.
        where: The file, as an error names it.
        first: The number that an error gives to the row of index 0.

    Raises:
        UsageError: A cell is no value of the column; names row, column, what it must be and what it is.

    Cost: each distinct text is looked at once.
    """
    import pandas as pd

    texts = [value if isinstance(value, str) else _text(value) for value in cells.tolist()]
    values = {text: _value(text, column) for text in set(texts)}
    wrong = {text for text, value in values.items() if value is None if text.strip() or column.required}
    wrong |= {text for text, value in values.items() if not column.domain.holds(value)}
    if wrong:
        row, text = next((row, text) for row, text in zip(cells.index, texts, strict=True) if text in wrong)
        must, got = column.domain.words(column.kind), brief(text) if text else "an empty cell"
        raise UsageError(
            f"{where}, row {row + first}: {column.name} must be {must}, got {got}; correct it, or leave the row out"
        )
    return pd.Series([values[text] for text in texts], index=cells.index, name=cells.name, dtype=column.dtype)


def _text(value: Any) -> str:
    """A value that pandas holds as a cell."""
    missing = value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in ("<NA>", "NaT")
    return "" if missing else str(value)


def _value(text: str, column: Column) -> Any:
    """What a cell holds; None where it is empty, or no value of the column's type."""
    return text if column.kind is str else _PARSERS[column.kind](text.strip())


def _number(text: str) -> float | None:
    try:
        # Python reads other scripts' digits, too, and 1_000, which are slips here.
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None


def _whole(text: str) -> int | None:
    """The whole number that a text is, such as 4, 4.0 or 1e3; not by way of a float, which holds them only to 2^53."""
    if text.isdecimal() and text.isascii() and len(text) < 19:
        return int(text)
    try:
        number = Decimal(text)
        whole = text.isascii() and "_" not in text and abs(number) <= LARGEST and number == number.to_integral_value()
    except ArithmeticError:
        return None
    return int(number) if whole else None


_PARSERS: Mapping[type, Callable[[str], Any]] = MappingProxyType(
    {int: _whole, float: _number, bool: lambda text: TRUTH.get(text.lower())}
)
