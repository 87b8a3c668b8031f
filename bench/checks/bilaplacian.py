"""The bilaplacian of a network with wide layers: against two nested Laplacians, and against jet-for-pytorch's."""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Figure
from .laplacian import least
from .measured import MeasuredCell
from .peers import ratios_over

# The trace of torch.func.hessian of the trace of torch.func.hessian.
NESTED = "hessian"
OURS = ("taylor", "compiled(taylor)", "auto")
JET = ("jet", "jet:form=compiled")
STRATEGIES = (*OURS, NESTED, *JET)
# On a card a call of few operations takes as long as its launches: both sides as graphs, too.
CARD_OURS = (*OURS, "graphed(taylor)", "graphed(compiled(taylor))")
CARD_STRATEGIES = (*CARD_OURS, NESTED, *JET, "jet:form=replayed")
LEAST = 1.0


def bilaplacian(cells: Sequence[MeasuredCell], ours: Sequence[str] = OURS) -> list[Figure]:
    """How many times faster the best of ours is, in the least cell."""
    return [
        _against(cells, ours, NESTED, "two nested Laplacians by torch.func.hessian"),
        _against(cells, ours, "jet", "jet's bilaplacian at its best setting"),
    ]


def _against(cells: Sequence[MeasuredCell], ours: Sequence[str], other: str, words: str) -> Figure:
    """Against every setting of another that the cells have."""

    def settings(cell: MeasuredCell) -> list[str]:
        return [spec for spec in cell.records if spec.partition(":")[0] == other]

    ratios, notes = ratios_over(cells, ours, settings)
    return Figure(
        "bilaplacian", f"times faster than {words}, least", least(ratios), LEAST, at_least=True, note="; ".join(notes)
    )
