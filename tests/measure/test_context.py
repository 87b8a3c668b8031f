"""Whether a context is lost, asked of a device that answers as the test tells."""

from __future__ import annotations

import pytest
import torch

from jacstrat.measure.context import is_lost

CUDA = torch.device("cuda", 0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    """Lets the device raise an error at each question, or none; what it was asked is written down."""

    def answer(error: Exception | None) -> list[str]:
        log: list[str] = []

        def ask(*_: object, **__: object) -> torch.Tensor:
            log.append("asked")
            if error is not None:
                raise error
            return torch.ones(1, device="meta")

        monkeypatch.setattr(torch.accelerator, "synchronize", ask)
        monkeypatch.setattr(torch, "zeros", ask)
        return log

    return answer


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: uncorrectable ECC error encountered",
        "CUDA error: device-side assert triggered",
    ],
)
def test_a_device_that_fails_whatever_it_is_asked_is_lost(asked, text: str) -> None:
    log = asked(RuntimeError(text))
    assert is_lost(CUDA)
    assert log == ["asked"]


def test_a_device_that_answers_is_not_lost_nor_is_one_without_memory(asked) -> None:
    log = asked(None)
    assert not is_lost(CUDA)
    assert len(log) == 3
    asked(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_lost(CUDA)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_processor_is_never_lost(asked, device: str) -> None:
    assert asked(RuntimeError("no device")) == []
    assert not is_lost(torch.device(device))
