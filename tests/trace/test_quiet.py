"""Loggers of torch are still while a function is traced, and as they were afterwards."""

from __future__ import annotations

import logging

import pytest

from jacstrat.trace.quiet import quiet

NAMES = ("torch", "torch.fx", "torch._dynamo", "torch.fx.experimental.symbolic_shapes")


def state() -> dict[str, bool]:
    return {name: logging.getLogger(name).disabled for name in NAMES}


def test_torch_is_quiet_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    mine, loggers = logging.getLogger("torchlike.mine"), [logging.getLogger(name) for name in NAMES]
    with quiet():
        for logger in loggers:
            logger.critical("of torch")
        mine.error("of others")
    assert [record.message for record in caplog.records] == ["of others"]
    logging.getLogger("torch.fx").error("later")
    assert [record.message for record in caplog.records] == ["of others", "later"]


def test_loggers_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("torch.fx"), "disabled", True)
    before = state()
    with quiet():
        assert all(state().values())
        with quiet():
            assert all(state().values())
        assert all(state().values())
    assert state() == before
    assert before["torch.fx"]
    assert not before["torch"]


def test_loggers_are_put_back_when_a_trace_fails() -> None:
    before = state()
    with pytest.raises(ValueError, match="of the trace"), quiet():
        raise ValueError("of the trace")
    assert state() == before
