"""What torch has wrong under a transform is refused by name, at whatever points; and it is wrong there, as torch is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from jacstrat import UnsupportedError, hessian_diagonal, laplacian, parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.checked import checked
from jacstrat.strategies.contraction import Contraction, contraction_of
from jacstrat.strategies.gaps import PAST_DATA, PAST_NO_GRAD, WRONG, WRONG_CARRIED, Transform, gap
from tests.strategies.claims import D, trusted

pytestmark = pytest.mark.long(but_one_in=3)

Function = Callable[[Tensor], Tensor]

X = 0.8 * torch.randn(40, 4, dtype=D, generator=torch.Generator().manual_seed(0))
W = torch.randn(4, 4, dtype=D, generator=torch.Generator().manual_seed(1))


def matrices(x: Tensor) -> Tensor:
    return torch.eye(2, dtype=x.dtype) + 0.5 * torch.tanh(x @ W).unflatten(-1, (2, 2))


def lu_solve(x: Tensor) -> Tensor:
    A, b = matrices(x), x[..., :2].unsqueeze(-1)
    return torch.linalg.lu_solve(*torch.linalg.lu_factor(A), b).flatten(-2)


def cholesky_inverse(x: Tensor) -> Tensor:
    L = matrices(x).tril()
    return torch.cholesky_inverse(L).flatten(-2)


def scatter_prod(x: Tensor) -> Tensor:
    index = torch.tensor([0, 0, 1, 1]).expand(x.shape)
    return torch.ones_like(x).scatter_reduce(-1, index, x @ W, "prod")


def instance_norm(x: Tensor) -> Tensor:
    return nn.functional.instance_norm((x @ W).unflatten(-1, (1, 4))).flatten(-2)


FUNCTIONS: dict[str, Function] = {
    "CholeskyInverse": cholesky_inverse,
    "LinalgHouseholderProduct": lambda x: torch.linalg.householder_product(matrices(x), x[..., :2]).flatten(-2),
    "LinalgDet": lambda x: torch.linalg.det(matrices(x)).unsqueeze(-1),
    "LinalgLuSolve": lu_solve,
    "LinalgSlogdet": lambda x: torch.linalg.slogdet(matrices(x))[1].unsqueeze(-1),
    "LinalgSolveEx": lambda x: torch.linalg.solve(matrices(x), x[..., :2]),
    "NativeBatchNorm": instance_norm,
    "PreluKernel": lambda x: nn.functional.prelu(x @ W, torch.full((1,), 0.2, dtype=D)),
    "NativeLayerNorm": lambda x: nn.functional.layer_norm(x @ W, (4,)),
    "ScatterReduce": scatter_prod,
}
# As many rows as coordinates: with others it is no wrong number, but an error.
ROWS = {"PreluKernel": 4}
# By one that it is wrong for.
STRATEGIES = {"rows": "jacrev", "forward": "jvp", "twice": "forward_over_forward"}


TRANSFORMS = get_args(Transform)


def scalar(name: str) -> Function:
    return lambda x: FUNCTIONS[name](x).sin().sum(-1)


def by_torch(spec: str, operator: str, f: Function) -> Tensor:
    """The operator at X by torch's own operations, whatever is put in their place where one is prepared."""
    plain = OPERATORS[operator]
    return contraction_of(parse_strategy(spec).build(plain, checked(f, plain), X, (), None)).evaluate(X)


@pytest.mark.parametrize(("transform", "name"), [(one, name) for one in STRATEGIES for name in sorted(WRONG[one])])
def test_what_is_in_the_table_is_wrong_and_refused_by_name(transform: Any, name: str) -> None:
    f, spec = checked(scalar(name), OPERATORS["laplacian"]), STRATEGIES[transform]
    with torch.no_grad():
        x = X[: ROWS.get(name, len(X))]
        claim = parse_strategy(spec).build(OPERATORS["laplacian"], f, x, (), None)
        assert isinstance(claim, Contraction)
        off = (claim.evaluate(x) - laplacian(f, x, "identity")).abs()
    assert bool((off > 1e-6).any()), f"{name} is right by {spec} with torch {torch.__version__}: out of the table"
    with pytest.raises(UnsupportedError, match=f"torch's {name} is wrong"):
        parse_strategy(spec).prepare("laplacian", f, X[:1])


