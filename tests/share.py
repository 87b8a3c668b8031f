"""A share of a table of pairs: an eighth, with every row and every column among them; THOROUGH=1 asks for all."""

from __future__ import annotations

import os

THOROUGH = bool(os.environ.get("THOROUGH"))
SHARE = 8


def shared(*places: int, share: int = SHARE) -> bool:
    """Whether a pair is tried: of two tables, at these places in them; one in so many."""
    return THOROUGH or sum(places) % share == 0
