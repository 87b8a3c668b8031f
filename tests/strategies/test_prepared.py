"""A prepared operator is held against a witness where it is used, and made anew where what f reads has changed."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.utils.prune
from torch import Tensor, nn

from jacstrat import ShapeError, UnsupportedError, laplacian, parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.auto import choosing
from jacstrat.strategies.auto.trial import Trial
from jacstrat.strategies.prepared import Prepared
from jacstrat.strategies.probing import Identity
from tests.strategies.claims import D, X, log_determinant, natively_normed, normed, normed_by_hand, trusted

pytestmark = pytest.mark.long(but_one_in=2)

X = X[:3]


class Energy(nn.Module):
    """A scalar of a network, with a number, a tensor, and a counter of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 1)
        self.scale = 2.0
        self.shift = torch.zeros(4, dtype=D)
        self.calls = 0
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.scale * self.second(torch.tanh(self.first(x + self.shift))).squeeze(-1)


def energy() -> Energy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Energy()


def prepare(
    f: Callable[[Tensor], Tensor], spec: str = "taylor", x: Tensor = X, operator: str = "laplacian"
) -> Prepared:
    return parse_strategy(spec).prepare(operator, f, x)


def expected(f: Callable[[Tensor], Tensor], x: Tensor = X) -> Tensor:
    return prepare(f, "identity", x)(x)


# An attribute, and what is put in its place.
CHANGES: dict[str, Any] = {"scale": 3.0, "shift": torch.ones(4, dtype=D), "first": nn.Linear(4, 6).double()}


