"""A claim that is wrong is told by the witness, and by how much; one that is right, or cannot be judged, is not."""

from __future__ import annotations

import itertools
import json
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jacstrat import UnsupportedError, laplacian, parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.auto import disk_cache
from jacstrat.strategies.auto.strategy import CHOICE_CACHE
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.witness import Witness
from tests.strategies.claims import (
    EDGE,
    D,
    Function,
    P,
    X,
    cubes,
    cubes_of,
    fault,
    fault_of,
    log_determinant,
    normed,
    normed_by_hand,
    right,
    uncalled,
)


class TestValues:
    @pytest.mark.parametrize("x", [X, X[:3], X[:1], X[0]], ids=["many", "few", "row", "point"])
    def test_a_right_claim_has_no_fault(self, x: Tensor) -> None:
        assert fault(right, x) == ""
        assert fault(right, x.clone().requires_grad_()) == ""
        assert fault(lambda x: 3 * P * x**2, x, lambda x: P * x**3, "jacobian_diagonal") == ""
        assert fault(lambda x: (3 * P * x**2).sum(-1), x, lambda x: P * x**3, "divergence") == ""

    def test_a_term_that_is_missing_is_told_with_its_size(self) -> None:
        x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=D).expand(3, 4)
        # 6 (0.5, 5/3, 3.5, 6): without the last it is off by 6 / (0.5 + 5/3 + 3.5 + 6) of the terms.
        assert fault(lambda x: right(x) - 6 * P[3] * x[..., 3], x) == "is off by 0.51 of the sum of |H_ii|"
        field = {"x": x, "f": lambda x: P * x**3, "operator": "jacobian_diagonal"}
        assert fault(lambda x: 3 * P * x**2 * torch.tensor([1, 1, 1, 0.5]), **field).endswith("of the sum of |J_ii|")

    def test_terms_that_cancel_hide_no_fault(self) -> None:
        x = torch.tensor([[1.0, -1.0, 1.0, -1.0]], dtype=D).expand(3, 4)
        message = fault(lambda x: 6 * x.sum(-1) + 1, x, lambda x: (x**3).sum(-1))
        assert message.startswith("is off by 0.04")

    def test_a_row_with_a_zero_is_looked_at(self) -> None:
        x = X.clone()
        x[17, 2] = 0

        def but_there(x: Tensor) -> Tensor:
            return torch.where((x == 0).any(-1), 0, right(x))

        assert fault(but_there) == ""
        assert fault(but_there, x) == "is off by 1 of the sum of |H_ii|"

    def test_a_row_with_a_tie_is_looked_at(self) -> None:
        x = X.clone()
        x[17, 2] = x[17, 0]

        def but_there(x: Tensor) -> Tensor:
            return torch.where((x.sort(-1).values.diff() == 0).any(-1), 2 * right(x), right(x))

        assert fault(but_there) == ""
        assert fault(but_there, x).startswith("is off by")

    @pytest.mark.parametrize("B", [3, 100])
    def test_points_with_random_numbers_are_looked_at(self, B: int) -> None:
        def at_ones_alone(x: Tensor) -> Tensor:
            return torch.where((x == 1).all(-1), right(x), 0)

        assert fault(at_ones_alone, torch.ones(B, 4, dtype=D)).startswith("is off by")

    def test_the_last_row_is_looked_at(self) -> None:
        assert fault(lambda x: torch.where((x == X[-1]).all(-1), 0, right(x))).startswith("is off by")

    def test_a_shape_that_does_not_fit_is_told(self) -> None:
        assert fault(lambda x: right(x).unsqueeze(-1), X[:3]) == "gives (3, 1) for (3,)"

    def test_a_claim_where_all_terms_are_zero_is_told(self) -> None:
        assert fault(lambda x: x.sum(-1) * 0 + 2, f=lambda x: x.sum(-1)) == "gives 2 where the sum of |H_ii| is 0"

    def test_where_f_is_smooth_a_claim_has_a_number(self) -> None:
        assert fault(lambda x: right(x) / 0) == f"gives no finite number where f is smooth: {EDGE}"

    def test_at_an_edge_reverse_mode_is_the_convention(self) -> None:
        x = torch.cat((torch.zeros(1, 4, dtype=D), X[:4]))

        def at_zero(number: float) -> Function:
            return lambda x: torch.where((x == 0).all(-1), number, 3 / x.norm(dim=-1))

        def norm(x: Tensor) -> Tensor:
            return x.norm(dim=-1)

        assert fault(at_zero(torch.nan), x, norm) == ""
        assert fault(at_zero(0.0), x, norm) == f"gives a finite number where reverse mode gives none: {EDGE}"
        # The square of it is smooth there, though reverse mode gives no number.
        assert fault(lambda x: 8 + 0 * x[:, 0], x, lambda x: norm(x) ** 2) == ""
        message = fault(lambda x: 8 + 0 / x.norm(dim=-1), x, lambda x: norm(x) ** 2)
        assert message == f"gives no finite number where f is smooth: {EDGE}"

    def test_rounding_is_no_fault(self) -> None:
        def harmonic(x: Tensor) -> Tensor:
            return (x * x).sum(-1).pow(-1)

        for x in (X, X.float()):
            assert fault_of("forward_over_forward", harmonic, x) == ""
        assert fault(lambda x: right(x) * (1 + 1e-9)) == ""
        assert fault(lambda x: right(x) * (1 + 1e-6)) != ""

    @pytest.mark.parametrize("strategy", ["identity", "vmap", "jvp", "taylor"])
    @pytest.mark.parametrize("power", [2, 3, 4])
    def test_a_kink_of_a_derivative_at_a_point_is_no_fault(self, strategy: str, power: int) -> None:
        x, shift = X[:4].clone(), torch.zeros(4, dtype=D, requires_grad=True)
        x[0], x[1, 2] = 0.0, 0.0

        def smoothed(x: Tensor) -> Tensor:
            return (0.02 * (P * x + shift).relu() ** power + (x + shift + 1).cos()).sum(-1)

        assert fault_of(strategy, smoothed, x) == ""