def test_what_goes_by_reverse_mode_has_no_gap() -> None:
    for name in FUNCTIONS:
        f = scalar(name)
        assert gap(f, X, (), order=2) == gap(f, X, {"rules", "reverse", "func"}, order=2) == ""
        assert parse_strategy("vmap").prepare("laplacian", f, X).strategy.name == "vmap"


def test_the_same_operations_with_other_arguments_have_none() -> None:
    def summed(x: Tensor) -> Tensor:
        index = torch.tensor([0, 0, 1, 1]).expand(x.shape)
        return torch.ones_like(x).scatter_reduce(-1, index, x, "sum")

    def by_constants(x: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, W[0], W[1].exp())

    for function in (summed, by_constants):
        assert gap(lambda x, function=function: function(x).sin().sum(-1), X, TRANSFORMS, order=2) == ""


class TestGradientsOfTangents:
    """Of products by forward mode, in what stands before an operation."""

    GAIN = torch.linspace(0.5, 1.5, 4, dtype=D)

    def gradient(self, name: str, spec: str, operator: str) -> Tensor:
        f, gain = FUNCTIONS[name], self.GAIN.clone().requires_grad_()
        functions: dict[str, Function] = {
            "divergence": lambda x: x * f(gain * x).sum(-1, keepdim=True),
            "laplacian": lambda x: f(gain * x).sin().sum(-1),
        }
        return torch.autograd.grad(by_torch(spec, operator, functions[operator]).sum(), gain)[0]

    @pytest.mark.parametrize("operator", ["divergence", "laplacian"])
    @pytest.mark.parametrize("name", sorted(WRONG_CARRIED))
    def test_what_is_in_the_table_is_wrong_and_refused_by_name(self, name: str, operator: str) -> None:
        wanted = "taylor" if operator == "laplacian" else "identity"  # whose third derivatives may be wrong
        off = self.gradient(name, "jvp", operator) - self.gradient(name, wanted, operator)
        assert not float(off.abs().max()) < 1e-3, f"{name} is right with torch {torch.__version__}: out of the table"
        f, gain = FUNCTIONS[name], self.GAIN.clone().requires_grad_()
        for spec in ("jvp", "coloring:product=forward"):
            with pytest.raises(UnsupportedError, match=f"forward mode, .*torch's {name} "):
                parse_strategy(spec).prepare("divergence", lambda x: x * f(gain * x).sum(-1, keepdim=True), X)

    def test_behind_it_they_are_right_in_a_field_and_not_in_a_gradient(self) -> None:
        gain = self.GAIN.clone().requires_grad_()

        def f(x: Tensor) -> Tensor:
            return (torch.linalg.solve(matrices(x), x[..., :2]) * gain[:2]).sin().repeat(1, 2)

        assert gap(f, X, {"forward"}, order=1, is_tracked=True) == ""
        assert gap(f, X, {"forward"}, order=1, is_tracked=False) == ""
        assert "have a wrong gradient" in gap(f, X.clone().requires_grad_(), {"forward"}, order=1, is_tracked=True)
        assert "have a wrong gradient" in gap(lambda x: f(x).sum(-1), X, {"forward"}, order=2, is_tracked=True)

        def total(spec: str) -> Tensor:
            return torch.autograd.grad(trusted(spec, "divergence", f, X)(X).sum(), gain)[0]

        torch.testing.assert_close(total("jvp"), total("identity"))


