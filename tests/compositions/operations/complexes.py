"""Through complex numbers and back."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.compositions.operations.table import operation
from tests.compositions.operations.views import even, small


def pairs(y: Tensor) -> Tensor:
    """Complex numbers (B, m) of the numbers of the event, two and two."""
    return torch.view_as_complex(y.reshape(y.shape[0], -1, 2).contiguous())


@operation(fits=even)
def complex_modulus(y: Tensor) -> Tensor:
    return (pairs(y) + (2.5 + 1j)).abs()


@operation(lambda draw, event: {"gain": draw.parameter(event[-1])})
def complex_product(y: Tensor, gain: Tensor) -> Tensor:
    z = torch.complex(y, gain * y.sin())
    return (z * z).real + z.imag


@operation(fits=even)
def complex_exponential(y: Tensor) -> Tensor:
    return torch.view_as_real(torch.exp(0.5 * pairs(y))).flatten(1)


@operation(
    lambda draw, event: {
        "weight": draw.parameter(event[-1], 2, size=0.5),
        "other": draw.parameter(event[-1], 2, size=0.5),
    }
)
def complex_matmul(y: Tensor, weight: Tensor, other: Tensor) -> Tensor:
    z = y.to(torch.complex128) @ torch.complex(weight, other)
    return z.abs().square() + z.real


@operation(lambda draw, event: {"gain": draw.positive(event[-1])})
def polar(y: Tensor, gain: Tensor) -> Tensor:
    z = torch.polar(gain + y.square(), y)
    return (z * (1 + 0.5j)).imag


@operation(fits=even)
def angle(y: Tensor) -> Tensor:
    return (0.5 * pairs(y).sin() + 3).angle() + pairs(y).conj().imag


@operation(fits=even)
def complex_power(y: Tensor) -> Tensor:
    z = (0.3 * pairs(y).cos() + 2) ** (0.7 + 0.4j)
    return torch.cat([z.real, z.imag], -1)


@operation()
def fft(y: Tensor) -> Tensor:
    return torch.fft.fft(y).abs().square() / y.shape[-1] ** 2


@operation(lambda draw, event: {"gain": draw.parameter(event[-1] // 2 + 1)}, small)
def filtered(y: Tensor, gain: Tensor) -> Tensor:
    """A spectral layer, as Fourier neural operators have it."""
    return torch.fft.irfft(torch.fft.rfft(y) * (gain + 0.5j), n=y.shape[-1])
