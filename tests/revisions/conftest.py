"""A small git repository of a user's, and the program at work in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MODEL = """import torch


def field(x):
    return {expression}
"""


def git(directory: Path, *arguments: str) -> str:
    """What git prints, as somebody whose settings are nobody's."""
    person = (
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "init.defaultBranch=main",
    )
    done = subprocess.run(
        ["git", "-C", str(directory), *person, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository with a commit that has model.py."""
    root = tmp_path / "user"
    (root / "inside").mkdir(parents=True)
    (root / "model.py").write_text(MODEL.format(expression="torch.sin(x)"))
    (root / "inside" / "kept").write_text("")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture
def change(repository) -> Callable[[str], None]:
    """Writes another expression into model.py, and commits nothing."""

    def write(expression: str) -> None:
        (repository / "model.py").write_text(MODEL.format(expression=expression))

    return write