class TestThirdDerivatives:
    """Of the Laplacian's gradient in what stands before an operation."""

    GAIN = torch.linspace(0.5, 1.5, 4, dtype=D)

    @pytest.mark.parametrize("name", sorted(WRONG["rules"]))
    def test_what_is_in_the_table_is_wrong_and_refused_by_name(self, name: str) -> None:
        gain = self.GAIN.clone().requires_grad_()
        f = checked(lambda x: scalar(name)(gain * x), OPERATORS["laplacian"])
        found, expected = (
            torch.autograd.grad(by_torch(spec, "laplacian", f).sum(), gain)[0] for spec in ("vmap", "taylor")
        )
        assert float((found - expected).abs().max()) > 1e-3, f"{name} is right with torch {torch.__version__}"
        assert f"third derivatives of torch's {name} are wrong" in gap(f, X, {"rules"}, order=2, is_tracked=True)
        for spec in ("identity", "vmap", "jvp", "coloring", "forward_over_forward", "taylor"):  # in plain words
            (found,) = torch.autograd.grad(parse_strategy(spec).prepare("laplacian", f, X)(X).sum(), gain)
            torch.testing.assert_close(found, expected)
        with torch.no_grad():
            assert parse_strategy("vmap").prepare("laplacian", f, X).strategy.name == "vmap"

    def test_what_is_called_past_the_plain_words_is_refused_by_name(self) -> None:
        gain = self.GAIN.clone().requires_grad_()

        def f(x: Tensor) -> Tensor:
            return torch.native_layer_norm(gain * x, (4,), None, None, 1e-5)[0].sin().sum(-1)

        for spec in ("identity", "vmap", "jvp", "coloring"):
            with pytest.raises(UnsupportedError, match="third derivatives of torch's NativeLayerNorm are wrong"):
                parse_strategy(spec).prepare("laplacian", f, X)
        assert parse_strategy("auto").prepare("laplacian", f, X).strategy.name == "taylor"

    @pytest.mark.parametrize("spec", ["auto", "identity", "vmap", "jvp", "hessian", "coloring"])
    @pytest.mark.parametrize("name", ["NativeLayerNorm", "NativeBatchNorm", "alone"])
    def test_a_diagonal_through_a_norm_has_a_gradient(self, name: str, spec: str) -> None:
        """Held against differences of what is right without gradients; `alone` is a logcumsumexp of one entry."""

        def f(x: Tensor, gain: Tensor) -> Tensor:
            if name == "alone":
                return torch.logcumsumexp((gain * x).unsqueeze(-1), -1).pow(3).sum((-1, -2))
            return FUNCTIONS[name](gain * x).sin().sum(-1)

        def total(gain: Tensor) -> Tensor:
            return hessian_diagonal(lambda x: f(x, gain), X[:3], spec if gain.requires_grad else "identity").sum()

        gain, line, h = self.GAIN.clone().requires_grad_(), W[0], 1e-5
        (gradient,) = torch.autograd.grad(total(gain), gain)
        with torch.no_grad():
            slope = (total(self.GAIN + h * line) - total(self.GAIN - h * line)) / (2 * h)
        torch.testing.assert_close(gradient @ line, slope, rtol=1e-6, atol=0)

    def test_three_times_by_reverse_mode_what_stands_behind_is_wrong_as_well(self) -> None:
        weight, matrix = self.GAIN.clone().requires_grad_(), W

        def f(x: Tensor) -> Tensor:
            return ((torch.logcumsumexp(x, -1) @ matrix).sin() * weight).sum(-1)

        def gradient(spec: str) -> Tensor:
            result = trusted(spec, "laplacian", f, X)(X)
            return torch.autograd.grad(result.sum(), weight)[0]

        assert float((gradient("identity") - gradient("taylor")).abs().max()) > 1e-3, "right: out of the table"
        for spec in ("identity", "vmap", "jacrev", "coloring"):
            with pytest.raises(
                UnsupportedError, match="since torch's Logcumsumexp is wrong three times by reverse mode"
            ):
                parse_strategy(spec).prepare("laplacian", f, X)
        for spec in ("jvp", "hessian", "taylor"):
            torch.testing.assert_close(gradient(spec), gradient("taylor"))
            parse_strategy(spec).prepare("laplacian", f, X)

    def test_behind_it_they_are_second_ones(self) -> None:
        gain = self.GAIN.clone().requires_grad_()

        def f(x: Tensor) -> Tensor:
            return nn.functional.layer_norm(x, (4,), gain, gain + 1).mul(gain).sin().sum(-1)

        assert gap(f, X, {"rules"}, order=2, is_tracked=True) == ""
        assert gap(f, X.clone().requires_grad_(), {"rules"}, order=2, is_tracked=True) != ""
        assert gap(f, X.clone().requires_grad_(), {"rules"}, order=1, is_tracked=True) == ""

    def test_where_differences_are_blind_autograd_is_no_truth(self) -> None:
        # In float32 no step is as short as the length over which a row of equal entries is smooth.
        x = torch.full((2, 4), 0.7, requires_grad=True)

        def f(x: Tensor) -> Tensor:
            return (nn.functional.layer_norm(x, (4,)) * self.GAIN.float()).tanh().sum(-1)

        prepared = parse_strategy("auto").prepare("laplacian", f, x)
        (found,) = torch.autograd.grad(prepared(x).sum(), x)
        exact = torch.full((2, 4), 0.7, dtype=D, requires_grad=True)
        by_hand = laplacian(lambda x: (normalised(x) * self.GAIN).tanh().sum(-1), exact, "identity").sum()
        (expected,) = torch.autograd.grad(by_hand, exact)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0)


