"""compiled(SPEC): what stands around the compiler, by one that compiles nothing."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
from torch import Tensor

from jacstrat import STRATEGIES, UnsupportedError, UsageError, WrongResultError, laplacian, parse_strategy
from jacstrat.core.operator import parse_operator
from jacstrat.harness.cell.failures import failure
from jacstrat.measure.counters import OperationCounter
from jacstrat.strategies import OPERATORS, default_strategies
from jacstrat.strategies.compiled import MOST, Compiled
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.taylor import Taylor
from tests.strategies.programs import Network, X, prepared

pytestmark = pytest.mark.long(but_one_in=2)


@pytest.fixture
def net() -> Network:
    return Network()


def gradients(y: Tensor, net: Network) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y.square().sum(), tuple(net.parameters()))


def test_all_but_those_that_compile_or_capture_are_measured_unasked_and_tested_with_the_others() -> None:
    """The tests of all strategies run over `default_strategies()`, not what this file, test_graphed.py and
    test_fused.py test."""
    left_out = {"compiled", "fused", "graphed"}
    assert set(STRATEGIES) - set(default_strategies()) == left_out
    assert list(default_strategies()) == [name for name in STRATEGIES if name not in left_out]


@pytest.mark.parametrize(
    ("spec", "inner"),
    [
        ("compiled", "vmap"),
        ("compiled(vmap)", "vmap"),
        (" compiled ( taylor ) ", "taylor"),
        ("compiled(vmap:chunk_size=8)", "vmap:chunk_size=8"),
        ("compiled(taylor:compress=false,tile=64)", "taylor:tile=64,compress=false"),
        ("compiled(forward_over_reverse:chunk_size=2)", "jvp:chunk_size=2"),
    ],
)
def test_a_spec_has_that_of_the_inner_strategy_in_parentheses(spec: str, inner: str) -> None:
    strategy = parse_strategy(spec)
    assert strategy == Compiled(parse_strategy(inner))
    assert strategy.spec == str(strategy) == f"compiled({inner})"
    assert parse_strategy(strategy.spec) == strategy
    assert hash(parse_strategy(strategy.spec)) == hash(strategy)
    assert strategy.counted == strategy.inner


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("compiled(vmap", "'compiled(vmap': the parentheses do not match; a spec is name:key=value or name(SPEC)"),
        ("compiled(vmap))", "the parentheses do not match"),
        ("compiled(vmap)x", "the parentheses do not match"),
        ("compiled()", "unknown strategy ''"),
        ("compiled(vmpa)", "unknown strategy 'vmpa'; did you mean vmap"),
        ("compiled(vmap:chunk_size=0)", "chunk_size must be a positive integer or all, got 0"),
        ("compiled:inner=vmap", "unknown parameter of compiled 'inner'; known: none"),
        ("compiled(vmap):chunk_size=2", "unknown parameter of compiled 'chunk_size'; known: none"),
        (
            "vmap(taylor)",
            "vmap takes no strategy in parentheses; that is for compiled(SPEC) and graphed(SPEC)",
        ),
        (
            "compiled(graphed(vmap))",
            "graphed(vmap) is a graph; write it the other way round, graphed(compiled(SPEC))",
        ),
        ("compiled(compiled(vmap))", "compiled(vmap) is compiled already; leave out one compiled()"),
    ],
)
def test_a_bad_spec_says_what_and_the_remedy(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_strategy(spec)
    assert message in str(raised.value)


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^inner must be a strategy, got 'vmap'; write compiled\(vmap\)$"):
        Compiled("vmap")


def test_a_strategy_that_draws_is_refused_and_another_as_it_refuses_itself() -> None:
    with pytest.raises(
        UnsupportedError, match=r"^compiled\(hutchinson\) cannot serve the divergence: hutchinson draws"
    ):
        parse_strategy("compiled(hutchinson)").prepare("divergence", torch.sin, X)
    for operator in OPERATORS:
        assert Compiled(Taylor()).refuse(parse_operator(operator)) == Taylor().refuse(parse_operator(operator))


@pytest.mark.parametrize(
    "spec", ["vmap", "identity", "jvp", "forward_over_forward", "hessian", "taylor:tile=2,checkpoint=true"]
)
def test_any_strategy_may_be_compiled_and_be_trained(spec: str, net: Network, interpreted: list) -> None:
    evaluate, plain = prepared(f"compiled({spec})", net), prepared(spec, net)
    assert len(interpreted) == 1
    for _ in range(2):
        results = [evaluate(X), plain(X)]
        torch.testing.assert_close(*results)
        mine, expected = (gradients(y, net) for y in results)
        torch.testing.assert_close(mine, expected)
        with torch.no_grad():
            for parameter, g in zip(net.parameters(), mine, strict=True):
                parameter -= 0.1 * g
    assert len(interpreted) == 1


def test_the_choice_of_auto_is_compiled(net: Network, interpreted: list) -> None:
    evaluate = prepared("compiled(auto)", net)
    assert isinstance(evaluate.strategy, Compiled)
    assert evaluate.strategy.inner.name not in ("auto", "compiled")
    assert evaluate.reason.startswith(evaluate.strategy.inner.spec)
    torch.testing.assert_close(evaluate(X), laplacian(net, X, "vmap"))


@pytest.mark.parametrize("operator", ["divergence", "jacobian_diagonal"])
def test_a_field_is_served(operator: str, net: Network, interpreted: list) -> None:
    strategies = parse_strategy("compiled(jvp:chunk_size=2)"), parse_strategy("vmap")
    results = [strategy.prepare(operator, net.field, X)(X) for strategy in strategies]
    torch.testing.assert_close(*results)


def test_each_shape_and_mode_has_a_program_and_says_what_it_took(net: Network, interpreted: list) -> None:
    with torch.no_grad():
        evaluate = prepared("compiled(vmap)", net)
        calls = {
            "shape (2, 3), torch.float64 on cpu, no gradients tracked": X[:2],
            r"shape (3,), torch.float64 on cpu, no gradients tracked": X[0],
            "shape (3, 3), torch.float64 on cpu, no": X.T[:, :3].contiguous().T[:3],
        }
        for words, x in calls.items():
            with pytest.warns(UserWarning, match="compiled again") as seen:
                result = evaluate(x)
            assert words in str(seen[0].message)
            assert re.match(r"compiled\(vmap\): compiled again in \d+\.\d s, for x of ", str(seen[0].message))
            assert seen[0].filename == __file__
            torch.testing.assert_close(result, laplacian(net, x, "vmap"))
    with pytest.warns(UserWarning, match="on cpu, gradients tracked; prepare with such x"):
        assert evaluate(X).requires_grad
    net.W.requires_grad_(False)
    with pytest.warns(UserWarning, match="compiled again"):
        evaluate(X).sum().backward()
    assert net.W.grad is None
    assert net.V.grad is not None
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        for x in (X, X[:2], X[0], X[1:3]):
            torch.testing.assert_close(evaluate(x), laplacian(net, x, "vmap"))
    assert len(interpreted) == 6


def test_tiles_that_have_nothing_in_common_share_a_program(net: Network, interpreted: list) -> None:
    with torch.no_grad():
        x = torch.randn(8, 3, dtype=torch.float64)
        evaluate = prepared("compiled(taylor:tile=3)", net, x)
        assert len(interpreted) == 2
        torch.testing.assert_close(evaluate(x), laplacian(net, x, "vmap"))
        torch.testing.assert_close(evaluate(x[:6]), laplacian(net, x[:6], "vmap"))
        assert len(interpreted) == 2


def test_tiles_that_have_compressed_directions_in_common_are_one_program(interpreted: list) -> None:
    torch.manual_seed(0)
    W, x = torch.randn(16, 2, dtype=torch.float64), torch.randn(4, 16, dtype=torch.float64)

    def f(x: torch.Tensor) -> torch.Tensor:
        return (x @ W).tanh().prod(-1)

    with torch.no_grad():
        evaluate = parse_strategy("compiled(taylor:tile=2)").prepare("laplacian", f, x)
        assert len(interpreted) == 1
        torch.testing.assert_close(evaluate(x), laplacian(f, x, "vmap"))


def test_beyond_so_many_shapes_the_eager_form_serves(net: Network, interpreted: list) -> None:
    x = torch.randn(MOST + 1, 3, dtype=torch.float64)
    with torch.no_grad():
        evaluate = prepared("compiled(vmap)", net, x)
        for rows in range(1, MOST):
            with pytest.warns(UserWarning, match="compiled again"):
                evaluate(x[:rows])
        with pytest.warns(
            UserWarning, match=rf"there are {MOST} programs already, and x of shape \({MOST}, 3\) is serv"
        ):
            result = evaluate(x[:MOST])
        torch.testing.assert_close(result, laplacian(net, x[:MOST], "vmap"))
    assert len(interpreted) == MOST


def test_where_nothing_can_be_compiled_the_eager_form_serves(net: Network, interpreted: list) -> None:
    empty, meta = X[:0], X.to("meta")
    assert prepared("compiled(vmap)", net, empty)(empty).shape == (0,)
    assert parse_strategy("compiled(vmap)").prepare("divergence", torch.sin, meta)(meta).shape == (4,)
    assert interpreted == []
    evaluate = prepared("compiled(vmap)", net)
    expected = laplacian(net, X, "vmap")
    torch.testing.assert_close(torch.func.vmap(evaluate)(X), expected)
    torch.testing.assert_close(torch.func.jacrev(lambda x: evaluate(x).sum())(X).shape, X.shape)
    with OperationCounter():
        assert not has_numbers(X)
        torch.testing.assert_close(evaluate(X), expected)
    assert len(interpreted) == 1


def test_another_result_is_an_error_and_a_row(net: Network, monkeypatch) -> None:
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, inputs, options: lambda *args: 1.5 * graph(*args))
    with pytest.raises(WrongResultError) as raised:
        prepared("compiled(vmap)", net)
    # 1.5 of each trace is off by at most half of its terms.
    words = str(raised.value)
    assert words.startswith("compiled(vmap) gives another result than vmap: it is off by 0.")
    assert words.endswith(" of the sum of |J_ii|; use vmap")
    assert failure(raised.value) == ("wrong", words)


def test_another_gradient_is_an_error(net: Network, interpreted: list) -> None:
    def f(x: Tensor) -> Tensor:
        with torch.no_grad():
            scale = net.V.sum()
        return net(x) * scale

    with torch.no_grad():
        parse_strategy("compiled(vmap)").prepare("laplacian", f, X)
    with pytest.raises(WrongResultError, match=r"than vmap: its gradient is off by \S+ of its size; use vmap$"):
        parse_strategy("compiled(vmap)").prepare("laplacian", f, X)


def test_what_cannot_be_traced_or_compiled_is_unsupported(net: Network, monkeypatch) -> None:
    def branching(x: Tensor) -> Tensor:
        return net(x) if x.sum() > -100 else -net(x)

    words = (
        "torch cannot compile this function: it, or the strategy, asks a tensor for its number, by .item() or an if; "
        "use torch.where"
    )
    with pytest.raises(UnsupportedError, match=f"^{re.escape(words)}$"):
        parse_strategy("compiled(identity)").prepare("laplacian", branching, X)

    def broken(graph, inputs, options):
        raise ValueError("over\ntwo lines") from KeyError("a cause")

    monkeypatch.setattr(torch._inductor, "compile", broken)
    with pytest.raises(UnsupportedError, match="^torch cannot compile this function: KeyError: 'a cause'$"):
        prepared("compiled(vmap)", net)


def test_an_error_of_the_function_is_its_own() -> None:
    def broken(x: Tensor) -> Tensor:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        parse_strategy("compiled(vmap)").prepare("laplacian", broken, X)
