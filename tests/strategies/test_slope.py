"""Derivatives along a line through the leaves of a graph."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.slope import LEAST, LeafLine, Slope
from jacstrat.strategies.witness import Witness

D = torch.float64
X = torch.randn(3, 4, dtype=D, generator=torch.Generator().manual_seed(0))


def leaf(dtype: torch.dtype = D) -> Tensor:
    return torch.linspace(0.5, 1.5, 4, dtype=dtype).requires_grad_()


def test_a_line_goes_through_the_points_where_they_require_grad() -> None:
    p = leaf()
    assert LeafLine.through(X, [p]).leaves == (p,)
    x = X.clone().requires_grad_()
    line = LeafLine.through(x, [p])
    assert [id(one) for one in line.leaves] == [id(p), id(x)]
    assert [direction.shape for direction in line.directions] == [p.shape, x.shape]
    same = LeafLine.through(x, [p])
    assert all(map(torch.equal, line.directions, same.directions))


def test_directions_are_of_the_size_of_their_leaves() -> None:
    small, none = (1e-3 * leaf().detach()).requires_grad_(), torch.zeros(4, dtype=D, requires_grad=True)
    empty = torch.zeros(0, dtype=D, requires_grad=True)
    sizes = [float(one.norm()) for one in LeafLine.through(X, [small, none, empty]).directions]
    assert 1e-4 < sizes[0] < 1e-2
    assert sizes[1] > 0.1
    assert sizes[2] == 0


@pytest.mark.parametrize("is_steady", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_differences_and_autograd_agree(dtype: torch.dtype, is_steady: bool) -> None:
    p, x = leaf(dtype), X.to(dtype, copy=True).requires_grad_()
    line = LeafLine.through(x, [p])

    def total(x: Tensor) -> Tensor:
        return ((p * x).sin() * p).sum()

    slope, (found, size) = line.by_differences(total, is_steady), line.by_autograd(total(x))
    assert slope.is_known
    assert slope.is_near(found, size, 1e-6 if dtype == D else 1e-3)
    assert not slope.is_near(1.01 * found + slope.noise, 0.0, 1e-6)
    assert size > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_rough_slope_takes_two_evaluations_and_is_near_what_is_right(dtype: torch.dtype) -> None:
    p, x, seen = leaf(dtype), X.to(dtype), []
    line = LeafLine.through(x, [p])

    def total(x: Tensor) -> Tensor:
        seen.append(torch.is_grad_enabled())
        return ((p * x).sin() * p).sum()

    rough = line.roughly(total)
    # One more, with a graph, tells whether others can stand in for the leaves.
    assert seen == [True, False, False]
    found, size = line.by_autograd(total(x))
    assert rough.is_known
    assert rough.is_near(found, size, 1e-8 if dtype == D else 1e-3)
    assert not rough.is_near(1.01 * found, size, 1e-3 * abs(found) / size)


def test_a_rough_slope_of_what_is_not_finite_or_raises_says_nothing() -> None:
    p = torch.zeros(4, dtype=D, requires_grad=True)
    line = LeafLine.through(X, [p])
    assert not line.roughly(lambda x: p.sqrt().sum()).is_known

    def refused(x: Tensor) -> Tensor:
        raise NotImplementedError

    assert not line.roughly(refused).is_known


def test_what_has_no_graph_has_no_slope() -> None:
    p, unused = leaf(), leaf()
    line = LeafLine.through(X, [p, unused])
    assert line.by_autograd(torch.tensor(1.0)) == (0.0, 0.0)
    found, _ = line.by_autograd(p.sum())
    assert found == pytest.approx(float(line.directions[0].sum()))


def test_a_kink_and_what_torch_refuses_give_nothing() -> None:
    p = torch.zeros(4, dtype=D, requires_grad=True)
    line = LeafLine.through(X, [p])
    assert not line.by_differences(lambda x: (p * x).abs().sum()).is_known

    def refused(x: Tensor) -> Tensor:
        raise NotImplementedError

    assert not line.by_differences(refused).is_known


def test_a_share_of_the_step_stays_clear_of_a_kink_that_is_near() -> None:
    p = torch.full((4,), 1e-3, dtype=D, requires_grad=True)
    line = LeafLine(X, (p,), (torch.ones(4, dtype=D),))
    assert not line.by_differences(lambda x: p.abs().sum()).is_known
    for slope in (
        line.by_differences(lambda x: p.abs().sum(), shrink=1 / 64),
        line.by_differences(lambda x: p.abs().sum(), is_steady=True),
    ):
        assert slope.is_known
        assert slope.value == pytest.approx(4.0)


def itself(p: Tensor) -> Tensor:
    """A copy of the numbers of a tensor, whatever stands in for it."""
    with torch._C.DisableTorchFunction():
        return p.detach().clone()


@pytest.mark.parametrize(
    ("read", "wanted"),
    [
        (lambda p: p.sum(), lambda d: float(d.sum())),
        (lambda p: torch.cat([p, 2 * p]).sum(), lambda d: 3 * float(d.sum())),
        (lambda p: torch.stack((p[0], p.data.sum())).sum(), lambda d: float(d[0] + d.sum())),
    ],
    ids=["argument", "list", "data"],
)
def test_others_stand_in_for_leaves_which_no_thread_sees_moving(read, wanted) -> None:
    p = leaf()
    before, found = itself(p), []
    line = LeafLine.through(X, [p])

    def watched(x: Tensor) -> Tensor:
        assert torch.equal(itself(p), before)
        assert p.requires_grad
        assert p.is_leaf
        found.append(float(p.sum()))
        return read(p)

    slope = line.by_differences(watched)
    assert slope.is_known
    assert len(set(found)) == 7
    assert slope.value == pytest.approx(wanted(line.directions[0]))


class Hidden(torch.autograd.Function):
    """What is handed over to it is not seen."""

    @staticmethod
    def forward(ctx, p):
        return p.numpy().sum() * torch.ones((), dtype=p.dtype)

    @staticmethod
    def backward(ctx, cotangent):
        return cotangent.expand(4)


def test_leaves_that_are_not_seen_are_moved_and_put_back() -> None:
    p = leaf()
    before, version, seen = itself(p), p._version, []
    line = LeafLine.through(X, [p])

    def watched(x: Tensor) -> Tensor:
        seen.append(itself(p))
        if len(seen) == 9:
            raise ZeroDivisionError
        return Hidden.apply(p)

    assert line.by_differences(watched).value == pytest.approx(float(line.directions[0].sum()))
    with pytest.raises(ZeroDivisionError):
        line.by_differences(watched)
    assert len({tuple(one.tolist()) for one in seen}) == 7
    assert torch.equal(itself(p), before)
    assert p._version == version


def test_a_cut_is_one_where_it_lies_on_the_line() -> None:
    p = leaf()

    def across(x: Tensor) -> Tensor:
        with torch.no_grad():
            places = torch.arange(4, dtype=D).sin()
        return (p * x.tanh() + places).sum(-1)

    line = LeafLine.through(X, [p])
    assert not line.is_cut(across)
    assert not line.is_cut(lambda x: (p * x).sum(-1))
    assert line.is_cut(lambda x: (p * p.detach() * x).sum(-1))
    assert line.is_cut(lambda x: ((p - p.detach()) * x).sum(-1)), "though it is 0"

    def held(x: Tensor) -> Tensor:
        return (p * x.detach() * x).sum(-1)

    assert not line.is_cut(held), "the points stay where they are"
    assert LeafLine.through(X.clone().requires_grad_(), [p]).is_cut(held)
    with torch.no_grad():
        assert not line.is_cut(held), "whatever is tracked outside"


def test_what_is_near_is_told_by_the_terms() -> None:
    assert Slope(2.0).is_near(2.0 + 1e-4, 0.0, 1e-4)
    assert not Slope(2.0).is_near(2.1, 0.0, 1e-4)
    assert Slope(2.0).is_near(2.1, 1e4, 1e-4)
    assert Slope(2.0, noise=0.2).is_near(2.1, 0.0, 1e-4)
    assert Slope(0.0).is_near(LEAST / 2, 0.0, 1e-4)
    assert not Slope(0.0).is_near(float("nan"), 1.0, 1e-4)


@pytest.mark.parametrize("spec", ["identity", "vmap", "jvp", "auto"])
def test_complex_parameters_are_trained(spec: str) -> None:
    w = torch.randn(5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0)).requires_grad_()
    x = torch.linspace(-1, 1, 32, dtype=D).view(4, 8)

    def mixed(x: Tensor) -> Tensor:
        return torch.tanh(torch.fft.irfft(torch.fft.rfft(x) * w, n=8))

    J = torch.func.vmap(torch.func.jacrev(mixed))(x)
    (expected,) = torch.autograd.grad(J.diagonal(dim1=-2, dim2=-1).sum(-1).square().sum(), w)
    (found,) = torch.autograd.grad(parse_strategy(spec).apply("divergence", mixed, x).square().sum(), w)
    torch.testing.assert_close(found, expected)


def test_a_wrong_gradient_in_a_complex_parameter_is_a_fault() -> None:
    w = torch.tensor([1.0 + 2.0j, 0.5 - 1.0j], dtype=torch.complex128).requires_grad_()
    x = torch.rand(5, 2, dtype=D)

    def u(x: Tensor) -> Tensor:
        return (x**3 * w.abs().square()).sum(-1)

    right = Contraction(lambda x: 6 * (x * w.abs().square()).sum(-1))
    halved = Contraction(lambda x: 6 * (x * (w.real.square() + w.imag.square().detach())).sum(-1))
    assert Witness(OPERATORS["laplacian"], u, x).fault(right) == ""
    assert "gradient in what f holds" in Witness(OPERATORS["laplacian"], u, x).fault(halved)


@pytest.mark.parametrize("spec", ["identity", "taylor", "auto"])
def test_gradients_of_a_few_rows_are_sparse(spec: str) -> None:
    table = torch.nn.Embedding(4, 3, sparse=True, dtype=D)
    x = torch.rand(5, 4, dtype=D)

    def u(x: Tensor) -> Tensor:
        return (table(torch.arange(4)) * x.sin().unsqueeze(-1)).sum((1, 2))

    (found,) = torch.autograd.grad(parse_strategy(spec).apply("laplacian", u, x).sum(), table.weight)
    torch.testing.assert_close(found.to_dense(), -x.sin().sum(0).unsqueeze(-1).expand(4, 3))


def test_a_hook_of_a_module_is_no_warning(recwarn) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1)).double()
    net[0].register_full_backward_hook(lambda *_: None)
    parse_strategy("auto").apply("laplacian", net, torch.rand(5, 4, dtype=D))
    assert not recwarn.list