def normalised(x: Tensor) -> Tensor:
    c = x - x.mean(-1, keepdim=True)
    return c * ((c * c).mean(-1, keepdim=True) + 1e-5).rsqrt()


def scaled(scale: Function) -> Function:
    def f(x: Tensor) -> Tensor:
        with torch.no_grad():
            s = scale(x)
        return (s * x.sin()).sum(-1)

    return f


class TestPastAutograd:
    def test_forward_mode_goes_on_where_gradients_are_turned_off(self) -> None:
        # The clamp is active at none of these points.
        f = scaled(lambda x: x.clamp(min=5.0))
        for spec in ("jvp", "jacfwd", "hessian", "forward_over_forward", "hutchinson:product=forward"):
            with pytest.raises(UnsupportedError) as caught:
                parse_strategy(spec).prepare("laplacian", f, X)
            assert str(caught.value).endswith(PAST_NO_GRAD)
        torch.testing.assert_close(laplacian(f, X, "vmap"), laplacian(f, X, "identity"))

    @pytest.mark.parametrize(
        "scale",
        [
            torch.floor,
            torch.zeros_like,
            lambda x: (x > 0).to(x.dtype),
            lambda x: x.detach().exp(),
            lambda x: W[0].exp(),
        ],
        ids=["flat", "shape", "truth", "detached", "constant"],
    )
    def test_but_not_from_what_has_no_derivative(self, scale: Function) -> None:
        assert gap(scaled(scale), X, {"forward"}, order=2) == ""
        torch.testing.assert_close(laplacian(scaled(scale), X, "jvp"), laplacian(scaled(scale), X, "identity"))

    def test_what_is_written_with_gradients_turned_off_is_seen(self) -> None:
        def f(x: Tensor) -> Tensor:
            r = x.sin()
            with torch.no_grad():
                r.clamp_(max=5.0)
            return (r * x).sum(-1)

        assert gap(f, X, {"forward"}, order=2) == PAST_NO_GRAD
        assert gap(f, X, {"func", "rows"}, order=2) == ""

    @pytest.mark.parametrize("part", [lambda r: r.data, lambda r: r.data[..., 1:]], ids=["all", "view"])
    def test_what_is_written_into_data_is_left_to_loops_of_reverse_mode(self, part: Function) -> None:
        def f(x: Tensor) -> Tensor:
            r = x.sin()
            part(r).clamp_(max=5.0)
            return (r * x).sum(-1)

        for spec in ("vmap", "jvp", "taylor", "coloring"):
            with pytest.raises(UnsupportedError) as caught:
                parse_strategy(spec).prepare("laplacian", f, X)
            assert str(caught.value).endswith(PAST_DATA)
        assert parse_strategy("auto").prepare("laplacian", f, X).strategy.name in ("ones", "identity")

    def test_data_that_is_only_read_is_none_of_it(self) -> None:
        assert gap(lambda x: (x.sin().data.exp() * x).sum(-1), X, {"func"}, order=2) == ""
