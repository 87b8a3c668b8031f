"""The counts of bench/passes.py, of a program that is compiled for them."""

from __future__ import annotations

import pytest

from bench.checks.cells import SMALL_LAPLACIANS
from bench.checks.passes import PassCounts, main, passes

pytestmark = pytest.mark.long


def test_products_and_bytes_of_a_program() -> None:
    found = passes(SMALL_LAPLACIANS[0], "float64")  # 5 -> 8 -> 8 -> 1 at 4 points
    # Values of two layers, tangents and Laplacian of the second, the Laplacian of the last.
    assert (found.tiles, found.products) == (1, 5)
    assert 0 < found.kernels <= 6
    tangents = 5 * 4 * 8 * 8
    assert 4 * tangents < found.bytes < 20 * tangents


def test_a_row_is_printed_for_each_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bench.checks.passes.passes", lambda network, dtype: PassCounts(2, 6, 8, 12_300_000))
    main(["--quick", "--cells", "tanh"])
    assert capsys.readouterr().out.splitlines()[2:] == ["| tanh-5-8x2 n=5 B=4 | 2 | 6 | 8 | 12.3 |"]
