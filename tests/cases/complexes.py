"""Real functions that pass through complex numbers."""

from __future__ import annotations

import torch

from tests.cases.case import DIVERGENCE, LAPLACIAN, case


@case(DIVERGENCE, "a filter with learned multipliers, as Fourier layers have it", n=6)
def fourier_filter(x, c):
    modes = torch.fft.rfft(torch.tanh(x))
    return torch.fft.irfft(modes * torch.complex(c[:4], c[:4] * 0.3), n=6) * x


@case(LAPLACIAN, "energies of a spectrum", n=5)
def spectral_energy(x, c):
    modes = torch.fft.fft(torch.tanh(c * x))
    return (modes.abs() ** 3).sum(-1) + torch.fft.ifft(modes**2).real.sum(-1)


@case(LAPLACIAN, "|z| to a complex power", "pytorch#185639")
def complex_power(x, c):
    z = torch.complex(x[..., :2], c[:2] * x[..., 2:])
    power = torch.pow(z.abs(), torch.tensor(1 + 1j, dtype=torch.complex128))
    return power.real.sum(-1) + power.imag.sum(-1)
