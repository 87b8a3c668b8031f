"""The package's outer files agree with each other: pins, versions, citation, scripts."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from jacstrat.strategies.absent import PEERS
from tests.reader import COMMANDS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    Requirement(line)
    for line in PROJECT["dependencies"] + EXTRAS["test"] + EXTRAS["triton"]
    if not line.startswith(f"{PROJECT['name']}[")
]
PIN_LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
PINS = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in PIN_LINES)}
SCRIPTS = [
    path
    for path in (*sorted((ROOT / "scripts").iterdir()), ROOT / ".ci" / "run")
    if path.is_file() and path.read_bytes().startswith(b"#!")
]


@pytest.mark.parametrize("line", PIN_LINES)
def test_a_pin_is_one_public_version(line: str) -> None:
    name, equals, version = line.partition("==")
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), "names are normalised, so that one name has one pin"
    assert equals == "=="
    assert str(Version(version)) == version
    assert Version(version).local is None


def test_pins_are_sorted_and_each_name_has_one() -> None:
    names = [line.partition("==")[0] for line in PIN_LINES]
    assert names == sorted(set(names))


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_every_dependency_has_a_pin_within_its_range(requirement: Requirement) -> None:
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_torch_brings_setuptools_which_pip_freeze_hides() -> None:
    assert "setuptools" in PINS


def test_nvml_comes_from_nvidias_own_package() -> None:
    names = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS} | set(PINS)
    assert "nvidia-ml-py" in names
    assert "pynvml" not in names


def citation_field(name: str) -> str:
    """A top-level field of CITATION.cff that is on one line."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    values: list[str] = re.findall(rf"^{name}: (.+)$", text, re.MULTILINE)
    assert len(values) == 1
    return values[0].strip('"')


def test_versions_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)[0]
    assert citation_field("version") == newest
    assert PROJECT["dynamic"] == ["version"], "the version is that of the tag, see test_release"


def test_licences_agree() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License\n\nCopyright (c) 2026 jacstrat contributors\n")
    assert PROJECT["license"] == citation_field("license") == "MIT"


def test_the_citation_names_the_software_and_the_post() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert citation_field("cff-version") == "1.2.0"
    assert citation_field("type") == "software"
    assert citation_field("title").startswith("jacstrat")
    # Every line is a key, a list item or an indented continuation, which is as much of YAML as the file uses.
    assert [line for line in text.splitlines() if not re.match(r"([a-z-]+:( |$))|( +\S)", line)] == []
    assert "\t" not in text
    _, references = text.split("\nreferences:\n")
    assert "type: blog" in references
    assert 'name: "L-infinity"' in references
    assert 'title: "Some calculus with torch::autograd"' in references
    assert "date-published: 2021-02-24" in references


@pytest.mark.parametrize("name", ["scripts/bench", "scripts/setup", "scripts/test", ".ci/run"])
def test_the_documented_scripts_exist(name: str) -> None:
    assert ROOT / name in SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_and_bash_reads_them(script: Path) -> None:
    assert os.access(script, os.X_OK), f"{script} has a shebang but is not executable; chmod +x it"
    interpreter = script.read_text(encoding="utf-8").splitlines()[0]
    if "bash" in interpreter:
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "set -euo pipefail" in script.read_text(encoding="utf-8")


# What a package of PyPI is called on conda-forge, where it is called something else.
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def test_the_conda_recipe_asks_for_what_the_package_asks_for() -> None:
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    wanted = [f"python {PROJECT['requires-python']}"]
    for line in PROJECT["dependencies"]:
        requirement = Requirement(line)
        wanted.append(f"{CONDA.get(requirement.name, requirement.name)} {requirement.specifier}")
    assert recipe["requirements"]["run"] == wanted
    system = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    assert recipe["requirements"]["host"] == [wanted[0], "pip", *system["requires"]]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert (ROOT / recipe["about"]["license_file"]).is_file()
    assert recipe["build"]["python"]["entry_points"] == [f"jacstrat = {PROJECT['scripts']['jacstrat']}"]
    commands = [shlex.split(line) for test in recipe["tests"] for line in test.get("script", ())]
    assert commands
    for command in commands:
        assert command[0] == "jacstrat"
        COMMANDS[command[1]].make_context(command[1], command[2:])


def test_the_tests_bring_what_a_build_needs() -> None:
    system = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    assert {Requirement(line).name for line in system["requires"]} <= {requirement.name for requirement in REQUIREMENTS}


@pytest.mark.parametrize("package", sorted((ROOT / "peers").glob("jacstrat-*")), ids=lambda path: path.name)
def test_a_peers_package_says_what_it_registers_and_how_it_is_installed(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (package / project["readme"]).read_text(encoding="utf-8")
    assert project["name"] == package.name
    assert f"$ pip install ./peers/{package.name}" in text
    for name in project["entry-points"]["jacstrat.strategies"]:
        assert f"`{name}`" in text
        assert PEERS[name] == package.name
    for line in re.findall(r"^\$ (jacstrat .*)$", text, re.MULTILINE):
        COMMANDS["run"].make_context("run", shlex.split(line)[2:])
