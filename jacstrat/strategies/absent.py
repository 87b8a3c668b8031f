"""Peers that are known and whose packages are not installed: a row that says what installs them, and no error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from jacstrat.core.errors import MissingError
from jacstrat.core.operator import Operator
from jacstrat.strategies.base import Args, Function, Strategy

# The package of each peer, in the folder `peers` of jacstrat's sources.
PEERS: Mapping[str, str] = MappingProxyType(
    {
        "jet": "jacstrat-jet",
        "folx": "jacstrat-folx",
        "jax_hessian": "jacstrat-folx",
        "deepxde": "jacstrat-recipes",
        "functorch": "jacstrat-recipes",
        "ffjord": "jacstrat-recipes",
        "curvlinops": "jacstrat-recipes",
    }
)


@dataclass(frozen=True)
class Absent(Strategy):
    """Stands for a strategy of a package that is not installed; its name is the spec that was asked for."""

    cost: ClassVar[str] = "unknown"
    exact_when: ClassVar[str] = "unknown"
    peer: ClassVar[str]

    @property
    def missing(self) -> str | None:
        return f"{self.peer} is not installed; run `pip install ./peers/{PEERS[self.peer]}` in a checkout of jacstrat"

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Function:
        raise MissingError(str(self.missing))


@lru_cache
def absent(spec: str, peer: str) -> Strategy:
    """What stands for a peer: equal where the specs are."""
    kind = type("Absent", (Absent,), {"name": spec, "peer": peer})
    strategy: Strategy = kind()
    return strategy
