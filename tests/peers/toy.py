"""A peer whose library is no more than numpy: its side is beside this file, and runs on this Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jacstrat.peers import Peer, Place

HERE = Path(__file__).parent
# The package that is found in this Python.
HERE_PLACE = Place("toy", "numpy", HERE / "toy.txt", (3, 11))
NOWHERE = Place("toy", "no-such-distribution", HERE / "toy.txt", (3, 11))


@dataclass(frozen=True)
class Toy(Peer):
    """The Laplacian of |x|^2, whatever the function."""

    name: ClassVar[str] = "toy"
    cost: ClassVar[str] = "nothing"
    exact_when: ClassVar[str] = "f is |x|^2"
    place: ClassVar[Place] = HERE_PLACE
    side: ClassVar[Path] = HERE / "toy_side.py"
    fault: str = ""
    off: float = 0.0
    sleep_s: float = 0.0


@dataclass(frozen=True)
class Gone(Toy):
    """The same, not installed."""

    place: ClassVar[Place] = NOWHERE
