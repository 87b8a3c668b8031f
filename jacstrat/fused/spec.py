"""What a kernel is generated for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jacstrat.core.operator import Operator
from jacstrat.fused.network import ConstantVector, InputVector, LinearVector, Network

Products = Literal["ieee", "tf32x3", "tf32"]
# Columns of a wide x, or of a wide operand of each point, that meet a matrix at a time.
CHUNK = 64


def padded(width: int) -> int:
    """Columns of a tile: 1, or a power of two that a product takes."""
    return 1 if width == 1 else max(16, 1 << (width - 1).bit_length())


def is_chunked(network: Network, number: int) -> bool:
    """Whether a vector is so wide that it is read in parts, which products with matrices alone allow."""
    vector = network.vectors[number]
    is_read = isinstance(vector, InputVector) or (isinstance(vector, ConstantVector) and vector.of_points)
    if not is_read or vector.width <= CHUNK:
        return False
    using = [one for one in network.vectors if number in one.sources]
    return all(
        isinstance(one, LinearVector)
        and one.width > 1
        and all(term.is_dense for term in one.terms if term.source == number)
        for one in using
    )


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