class TestWhatIsAsked:
    """What of a claim is looked at, and at which points."""

    def test_beyond_32_coordinates_a_few_products_are(self) -> None:
        x = torch.randn(5, 64, dtype=D, generator=torch.Generator().manual_seed(0))

        def f(x: Tensor) -> Tensor:
            return (x**3).sum(-1)

        asked: list[list[int]] = []

        def entries(coordinates: Tensor, x: Tensor) -> Tensor:
            asked.append(coordinates.tolist())
            return 6 * x[..., coordinates]

        def along(V: Tensor, x: Tensor) -> Tensor:
            assert V.shape == (2, 64)
            return (6 * x * V.square().sum(0)).sum(-1)

        assert fault(None, x, f, entries=entries) == ""
        assert asked == [list(range(0, 64, 8))] * 2
        message = fault(None, x, f, entries=lambda c, x: entries(c, x) * (1 + 0.1 * (c == 8)))
        assert message.startswith("is off by")
        assert fault(None, x, f, along=along, entries=uncalled) == ""
        assert fault(None, x, f, along=lambda V, x: 1.5 * along(V, x)).startswith("is off by")
        # Whoever shows no product is asked for all.
        assert fault(lambda x: 6 * x.sum(-1), x, f) == ""
        assert fault(lambda x: 6 * x.sum(-1) + 1, x, f).startswith("is off by")

    def test_up_to_32_the_claim_itself_is(self) -> None:
        assert fault(right, entries=uncalled, along=uncalled) == ""

    def test_of_what_is_random_its_products_are(self) -> None:
        assert fault(None, stochastic=True) == ""
        assert fault(None, stochastic=True, entries=lambda c, x: 6 * (P * x)[..., c]) == ""
        message = fault(None, stochastic=True, entries=lambda c, x: 7 * (P * x)[..., c])
        assert message.startswith("is off by")

    def test_a_few_points_are_and_of_what_was_traced_all(self) -> None:
        shapes = []

        def seen(x: Tensor) -> Tensor:
            shapes.append(tuple(x.shape))
            return right(x)

        assert fault(seen) == ""
        assert fault(seen, is_traced=True) == ""
        few, whole = shapes
        assert 5 <= few[0] <= 15
        assert whole == (100, 4)
        assert fault(lambda x: 1.5 * right(x), is_traced=True).startswith("is off by")

    def test_where_f_holds_a_tensor_of_rows_all_are(self) -> None:
        t = torch.linspace(1, 2, 100, dtype=D)
        for f, claim in (
            (lambda x: t * cubes(x), lambda x: t * right(x)),
            (lambda x: t[: len(x)] * cubes(x), lambda x: t[: len(x)] * right(x)),
        ):
            assert fault(claim, f=f) == ""
            assert fault(claim, X.clone().requires_grad_(), f) == ""
            assert fault(lambda x, claim=claim: 1.1 * claim(x), f=f).startswith("is off by")
        # A claim that takes the first of them for any.
        assert fault(lambda x: t[0] * right(x), f=lambda x: t[: len(x)] * cubes(x)).startswith("is off by")

    def test_candidates_share_what_the_witness_said(self) -> None:
        calls = []

        def counted(x: Tensor) -> Tensor:
            calls.append(x)
            return cubes(x)

        witness = Witness(OPERATORS["laplacian"], counted, X)
        assert witness.fault(Contraction(right)) == ""
        first = len(calls)
        assert witness.fault(Contraction(lambda x: 2 * right(x))) != ""
        assert len(calls) - first < first / 2


