"""What stands in tensors that a proof looked at, and what is said once it is written to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import divergence, parse_strategy
from jacstrat.trace.numbers import NumbersGuard

X = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_there_is_none_of_no_tensors() -> None:
    assert NumbersGuard.of(()) is None


@pytest.mark.parametrize("is_inference", [False, True])
def test_a_write_is_seen_and_one_of_the_same_numbers_is_none(is_inference: bool) -> None:
    with torch.inference_mode(is_inference):
        index = torch.tensor([0, 1, 2])
        guard = NumbersGuard.of((index, index))
        assert guard is not None
        assert len(guard.tensors) == 1
        assert guard.change() is None
        index.copy_(torch.tensor([0, 1, 2]))
        assert guard.change() is None
        index.numpy()[0] = 2
        assert guard.change() == "what stands in a tensor of shape (3,), int64, which its proof looked at,"


def test_elsewhere_writes_are_counted() -> None:
    index = torch.empty(3, dtype=torch.int64, device="meta")
    guard = NumbersGuard.of((index,))
    assert guard is not None
    assert guard.before == (None,)
    assert guard.change() is None
    index.add_(1)
    assert guard.change() is not None


@pytest.mark.filterwarnings("ignore:.*which its proof looked at")
@pytest.mark.parametrize("strategy", ["coloring", "coloring:product=forward", "auto"])
@pytest.mark.parametrize("is_direct", [False, True])
def test_an_index_that_is_written_to_ends_the_proof_of_a_pattern(strategy: str, is_direct: bool) -> None:
    index = torch.tensor([0, 1, 2])

    def field(x: Tensor) -> Tensor:
        return (x[..., index] * torch.arange(1.0, 4, dtype=x.dtype)).sin()

    prepared = parse_strategy(strategy).prepare("divergence", field, X)
    for numbers in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        index.copy_(torch.tensor(numbers))
        expected = divergence(field, X, "identity")
        if is_direct:
            found = divergence(field, X, strategy)
        elif numbers == [2, 1, 0] and strategy != "auto":
            with pytest.warns(UserWarning, match="which its proof looked at, has changed since this operator was"):
                found = prepared(X)
        else:
            found = prepared(X)
        torch.testing.assert_close(found, expected)
