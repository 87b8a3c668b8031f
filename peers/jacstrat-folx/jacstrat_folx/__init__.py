"""folx, the forward Laplacian for JAX, and JAX's own Hessian, as strategies of jacstrat.

JAX runs in a process of its own, jitted, on the same device with as many threads; the function is told to it as a list
of ATen operations, which `operations` has in JAX's. Products are those of the cell: float32 in full ("highest"), where
JAX's own default on a card is TF32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jacstrat import UsageError
from jacstrat.peers import Peer, Place

HERE = Path(__file__).parent
PLACE = Place("folx", "folx", HERE / "requirements.txt", (3, 11))


@dataclass(frozen=True)
class Folx(Peer):
    """folx's `forward_laplacian` under vmap and jit: value, Jacobian and Laplacian in one pass over the operations.

    Fields:
        sparsity: Up to which share of non-zero rows a Jacobian is kept sparse; folx recommends 0.6. 0: always dense.
        tile: Points at a time, by folx's `batched_vmap`; "all" for all of them.

    Source: Li et al. 2023, A computational framework for neural network-based variational Monte Carlo with forward
    Laplacian; https://github.com/microsoft/folx.
    """

    name: ClassVar[str] = "folx"
    cost: ClassVar[str] = "that of n JVP in one forward pass, in a process of JAX's"
    exact_when: ClassVar[str] = "always"
    place: ClassVar[Place] = PLACE
    side: ClassVar[Path] = HERE / "side.py"
    sparsity: float = 0.0
    tile: int | str = "all"

    def __post_init__(self) -> None:
        if isinstance(self.sparsity, bool) or not isinstance(self.sparsity, int | float) or not 0 <= self.sparsity <= 1:
            raise UsageError(
                f"sparsity must be a share from 0 to 1, got {self.sparsity!r}; 0.6 is what folx recommends"
            )
        if self.tile != "all" and (not isinstance(self.tile, int) or isinstance(self.tile, bool) or self.tile < 1):
            raise UsageError(f"tile must be a positive integer or all, got {self.tile!r}; leave it out for all points")


@dataclass(frozen=True)
class JaxHessian(Peer):
    """The trace of `jax.hessian` under vmap and jit: what JAX has by itself."""

    name: ClassVar[str] = "jax_hessian"
    cost: ClassVar[str] = "n JVP of VJP, n^2 stored, in a process of JAX's"
    exact_when: ClassVar[str] = "always"
    place: ClassVar[Place] = PLACE
    side: ClassVar[Path] = HERE / "side.py"
    serves: ClassVar[tuple[str, ...]] = ("laplacian", "hessian_diagonal")
