"""What surrounds f: numbers of its own for each row, state that changes, the caller's vmap, complex numbers, autocast.

A strategy that cannot serve f as it is asked refuses; it gives no number that is wrong, or that was right before.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from jacstrat import JacstratError, divergence, laplacian, parse_strategy
from tests.cases.case import points, seeded

pytestmark = pytest.mark.long(but_one_in=3)

FIELD = ("identity", "vmap", "jvp", "jvp:chunk_size=all", "jacrev", "jacfwd", "coloring", "chain", "auto")
PRODUCTS = ("identity", "vmap", "jvp", "jacrev", "jacfwd", "coloring")
SCALAR = (*PRODUCTS, "hessian", "forward_over_forward", "taylor", "taylor:tile=64", "auto")
B, N = 40, 3


class Velocity(nn.Module):
    """A field of x at a time that it keeps, as flows have it: scale * (W tanh(V (x, t)))."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(N + 1, 16), nn.Linear(16, N)
        self.t, self.scale = torch.zeros(1).double(), 2.0

    def at(self, x: Tensor, t: Tensor) -> Tensor:
        return self.scale * self.last(torch.tanh(self.first(torch.cat([x, t], -1))))

    def forward(self, x: Tensor) -> Tensor:
        return self.at(x, self.t.expand(*x.shape[:-1], 1))

    def energy(self, x: Tensor) -> Tensor:
        return self(x).square().sum(-1)


@pytest.fixture
def velocity() -> Velocity:
    return seeded(lambda: Velocity().double())


@pytest.fixture
def x() -> Tensor:
    return seeded(lambda: points(B, N))


@pytest.fixture
def t() -> Tensor:
    """A time for each row, (B, 1)."""
    return torch.linspace(0, 1, B).double().unsqueeze(-1)


def right_or_refused(result: Callable[[], Tensor], truth: Tensor) -> None:
    try:
        found = result()
    except JacstratError:
        return
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-9)


