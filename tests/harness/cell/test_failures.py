"""What an exception comes to as the status of a case."""

from __future__ import annotations

import pytest
import torch

from jacstrat.core.errors import CrashedError, MissingError, ShapeError, UnsupportedError, WrongResultError
from jacstrat.harness.cell import failures
from jacstrat.harness.cell.failures import failure, failure_on
from jacstrat.measure.context import ContextLostError


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (UnsupportedError("no forward rule"), "unsupported", "no forward rule"),
        (WrongResultError("it is off"), "wrong", "it is off"),
        (MissingError("install it"), "skipped", "install it"),
        (CrashedError("killed"), "crashed", "killed"),
        (MemoryError("so many bytes"), "oom", "so many bytes"),
        (torch.OutOfMemoryError("CUDA out of memory"), "oom", "CUDA out of memory"),
        (RuntimeError("can't allocate memory: 8 GB"), "oom", "can't allocate memory: 8 GB"),
        (RuntimeError("'sqrt' not implemented for 'Half'"), "unsupported", "'sqrt' not implemented for 'Half'"),
        (ShapeError("(2, 3)"), "error", "(2, 3)"),
        (ZeroDivisionError("division by\n zero"), "error", "ZeroDivisionError: division by zero"),
        (SystemExit(3), "error", "SystemExit: 3"),
    ],
)
def test_an_exception_is_a_status_and_a_line(error: BaseException, status: str, reason: str) -> None:
    assert failure(error) == failure_on("cpu", error) == (status, reason)


def test_a_device_that_is_lost_ends_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "is_lost", lambda device: device.type == "cuda")
    with pytest.raises(ContextLostError, match="illegal memory access") as raised:
        failure_on("cuda:1", RuntimeError("illegal memory access"))
    assert isinstance(raised.value.__cause__, RuntimeError)
