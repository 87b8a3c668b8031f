"""jet-for-pytorch, collapsed Taylor mode, as a strategy of jacstrat.

It needs Python 3.12 and runs in a process of its own, on the same device with as many threads; the function is told to
it as a list of ATen operations, which it traces as it would trace the function.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jacstrat import UsageError
from jacstrat.peers import Peer, Place

HERE = Path(__file__).parent
FORMS = ("eager", "graph", "compiled", "replayed")


@dataclass(frozen=True)
class Jet(Peer):
    """jet's `laplacian`, or `bilaplacian`, under vmap.

    Fields:
        form: "eager", as it is; "graph", captured without common subexpressions; "compiled", that by torch.compile;
            "replayed", that as a graph of the card.
        tile: Points at a time; "all" for all of them.

    Source: Dangel, Siebert, Zeinhofer and Walther 2025, Collapsing Taylor mode automatic differentiation;
    https://github.com/f-dangel/jet-for-pytorch.
    """

    name: ClassVar[str] = "jet"
    cost: ClassVar[str] = "n + 2 passes of collapsed Taylor mode, in a process of its own"
    exact_when: ClassVar[str] = "always"
    place: ClassVar[Place] = Place("jet", "jet-for-pytorch", HERE / "requirements.txt", (3, 12))
    side: ClassVar[Path] = HERE / "side.py"
    serves: ClassVar[tuple[str, ...]] = ("laplacian", "bilaplacian")
    form: str = "eager"
    tile: int | str = "all"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UsageError(f"form must be one of {', '.join(FORMS)}, got {self.form!r}")
        if self.tile != "all" and (not isinstance(self.tile, int) or isinstance(self.tile, bool) or self.tile < 1):
            raise UsageError(f"tile must be a positive integer or all, got {self.tile!r}; leave it out for all points")
