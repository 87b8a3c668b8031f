"""Constructors of a number, given a tensor: recorded as what they would make, or left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat import laplacian, parse_strategy
from jacstrat.trace.fills import FilledByTensors

pytestmark = pytest.mark.long(but_one_in=3)

X = torch.linspace(0.1, 1, 12, dtype=torch.float64).view(4, 3)
# Ways to write a number beside points.
WRITTEN: dict[str, Callable[[Tensor, float], Tensor]] = {
    "full_like": lambda x, t: torch.full_like(x[:, :1], t),
    "full_like by name": lambda x, t: torch.full_like(x[:, :1], fill_value=t),
    "full": lambda x, t: torch.full((len(x), 1), t, dtype=x.dtype),
    "full by name": lambda x, t: torch.full(size=(len(x), 1), fill_value=t, dtype=x.dtype),
    "new_full": lambda x, t: x.new_full((len(x), 1), t),
    "tensor": lambda x, t: torch.tensor([[t]], dtype=x.dtype).expand(len(x), 1),
    "tensor of a number": lambda x, t: torch.tensor(t, dtype=x.dtype).expand(len(x), 1),
    "as_tensor": lambda x, t: torch.as_tensor([t, 2 * t], dtype=x.dtype)[1:].expand(len(x), 1) / 2,
    "new_tensor": lambda x, t: x.new_tensor([t]).expand(len(x), 1),
}


@pytest.mark.parametrize("spec", ["taylor", "coloring", "chain"])
@pytest.mark.parametrize("kind", [float, int])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_time_is_an_input_of_the_recording(name: str, kind: type, spec: str) -> None:
    def field(x: Tensor, t: float) -> Tensor:
        return (torch.cat((x, WRITTEN[name](x, t / 4)), -1) @ torch.ones(4, 3, dtype=x.dtype)).sin()

    operator = "laplacian" if spec == "taylor" else "divergence"
    calls = 0

    def f(x: Tensor, t: float) -> Tensor:
        nonlocal calls
        calls += 1
        return field(x, t).sum(-1) if operator == "laplacian" else field(x, t)

    with torch.no_grad():
        prepared, before = parse_strategy(spec).prepare(operator, f, X, args=(kind(1),)), 0
        for t in (1, 2, 3, 4):
            torch.testing.assert_close(
                prepared(X, kind(t)), parse_strategy("identity").apply(operator, f, X, args=(t,))
            )
        before = calls
        for t in range(5, 9):
            prepared(X, kind(t))
    assert calls - before == 0 or spec == "coloring"  # which calls f, and records nothing more
    assert prepared.contraction.is_traced


def test_a_direct_call_goes_on_with_other_numbers() -> None:
    def u(x: Tensor, t: int) -> Tensor:
        return torch.cat((x, torch.full_like(x[:, :1], t / 4)), -1).prod(-1).square()

    for t in range(1, 5):
        torch.testing.assert_close(laplacian(u, X, args=(t,)), laplacian(u, X, "identity", args=(t,)))


@pytest.mark.parametrize(
    "make",
    [
        lambda t: torch.full((2,), t),
        lambda t: torch.full((2,), t, dtype=torch.int64),
        lambda t: torch.full((2,), t, dtype=torch.float16),
        lambda t: torch.full_like(torch.ones(2, dtype=torch.float32), t),
        lambda t: torch.tensor([t, 1.0]),
        lambda t: torch.tensor([[t], [2]]),
        lambda t: torch.tensor(t),
        lambda t: torch.as_tensor((t, t)),
        lambda t: torch.ones(1, dtype=torch.float16).new_tensor([t]),
        lambda t: torch.ones(1, dtype=torch.float16).new_full((2, 1), t),
        lambda t: torch.as_tensor(t, dtype=torch.float16),
        lambda t: torch.full((2,), t, requires_grad=True).detach(),
        lambda t: torch.tensor([1.0, 2.0]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_what_is_made_is_what_torch_makes(make: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    t = torch.tensor(1.7, dtype=dtype)
    with FilledByTensors():
        made = make(t)
    torch.testing.assert_close(made, make(t), rtol=0, atol=0)


def test_what_is_no_number_is_left_to_torch() -> None:
    with FilledByTensors(), pytest.raises((RuntimeError, TypeError)):
        torch.full((2,), torch.ones(3))


def test_a_tensor_that_is_taken_as_it_is_keeps_its_graph() -> None:
    scale = torch.nn.Parameter(torch.tensor(1.5, dtype=torch.float64))
    for u in (
        lambda x: (torch.as_tensor(scale, dtype=x.dtype) * x**4).sum(-1),
        lambda x: torch.as_tensor((x**4).sum(-1)) * scale,
    ):
        for x in (X, X[0]):
            (found,) = torch.autograd.grad(laplacian(u, x, "taylor").sum(), scale)
            torch.testing.assert_close(found, 12 * x.square().sum())


def test_a_number_of_a_tensor_has_all_its_digits() -> None:
    t = torch.tensor(0.1, dtype=torch.float64)
    for make in (lambda t: torch.tensor([t, t, t]), lambda t: torch.as_tensor(t), lambda t: t.clone()):
        found = laplacian(lambda x, t, make=make: (make(t) * x**4).sum(-1), X, args=(t,))
        torch.testing.assert_close(found, 1.2 * X.square().sum(-1), rtol=1e-14, atol=0)


@pytest.mark.filterwarnings("error:To copy construct from a tensor")
def test_a_number_that_is_recorded_as_a_tensor_warns_of_no_copy() -> None:
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    with FilledByTensors():
        made, single = torch.tensor(t), torch.tensor(t, dtype=torch.float32)
    assert torch.equal(made, t.detach())
    assert not made.requires_grad
    assert made.data_ptr() != t.data_ptr()
    assert torch.equal(single, t.detach().float())
