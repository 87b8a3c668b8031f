"""Operations of which torch's forward mode twice is right, the gradient of what it gives included: a table, tested.

Any other that has no rule is differentiated by reverse mode. torch drops terms of the JVP of a JVP of an operation that
hands intermediate results to its derivative (solve, slogdet, det, cholesky_inverse, householder_product), writes over
what the way back needs (std, renorm, norm), or has a rule that is wrong (scatter_reduce with prod, select_scatter).

The table is that of torch 2.13. tests/taylor/test_forward.py goes through it with the torch at hand.
"""

from __future__ import annotations

import torch

_POINTWISE = (
    "acos acosh asin asinh atan atanh celu clamp clamp_min cosh deg2rad digamma elu erf erfc erfinv exp2 expm1 frac "
    "hardshrink hardswish hardtanh i0 leaky_relu lgamma log10 log1p log2 nan_to_num polygamma sign sinc sinh softplus "
    "softshrink special_entr special_erfcx special_i0e special_i1 special_i1e special_log_ndtr special_ndtri tan"
)
_PAIRS = (
    "addcdiv addcmul atan2 clamp.Tensor copysign.Tensor fmax fmod.Scalar hypot lerp.Tensor logaddexp logaddexp2 "
    "maximum minimum mse_loss pow.Scalar pow.Tensor_Tensor remainder.Scalar smooth_l1_loss special_xlog1py xlogy.Tensor"
)
_REDUCED = "amax amin logcumsumexp"
_MOVED = (
    "diag_embed diagonal_scatter im2col index_add index_fill.int_Scalar pixel_shuffle reflection_pad1d "
    "replication_pad1d rot90 scatter.value scatter_add slice_scatter upsample_bicubic2d upsample_bilinear2d "
    "upsample_linear1d upsample_nearest1d"
)
_PRODUCTS = "_trilinear linalg_cross linalg_inv_ex linalg_matrix_exp linalg_solve_triangular"


def _named(name: str) -> torch._ops.OpOverload:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


NAMES: tuple[str, ...] = tuple(" ".join((_POINTWISE, _PAIRS, _REDUCED, _MOVED, _PRODUCTS)).split())
FORWARD_TWICE: frozenset[torch._ops.OpOverload] = frozenset(map(_named, NAMES))
