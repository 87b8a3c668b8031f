"""Adjoints as they come together: parts of each vector's, as expressions."""

from __future__ import annotations

from jacstrat.fused.network import Network
from jacstrat.fused.writer import Writer


class Bars:
    """Parts of adjoints, by vector.

    Args:
        writer: Of the kernel.
        letter: What names of these adjoints begin with.
    """

    def __init__(self, writer: Writer, letter: str) -> None:
        self.writer, self.letter = writer, letter
        self._parts: dict[int, list[str]] = {}

    @property
    def _network(self) -> Network:
        return self.writer.network

    def add(self, number: int, part: str, width: int) -> None:
        """A part of a vector's adjoint, a tile of so many columns; they are added up where the vector has one."""
        if self._network.vectors[number].width == 1 and width > 1:
            part = f"row_sum({part})[:, None]"
        self._parts.setdefault(number, []).append(part)

    def has(self, number: int) -> bool:
        """Whether a vector has an adjoint."""
        return number in self._parts

    def written(self, number: int) -> str | None:
        """The name of a vector's adjoint, once all its parts are there; None where there are none."""
        if number not in self._parts:
            return None
        name = f"{self.letter}{number}"
        self.writer.write(f"{name} = {' + '.join(self._parts[number])}")
        return name
