"""The map for newcomers names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(jacstrat/[\w./]+)`", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_a_file_that_the_page_names_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_picture_has_every_room() -> None:
    (picture,) = re.findall(r"<pre>\n(.*?)</pre>", PAGE, re.DOTALL)
    rooms = {folder.name for folder in (ROOT / "jacstrat").iterdir() if (folder / "__init__.py").exists()}
    assert {name.removesuffix("/") for name in re.findall(r"\b\w+/", picture)} - {"auto"} == rooms
