"""What `auto` chooses and on what ground, that it is right in any case, and that it leaves no mark."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import jacstrat
from jacstrat import PROBLEMS, ShapeError, UsageError, parse_strategy
from jacstrat.strategies.auto import candidates, choosing, timed
from jacstrat.strategies.auto import strategy as auto
from jacstrat.strategies.auto.strategy import CHOICE_CACHE
from jacstrat.strategies.auto.trial import Trial
from jacstrat.strategies.chain import Chain
from tests.strategies.auto.chosen import B, N, W, X, dense, prepare, scalar, trace_of
from tests.strategies.test_base import _OldStyle


class TestProof:
    def test_a_diagonal_jacobian_takes_one_product(self, trials) -> None:
        prepared = prepare(torch.sin)
        assert prepared.strategy.spec == "ones"
        assert prepared.reason.startswith("ones: traced diagonal, 1 product instead of 6; ")
        torch.testing.assert_close(prepared(X), X.cos().sum(-1))

    def test_a_tridiagonal_one_takes_two(self, trials, monkeypatch) -> None:
        monkeypatch.setattr(Chain, "candidates", classmethod(lambda cls, evidence: ()))
        x = torch.rand(16, 200, dtype=torch.float64)
        f = PROBLEMS["bratu"].instance(200, 1).f
        prepared = prepare(f, x)
        assert prepared.strategy.name == "coloring"
        assert "traced tridiagonal, 2 products instead of 200; " in prepared.reason
        torch.testing.assert_close(prepared(x), parse_strategy("vmap").prepare("divergence", f, x)(x))
        assert {"ones"}.isdisjoint(trials[0])

    def test_a_dense_one_is_not_traced(self, trials, monkeypatch) -> None:
        monkeypatch.setattr(auto, "prove_structure", None)
        assert prepare(dense).strategy.spec in ("vmap", "identity")
        assert not {"ones", "coloring"} & trials[0].keys()

    @pytest.mark.parametrize("trial", [True, False])
    def test_what_depends_on_values_is_no_proof(self, trials, trial: bool) -> None:
        def branches(x):
            return 2 * x if x.sum() > -1e9 else x.flip(-1)

        prepared = prepare(branches, trial=trial)
        assert prepared.strategy.name not in ("ones", "coloring")
        assert prepared(X).tolist() == [2 * N] * B

    def test_a_proof_is_made_anew_for_every_preparation(self, trials) -> None:
        state = {"mixed": False}

        class Field(torch.nn.Module):
            def forward(self, x):
                return x.cumsum(-1) * x if state["mixed"] else x.sin()

        f = Field()
        assert prepare(f).strategy.name in ("ones", "coloring")
        state["mixed"] = True
        for _ in range(2):
            prepared = prepare(f)
            assert prepared.strategy.name not in ("ones", "coloring")
            torch.testing.assert_close(prepared(X), trace_of(f))
            torch.testing.assert_close(jacstrat.divergence(f, X), trace_of(f))

    def test_diagonal_is_taken_on_the_callers_word(self, trials) -> None:
        def branches(x):
            return x.sin() if x.sum() > -1e9 else x

        prepared = prepare(branches, assume="diagonal")
        assert prepared.strategy.spec == "ones"
        assert prepared.reason.startswith("ones: assumed diagonal, 1 product; ")
        torch.testing.assert_close(prepared(X), X.cos().sum(-1))
        # It is no choice for those who have not said so.
        assert prepare(branches).strategy.spec != "ones"

    def test_a_word_that_is_wrong_is_found_out(self, trials) -> None:
        prepared = prepare(dense, assume="diagonal")
        assert prepared.strategy.spec != "ones"
        assert "; without ones: UnsupportedError: it is off by " in prepared.reason
        torch.testing.assert_close(prepared(X), trace_of(dense))

    def test_a_sampled_pattern_is_taken_on_the_callers_word(self, trials) -> None:
        def branches(x):
            return x.sin() if x.sum() > -1e9 else x

        prepared = prepare(branches, assume="sampled")
        assert prepared.reason.startswith(f"{prepared.strategy}: sampled diagonal, 1 product instead of 6; ")
        torch.testing.assert_close(prepared(X), X.cos().sum(-1))


class TestFallsOut:
    def test_what_cannot_serve_f_drops_out_and_is_named(self, trials) -> None:
        prepared = prepare(_OldStyle.apply)
        assert prepared.strategy.spec == "identity"
        assert "; without vmap: RuntimeError: In order to use an autograd.Function" in prepared.reason
        assert "\n" not in prepared.reason
        torch.testing.assert_close(prepared(X), X.cos().sum(-1))

    def test_what_fails_in_the_trial_drops_out(self, trials) -> None:
        def large(x):
            if torch._C._functorch.peek_interpreter_stack() is not None and len(x) > 1:
                raise torch.OutOfMemoryError("no memory left")
            return dense(x)

        prepared = prepare(large)
        assert prepared.strategy.spec == "identity"
        assert "; without vmap: OutOfMemoryError: no memory left" in prepared.reason

    def test_what_has_no_second_derivative_is_chosen_by_its_first(self, trials) -> None:
        class Once(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, w):
                return x * w

            @staticmethod
            @torch.autograd.function.once_differentiable
            def backward(ctx, g):
                return 2 * g, g

        w = torch.ones(N, dtype=torch.float64, requires_grad=True)
        assert prepare(lambda x: Once.apply(x, w))(X).tolist() == [2 * N] * B

    def test_errors_of_f_are_those_of_f(self) -> None:
        with pytest.raises(ShapeError, match=r"the field must map \(3, 6\) to \(3, 6\), got \(3, 2\)"):
            prepare(lambda x: x[..., :2])

        def raises(x):
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            prepare(raises)

    def test_f_that_takes_no_single_row_is_counted_on_all(self, trials) -> None:
        def batched(x):
            assert len(x) == B
            return dense(x)

        torch.testing.assert_close(prepare(batched)(X), trace_of(dense))

    @pytest.mark.long
    def test_what_would_not_fit_is_chunked_or_left_out(self, trials, monkeypatch) -> None:
        x = torch.rand(1000, 64, dtype=torch.float64)
        f = PROBLEMS["tanh_field"].instance(64, 1).f

        def tried(available_bytes: float) -> set[str]:
            monkeypatch.setattr(candidates, "available_bytes", lambda: available_bytes)
            CHOICE_CACHE.forget()
            prepare(f, x)
            return set(trials.pop())

        monkeypatch.setenv("JACSTRAT_CACHE", "off")
        plenty, some, none = tried(1e12), tried(100 * x.nbytes), tried(1)
        assert plenty >= {"identity", "jvp", "vmap", "jacrev"}
        # Beyond the caches chunks are tried as well.
        assert any(spec.startswith("vmap:chunk_size=") for spec in plenty)
        assert {spec for spec in some if spec.startswith("vmap")} < {f"vmap:chunk_size={k}" for k in (2, 4, 8, 16, 32)}
        assert {spec.split(":")[0] for spec in some} == {"identity", "vmap", "jvp", "chain"}
        assert none == {"identity", "jvp", "vmap:chunk_size=1", "chain"}


class TestLeavesNoMark:
    def test_random_numbers_are_as_without_it(self) -> None:
        def noisy(x):
            return dense(x) + torch.rand(())

        torch.manual_seed(0)
        prepare(noisy)
        after = torch.rand(3)
        torch.manual_seed(0)
        assert torch.equal(after, torch.rand(3))

    def test_gradients_and_graphs_of_the_caller_are_not_touched(self) -> None:
        w = W.clone().requires_grad_()
        made = w.sin()
        x = X.clone().requires_grad_()
        points = x.exp()
        jacstrat.divergence(lambda x: torch.tanh(x @ made), points)
        assert w.grad is None
        assert x.grad is None
        (made.sum() + points.sum()).backward()
        assert w.grad is not None


class TestComposes:
    def test_training_times_the_way_back(self, monkeypatch) -> None:
        backwards = []
        w = W.clone().requires_grad_()
        w.register_hook(backwards.append)
        prepare(lambda x: torch.tanh(x @ w))
        assert backwards
        backwards.clear()
        with torch.no_grad():
            prepare(lambda x: torch.tanh(x @ w))
        assert not backwards

    @pytest.mark.parametrize("operator", ["divergence", "laplacian"])
    def test_in_transforms_nothing_is_timed(self, trials, operator) -> None:
        call, f = (jacstrat.divergence, dense) if operator == "divergence" else (jacstrat.laplacian, scalar)
        expected = call(f, X, "identity").detach()
        gradient = torch.func.grad(lambda x: call(f, x).sum())(X)
        ensemble = torch.func.vmap(lambda x: call(f, x))(torch.stack((X, X)))
        assert not trials
        x = X.clone().requires_grad_()
        torch.testing.assert_close(gradient, torch.autograd.grad(call(f, x, "vmap").sum(), x)[0])
        torch.testing.assert_close(ensemble.detach(), torch.stack((expected, expected)))

    def test_with_parameters_in_a_transform(self, trials) -> None:
        def loss(w):
            return jacstrat.divergence(lambda x: torch.tanh(x @ w), X).sum()

        w = W.clone().requires_grad_()
        (expected,) = torch.autograd.grad(jacstrat.divergence(lambda x: torch.tanh(x @ w), X, "vmap").sum(), w)
        torch.testing.assert_close(torch.func.grad(loss)(W), expected)
        per_model = torch.func.vmap(loss)(torch.stack((W, 2 * W)))
        torch.testing.assert_close(per_model, torch.stack((loss(W), loss(2 * W))))

    def test_a_tracer_sees_the_result_alone(self, trials) -> None:
        graph = make_fx(lambda x: jacstrat.divergence(dense, x))(X)
        assert not trials
        only = make_fx(lambda x: jacstrat.divergence(dense, x, "vmap"))(X)
        assert [node.target for node in graph.graph.nodes] == [node.target for node in only.graph.nodes]
        torch.testing.assert_close(graph(X + 1), trace_of(dense, X + 1))

    @pytest.mark.long
    def test_compiled(self) -> None:
        torch._dynamo.reset()
        compiled = torch.compile(lambda x: jacstrat.divergence(dense, x), backend="eager")
        torch.testing.assert_close(compiled(X), trace_of(dense))

    def test_without_values(self, trials) -> None:
        on_meta = prepare(lambda x: x.sin().cumsum(-1), X.to("meta"))
        assert on_meta(X.to("meta")).shape == (B,)
        with torch._subclasses.FakeTensorMode() as mode:
            x = mode.from_tensor(X)
            assert prepare(torch.sin, x)(x).shape == (B,)
        assert prepare(torch.sin, X[:0])(X[:0]).shape == (0,)
        assert not trials

    @pytest.mark.parametrize("strategy", ["auto", "identity", "ones", "vmap"])
    def test_in_inference_mode(self, strategy: str) -> None:
        prepared = parse_strategy(strategy).prepare("divergence", torch.sin, X)
        with torch.inference_mode():
            for x in (X, X + 0):
                again = parse_strategy(strategy).prepare("divergence", torch.sin, x)
                torch.testing.assert_close(prepared(x), X.cos().sum(-1))
                torch.testing.assert_close(again(x), X.cos().sum(-1))

    def test_a_point_without_a_batch(self) -> None:
        assert prepare(torch.sin, X[0])(X[0]).shape == ()
        torch.testing.assert_close(jacstrat.laplacian(scalar, X[0]), jacstrat.laplacian(scalar, X, "identity")[0])


def test_what_is_as_fast_as_a_few_calls_tell_is_chosen_by_counts(monkeypatch) -> None:
    def run(seconds: float):
        def trial(works, predicted, begin, setup, patience_s, known):
            order = sorted(predicted, key=predicted.__getitem__)
            return Trial({order[0]: [seconds], order[1]: [1.0]})

        return trial

    chosen = []
    for seconds in (0.9, 1.0 + 0.9 * (timed.NEAR - 1), 1.1 * timed.NEAR):
        monkeypatch.setattr(choosing, "run_trial", run(seconds))
        monkeypatch.setenv("JACSTRAT_CACHE", "off")
        CHOICE_CACHE.forget()
        chosen.append(prepare(dense).strategy)
    assert chosen[0] == chosen[1] != chosen[2]


def test_without_a_trial_counts_decide(trials) -> None:
    large = torch.zeros(4, 100, dtype=torch.float64)
    w = torch.ones(100, 100, dtype=torch.float64)
    prepared = prepare(lambda x: torch.tanh(x @ w), large, trial=False)
    assert not trials
    assert prepared.strategy.spec == "vmap"
    assert " by counts against " in prepared.reason
    assert prepare(lambda x: x.exp(), X[:, :1], trial=False).strategy.spec == "identity"


def test_the_same_without_a_trial_on_every_machine() -> None:
    found = [prepare(scalar, operator="laplacian", trial=False) for _ in range(2) if CHOICE_CACHE.forget() is None]
    assert found[0].reason == found[1].reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("auto:trial=1", "trial must be true or false, got 1; leave it out for true"),
        ("auto:compile=1", "compile must be true or false, got 1; leave it out for false"),
        (
            "auto:compile=true,trial=false",
            "compile=true compares programs by a trial, got trial=false; leave out one of the two",
        ),
        ("auto:assume=diag", "unknown assumption 'diag'; did you mean diagonal?; leave it out for none"),
        ("auto:assume=true", "unknown assumption 'True'; known: diagonal, sampled; leave it out for none"),
    ],
)
def test_parameters_are_checked(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_strategy(spec)
    assert str(raised.value) == message
