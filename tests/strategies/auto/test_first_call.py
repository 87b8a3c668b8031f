"""How often f is followed in a first call, which is most of what that takes: counts, the same on every machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from jacstrat import parse_strategy
from jacstrat.strategies.auto import counted, strategy
from jacstrat.trace import cache


def network(n: int, m: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(n, 7), nn.Tanh(), nn.Linear(7, m)
    return nn.Sequential(*layers, nn.Flatten(0)) if m == 1 else nn.Sequential(*layers)


def reaction(x: Tensor) -> Tensor:
    return x.roll(1, -1) - 2 * x + x.roll(-1, -1) + x.sin()


# The function, operator, n and B, with the recordings on a tape and the traces for a proof that a first call takes.
CASES: dict[str, tuple[Callable[..., Tensor], str, int, int, int, int]] = {
    "a field": (network(5, 5), "divergence", 5, 3, 1, 0),
    "one whose diagonal the witness reads": (network(70, 70), "divergence", 70, 3, 1, 0),
    "a scalar": (network(5, 1), "laplacian", 5, 3, 1, 0),
    "a scalar in tiles that are alike": (network(32, 1), "laplacian", 32, 8192, 2, 0),
    "zeros in J": (reaction, "divergence", 6, 3, 1, 0),
    "a diagonal": (lambda x: (x.unsqueeze(-1) * torch.ones(3)).sin().prod(-1), "divergence", 6, 3, 1, 1),
    "one coordinate": (torch.sin, "divergence", 1, 3, 0, 0),
}


@pytest.mark.parametrize("is_tracked", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_f_is_counted_and_recorded_once_and_proved_once_at_most(
    monkeypatch: pytest.MonkeyPatch, trials: list[dict], name: str, is_tracked: bool
) -> None:
    f, operator, n, B, recordings, proofs = CASES[name]
    monkeypatch.setattr("jacstrat.taylor.scalar.tile_bytes", lambda threads: 2**21)
    done: Counter[str] = Counter()

    def note(module: Any, name: str) -> None:
        do = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: (done.update([name]), do(*args))[1])

    note(cache, "record")
    note(strategy, "prove_structure")
    note(counted, "evaluation")
    strategy.CHOICE_CACHE.forget()
    cache.SHARED.forget()
    x = torch.linspace(-1, 1, B * n).view(B, n)
    with torch.set_grad_enabled(is_tracked):
        parse_strategy("auto").prepare(operator, f, x)(x)
    assert (done["record"], done["prove_structure"], done["evaluation"]) == (recordings, proofs, 1)


@pytest.mark.parametrize(("is_tracked", "most"), [(False, 44), (True, 58)])
def test_f_is_evaluated_so_often_beside_the_trial(trials: list[dict], is_tracked: bool, most: int) -> None:
    f, evaluations = network(5, 5), [0]

    def function(x: Tensor) -> Tensor:
        evaluations[0] += not isinstance(x, FakeTensor)
        return f(x)

    x = torch.linspace(-1, 1, 15).view(3, 5)
    with torch.set_grad_enabled(is_tracked):
        parse_strategy("auto").prepare("divergence", function, x)(x)
    assert evaluations[0] <= most
