"""Bars as SVG: the share of kernels and the rest make up one width for all; names are text."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from jacstrat.report.analysis.setting import Setting
from jacstrat.report.figures.split import Split, TimeSplit
from jacstrat.report.page.bars import LEFT, RIGHT, WIDTH, bars
from jacstrat.report.page.panels import Numbering

EVIL = '<b>"&'
KINDS = ("kernels", "gap")


def test_kernels_and_gaps_share_the_width() -> None:
    parts = (TimeSplit(EVIL, True, 3e-6, 1e-6, 1), TimeSplit("right", False, 1e-6, 3e-6, None))
    setting = Setting("p", "laplacian", 16, "float32", "cuda", "evaluate", 1, 0)
    root = ElementTree.fromstring(bars(Split(setting, 8, parts), Numbering(), EVIL))
    widths = {kind: [float(r.get("width", "")) for r in root.iter("rect") if r.get("class") == kind] for kind in KINDS}
    across = WIDTH - LEFT - RIGHT
    assert widths["kernels"] == pytest.approx([0.75 * across, 0.25 * across], abs=0.1)
    assert widths["gap"] == pytest.approx([0.25 * across, 0.75 * across], abs=0.1)
    texts = [text.text for text in root.iter("text")]
    assert texts[:4] == [EVIL, "4.00 µs, 1 kernel, wrong", "right", "4.00 µs"]
    assert root.get("aria-label") == EVIL
