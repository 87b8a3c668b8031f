"""Networks of linear layers and pointwise functions in one kernel of Triton, or in one a layer."""

from jacstrat.fused.function import Lowered
from jacstrat.fused.kernels import NO_TRITON, has_kernels, has_triton

__all__ = ["NO_TRITON", "Lowered", "has_kernels", "has_triton"]
