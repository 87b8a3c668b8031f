"""Taylor series through whole functions: closed forms, growth of work, many directions at once."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jacstrat.core.errors import UnsupportedError
from jacstrat.series import TapedLine, nested
from tests.taylor.functions import UNTRACEABLE
from tests.taylor.samples import draw

X = torch.rand(3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
V = draw(2, 12, seed=5) - 0.75


@pytest.mark.parametrize("shape", [(12,), (2, 6)])
def test_normalisation_against_its_definition(shape: tuple[int, ...]) -> None:
    # Where torch's own third derivative is wrong: nested reverse mode has it in other words.
    norm: torch.nn.Module = torch.nn.LayerNorm(12) if shape == (12,) else torch.nn.InstanceNorm1d(2, affine=True)
    norm.double()

    def by_hand(x):
        x = x.view(-1, *shape)
        c = x - x.mean(-1, keepdim=True)
        return (c * ((c * c).mean(-1, keepdim=True) + norm.eps).rsqrt()).sin().flatten(1).sum(-1)

    def f(x):
        return norm(x.view(-1, *shape)).sin().flatten(1).sum(-1)

    expected = torch.stack([nested(by_hand, X, v.expand_as(X), 4) for v in V])
    torch.testing.assert_close(torch.stack([nested(f, X, v.expand_as(X), 4) for v in V]), expected)
    torch.testing.assert_close(TapedLine(f).derivatives(X, V, 4), expected)


def test_exponential_and_sine_to_order_eight() -> None:
    a = draw(12) - 0.7
    slopes = (V @ a).view(2, 1, 1) ** torch.arange(9).view(1, 9, 1)
    torch.testing.assert_close(TapedLine(lambda x: (x @ a).exp()).derivatives(X, V, 8), slopes * (X @ a).exp())
    phases = (X @ a).view(1, 1, 3) + math.pi / 2 * torch.arange(9).view(1, 9, 1)
    torch.testing.assert_close(TapedLine(lambda x: (x @ a).sin()).derivatives(X, V, 8), slopes * phases.sin())


def test_the_reciprocal_of_a_quadratic() -> None:
    # 1/(c + 2 b s + a s^2): the coefficients follow from y (c + 2 b s + a s^2) = 1.
    c, b, a = 1 + X.square().sum(-1), V @ X.T, V.square().sum(-1, keepdim=True)
    y = [(1 / c).expand(2, 3)]
    y.append(-2 * b * y[0] / c)
    for _ in range(5):
        y.append(-(2 * b * y[-1] + a * y[-2]) / c)
    expected = torch.stack([math.factorial(k) * part for k, part in enumerate(y)], 1)
    torch.testing.assert_close(TapedLine(lambda x: 1 / (1 + (x * x).sum(-1))).derivatives(X, V, 6), expected)


def test_a_polynomial_ends() -> None:
    found = TapedLine(lambda x: (x**3).sum(-1) + x[..., 0] * x[..., 1]).derivatives(X, V, 6)
    torch.testing.assert_close(found[:, 3], 6 * (V**3).sum(-1, keepdim=True).expand(2, 3))
    assert not found[:, 4:].any()
    assert not TapedLine(lambda x: x.new_ones(len(x))).derivatives(X, V, 3)[:, 1:].any()


def test_each_point_along_its_own_directions_and_a_single_point() -> None:
    def f(x):
        return torch.stack((x.sin().sum(-1), x.prod(-1)), -1)

    own = draw(2, 3, 12, seed=6)
    found = TapedLine(f).derivatives(X, own, 3)
    assert found.shape == (2, 4, 3, 2)
    for d in range(2):
        torch.testing.assert_close(found[d], nested(f, X, own[d], 3))
    single = TapedLine(f).derivatives(X[0], own[:, 0], 3)
    torch.testing.assert_close(single, found[:, :, 0])


def test_many_directions_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    line, many = TapedLine(lambda x: x.sin().sum(-1)), draw(7, 12, seed=8)
    whole = line.derivatives(X, many, 2)
    monkeypatch.setattr("jacstrat.series.engine.CPU_BYTES", 3 * X.numel() * 2 * 8)
    torch.testing.assert_close(line.derivatives(X, many, 2), whole)
    monkeypatch.setattr("jacstrat.series.engine.CPU_BYTES", 1)
    torch.testing.assert_close(line.derivatives(X, many, 2), whole)


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_a_function_that_cannot_be_traced_says_why(name: str) -> None:
    f, reason = UNTRACEABLE[name]
    with pytest.raises(UnsupportedError) as error:
        TapedLine(f).derivatives(X, V, 2)
    assert reason in str(error.value)


class _Numbers(TorchDispatchMode):
    """Counts operations, and the numbers in what they give but views."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not func.is_view:
            self.operations += 1
            self.numbers += out.numel()
        return out


def test_work_grows_as_the_square_of_the_order() -> None:
    first, second = draw(12, 20) - 0.7, draw(20, 20) - 0.7
    line = TapedLine(lambda x: torch.tanh(torch.tanh(x @ first) @ second).sum(-1))
    counts = {}
    with torch.no_grad():
        line.derivatives(X, V, 2)
        for order in (4, 8, 16, 32):
            with _Numbers() as counts[order]:
                line.derivatives(X, V, order)
    for order in (4, 8, 16):
        assert counts[2 * order].operations < 4.2 * counts[order].operations
        assert counts[2 * order].numbers < 4.2 * counts[order].numbers
