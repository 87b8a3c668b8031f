"""A strategy that was weighed against others for one function, with the evidence."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Considered:
    """A strategy as `auto` saw it, for one function at one size.

    Fields:
        strategy: Its spec.
        probes: How many it takes, for each point.
        operations: Dispatched in one call, by counts.
        flops: Of the matrix products in one call, by counts.
        written_bytes: By the operations of one call, by counts.
        alive_bytes: Of memory that one call may hold, an upper bound by counts.
        setup_s: To prepare it: predicted, or as the trial saw it; 0 where that is next to nothing.
        predicted_s: One call, by counts.
        measured_s: One call, the lower quartile of the trial; None where it was not called.
        ground: Why it is exact for this function; "" where it always is.
        failure: Why it is not to be had: what it raised, or how far it was from the witness; "" where it is.
    """

    strategy: str
    probes: int
    operations: int
    flops: int
    written_bytes: int
    alive_bytes: int
    setup_s: float
    predicted_s: float
    measured_s: float | None = None
    ground: str = ""
    failure: str = ""

    @classmethod
    def parse(cls, data: Any) -> Considered:
        """What `dataclasses.asdict` made data of.

        Raises:
            KeyError, TypeError: It is none.
        """
        values = {column.name: data[column.name] for column in fields(cls)}
        for name, value in values.items():
            kinds = _KINDS[str(cls.__annotations__[name])]
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise TypeError(f"{name} is of another kind")
        return cls(**values)


_KINDS = {"str": (str,), "int": (int,), "float": (float, int), "float | None": (float, int, type(None))}
