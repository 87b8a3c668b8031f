"""The way back of kernels: gradients of an operator's results in x, parameters and arguments."""

from jacstrat.fused.gradient.kernels import GradientKernels
from jacstrat.fused.gradient.launch import Cotangents

__all__ = ["Cotangents", "GradientKernels"]