def traces(derivative: Callable, row: Callable[[int], Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    """The trace of a derivative of the function of each row, by itself."""
    return torch.stack([derivative(row(b), x[b]).trace() for b in range(len(x))])


@pytest.mark.parametrize("strategy", FIELD)
def test_a_field_that_has_a_time_for_each_row(velocity, x, t, strategy) -> None:
    truth = traces(torch.autograd.functional.jacobian, lambda b: lambda y: velocity.at(y, t[b]), x)
    right_or_refused(lambda: divergence(lambda x: velocity.at(x, t), x, strategy), truth)


@pytest.mark.parametrize("strategy", SCALAR)
def test_a_scalar_that_has_a_time_for_each_row(velocity, x, t, strategy) -> None:
    truth = traces(torch.autograd.functional.hessian, lambda b: lambda y: velocity.at(y, t[b]).square().sum(), x)
    right_or_refused(lambda: laplacian(lambda x: velocity.at(x, t).square().sum(-1), x, strategy), truth)


def test_a_compiled_field_that_has_a_time_for_each_row(velocity, x, t, interpreted) -> None:
    truth = divergence(lambda x: velocity.at(x, t), x, "identity")
    right_or_refused(lambda: divergence(lambda x: velocity.at(x, t), x, "compiled(chain)"), truth)


@pytest.mark.parametrize("strategy", ["identity", "auto"])
def test_what_has_a_time_for_each_row_is_served(velocity, x, t, strategy) -> None:
    truth = traces(torch.autograd.functional.jacobian, lambda b: lambda y: velocity.at(y, t[b]), x)
    torch.testing.assert_close(divergence(lambda x: velocity.at(x, t), x, strategy), truth)


# So many rows that strategies take them in parts.
@pytest.mark.parametrize("strategy", ["taylor", "taylor:tile=64", "auto"])
def test_a_scalar_that_cuts_its_times_to_the_rows_that_come(velocity, strategy) -> None:
    """As one does on meeting an error about shapes; the rows of a part that is not the first have other times."""
    x, t = seeded(lambda: points(6000, N)), torch.linspace(0, 1, 6000).double().unsqueeze(-1)

    def energy(x: Tensor) -> Tensor:
        return velocity.at(x, t[: len(x)]).square().sum(-1)

    right_or_refused(lambda: laplacian(energy, x, strategy), laplacian(energy, x, "vmap"))


def another_number(net: Velocity) -> None:
    net.scale = 3.0


def another_tensor(net: Velocity) -> None:
    net.t = torch.tensor([0.7], dtype=torch.float64)


def another_layer(net: Velocity) -> None:
    net.first = seeded(lambda: [nn.Linear(N + 1, 16).double() for _ in range(2)][1])


CHANGES = (another_number, another_tensor, another_layer)
OPERATORS = [
    *[("divergence", one) for one in ("identity", "vmap", "jvp", "coloring", "chain", "auto", "compiled(vmap)")],
    *[("laplacian", one) for one in ("vmap", "taylor", "auto", "compiled(taylor)")],
]


@pytest.mark.filterwarnings("ignore:.*has changed since this operator was prepared:UserWarning")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("operator", "strategy"), OPERATORS)
def test_a_prepared_operator_sees_what_changes_in_f(velocity, x, operator, strategy, change, interpreted) -> None:
    f = velocity if operator == "divergence" else velocity.energy
    prepared = parse_strategy(strategy).prepare(operator, f, x)
    before = prepared(x)
    change(velocity)
    truth = parse_strategy("identity").prepare(operator, f, x)(x)
    assert not torch.allclose(before, truth)
    right_or_refused(lambda: prepared(x), truth)


@pytest.mark.parametrize("strategy", FIELD)
def test_an_ensemble_under_vmap(x, strategy) -> None:
    nets = seeded(lambda: [nn.Sequential(nn.Linear(N, 8), nn.Tanh(), nn.Linear(8, N)).double() for _ in range(4)])
    parameters, buffers = stack_module_state(nets)

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return divergence(lambda y: functional_call(nets[0], (parameters, buffers), (y,)), x, strategy)

    truth = torch.stack([divergence(net, x, "identity") for net in nets])
    right_or_refused(lambda: vmap(one)(parameters, buffers), truth)


@pytest.mark.parametrize("strategy", FIELD)
def test_a_point_with_a_time_of_its_own_under_vmap(x, t, strategy) -> None:
    A = seeded(lambda: points(N, N))
    right_or_refused(
        lambda: vmap(lambda y, t: divergence(lambda z: t * (z @ A), y, strategy))(x, t.squeeze(-1)),
        t.squeeze(-1) * A.trace(),
    )


@pytest.mark.parametrize("strategy", SCALAR)
def test_a_complex_scalar(x, strategy) -> None:
    """exp(w . x), a wave, whose Laplacian is sum(w^2) exp(w . x)."""
    w = torch.tensor([0.2 + 0.3j, -0.1j, 0.4], dtype=torch.complex128)
    right_or_refused(
        lambda: laplacian(lambda x: torch.exp(x.to(w.dtype) @ w), x, strategy),
        w.square().sum() * torch.exp(x.to(w.dtype) @ w),
    )


@pytest.mark.parametrize("strategy", ["vmap", "taylor", "auto"])
def test_a_result_under_autocast_has_the_dtype_of_x(strategy) -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(N, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)))
    x = seeded(lambda: torch.randn(4, N))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert laplacian(net, x, strategy).dtype == x.dtype


# "meta" stands for a device that x is not on, and has no numbers to go on with.
@pytest.mark.parametrize("strategy", [*FIELD, "hutchinson:probes=2", "xtrace"])
def test_a_default_device_is_no_matter_of_a_field(x, strategy) -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(N, 8), nn.Tanh(), nn.Linear(8, N)).double())
    elsewhere_as_here(lambda: divergence(net, x, strategy, seeded(torch.Generator)))


@pytest.mark.parametrize("strategy", [*SCALAR, "jacrev", "compiled(taylor)"])
def test_a_default_device_is_no_matter_of_a_scalar(x, strategy, interpreted) -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(N, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).double())
    elsewhere_as_here(lambda: laplacian(net, x, strategy))


@pytest.mark.parametrize("weight", [(1.0, 2.0, 3.0), np.eye(3), torch.eye(3).double(), np.ones(3)])
def test_a_default_device_is_no_matter_of_a_weight(x, weight) -> None:
    elsewhere_as_here(lambda: laplacian(lambda x: x.sin().prod(-1), x, weight=weight))


def elsewhere_as_here(result: Callable[[], Tensor]) -> None:
    with torch.device("meta"):
        found = result()
    torch.testing.assert_close(found, result())
