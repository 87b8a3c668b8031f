"""What records f can be captured: nothing in a call of `chain` or `taylor` waits for the device or copies to it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import PROBLEMS, UnsupportedError, parse_strategy
from tests.strategies.recorder import Recorder

B = 3


def weights(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(*s, generator=generator, dtype=torch.float64) / 3 for name, s in shapes.items()}


def points(n: int) -> Tensor:
    return torch.randn(B, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def attention(n: int, tokens: int = 16, width: int = 4):
    """Tokens attend to each other in one head; then a tanh layer, a sum of all features."""
    w = weights(
        start=(width, n // tokens),
        position=(tokens, width),
        query=(width, width),
        key=(width, width),
        value=(width, width),
        hidden=(width, width),
    )

    def f(x: Tensor) -> Tensor:
        h = x.unflatten(-1, (tokens, -1)) @ w["start"].mT + w["position"]
        query, key, value = (h @ w[name].mT for name in ("query", "key", "value"))
        h = h + torch.softmax(query @ key.mT / width**0.5, -1) @ value
        return torch.tanh(h @ w["hidden"].mT).sum((-2, -1))

    return f


@pytest.mark.parametrize("grad", [False, True])
def test_taylor_on_attention_is_captured(recorder: Recorder, grad: bool) -> None:
    f, x = attention(32), points(32)
    with torch.set_grad_enabled(grad):
        evaluate = parse_strategy("graphed(taylor)").prepare("laplacian", f, x)
        expected = parse_strategy("taylor").prepare("laplacian", f, x)
        for z in (x, 2 * x):
            torch.testing.assert_close(evaluate(z), expected(z))
    assert sum(graph.replays for graph in recorder.graphs) >= 2


def convolution(x: Tensor, kernel: Tensor) -> Tensor:
    return torch.tanh(torch.nn.functional.conv1d(x.unsqueeze(-2), kernel, padding=1)).squeeze(-2) * 3


FIELDS = {
    "two layers": (
        lambda x, V, W: torch.tanh(x @ V) @ W,
        weights(V=(6, 5), W=(5, 6)),
    ),
    "a residual sum": (
        lambda x, V, W: x + 2.5 * (torch.tanh(x @ V).square() @ W),
        weights(V=(6, 5), W=(5, 6)),
    ),
    # Whose matrix is found by applying it, again at each replay.
    "a convolution": (convolution, {"kernel": weights(K=(1, 1, 3))["K"]}),
    "numbers alone": (lambda x: 2 * torch.sin(x.roll(1, -1)) - 0.5 * x**2, {}),
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("operator", ["divergence", "jacobian_diagonal"])
def test_chain_is_captured_and_follows_its_weights(recorder: Recorder, name: str, operator: str) -> None:
    function, held = FIELDS[name]
    held = {key: tensor.clone() for key, tensor in held.items()}

    def f(x: Tensor) -> Tensor:
        return function(x, **held)

    x = points(6)
    with torch.no_grad():
        evaluate, plain = (parse_strategy(spec).prepare(operator, f, x) for spec in ("graphed(chain)", "vmap"))
        torch.testing.assert_close(evaluate(2 * x), plain(2 * x))
        captures = len(recorder.graphs)
        for tensor in held.values():  # through .data, of which no version tells
            tensor.data.mul_(1.5)
        torch.testing.assert_close(evaluate(x), plain(x))
    assert len(recorder.graphs) == captures


@pytest.mark.parametrize("name", ["tanh_field", "burgers", "linear", "flow"])
def test_chain_is_captured_on_problems_of_the_library(recorder: Recorder, name: str) -> None:
    instance = PROBLEMS[name].instance(4, B, torch.float64, "cpu")
    with torch.no_grad():
        evaluate, plain = (
            parse_strategy(spec).prepare("divergence", instance.f, instance.x) for spec in ("graphed(chain)", "vmap")
        )
        torch.testing.assert_close(evaluate(instance.x), plain(instance.x))


def test_an_index_that_f_holds_is_none_that_a_replay_could_follow(recorder: Recorder) -> None:
    index = torch.tensor([1, 0, 2, 3])

    def f(x: Tensor) -> Tensor:
        return torch.tanh(x.index_select(-1, index))

    with torch.no_grad(), pytest.raises(UnsupportedError) as raised:
        parse_strategy("graphed(chain)").prepare("divergence", f, points(4))
    words = "chain looks at the index of index_select at each call, and no replay can; use vmap"
    assert str(raised.value) == f"it cannot be captured in a graph: {words}"


def test_a_plan_that_rests_on_an_index_is_left_aside_in_a_capture(recorder: Recorder) -> None:
    index = torch.arange(31, -1, -1)

    def f(x: Tensor) -> Tensor:
        return (x.index_select(-1, index)[..., :16] * x[..., :16]).sin().sum(-1)

    x = points(32)
    with torch.no_grad():
        evaluate, plain = (parse_strategy(spec).prepare("laplacian", f, x) for spec in ("graphed(taylor)", "vmap"))
        torch.testing.assert_close(evaluate(x), plain(x))
