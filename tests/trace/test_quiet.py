"""Loggers of torch are still while a function is traced, and as they were afterwards."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from jacstrat import parse_strategy
from jacstrat.trace.quiet import quiet, without_fallback_warnings

X = torch.linspace(-1, 1, 12).double().view(4, 3)
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


def fallback() -> None:
    """Something that vmap has no rule for."""
    torch.func.vmap(lambda x: torch.nn.functional.bilinear(x, x, torch.ones(2, 3, 3)))(torch.ones(2, 1, 3))


def test_vmap_says_nothing_of_operations_without_a_rule_and_then_does_again() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with without_fallback_warnings():
            with without_fallback_warnings():
                fallback()
            fallback()
        assert [str(one.message) for one in caught] == []
        fallback()
    assert any("performance drop" in str(one.message) for one in caught)


@pytest.mark.long
def test_where_warnings_are_errors_the_first_call_of_a_process_is_no_error() -> None:
    program = """
import torch
import warnings
from jacstrat import laplacian
warnings.simplefilter("error")
print(float(laplacian(lambda x: x.square().sum(-1), torch.ones(2, 3))[0]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6.0\n", "")


@pytest.mark.parametrize("strategy", ["coloring", "taylor"])
def test_threads_that_trace_leave_what_is_the_processs_as_it_was(strategy: str) -> None:
    def prepared(k: int) -> torch.Tensor:
        def u(x: torch.Tensor) -> torch.Tensor:
            return x.sin().sum(-1) * k

        return parse_strategy(strategy).prepare("laplacian", u, X)(X)

    logger, apply = logging.getLogger("torch"), torch.autograd.Function.__dict__["apply"]
    interval, disabled = sys.getswitchinterval(), logger.disabled
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            for k, result in enumerate(pool.map(prepared, range(12))):
                torch.testing.assert_close(result, -k * X.sin().sum(-1))
    finally:
        sys.setswitchinterval(interval)
    assert logger.disabled == disabled
    assert torch.autograd.Function.__dict__["apply"] is apply
