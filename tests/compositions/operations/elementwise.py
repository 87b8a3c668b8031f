"""Functions of one number each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.compositions.operations.table import add, operation

# Arguments lie within about -3 and 3, and everything here keeps its derivatives moderate there.
for _name, _function in {
    "tanh": torch.tanh,
    "sin": torch.sin,
    "cos": torch.cos,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "atan": torch.atan,
    "asinh": torch.asinh,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "sinc": torch.sinc,
    "square": torch.square,
    "negative": torch.neg,
    "absolute": torch.abs,
    "sign": torch.sign,
    "floor": torch.floor,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "i0e": torch.special.i0e,
    "ndtr": torch.special.ndtr,
    "nan_to_num": torch.nan_to_num,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "silu": functional.silu,
    "mish": functional.mish,
    "elu": functional.elu,
    "selu": functional.selu,
    "leaky_relu": functional.leaky_relu,
    "relu6": functional.relu6,
    "hardtanh": functional.hardtanh,
    "hardswish": functional.hardswish,
    "softshrink": functional.softshrink,
    "tanhshrink": functional.tanhshrink,
    "logsigmoid": functional.logsigmoid,
}.items():
    add(_name, _function, local=True)


@operation(lambda draw, event: {"approximate": draw.choice("none", "tanh")}, local=True)
def gelu(y: Tensor, approximate: str) -> Tensor:
    return functional.gelu(y, approximate=approximate)


@operation(lambda draw, event: {"beta": draw.number(0.5, 2)}, local=True)
def sharp_softplus(y: Tensor, beta: float) -> Tensor:
    return functional.softplus(y, beta=beta)


@operation(local=True)
def sqrt(y: Tensor) -> Tensor:
    return torch.sqrt(y.square() + 0.5)


@operation(local=True)
def rsqrt(y: Tensor) -> Tensor:
    return torch.rsqrt(y.square() + 0.5)


@operation(local=True)
def reciprocal(y: Tensor) -> Tensor:
    return torch.reciprocal(y.square() + 0.5)


@operation(local=True)
def log(y: Tensor) -> Tensor:
    return torch.log(y.square() + 0.5)


@operation(local=True)
def log2(y: Tensor) -> Tensor:
    return torch.log2(y.cosh())


@operation(local=True)
def log1p(y: Tensor) -> Tensor:
    return torch.log1p(y.square())


@operation(local=True)
def lgamma(y: Tensor) -> Tensor:
    return torch.lgamma(y.square() + 1)


@operation(local=True)
def digamma(y: Tensor) -> Tensor:
    return torch.digamma(y.square() + 1)


@operation(local=True)
def polygamma(y: Tensor) -> Tensor:
    return torch.polygamma(1, y.square() + 1)


@operation(local=True)
def asin(y: Tensor) -> Tensor:
    return torch.asin(0.8 * torch.tanh(y))


@operation(local=True)
def acosh(y: Tensor) -> Tensor:
    return torch.acosh(y.square() + 1.5)


@operation(local=True)
def atanh(y: Tensor) -> Tensor:
    return torch.atanh(0.8 * torch.sin(y))


@operation(local=True)
def erfinv(y: Tensor) -> Tensor:
    return torch.erfinv(0.8 * torch.sin(y))


@operation(local=True)
def tan(y: Tensor) -> Tensor:
    return torch.tan(torch.tanh(y))


@operation(local=True)
def logit(y: Tensor) -> Tensor:
    return torch.logit(0.1 + 0.8 * torch.sigmoid(y))


@operation(local=True)
def safe_sqrt(y: Tensor) -> Tensor:
    """The root as people guard it: the other branch is not finite where it is not taken."""
    return torch.where(y > 0, torch.sqrt(torch.where(y > 0, y + 0.3, 1.0)), 0.2 * y)


@operation(lambda draw, event: {"low": draw.number(-2, -0.2), "high": draw.number(0.2, 2)}, local=True)
def clamp(y: Tensor, low: float, high: float) -> Tensor:
    return y.clamp(low, high)


@operation(lambda draw, event: {"value": draw.number(-1, 1)}, local=True)
def threshold(y: Tensor, value: float) -> Tensor:
    return functional.threshold(y, 0.1, value)


@operation(lambda draw, event: {"exponent": draw.choice(0, 1, 2, 3, 4)}, local=True)
def whole_power(y: Tensor, exponent: int) -> Tensor:
    return y**exponent


@operation(lambda draw, event: {"exponent": draw.choice(-1.5, -1.0, -0.5, 0.5, 1.5, 2.5)}, local=True)
def broken_power(y: Tensor, exponent: float) -> Tensor:
    return (y.square() + 0.5) ** exponent


@operation(lambda draw, event: {"base": draw.number(0.4, 2.5)}, local=True)
def exponential(y: Tensor, base: float) -> Tensor:
    return base**y


@operation(lambda draw, event: {"coefficients": draw.constant(4)}, local=True)
def horner(y: Tensor, coefficients: Tensor) -> Tensor:
    z = torch.zeros_like(y)
    for coefficient in coefficients.unbind():
        z = 0.5 * z * y + coefficient
    return z
