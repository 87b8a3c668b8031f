"""A version is the newest tag; what is built from it installs and runs; what is not ready for release is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.pages import ROOT

RELEASE = ROOT / "scripts" / "release.py"
WITHOUT_PATH = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=WITHOUT_PATH | environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the version is read from, and the least that a build needs."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "jacstrat").mkdir()
    (tmp_path / "jacstrat" / "__init__.py").touch()
    return tmp_path


def git(root: Path, *arguments: str) -> str:
    person = [word for name in ("name", "email") for word in ("-c", f"user.{name}=nobody@example.org")]
    return run("git", *person, "-c", "commit.gpgsign=false", *arguments, cwd=root)


def version_of(root: Path) -> str:
    return run(sys.executable, "-m", "hatchling", "metadata", "version", cwd=root).strip()


def test_a_version_is_the_newest_tag_of_three_numbers_and_what_follows_it_counts_towards_the_next(checkout) -> None:
    assert version_of(checkout) == "0.0"
    git(checkout, "init", "--quiet")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "first")
    assert version_of(checkout) == "0.1.dev1"
    git(checkout, "tag", "v0.2.0")
    assert version_of(checkout) == "0.2.0"
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "second")
    # The tag by which workflows name the action moves, and is no version.
    git(checkout, "tag", "v1")
    assert version_of(checkout) == "0.2.1.dev1"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of this checkout, and the wheel that is built of the sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


def test_an_sdist_has_what_the_wheel_is_built_of_and_the_tests(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for name in ("jacstrat/__init__.py", "tests/pages.py", "constraints.txt", "CHANGELOG.md", "CITATION.cff"):
        assert name in names
    assert {name.partition("/")[0] for name in names} & {".venv", "build", ".git", "dist"} == set()


def test_a_wheel_has_the_package_alone_with_its_files_and_its_dependencies(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        facts = Parser().parsestr(opened.read(metadata).decode())
    package = ROOT / "jacstrat"
    wanted = {
        file.relative_to(ROOT).as_posix()
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert facts["Name"] == "jacstrat"
    assert facts["Version"] in wheel.name
    assert facts["Requires-Python"] == ">=3.11"
    assert any(line.startswith("torch>=") for line in facts.get_all("Requires-Dist") or ())
    assert all("file:" not in url for url in facts.get_all("Project-URL") or ())


@pytest.mark.long
def test_an_installed_wheel_computes_and_writes_the_page_of_a_run(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    fresh = tmp_path / "fresh"
    run(sys.executable, "-m", "venv", "--without-pip", fresh, cwd=tmp_path)
    python = fresh / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel]
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=tmp_path)
    (packages,) = fresh.glob("lib/python*/site-packages")
    # torch and the others are those of this environment, on the path behind the wheel.
    own = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "behind.pth").write_text("\n".join(own) + "\n", encoding="utf-8")
    program = (
        "import jacstrat, torch; d = jacstrat.divergence(torch.sin, torch.zeros(3), 'identity');"
        " print(jacstrat.__file__, jacstrat.__version__, d.item())"
    )
    home, version, value = run(python, "-c", program, cwd=tmp_path).split()
    assert Path(home).is_relative_to(packages)
    assert f"-{version}-" in wheel.name
    assert value == "3.0"
    shutil.copytree(ROOT / "results" / "peers", tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    run(fresh / "bin" / "jacstrat", "report", "run", cwd=tmp_path)
    assert "<svg" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_checkout_on_the_path_that_is_not_installed_has_a_version(tmp_path: Path) -> None:
    # -S: without the packages of this environment, in which it may be installed.
    program = "import jacstrat; print(jacstrat.__version__)"
    assert run(sys.executable, "-S", "-c", program, cwd=tmp_path, PYTHONPATH=str(ROOT)) == "0.0\n"


CHANGELOG = "# Changelog\n\n## [0.2.0] - 2026-11-01\n\n### Added\n\n- One thing.\n\n## [0.1.0] - 2026-01-01\n\n- Old.\n"
CITATION = "cff-version: 1.2.0\nversion: 0.2.0\n"
PROJECT = '[project]\nname = "jacstrat"\n[project.urls]\nSource = "https://example.org"\n'


def release(root: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, RELEASE, *arguments, "--root", root]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    for name, text in (("CHANGELOG.md", CHANGELOG), ("CITATION.cff", CITATION), ("pyproject.toml", PROJECT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_what_is_ready_for_release_has_its_notes_printed(ready: Path) -> None:
    assert release(ready, "v0.2.0") == (0, "### Added\n\n- One thing.\n")
    built = ready / "dist"
    built.mkdir()
    for name in ("jacstrat-0.2.0.tar.gz", "jacstrat-0.2.0-py3-none-any.whl"):
        (built / name).touch()
    assert release(ready, "v0.2.0", "--dist", str(built))[0] == 0


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "CHANGELOG.md",
            "2026-11-01",
            "Unreleased",
            "CHANGELOG.md dates 0.2.0 'Unreleased'; write the day, YYYY-MM-DD\n",
        ),
        ("CHANGELOG.md", "[0.2.0]", "[0.3.0]", "CHANGELOG.md has 0.3.0 on top, not 0.2.0; add its section\n"),
        ("CHANGELOG.md", "## ", "# ", "CHANGELOG.md has no version on top, not 0.2.0; add its section\n"),
        ("CITATION.cff", "0.2.0", "0.1.0", "CITATION.cff has version 0.1.0, not 0.2.0; change it\n"),
        (
            "pyproject.toml",
            "Source",
            "Home",
            "pyproject.toml has no Source under [project.urls]; add the address of the",
        ),
    ],
)
def test_what_is_not_ready_is_told(ready: Path, name: str, old: str, new: str, message: str) -> None:
    file = ready / name
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    code, told = release(ready, "v0.2.0")
    assert code == 1
    assert told.startswith(message)


def test_what_was_built_of_another_version_is_told(ready: Path) -> None:
    (ready / "jacstrat-0.1.dev3.tar.gz").touch()
    built = ready / "dist"
    built.mkdir()
    assert "has nothing, not jacstrat-0.2.0-py3-none-any.whl, " in release(ready, "v0.2.0", "--dist", str(built))[1]
    (built / "jacstrat-0.1.dev3.tar.gz").touch()
    assert "has jacstrat-0.1.dev3.tar.gz, not" in release(ready, "v0.2.0", "--dist", str(built))[1]


@pytest.mark.parametrize("tag", ["v1", "0.2.0", "v0.2.0rc1", "main"])
def test_a_tag_of_no_version_is_refused(ready: Path, tag: str) -> None:
    assert release(ready, tag) == (1, f"{tag} is no tag of a version; it is vX.Y.Z\n")


def test_what_is_wanting_of_this_checkout_is_what_a_release_has_to_add() -> None:
    code, told = release(ROOT, "v0.1.0")
    assert code == 1
    assert told.splitlines() == [
        "CHANGELOG.md dates 0.1.0 'Unreleased'; write the day, YYYY-MM-DD",
        "pyproject.toml has no Source under [project.urls]; add the address of the repository",
    ]