class TestNotJudged:
    def test_a_random_function_is_not(self) -> None:
        before = torch.get_rng_state()
        assert fault(uncalled, f=lambda x: cubes(x) + torch.rand(len(x))) == ""
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("kind", ["generator", "python", "numpy", "counted"])
    def test_a_function_of_another_source_is_served_by_one_evaluation(self, kind: str) -> None:
        source, calls = torch.Generator().manual_seed(0), itertools.count(1)
        numbers = {
            "generator": lambda: float(torch.rand((), generator=source)),
            "python": random.random,
            "numpy": lambda: float(np.random.default_rng().random()),
            "counted": lambda: next(calls) / 8,
        }

        def f(x: Tensor) -> Tensor:
            return (x.detach() * 0 + numbers[kind]()).sum(-1) * 0 + (x**3).sum(-1) * (1 + numbers[kind]())

        for spec in ("identity", "auto"):
            assert parse_strategy(spec).apply("laplacian", f, X[:5]).shape == (5,)
        with pytest.raises(UnsupportedError, match="takes f to give the same at each call, and it does not"):
            parse_strategy("taylor").prepare("laplacian", f, X[:5])

    def test_one_that_sets_a_seed_is_not_random_wherever_the_generator_is(self) -> None:
        def seeded(x: Tensor) -> Tensor:
            torch.manual_seed(5)
            return cubes(x) * torch.rand(())

        for seed in (5, 77):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                assert "is off by" in fault(lambda x: right(x) * torch.rand(()), f=seeded)

    @pytest.mark.parametrize("x", [torch.ones(2, 4, device="meta"), torch.ones(0, 4)], ids=["meta", "none"])
    def test_nothing_is_where_there_are_no_numbers(self, x: Tensor) -> None:
        assert fault(uncalled, x, uncalled) == ""

    def test_nothing_is_inside_a_transform(self) -> None:
        def looked(x: Tensor) -> Tensor:
            assert not has_numbers(x)
            assert fault(uncalled, x, uncalled) == ""
            return x.sum()

        torch.func.vmap(looked)(X)
        torch.func.grad(looked)(X[0])
        torch.func.jvp(looked, (X,), (X,))
        assert has_numbers(X)

    def test_what_neither_autograd_nor_differences_know_is_not(self) -> None:
        assert fault(lambda x: 0 * right(x), f=lambda x: (x - 9).sqrt().sum(-1)) == ""

    def test_what_autograd_cannot_differentiate_is_by_differences(self) -> None:
        class OneWay(torch.autograd.Function):
            @staticmethod
            def forward(x):
                return x * x * x

            @staticmethod
            def setup_context(ctx, inputs, output):
                pass

        def one_way(x: Tensor) -> Tensor:
            return OneWay.apply(x).sum(-1)

        assert fault(lambda x: 6 * x.sum(-1), f=one_way) == ""
        assert fault(lambda x: 0 * x.sum(-1), f=one_way).startswith("is off by")

    @pytest.mark.parametrize(("dtype", "is_off"), [(torch.float16, [1.001, 1.2]), (torch.bfloat16, [1.01, 1.5])])
    def test_half_precision_has_a_tolerance_of_its_own(self, dtype: torch.dtype, is_off: list[float]) -> None:
        x = torch.ones(3, 4).to(dtype)
        weight = torch.ones(4, dtype=dtype, requires_grad=True)
        near, far = (fault(lambda x, c=c: 6 * c * (weight * x).sum(-1), x, cubes_of(weight)) for c in is_off)
        assert near == ""
        assert far.startswith("is off by")

    def test_autocast_has_the_tolerance_of_its_products(self) -> None:
        layer = nn.Linear(4, 4)

        def f(x: Tensor) -> Tensor:
            return layer(x).float().pow(3).sum(-1)

        x = X[:3].float()
        evaluate = parse_strategy("identity").prepare("laplacian", f, x)
        assert fault(evaluate, x, f, tracked=False) == ""
        with torch.autocast("cpu", torch.bfloat16):
            assert fault(evaluate, x, f) == ""
            assert fault(lambda x: 1.01 * evaluate(x), x, f) == ""
            assert fault(lambda x: 1.5 * evaluate(x), x, f).startswith("is off by")
        assert fault(lambda x: 1.01 * evaluate(x), x, f).startswith("is off by")

    def test_what_f_raises_goes_through(self) -> None:
        def broken(x: Tensor) -> Tensor:
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            fault(right, f=broken)
        with pytest.raises(ZeroDivisionError, match="mine"):
            fault(broken)


