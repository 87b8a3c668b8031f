"""Two results of `benchmark` held against each other."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jacstrat.compare.comparison import compare
from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.tables import comparison_sheet
from jacstrat.compare.thresholds import DEFAULT
from jacstrat.compare.verdict import Comparison
from jacstrat.compare.wording import conclusion, tally
from jacstrat.core.case import Case
from jacstrat.core.environment import Snapshot
from jacstrat.measure.environment import snapshot
from jacstrat.record import Record
from jacstrat.records import to_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from jacstrat.report.figures.samples import Samples


@dataclass(frozen=True, repr=False)
class Compared:
    """A verdict a strategy on one result of `benchmark` against another. Prints as a table, and shows as one.

    Fields:
        comparison: The verdicts, as `jacstrat compare` gives them.
    """

    comparison: Comparison

    def plot(self) -> Figure:
        """The ratios of times with their 95 % intervals, a line a strategy.

        Raises:
            UsageError: No time was compared.
        """
        from jacstrat.compare.plot import ratio_plot

        return ratio_plot(self.comparison, DEFAULT)

    def __repr__(self) -> str:
        from rich.console import Console

        file = io.StringIO()
        console = Console(file=file, color_system=None, force_terminal=False, force_jupyter=False)
        console.print(comparison_sheet(self.comparison, list(self.comparison.cases)))
        lines = [line.rstrip() for line in file.getvalue().rstrip().splitlines()]
        return "\n".join([*lines, "", *self._words])

    @property
    def _words(self) -> tuple[str, ...]:
        return conclusion(self.comparison), f"{tally(self.comparison)}."

    def _repr_html_(self) -> str:
        from jacstrat.report.figures.notebook import paragraphs_html, sheets_html

        sheet = comparison_sheet(self.comparison, list(self.comparison.cases))
        return paragraphs_html(self._words) + sheets_html([sheet])


def compared(
    base: tuple[Sequence[Record], Samples], new: tuple[Sequence[Record], Samples], labels: tuple[str, str]
) -> Compared:
    """NEW against BASE, records and samples of each; the function of NEW counts as that of BASE under another name.

    Raises:
        NothingToCompareError: No strategy was measured in both at the same size; says what differs.
    """
    environment = Snapshot.of(snapshot().to_json())
    name = base[0][0].problem
    before, after = (
        RecordSet(
            label,
            to_frame([_renamed(r, name) for r in records]),
            {_key(k, name): v for k, v in raw.items()},
            environment,
        )
        for label, (records, raw) in zip(labels, (base, new), strict=True)
    )
    return Compared(compare(before, after))


def _renamed(record: Record, problem: str) -> Record:
    return replace(record, problem=problem, case=_key(record.case, problem))


def _key(key: str, problem: str) -> str:
    case = Case.parse(key)
    return key if case is None else replace(case, problem=problem).key
