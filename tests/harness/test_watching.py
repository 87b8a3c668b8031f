"""The progress of `benchmark`: what is shown, when, and where."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from jacstrat import benchmark
from jacstrat.harness import watching
from jacstrat.harness.watching import PAUSE_S, Watching, shown_by


def test_it_tells_what_is_prepared_then_how_long_it_measures() -> None:
    shown: list[str] = []
    now = [0.0]
    with Watching(["a", "b"], shown.append, lambda: now[0]) as watching:
        for name in ("f", "a", "b", "a", "f"):
            watching.attend(name)
            now[0] += PAUSE_S
    assert shown == [
        "preparing f and the reference: 0 of 2",
        "preparing a: 1 of 2",
        "measuring 2 side by side: 0 s",
        "measuring 2 side by side: 1 s",
        "measuring 2 side by side: 1 s",
        "",
    ]


def test_it_is_silent_between_two_lines() -> None:
    shown: list[str] = []
    watching = Watching(["a"], shown.append, lambda: 0.0)
    for _ in range(1000):
        watching.attend("a")
    assert len(shown) == 1


def test_a_terminal_sees_it_and_a_file_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    x = torch.ones(1, 2)
    benchmark(torch.sin, x, strategies="ones", sample_s=1e-4)
    assert err.getvalue() == ""
    benchmark(torch.sin, x, strategies="ones", sample_s=1e-4, progress=True)
    assert err.getvalue().startswith("\r\x1b[Kpreparing f and the reference: 0 of 1")
    assert err.getvalue().endswith("\r\x1b[K")
    err.isatty = lambda: True  # type: ignore[method-assign]
    assert shown_by(None) is watching._on_terminal
    assert shown_by(False) is not watching._on_terminal


def test_a_notebook_shows_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    handle = SimpleNamespace(update=lambda data, raw: seen.append(data))

    def display(data: dict[str, Any], raw: bool, display_id: bool) -> SimpleNamespace:
        seen.append(data)
        return handle

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    show = shown_by(None)
    show("a < b")
    show("")
    assert [data["text/html"] for data in seen] == ["<i>a &lt; b</i>", ""]
    assert [data["text/plain"] for data in seen] == ["a < b", ""]


def test_ipython_on_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))
    assert watching._notebook() is None
