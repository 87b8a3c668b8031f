"""The environment of a revision: this one where its dependencies are the same, else a virtual one of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from jacstrat.core.errors import JacstratError, UsageError, in_words
from jacstrat.revisions.tree import Tree

LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "requirements.txt")
CONSTRAINTS = "constraints.txt"
# pip brings torch: gigabytes, where it is not cached.
LIMIT_S = 3600


class BuildError(JacstratError):
    """A revision's environment could not be made; says what pip said."""


@dataclass(frozen=True)
class Needs:
    """What a revision asks of its environment. Equal needs share one, since then only Python files differ.

    Fields:
        python: `requires-python`.
        dependencies: Of the project, sorted.
        pins: The lines of constraints.txt for packages that these bring here, at another version than is installed;
            others pin tools, or change nothing.
        locks: Name and text of lock files and of requirements.txt.
    """

    python: str
    dependencies: tuple[str, ...]
    pins: tuple[str, ...]
    locks: tuple[tuple[str, str], ...]


def needs_of(path: Path) -> Needs:
    """What the files in a directory ask for.

    Raises:
        UsageError: Its pyproject.toml is none, or one of the files is no text.
    """
    project: dict[str, Any] = {}
    if text := _text(path / "pyproject.toml"):
        try:
            project = tomllib.loads(text).get("project", {})
            dependencies = tuple(sorted(project.get("dependencies", ())))
            python = project.get("requires-python", "")
        except (tomllib.TOMLDecodeError, AttributeError, TypeError, RecursionError) as error:
            raise UsageError(f"pyproject.toml of the revision cannot be read: {in_words(error)}") from None
        if not all(isinstance(text, str) for text in (*dependencies, python)):
            raise UsageError("pyproject.toml of the revision cannot be read: dependencies and requires-python are text")
    else:
        dependencies, python = (), ""
    pins: tuple[str, ...] = ()
    if text := _text(path / CONSTRAINTS):
        brought = closure(dependencies)
        pins = tuple(
            sorted(line.strip() for line in text.splitlines() if _package(line) in brought and not _holds(line))
        )
    locks = tuple((name, text) for name in LOCKS if (text := _text(path / name)))
    return Needs(python, dependencies, pins, locks)


def _text(file: Path) -> str:
    """What a file of the revision holds; "" where there is none.

    Raises:
        UsageError: It is no text, or may not be read.
    """
    if not file.is_file():
        return ""
    try:
        return file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{file.name} of the revision cannot be read: {in_words(error)}") from None


def closure(requirements: Iterable[str]) -> set[str]:
    """The packages that requirements name, and those that these bring, as far as they are installed here."""
    packages: set[str] = set()
    left = [_package(requirement) for requirement in requirements]
    while left:
        package = left.pop()
        if package and package not in packages:
            packages.add(package)
            try:
                brought = metadata.requires(package) or ()
            except metadata.PackageNotFoundError:
                continue
            left += [_package(requirement) for requirement in brought if "extra ==" not in requirement]
    return packages


def _holds(pin: str) -> bool:
    """Whether a pin is what is installed here, or of a package that nothing brings on this system."""
    name, _, version = pin.split("#")[0].partition("==")
    try:
        return metadata.version(_package(name)).partition("+")[0] == version.strip().partition("+")[0]
    except metadata.PackageNotFoundError:
        return True


def _package(requirement: str) -> str:
    """The name at the start of a requirement, as package indexes normalise it; empty where there is none."""
    name = re.match(r"\s*([A-Za-z0-9][\w.-]*)", requirement)
    return re.sub(r"[-_.]+", "-", name[1]).lower() if name else ""


def interpreters(
    trees: Iterable[Tree],
    here: Path,
    folder: Path,
    always: bool = False,
    say: Callable[[str], object] = lambda line: None,
) -> list[Path]:
    """The interpreter of each tree, its environment made where this one does not serve.

    Args:
        trees: Revisions.
        here: The repository as it is on disk, which this environment is that of.
        folder: A directory for environments.
        always: Make one for every revision, as for one that compiles something.
        say: Told what takes long.

    Raises:
        BuildError: pip could not install a revision.
    """
    present = needs_of(here)
    installed: dict[object, Path] = {}
    pythons = []
    for number, tree in enumerate(trees):
        needs = needs_of(tree.path)
        if needs == present and not always:
            pythons.append(Path(sys.executable))
            continue
        key: object = number if always else needs
        if key not in installed:
            say(f"installing {tree}: its dependencies are not those of the working tree")
            installed[key] = _install(tree, folder / f"environment-{number}")
        pythons.append(installed[key])
    return pythons


def _install(tree: Tree, folder: Path) -> Path:
    python = folder / "bin" / "python"
    constraints = tree.path / CONSTRAINTS
    if (tree.path / "pyproject.toml").is_file() or (tree.path / "setup.py").is_file():
        what = [str(tree.path)]
    elif (tree.path / "requirements.txt").is_file():
        what = ["-r", str(tree.path / "requirements.txt")]
    else:
        raise BuildError(f"{tree} does not build: it has no pyproject.toml, setup.py or requirements.txt")
    pinned = ["-c", str(constraints)] if constraints.is_file() else []
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned, *what],
    ):
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)
        except subprocess.CalledProcessError as error:
            raise BuildError(f"{tree} does not build: {_last_error(error.stderr or error.stdout)}") from None
        except subprocess.TimeoutExpired:
            raise BuildError(f"{tree} does not build: no end after {LIMIT_S} s") from None
    return python


def _last_error(output: str) -> str:
    """What pip says is the matter: its last line that begins with ERROR, or the last at all."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no word of pip's"]
    said = [line for line in lines if line.lower().startswith(("error:", "error "))] or lines
    return said[-1][:300]
