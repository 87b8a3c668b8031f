"""Where a peer's library is: in this Python, or in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jacstrat.core.errors import UsageError

# Names the directory of the environments in place of the user's cache.
VARIABLE = "JACSTRAT_PEERS"


@dataclass(frozen=True)
class Place:
    """What a peer needs, and where it may be.

    Fields:
        name: Of the peer, and of its environment.
        distribution: The package that is compared with, by its name on an index.
        requirements: A pip requirements file that pins it and what it computes with.
        python: The lowest version that it runs on.
    """

    name: str
    distribution: str
    requirements: Path
    python: tuple[int, int]

    @property
    def command(self) -> str:
        """What installs it."""
        return f"python -m jacstrat.peers {self.name}"

    @property
    def environment(self) -> Path:
        """The directory of its own environment, whether that has been made or not."""
        return environments() / self.name

    def interpreter(self) -> str | None:
        """The Python that has it: that of its environment, or this one; None where neither has."""
        python = self.environment / "bin" / "python"
        if python.exists():
            return str(python)
        try:
            version(self.distribution)
        except PackageNotFoundError:
            return None
        return sys.executable

    def missing(self) -> str | None:
        """Why it cannot be tried here, with the command that mends it; None where it can."""
        return None if self.interpreter() else f"{self.name} is not installed; run `{self.command}`"

    def software(self) -> Mapping[str, str]:
        """The versions of what is pinned, as it is installed, and that of the Python; none where it is missing."""
        python = self.interpreter()
        return {} if python is None else _software(python, self.requirements)

    def make(self, python: str | None = None) -> Path:
        """Make its environment: a virtual one of the given Python, with the pins.

        pip takes its settings from the user's configuration.

        Raises:
            UsageError: There is no such Python, it is too old, or pip did not install them.
        """
        python = python or self._candidate()
        version = _version(python)
        if version is None:
            raise UsageError(f"{python} does not run; name a Python for {self.name} by --python")
        if version < self.python:
            least, its = ".".join(map(str, self.python)), ".".join(map(str, version))
            raise UsageError(f"{self.name} needs Python {least} or newer, and {python} is {its}; name one by --python")
        environment = self.environment
        install = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", self.requirements]
        for step in ([python, "-m", "venv", "--clear", environment], install):
            done = subprocess.run([str(word) for word in step], env=_plain_environment())
            if done.returncode:
                raise UsageError(f"{self.name}: {' '.join(map(str, step))} ended with code {done.returncode}")
        return environment

    def _candidate(self) -> str:
        """This Python where it is new enough, or else the oldest one by name that is."""
        if sys.version_info[:2] >= self.python:
            return sys.executable
        return "python" + ".".join(map(str, self.python))


def environments() -> Path:
    """Where environments are: $JACSTRAT_PEERS, else peers in $XDG_CACHE_HOME/jacstrat, else in ~/.cache/jacstrat."""
    if directory := os.environ.get(VARIABLE):
        return Path(directory)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jacstrat" / "peers"


@lru_cache
def _software(python: str, requirements: Path) -> Mapping[str, str]:
    lines = requirements.read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0].strip() for line in lines if "==" in line and not line.startswith("#")]
    environ = os.environ if python == sys.executable else _plain_environment()
    done = subprocess.run([python, "-c", _ASK, *names], capture_output=True, text=True, env=environ)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


_ASK = """
import json, platform, sys
from importlib.metadata import PackageNotFoundError, version

found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found | {"python": platform.python_implementation() + " " + platform.python_version()}))
"""


def _version(python: str) -> tuple[int, int] | None:
    """Major and minor version of an interpreter that can make environments; None where it does not run."""
    code = "import sys, venv; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=60, env=_plain_environment()
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.fullmatch(r"(\d+) (\d+)\s*", done.stdout)
    return (int(match[1]), int(match[2])) if match else None


def _plain_environment() -> dict[str, str]:
    """Without what this Python is told of modules: another one is not to be."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
