"""libtorch takes an identity for a vector of ones: the program that shows it, built by the command at its head."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "scripts" / "seed_libtorch.cpp"
PROMPT = "//     $ "

PRINTED = """\
x.x      ones  = 6
x.x      eye   = 6
x.x      trace = 6
(A x) x  ones  = 92
(A x) x  eye   = 92
(A x) x  trace = 62
"""


def recorded_commands(source: Path) -> str:
    """The shell commands in the comment at the head of a source."""
    lines = source.read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT))


@pytest.mark.timeout(300)
def test_libtorch_sums_an_identity_to_ones(tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        if "CI" in os.environ:
            pytest.fail("no C++ compiler `c++`, which this test must have where CI is set; install g++")
        pytest.skip("no C++ compiler `c++`")
    bin_path = tmp_path / "bin"
    bin_path.mkdir()
    # The recorded command says `python`; a link would lose the virtual environment.
    (bin_path / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    (bin_path / "python").chmod(0o755)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PATH": f"{bin_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", recorded_commands(SOURCE)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, PRINTED), done.stderr
    assert (tmp_path / "seed_libtorch").is_file()
