"""Run by test_zeros.py in a process of its own: what an efficient zero breaks ends the process.

Every function is differentiated as strategies do, without a mode and under each, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from jacstrat import UnsupportedError, parse_strategy
from jacstrat.harness.plan.predict import _Meter
from jacstrat.measure.counters import OperationCounter
from jacstrat.measure.memory import StorageMode
from tests.share import shared

N, B = 4, 3
SEED = torch.Generator().manual_seed(0)
X = torch.rand(B, N, dtype=torch.float64, generator=SEED) * 0.8 + 0.1
C = torch.rand(N, dtype=torch.float64, generator=SEED) / 2 + 0.25
GAIN = torch.nn.Parameter(C + 0.5)
MODES = (OperationCounter, StorageMode, _Meter)
STRATEGIES = ("jvp", "jacfwd", "forward_over_forward", "hessian", "taylor")
LOSSES = ("mse_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy", "kl_div")
POINTWISE = ("rsqrt", "atanh", "tanh", "log", "sqrt", "erf", "erfinv", "reciprocal", "lgamma", "logit", "abs", "sin")
BINARY = ("ldexp", "atan2", "hypot", "pow", "maximum", "xlogy", "div", "copysign", "fmod")
REDUCED = ("var", "std", "prod", "logsumexp", "amax", "norm")


def summed(op: Callable[..., Tensor], *rest: object, **options: object) -> Callable[[Tensor], Tensor]:
    return lambda x: op(x, *(C.expand_as(x) if r is C else r for r in rest), **options).sum(-1)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: summed(getattr(functional, name), C, reduction="none") for name in LOSSES},
    **{name: summed(getattr(torch, name)) for name in POINTWISE},
    **{name: summed(getattr(torch, name), C) for name in BINARY},
    **{f"{name} along a row": partial(getattr(torch, name), dim=-1) for name in REDUCED},
    "ldexp by x": lambda x: torch.ldexp(C.expand_as(x), x).sum(-1),
    "standardised": lambda x: ((x * GAIN) / (x * GAIN).std(-1, keepdim=True)).pow(3).sum(-1),
    "gelu": summed(functional.gelu),
    "softmax": lambda x: functional.softmax(x, -1).square().sum(-1),
    "concatenated": lambda x: torch.cat((x, C.expand_as(x)), -1).pow(3).sum(-1),
    "quadratic": lambda x: torch.einsum("...i,...j->...", x, x),
}


def along_ones(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function that has a forward derivative within."""
    return lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1]


FUNCTIONS |= {f"jvp of {name}": along_ones(FUNCTIONS[name]) for name in ("mse_loss", "ldexp", "standardised", "sin")}


def same_under_every_mode(name: str, spec: str, f: Callable[[Tensor], Tensor]) -> None:
    with torch.set_grad_enabled(name == "standardised"):
        try:
            evaluate = parse_strategy(spec).prepare("laplacian", f, X)
        except UnsupportedError:
            return
        expected = evaluate(X)
        for make in MODES:
            # What ends the process has said what it was about.
            print(name, spec, make.__name__, flush=True)
            with make():
                result = evaluate(X)
            torch.testing.assert_close(result, expected, rtol=0, atol=0, equal_nan=True)


def a_zero_stays_one() -> None:
    zero = torch._efficientzerotensor((1000,), dtype=torch.float64)
    for make in MODES:
        with make() as mode:
            doubled = torch.ops.aten.mul.Scalar(zero, 2.0)
        assert doubled._is_zerotensor(), make
        assert getattr(mode, "peak_bytes", 0) == 0, make


if __name__ == "__main__":
    a_zero_stays_one()
    for row, (name, f) in enumerate(FUNCTIONS.items()):
        for column, spec in enumerate(STRATEGIES):
            if shared(row, column, share=5):
                same_under_every_mode(name, spec, f)
    print("all")
