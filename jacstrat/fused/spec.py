"""What a kernel is generated for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jacstrat.core.operator import Operator
from jacstrat.fused.network import Network

Products = Literal["ieee", "tf32x3", "tf32"]
# Columns of a wide x, or of a wide operand of each point, that meet a matrix at a time.
CHUNK = 64


def padded(width: int) -> int:
    """Columns of a tile: 1, or a power of two that a product takes."""
    return 1 if width == 1 else max(16, 1 << (width - 1).bit_length())


@dataclass(frozen=True)
class Spec:
    """What a kernel is generated for: equal specs have equal text.

    Fields:
        network: What is computed.
        operator: A plain one: the Laplacian, the divergence or the Jacobian diagonal.
        with_value, with_gradient: Whether these are written as well.
        strides: Of each operand and, behind them, of each seed.
        dtype: Of all tensors, as Triton calls it: "float64", "float32", "bfloat16", "float16".
        products: How products of float32 are made.
    """

    network: Network
    operator: Operator
    with_value: bool
    with_gradient: bool
    strides: tuple[tuple[int, int], ...]
    dtype: str
    products: Products

    @property
    def accumulates(self) -> str:
        """The type that is computed in."""
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def asked(self) -> frozenset[int]:
        """The vectors whose derivatives along directions are asked for first."""
        return self.network.bent if self.operator.order == 2 else self.network.picked

    @property
    def seeded(self) -> tuple[int, ...]:
        """The vectors that have a seed, in the order of the arguments."""
        return tuple(one for one in self.network.carrying(self.asked) if self.network.is_seeded(one))
