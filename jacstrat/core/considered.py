"""A strategy that was weighed against others for one function, with the evidence."""

from __future__ import annotations

from dataclasses import dataclass


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
