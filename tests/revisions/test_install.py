"""Environments: shared where the needs are equal, made where they are not."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from jacstrat import JacstratError
from jacstrat.revisions import install
from jacstrat.revisions.install import BuildError, closure, interpreters, needs_of
from jacstrat.revisions.tree import Tree


def tree(path: Path, **files: str) -> Tree:
    """A revision of these files; `pyproject` is pyproject.toml."""
    path.mkdir(parents=True)
    names = {"pyproject": "pyproject.toml", "constraints": "constraints.txt", "requirements": "requirements.txt"}
    for name, text in files.items():
        (path / names[name]).write_text(text)
    return Tree(path.name, "a" * 40, False, path, path)


TORCH = metadata.version("torch")
PROJECT = '[project]\nname = "mine"\nversion = "1"\ndependencies = ["torch>=2", "Num_Py"]\n'


def test_needs_are_dependencies_and_the_pins_of_what_they_bring(tmp_path) -> None:
    one = tree(tmp_path / "one", pyproject=PROJECT, constraints=f"torch=={TORCH}\nruff==0.1\nsympy==0.1\n")
    assert needs_of(one.path).dependencies == ("Num_Py", "torch>=2")
    # torch brings sympy, and nobody here brings ruff; what is installed needs nothing.
    assert needs_of(one.path).pins == ("sympy==0.1",)
    assert needs_of(one.path) != needs_of(tree(tmp_path / "unpinned", pyproject=PROJECT).path)
    tools = tree(tmp_path / "tools", pyproject=PROJECT, constraints="ruff==0.2\nsympy==0.1\nno-such-package==1\n")
    assert needs_of(tools.path) == needs_of(one.path)
    moved = tree(tmp_path / "moved", pyproject=PROJECT, constraints="torch==1.0\n")
    assert needs_of(moved.path) != needs_of(one.path)
    listed = tree(tmp_path / "listed", requirements="torch\n")
    assert needs_of(listed.path).locks == (("requirements.txt", "torch\n"),)
    assert needs_of(tree(tmp_path / "none").path) == install.Needs("", (), (), ())


def test_closure_follows_what_is_installed() -> None:
    assert {"torch", "sympy", "mpmath"} <= closure(["torch>=2.9"])
    assert closure(["no-such-package==1"]) == {"no-such-package"}
    assert closure([]) == set()


def test_a_pyproject_that_is_none_is_said(tmp_path) -> None:
    with pytest.raises(JacstratError, match=r"pyproject\.toml of the revision cannot be read: "):
        needs_of(tree(tmp_path / "broken", pyproject="[project").path)


def test_equal_needs_share_this_environment(tmp_path) -> None:
    here = tree(tmp_path / "here", pyproject=PROJECT)
    base = tree(tmp_path / "base", pyproject=PROJECT + "\n[tool.ruff]\nline-length = 99\n")
    assert interpreters([base, here], here.path, tmp_path) == [Path(sys.executable)] * 2


@pytest.fixture
def commands(monkeypatch):
    """Commands that would have been run."""
    ran = []

    def run(command, **options):
        ran.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(install.subprocess, "run", run)
    return ran


def test_other_needs_are_installed_once_and_shared_by_those_that_have_them(tmp_path, commands) -> None:
    here = tree(tmp_path / "here", pyproject=PROJECT)
    other = PROJECT.replace("torch>=2", "torch>=2.5")
    base = tree(tmp_path / "base", pyproject=other, constraints="torch==2.5\n")
    new = tree(tmp_path / "new", pyproject=other, constraints="torch==2.5\n")
    said = []
    found = interpreters([base, new], here.path, tmp_path, say=said.append)
    python = tmp_path / "environment-0" / "bin" / "python"
    assert found == [python, python]
    assert commands == [
        [sys.executable, "-m", "venv", str(tmp_path / "environment-0")],
        [
            *(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("-c", str(base.path / "constraints.txt"), str(base.path)),
        ],
    ]
    assert said == ["installing base at aaaaaaaaaaaa: its dependencies are not those of the working tree"]


def test_always_is_for_each(tmp_path, commands) -> None:
    here = tree(tmp_path / "here", requirements="torch\n")
    found = interpreters([here, here], here.path, tmp_path, always=True)
    assert len(set(found)) == 2
    assert commands[1][-2:] == ["-r", str(here.path / "requirements.txt")]


def test_what_does_not_build_says_what_pip_said(tmp_path, monkeypatch) -> None:
    here, base = tree(tmp_path / "here", pyproject=PROJECT), tree(tmp_path / "base", pyproject=PROJECT + "\n")
    said = "Collecting mine\nERROR: No matching distribution found for mine==9\nWARNING: there is a newer pip\n"

    def run(command, **options):
        raise subprocess.CalledProcessError(1, command, "", said)

    monkeypatch.setattr(install.subprocess, "run", run)
    with pytest.raises(BuildError, match=r"^base at a{12} does not build: ERROR: No matching distribution found"):
        interpreters([base], here.path, tmp_path, always=True)
    with pytest.raises(BuildError, match=r"does not build: it has no pyproject.toml, setup.py or requirements.txt"):
        interpreters([tree(tmp_path / "bare")], here.path, tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("pyproject.toml", b"project = 7", "pyproject.toml of the revision cannot be read: AttributeError"),
        ("pyproject.toml", b"[project]\ndependencies = 7", "pyproject.toml of the revision cannot be read: TypeError"),
        ("pyproject.toml", b"[project]\ndependencies = [1, 'a']", "pyproject.toml of the revision cannot be read"),
        ("pyproject.toml", b"[project]\nrequires-python = 3", "dependencies and requires-python are text"),
        ("pyproject.toml", b"\xff", "pyproject.toml of the revision cannot be read: UnicodeDecodeError"),
        ("constraints.txt", b"\xff", "constraints.txt of the revision cannot be read: UnicodeDecodeError"),
        ("uv.lock", b"\xff", "uv.lock of the revision cannot be read: UnicodeDecodeError"),
    ],
)
def test_what_a_revision_has_in_place_of_its_files_is_one_line(tmp_path, file: str, content: bytes, what: str) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(JacstratError, match=what):
        needs_of(tmp_path)