class TestChanges:
    @pytest.mark.parametrize("name", CHANGES)
    def test_what_f_reads_has_changed_is_told_once_and_the_operator_made_anew(self, name: str) -> None:
        f = energy()
        prepared = prepare(f)
        before = prepared(X)
        setattr(f, name, CHANGES[name])
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            changed = prepared(X)
            torch.testing.assert_close(changed, expected(f))
            f.scale = 5.0
            torch.testing.assert_close(prepared(X), expected(f))
        assert not torch.allclose(changed, before)
        assert [str(warning.message) for warning in told] == [
            f"taylor: `{name}` of Energy has changed since this operator was prepared, and it is prepared anew, now "
            "and at each such change; what changes with every call is better written into a tensor that f keeps"
        ]
        assert told[0].filename == __file__

    def test_a_change_that_is_taken_back_is_one(self) -> None:
        f = energy()
        prepared = prepare(f)
        first = prepared(X)
        f.scale = 3.0
        with pytest.warns(UserWarning, match="`scale` of Energy has changed"):
            prepared(X)
        f.scale = 2.0
        torch.testing.assert_close(prepared(X), first)

    def test_what_is_written_into_tensors_is_followed(self) -> None:
        f = energy()
        prepared = prepare(f)
        contraction = prepared.contraction
        optimizer = torch.optim.SGD(f.parameters(), lr=0.1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for step in range(3):
                loss = prepared(X).square().sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                f.shift.fill_(0.1 * step)
                torch.testing.assert_close(prepared(X), expected(f))
        assert prepared.contraction is contraction
        assert f.calls > 3, "a counter that f itself keeps is no change"

    @pytest.mark.parametrize("spec", ["identity", "vmap", "jvp"])
    def test_what_calls_f_needs_no_guard(self, spec: str) -> None:
        f = energy()
        prepared = prepare(f, spec)
        f.scale = 3.0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            torch.testing.assert_close(prepared(X), expected(f))

    def test_an_estimate_is_made_anew_as_well(self) -> None:
        f = energy()
        prepared = prepare(f, "taylor:probes=3")
        f.scale = 0.0
        with pytest.warns(UserWarning, match="`scale` of Energy has changed"):
            assert prepared.estimate(X).value.tolist() == [0, 0, 0]


class Asked(nn.Module):
    """What need not be there, or has a name that is computed, is asked for by `hasattr` and `getattr`."""

    def __init__(self) -> None:
        super().__init__()
        self.scale0 = self.scale1 = 1.0
        self.steps, self.kind = 0, "tanh"

    def forward(self, x: Tensor) -> Tensor:
        for k in range(2):
            x = getattr(torch, self.kind)(x) * getattr(self, f"scale{k}")
        if hasattr(self, "gate"):
            x = x * self.gate
        return x * getattr(self, "factor", 1.0)


class TestAttributes:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("gate", 2.0),
            ("gate", nn.Parameter(torch.tensor(2.0, dtype=torch.float64))),
            ("factor", 3.0),
            ("scale1", 5.0),
            ("kind", "sin"),
        ],
    )
    @pytest.mark.parametrize("spec", ["chain", "coloring", "auto"])
    def test_what_is_asked_for_is_watched(self, spec: str, name: str, value: object) -> None:
        f = Asked()
        with torch.no_grad():
            prepared = prepare(f, spec, operator="divergence")
            prepared(X)
            setattr(f, name, value)
            expected = prepare(f, "identity", operator="divergence")(X)
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                torch.testing.assert_close(prepared(X), expected)

    @pytest.mark.parametrize("spec", ["taylor", "chain", "auto"])
    def test_a_tensor_of_another_shape_is_another(self, spec: str) -> None:
        w = nn.Parameter(torch.randn(6, X.shape[-1], dtype=X.dtype))

        def f(x: Tensor) -> Tensor:
            y = torch.tanh(x @ w.T)
            return y[:, 1:].sum(-1) / len(w) if operator == "laplacian" else y[:, : x.shape[-1]] * len(w)

        operator = "divergence" if spec == "chain" else "laplacian"
        with torch.no_grad():
            prepared = prepare(f, spec, operator=operator)
            for rows in (9, 12):
                w.data = torch.randn(rows, X.shape[-1], dtype=X.dtype)
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    found = prepared(X)
                assert rows == 12 or not prepared.contraction.is_traced or "the shape of `w`" in str(told[0].message)
                expected = prepare(f, "identity", operator=operator)(X)
                torch.testing.assert_close(found, expected)
                torch.testing.assert_close(parse_strategy(spec).apply(operator, f, X), expected)

    @pytest.mark.parametrize("spec", ["taylor", "coloring", "auto"])
    def test_a_lazy_layer_that_is_not_used_is_no_hindrance(self, spec: str) -> None:
        class Half(Energy):
            def __init__(self) -> None:
                super().__init__()
                self.spare = nn.LazyLinear(4)

        f = Half()
        torch.testing.assert_close(prepare(f, spec)(X), expected(f))
        torch.testing.assert_close(laplacian(lambda x: f(x) + 0 * len(vars(f)), X, spec), expected(f))

    def test_what_hands_on_to_another_watches_what_is_read(self, recwarn) -> None:
        class Around:
            def __init__(self, net: nn.Module) -> None:
                self.net, self.steps = net, 0

            def __getattr__(self, name: str) -> Any:
                return getattr(self.__dict__["net"], name)

            def __call__(self, x: Tensor) -> Tensor:
                return self.scale * x.pow(4).sum(-1)

        f = Around(energy())
        prepared = prepare(f)
        f.steps += 1
        prepared(X)
        assert not recwarn.list

    def test_what_f_writes_at_each_call_is_no_change(self, recwarn) -> None:
        layer = nn.Linear(X.shape[-1], 6).double()
        nn.utils.prune.random_unstructured(layer, "weight", 0.4)
        for _ in range(3):
            found = laplacian(lambda x: torch.tanh(layer(x)).sum(-1), X)
        torch.testing.assert_close(found, laplacian(lambda x: torch.tanh(layer(x)).sum(-1), X, "identity"))
        assert not recwarn.list


