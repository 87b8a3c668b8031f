"""What torch's errors mean, by errors that torch raises."""

from __future__ import annotations

import pytest
import torch

from jacstrat.torch_errors import is_not_implemented, is_out_of_memory


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
