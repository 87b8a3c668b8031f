"""A compiler that compiles nothing: programs are the captured graphs themselves, run by torch, in no time.

What is tested with it is all that stands around the compiler; what the compiler makes is tested in test_compiled.py.
"""

from __future__ import annotations

import pytest
import torch._inductor


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The graphs that were given to be compiled."""
    graphs: list[object] = []

    def compile(graph, inputs):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch._inductor, "compile", compile)
    return graphs