def message(strategy: str) -> str:
    return rf"^{strategy} is not right for this function: it (takes points one by one under vmap|goes by forward mode)"


@pytest.mark.parametrize(
    ("f", "strategy"),
    [
        (normed, "forward_over_forward"),
        (log_determinant, "forward_over_forward"),
        (log_determinant, "hessian"),
        (log_determinant, "jacfwd"),
        (log_determinant, "jacrev"),
    ],
)
def test_a_strategy_that_torch_makes_wrong_refuses(f: Function, strategy: str) -> None:
    with torch.no_grad():
        with pytest.raises(UnsupportedError, match=message(strategy)):
            laplacian(f, X[:3], strategy)
        for x in (X[:1], X[0]):  # where some are right, as what is prepared here may be called elsewhere
            with pytest.raises(UnsupportedError, match=message(strategy)):
                laplacian(f, x, strategy)


@pytest.mark.parametrize("strategy", ["identity", "vmap", "jvp", "jvp:chunk_size=all", "hessian", "jacfwd", "jacrev"])
def test_those_that_are_right_on_a_layer_norm_are_not_refused(strategy: str) -> None:
    expected = laplacian(normed_by_hand, X[:3], "forward_over_forward")
    torch.testing.assert_close(laplacian(normed, X[:3], strategy), expected)


def test_auto_takes_none_that_is_wrong_whatever_was_kept_on_disk() -> None:
    x = X[:3].clone().requires_grad_()
    first = parse_strategy("auto").prepare("laplacian", log_determinant, x)
    for path in disk_cache.folder().iterdir():
        path.write_text(json.dumps({"strategy": "jvp", "reason": "kept"}))
    CHOICE_CACHE.forget()
    prepared = parse_strategy("auto").prepare("laplacian", lambda x: log_determinant(x), x)
    assert prepared.strategy.name != "jvp"
    assert "without jvp: UnsupportedError: it goes by forward mode, whose tangents of " in prepared.reason
    torch.testing.assert_close(prepared(x), first(x))
    torch.testing.assert_close(prepared(x), laplacian(log_determinant, x, "identity"))
