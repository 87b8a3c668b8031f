"""A share of a table of pairs: a quarter, with every row and every column among them; THOROUGH=1 asks for all."""

from __future__ import annotations

import os

THOROUGH = bool(os.environ.get("THOROUGH"))
SHARE = 4


def shared(*places: int) -> bool:
    """Whether a pair is tried: of two tables, at these places in them."""
    return THOROUGH or sum(places) % SHARE == 0
