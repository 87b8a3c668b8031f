"""What torch's errors mean, by errors that torch raises."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from jacstrat.torch_errors import is_no_error, is_not_implemented, is_out_of_memory


def raised(call) -> Exception:
    with pytest.raises(Exception) as error:  # noqa: PT011 - whichever torch raises
        call()
    return error.value


def test_more_memory_than_there_is_by_whichever_error_says_so() -> None:
    assert is_out_of_memory(raised(lambda: torch.empty(10**15, dtype=torch.uint8)))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("a memory"))


def test_an_operation_that_a_dtype_has_not() -> None:
    assert is_not_implemented(raised(lambda: torch.sin(torch.ones(2).to(torch.float8_e4m3fn))))
    assert not is_not_implemented(NotImplementedError("for later"))
    assert not is_not_implemented(ValueError("'f' not implemented for 'Half'"))


def test_a_checkpoint_that_has_what_it_wants_ends_what_it_computes_again() -> None:
    seen: list[BaseException] = []

    def block(x: torch.Tensor) -> torch.Tensor:
        try:
            return x.sin().exp().cos()
        except BaseException as error:
            seen.append(error)
            raise

    checkpoint(block, torch.ones(2, requires_grad=True), use_reentrant=False).sum().backward()
    assert [is_no_error(error) for error in seen] == [True]
    assert not is_no_error(RuntimeError("stop"))