@pytest.fixture
def identity_is_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials in which reverse over reverse takes no time, and every other candidate a second."""

    def run(works, predicted, begin, setup, patience_s=0.0, known=None):
        trial: Trial = Trial()
        for strategy, work in works.items():
            try:
                work()
            except Exception as error:
                trial.failures[strategy] = error
            else:
                trial.calls[strategy] = [1e-6 if strategy == Identity() else 1.0]
        return trial

    monkeypatch.setattr(choosing, "run_trial", run)


class TestWitness:
    @pytest.mark.parametrize("spec", ["vmap", "identity", "jvp"])
    def test_what_was_prepared_without_gradients_is_held_again_with_them(self, spec: str) -> None:
        x = X.clone().requires_grad_()
        with torch.no_grad():
            prepared = prepare(natively_normed, spec, x)
            torch.testing.assert_close(prepared(x), expected(normed_by_hand, x))
        message = (
            f"^{spec} is not right for this function: it has a gradient that is not right, since third derivatives"
        )
        with pytest.raises(UnsupportedError, match=message):
            prepared(x)
        with torch.no_grad():
            assert prepared(x).shape == (3,)

    @pytest.mark.parametrize("spec", ["vmap", "identity", "jvp"])
    def test_what_was_prepared_without_gradients_is_prepared_again_where_they_would_be_wrong(self, spec: str) -> None:
        x = X.clone().requires_grad_()
        with torch.no_grad():
            prepared = prepare(normed, spec, x)
        (g,) = torch.autograd.grad(prepared(x).sum(), x)
        (same,) = torch.autograd.grad(expected(normed_by_hand, x).sum(), x)
        torch.testing.assert_close(g, same)

    def test_points_that_require_grad_are_another_matter(self) -> None:
        prepared = prepare(natively_normed, "vmap", X)
        torch.testing.assert_close(prepared(X), expected(normed_by_hand))
        with pytest.raises(UnsupportedError, match="^vmap is not right for this function: it has a gradient that"):
            prepared(X.clone().requires_grad_())
        assert prepared(X).shape == (3,)

    def test_auto_takes_another_then_and_guards_it(self, identity_is_fastest) -> None:
        scale = {"by": 1.0}

        def scaled(x: Tensor) -> Tensor:
            return scale["by"] * natively_normed(x)

        x = X.clone().requires_grad_()
        with torch.no_grad():
            prepared = prepare(scaled, "auto", x)
            assert prepared.strategy.spec == "identity"
        result = prepared(x)
        assert prepared.strategy.name == "taylor"
        assert "without identity: UnsupportedError: it has a gradient that is not right" in prepared.reason
        (g,) = torch.autograd.grad(result.sum(), x)
        (same,) = torch.autograd.grad(expected(normed_by_hand, x).sum(), x)
        torch.testing.assert_close(g, same)
        scale["by"] = 2.0
        with pytest.warns(UserWarning, match="item 'by' of `scale`, which scaled closes over has changed"):
            torch.testing.assert_close(prepared(x), 2 * result)

    def test_it_is_held_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []

        def counted(x: Tensor) -> Tensor:
            calls.append(x)
            return x.pow(3).sum(-1)

        prepared = prepare(counted, "identity")
        calls.clear()
        prepared(X)
        assert len(calls) == 1
        with torch.no_grad():
            prepared(X)
            calls.clear()
            prepared(X)
        assert len(calls) == 1

    def test_what_could_not_be_looked_at_is_held_when_it_can(self) -> None:
        with torch.no_grad():
            prepared = prepare(log_determinant, "jacrev", X[:0])
            assert torch.func.vmap(prepared)(X[:1]).shape == (1,)
            with pytest.raises(UnsupportedError, match="^jacrev is not right for this function: it takes points "):
                prepared(X)

    def test_trust_holds_nothing(self) -> None:
        with torch.no_grad():
            prepared = trusted("jacrev", "laplacian", log_determinant, X)
            assert prepared(X).shape == (3,)
        assert prepared(X.clone().requires_grad_()).shape == (3,)


class TestResults:
    def test_a_result_has_the_dtype_of_x(self) -> None:
        f, x = nn.Sequential(nn.Linear(4, 4), nn.Tanh()), X.float()
        for spec in ("vmap", "jvp", "identity", "jacrev"):
            prepared = parse_strategy(spec).prepare("divergence", f, x)
            exact = prepared(x)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = prepared(x)
            assert rounded.dtype == exact.dtype == torch.float32
            torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.1)

    def test_another_choice_is_that_of_the_operator(self, identity_is_fastest) -> None:
        prepared = prepare(energy(), "auto")
        assert prepared.operator == OPERATORS["laplacian"]
        assert prepared.n == 4
        assert prepared.strategy == Identity()
        assert prepared.reason.startswith("identity: ")
        assert prepare(energy(), "vmap").reason == ""

    def test_inference_mode_is_no_hindrance(self) -> None:
        f = energy()
        exact = expected(f)
        with torch.inference_mode():
            x = X + 0
            torch.testing.assert_close(prepare(f, "vmap")(x), exact)
            torch.testing.assert_close(prepare(f, "taylor", x)(x), exact)


class TestArguments:
    """What is no tensor and no fraction is baked into what rests on a recording: another one is prepared anew for."""

    @pytest.mark.parametrize("spec", ["coloring", "taylor", "vmap", "auto"])
    def test_another_whole_number_has_another_pattern(self, spec: str) -> None:
        def f(x: torch.Tensor, shift: int) -> torch.Tensor:
            return (x.roll(shift, -1) * x * x).sum(-1) if shift else x.pow(3).sum(-1)

        with torch.no_grad():
            prepared = parse_strategy(spec).prepare("laplacian", f, X, args=(0,))
            for shift in (1, 2, 0):
                expected = parse_strategy("identity").prepare("laplacian", f, X, args=(shift,))(X, shift)
                torch.testing.assert_close(prepared(X, shift), expected)

    @pytest.mark.parametrize(("spec", "most"), [("taylor", 2), ("coloring", 2), ("vmap", 5)])
    def test_a_number_of_steps_is_prepared_for_once(self, spec: str, most: int, monkeypatch) -> None:
        def f(x: torch.Tensor, step: int) -> torch.Tensor:
            return (x * torch.full_like(x[:, :1], step / 8)).sin().sum(-1)

        prepared, made = parse_strategy(spec).prepare("laplacian", f, X, args=(0,)), 1
        again = prepared._again

        def counted(*given: object) -> Prepared:
            nonlocal made
            made += 1
            return again(*given)

        monkeypatch.setattr(prepared, "_again", counted)
        for step in range(1, 9):
            torch.testing.assert_close(prepared(X, step), -((step / 8) ** 2) * (X * step / 8).sin().sum(-1))
        assert made == most

    @pytest.mark.parametrize("spec", ["taylor", "vmap", "auto"])
    def test_a_number_may_be_more_than_a_fraction(self, spec: str) -> None:
        def by_kind(x: torch.Tensor, k: int) -> torch.Tensor:
            return x.pow(3).sum(-1) * (1 if isinstance(k, int) and k % 2 else 2)

        def plain(x: torch.Tensor, k: int) -> torch.Tensor:
            return x.pow(3).sum(-1) * k

        def weight(x: torch.Tensor, k: int) -> torch.Tensor:
            return (
                torch.full((4,), float(k + 1), dtype=x.dtype).expand_as(x) if k < 3 else [9.0, 8.0][k - 3] * x * 0 + 7
            )

        weighed = replace(OPERATORS["laplacian"], weight=weight)
        for f, operator in ((by_kind, OPERATORS["laplacian"]), (plain, weighed)):
            prepared = parse_strategy(spec).prepare(operator, f, X, args=(0,))
            for k in (2, 4, 1, 3, 0):
                expected = parse_strategy("identity").prepare(operator, f, X, args=(k,))(X, k)
                torch.testing.assert_close(prepared(X, k), expected)
        for k in (1, 2, 3, 10**17):
            found = parse_strategy(spec).apply("laplacian", plain, X, args=(k,))
            torch.testing.assert_close(found, 6.0 * k * X.sum(-1))

    @pytest.mark.parametrize("spec", ["taylor", "coloring", "vmap", "auto"])
    def test_a_number_may_be_an_index(self, spec: str) -> None:
        scales = [2.0, 3.0, 5.0]

        def f(x: torch.Tensor, k: int) -> torch.Tensor:
            return x.pow(3).sum(-1) * scales[k]

        prepared = parse_strategy(spec).prepare("laplacian", f, X, args=(0,))
        for k in (0, 1, 2, 1):
            torch.testing.assert_close(prepared(X, k), scales[k] * 6 * X.sum(-1))
            torch.testing.assert_close(parse_strategy(spec).apply("laplacian", f, X, args=(k,)), prepared(X, k))

    @pytest.mark.parametrize("spec", ["taylor", "coloring", "vmap", "auto"])
    def test_an_object_may_change_without_a_sign(self, spec: str) -> None:
        scheduler = types.SimpleNamespace(scale=2.0)

        def f(x: torch.Tensor, scheduler: types.SimpleNamespace) -> torch.Tensor:
            return x.pow(3).sum(-1) * scheduler.scale

        with torch.no_grad():
            prepared = parse_strategy(spec).prepare("laplacian", f, X, args=(scheduler,))
            for scale in (2.0, 5.0):
                scheduler.scale = scale
                torch.testing.assert_close(prepared(X, scheduler), scale * 6 * X.sum(-1))
                direct = parse_strategy(spec).apply("laplacian", f, X, args=(scheduler,))
                torch.testing.assert_close(direct, scale * 6 * X.sum(-1))

    def test_a_tensor_that_is_tracked_now_is_held_with_gradients(self) -> None:
        t = torch.rand(len(X), 1, dtype=X.dtype)
        prepared = parse_strategy("vmap").prepare("divergence", lambda x, t: x.sin() * t, X, args=(t,))
        before = prepared._confirmed
        prepared(X, t.clone().requires_grad_())
        assert prepared._confirmed is not before


class TestForms:
    """f may give another number of outputs than it did."""

    @staticmethod
    def module() -> nn.Module:
        class Outputs(nn.Module):
            m: int | None = None

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                y = x.pow(3).sum(-1)
                return y if self.m is None else torch.stack([y] * self.m, -1)

        return Outputs()

    @pytest.mark.parametrize("spec", ["identity", "vmap", "jvp", "taylor", "auto"])
    def test_a_direct_call_finds_it_out(self, spec: str) -> None:
        f, strategy = self.module(), parse_strategy(spec)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for m in (None, None, 3, 2, None):
                f.m = m
                expected = 6 * X.sum(-1)
                expected = expected if m is None else expected.unsqueeze(-1).expand(-1, m)
                torch.testing.assert_close(strategy.apply("laplacian", f, X), expected)

    def test_a_prepared_operator_says_so(self) -> None:
        f = self.module()
        prepared = parse_strategy("vmap").prepare("laplacian", f, X)
        f.m = 3
        with pytest.raises(
            ShapeError, match=r"prepared for f\(x\) with no axis of outputs, real, got .*; prepare again"
        ):
            prepared(X)


@pytest.mark.parametrize("spec", ["taylor", "coloring", "auto"])
def test_value_and_gradient_are_those_of_what_f_is_now(spec: str) -> None:
    class Scaled(nn.Module):
        scale = 1.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.pow(3).sum(-1) * self.scale

    f = Scaled()
    prepared = parse_strategy(spec).prepare("laplacian", f, X)
    f.scale = 2.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = prepared.together(X)
    torch.testing.assert_close(found.result, 12 * X.sum(-1))
    torch.testing.assert_close(found.value, f(X))
    torch.testing.assert_close(found.gradient, 6 * X.square())


@pytest.mark.parametrize("spec", ["vmap", "jvp", "jacrev"])
def test_what_rests_on_no_recording_is_taken_into_a_program_whole(spec: str) -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D)
    prepared = parse_strategy(spec).prepare("divergence", net, X)
    program = torch.compile(lambda x: prepared(x).square().mean(), backend="eager", fullgraph=True)
    torch.testing.assert_close(program(X), prepared(X).square().mean())
