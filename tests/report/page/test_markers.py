"""Markers as SVG."""

import re
import xml.etree.ElementTree as ElementTree

from jacstrat.report.figures.palette import STYLES
from jacstrat.report.page.markers import MARKERS, marker_id, marker_symbols, swatch


def test_every_marker_of_the_palette_has_an_outline() -> None:
    assert {look.marker for look in STYLES.values()} - {""} <= set(MARKERS)
    ids = set(re.findall(r'id="(m\d+)"', marker_symbols()))
    assert {marker_id(name) for name in STYLES} <= ids
    assert len({marker_id(name) for name in STYLES if STYLES[name].marker}) == len(
        {look.marker for look in STYLES.values() if look.marker}
    )
    ElementTree.fromstring(swatch("vmap:chunk_size=8"))
