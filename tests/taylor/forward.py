"""For each operation of `jacstrat.taylor.forward.NAMES` a function that has it: from numbers (B, 8) to (B, ...)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

N = 8
Function = Callable[[Tensor], Tensor]

EIGHT = torch.linspace(-1.2, 1.3, N, dtype=torch.float64)
# Places, one of them twice, where that is a sum; each once elsewhere.
AGAIN = torch.tensor([2, 0, 2])
ONCE = torch.tensor([5, 1])


def unit(z: Tensor) -> Tensor:
    """Numbers between -0.3 and 0.3."""
    return 0.3 * torch.tanh(z)


def share(z: Tensor) -> Tensor:
    """Numbers between 0.1 and 0.9."""
    return 0.1 + 0.8 * torch.sigmoid(z)


def above(z: Tensor) -> Tensor:
    """Numbers above 1.5."""
    return z.square() + 1.5


def other(z: Tensor) -> Tensor:
    """Other numbers, that depend on x in another way."""
    return z.flip(-1).sin() + 0.3 * z


def square(z: Tensor) -> Tensor:
    """Matrices (B, 2, 2) near a multiple of the identity."""
    return z[:, :4].unflatten(-1, (2, 2)) + 3 * torch.eye(2, dtype=z.dtype)


def of(function: Callable[..., Tensor], *rest: object, domain: Function = lambda z: z, **options: object) -> Function:
    return lambda z: function(domain(z), *rest, **options)


def both(function: Callable[..., Tensor], **options: object) -> Function:
    return lambda z: function(z, other(z), **options)


POINTWISE: dict[str, Function] = {
    **{name: of(getattr(torch, name), domain=unit) for name in ("acos", "asin", "atanh", "erfinv")},
    **{name: of(getattr(torch, name)) for name in ("asinh", "atan", "cosh", "deg2rad", "erf", "erfc", "exp2", "expm1")},
    **{name: of(getattr(torch, name)) for name in ("i0", "nan_to_num", "sinc", "sinh", "tan")},
    **{name: of(getattr(torch, name), domain=above) for name in ("acosh", "digamma", "lgamma", "log10", "log1p")},
    **{name: of(getattr(functional, name)) for name in ("celu", "elu", "hardshrink", "hardswish", "hardtanh")},
    **{name: of(getattr(functional, name)) for name in ("leaky_relu", "softplus", "softshrink")},
    **{f"special_{name}": of(getattr(torch.special, name)) for name in ("erfcx", "i0e", "i1", "i1e", "log_ndtr")},
    "clamp": of(torch.clamp, -0.5, 0.5),
    "clamp_min": of(torch.clamp_min, -0.5),
    "frac": of(torch.frac),
    "log2": of(torch.log2, domain=above),
    "polygamma": lambda z: torch.polygamma(1, above(z)),
    "sign": lambda z: z * torch.sign(z) * z,
    "special_entr": of(torch.special.entr, domain=share),
    "special_ndtri": of(torch.special.ndtri, domain=share),
}
PAIRS: dict[str, Function] = {
    **{name: both(getattr(torch, name)) for name in ("fmax", "logaddexp", "logaddexp2", "maximum", "minimum")},
    **{name: both(getattr(functional, name), reduction="none") for name in ("mse_loss", "smooth_l1_loss")},
    "addcdiv": lambda z: torch.addcdiv(z, other(z), above(z.roll(1, -1))),
    "addcmul": lambda z: torch.addcmul(z, other(z), z.roll(1, -1), value=0.5),
    "atan2": lambda z: torch.atan2(z, above(other(z))),
    "clamp.Tensor": lambda z: torch.clamp(z, other(z) - 1, other(z) + 1),
    "copysign.Tensor": lambda z: z * torch.copysign(z, EIGHT),
    "fmod.Scalar": lambda z: z * torch.fmod(z, 1.3),
    "hypot": lambda z: torch.hypot(z, other(z) + 3),
    "lerp.Tensor": lambda z: torch.lerp(z, other(z), z.roll(1, -1)),
    "pow.Scalar": lambda z: 1.7**z,
    "pow.Tensor_Tensor": lambda z: above(z) ** other(z),
    "remainder.Scalar": lambda z: z * torch.remainder(z, 1.3),
    "special_xlog1py": lambda z: torch.special.xlog1py(z, above(other(z))),
    "xlogy.Tensor": lambda z: torch.xlogy(z, above(other(z))),
}
REDUCED: dict[str, Function] = {
    "amax": of(torch.amax, -1, keepdim=True),
    "amin": of(torch.amin, -1, keepdim=True),
    "logcumsumexp": of(torch.logcumsumexp, -1),
}


def images(z: Tensor) -> Tensor:
    """(B, 2, 2, 2)."""
    return z.unflatten(-1, (2, 2, 2))


def signals(z: Tensor) -> Tensor:
    """(B, 2, 4)."""
    return z.unflatten(-1, (2, 4))


resized = partial(functional.interpolate, size=(3, 3))
MOVED: dict[str, Function] = {
    "diag_embed": of(torch.diag_embed),
    "diagonal_scatter": lambda z: images(z).diagonal_scatter(other(z)[:, :4].unflatten(-1, (2, 2)), 0, 2, 3),
    "im2col": of(functional.unfold, 2, domain=lambda z: z.unflatten(-1, (1, 2, 4))),
    "index_add": lambda z: z.index_add(-1, AGAIN, other(z)[:, :3]),
    "index_fill.int_Scalar": lambda z: z.index_fill(-1, AGAIN, 2.0),
    "pixel_shuffle": of(functional.pixel_shuffle, 2, domain=lambda z: z.unflatten(-1, (4, 2, 1))),
    "reflection_pad1d": of(functional.pad, (2, 1), "reflect", domain=signals),
    "replication_pad1d": of(functional.pad, (2, 1), "replicate", domain=signals),
    "rot90": of(torch.rot90, 1, (2, 3), domain=images),
    "scatter.value": lambda z: z.scatter(-1, ONCE.expand(len(z), 2), 3.0),
    "scatter_add": lambda z: z.scatter_add(-1, AGAIN.expand(len(z), 3), other(z)[:, :3]),
    "slice_scatter": lambda z: z.slice_scatter(other(z)[:, :3], -1, 2, 5),
    "upsample_bicubic2d": of(resized, mode="bicubic", domain=images),
    "upsample_bilinear2d": of(resized, mode="bilinear", domain=images),
    "upsample_linear1d": of(functional.interpolate, size=5, mode="linear", domain=signals),
    "upsample_nearest1d": of(functional.interpolate, size=5, domain=signals),
}
PRODUCTS: dict[str, Function] = {
    "_trilinear": lambda z: functional.bilinear(z, other(z), EIGHT.outer(EIGHT).expand(3, N, N)),
    "linalg_cross": lambda z: torch.linalg.cross(z[:, :3], other(z)[:, 3:6]),
    "linalg_inv_ex": of(torch.linalg.inv, domain=square),
    "linalg_matrix_exp": of(torch.linalg.matrix_exp, domain=lambda z: 0.3 * square(z)),
    "linalg_solve_triangular": lambda z: torch.linalg.solve_triangular(
        square(z).tril(), other(z)[:, :2].unsqueeze(-1), upper=False
    ),
}
FUNCTIONS: dict[str, Function] = {**POINTWISE, **PAIRS, **REDUCED, **MOVED, **PRODUCTS}
