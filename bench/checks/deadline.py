"""How much is left of the time that a command may take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Deadline:
    """Seconds from now on, after which nothing further is begun.

    Fields:
        limit_s: How many.
        now: A clock, in seconds.
    """

    limit_s: float = math.inf
    now: Callable[[], float] = time.monotonic
    begin: float = field(init=False)

    def __post_init__(self) -> None:
        self.begin = self.now()

    def is_over(self) -> bool:
        return self.left_s() <= 0

    def left_s(self) -> float:
        return self.limit_s - (self.now() - self.begin)

    def share(self, part: float) -> Deadline:
        """One that is over when such a part of the time is."""
        part_of_it = Deadline(self.limit_s * part, self.now)
        part_of_it.begin = self.begin
        return part_of_it
