"""The family of a strategy: the name inside a spec."""

from __future__ import annotations

import re

_WRAPPED = re.compile(r"[^():]*\((.*)\)")


def family(spec: str) -> str:
    """The name inside a spec: "vmap" of "vmap:chunk_size=64", "taylor" of "compiled(taylor)"."""
    while wrapped := _WRAPPED.fullmatch(spec.strip()):
        spec = wrapped[1]
    return spec.partition(":")[0].strip()
