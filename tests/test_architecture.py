"""The map for newcomers names what there is; and what holds of every file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from torch.utils._device import _device_constructors

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


MAKERS = {function.__name__ for function in _device_constructors()}


def test_a_tensor_that_is_made_says_where() -> None:
    """torch.set_default_device is the caller's, for f: what is made here is on the host, or where x is."""
    silent = []
    for path in sorted((ROOT / "jacstrat").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                not isinstance(node, ast.Call)
                or not isinstance(node.func, ast.Attribute)
                or node.func.attr not in MAKERS
            ):
                continue
            is_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
            if is_torch and not any(keyword.arg in ("device", None) for keyword in node.keywords):
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not silent, "\n".join(silent)
