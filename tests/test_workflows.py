"""Workflows, the project's own and those that docs recommend, and the action: valid, and every command in them is one
that there is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from jacstrat.harness.plan.sweep import shipped_sweeps
from tests.pages import PAGES, ROOT, blocks_of, name_of
from tests.reader import COMMANDS

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
OWN = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SHOWN = [
    (f"{name_of(page)}:{block.line}", block.text)
    for page in PAGES
    for block in blocks_of(page.read_text(encoding="utf-8"))
    if block.language == "yaml"
]
WORKFLOWS = [*((file.name, file.read_text(encoding="utf-8")) for file in OWN), *SHOWN]
every_workflow = pytest.mark.parametrize("text", [text for _, text in WORKFLOWS], ids=[name for name, _ in WORKFLOWS])
# Programs that a step may run besides jacstrat and this repository's scripts.
PROGRAMS = ("pip", "python", "python3")
# What a workflow uses besides the actions of others by their versions: this repository's own.
OWN_ACTION = re.compile(r"\./|\w+/jacstrat@v\d+")


def load(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text)
    # YAML 1.1 reads the key `on` as true.
    found["on"] = found.pop(True)
    return found


def steps_of(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_are_workflows_for_pushes_and_for_pull_requests_and_recipes() -> None:
    assert {file.name for file in OWN} == {"tests.yml", "compare.yml", "release.yml"}
    assert len(SHOWN) == 4
    own = {file.name: load(file.read_text(encoding="utf-8")) for file in OWN}
    assert set(own["tests.yml"]["on"]) == {"push", "pull_request"}
    assert set(own["compare.yml"]["on"]) == {"pull_request"}
    ran = {name: " ".join(step.get("run", "") for step in steps_of(flow)) for name, flow in own.items()}
    assert "bash .ci/run" in ran["tests.yml"]
    assert "jacstrat compare --baseline" in ran["tests.yml"]
    assert "./" in [step.get("uses") for step in steps_of(own["compare.yml"])]


def publishes(job: dict[str, Any]) -> bool:
    return any(step.get("uses", "").startswith("pypa/gh-action-pypi-publish@") for step in job["steps"])


@every_workflow
def test_a_workflow_is_one_and_may_do_no_more_than_it_needs(text: str) -> None:
    workflow = load(text)
    assert (
        {"name", "on", "permissions", "jobs"} <= set(workflow) <= {"name", "on", "permissions", "concurrency", "jobs"}
    )
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        keys = {"runs-on", "timeout-minutes", "strategy", "env", "needs", "steps"}
        assert set(job) <= keys | ({"environment", "permissions"} if publishes(job) else set())
        assert job["runs-on"]
        assert 0 < job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert set(step) <= {"id", "uses", "with", "run", "if", "env"}
            if "uses" in step:
                assert re.fullmatch(r"\./|[\w-]+/[\w-]+@v\d+|pypa/gh-action-pypi-publish@release/v1", step["uses"])


@every_workflow
def test_what_compares_with_another_revision_has_it(text: str) -> None:
    for job in load(text)["jobs"].values():
        commands = [step.get("run", "") for step in job["steps"]]
        used = [step.get("uses", "") for step in job["steps"]]
        if any("-rev " in command for command in commands) or any(map(OWN_ACTION.fullmatch, used)):
            (checkout,) = (step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout"))
            assert checkout["with"]["fetch-depth"] == 0


@every_workflow
def test_nothing_that_somebody_else_wrote_is_put_into_a_command(text: str) -> None:
    # A branch or a title may hold a command; variables of the environment are not run.
    for step in steps_of(load(text)):
        assert "${{" not in step.get("run", "")


@every_workflow
def test_commands_and_their_options_are_there(text: str) -> None:
    check_commands(steps_of(load(text)))


def check_commands(steps: list[dict[str, Any]]) -> None:
    """Refuse steps that run nothing, another program than is known, or jacstrat with options that it does not have."""
    commands = [line for step in steps for line in step.get("run", "").splitlines() if line.strip()]
    assert commands or any(OWN_ACTION.fullmatch(step.get("uses", "")) for step in steps)
    for command in commands:
        program, *arguments = shlex.split(command.replace("$GITHUB_ACTION_PATH", "."))
        if Path(program).name == "jacstrat":
            COMMANDS[arguments[0]].make_context(arguments[0], arguments[1:])
        elif program == "bash":
            assert (ROOT / arguments[0]).is_file()
        else:
            assert Path(program).name in PROGRAMS, command


def test_the_action_declares_what_it_uses_and_uses_what_it_declares() -> None:
    assert set(ACTION) == {"name", "description", "inputs", "outputs", "runs"}
    assert set(ACTION["inputs"]) == {"sweep", "base", "gate"}
    for declared in (*ACTION["inputs"].values(), *ACTION["outputs"].values()):
        assert declared["description"].endswith(".")
    for declared in ACTION["inputs"].values():
        assert set(declared) == {"description", "required", "default"}
    steps = ACTION["runs"]["steps"]
    assert ACTION["runs"]["using"] == "composite"
    written = [value for step in steps for value in step.get("env", {}).values()]
    assert written == [f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]]
    identities = {step["id"] for step in steps if "id" in step}
    for declared in ACTION["outputs"].values():
        named = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.(\w+) \}\}", declared["value"])
        assert named is not None
        assert named[1] in identities
        assert f"{named[2]}=" in (ROOT / "scripts" / "gate").read_text(encoding="utf-8")
    assert ACTION["inputs"]["sweep"]["default"] in shipped_sweeps()
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", page, re.MULTILINE))
    assert set(ACTION["inputs"]) <= set(rows)
    for name in ("sweep", "gate"):
        assert rows[name] == f"`{ACTION['inputs'][name]['default']}`"


def test_a_step_of_the_action_has_a_shell_and_no_word_of_others_in_its_command() -> None:
    steps = ACTION["runs"]["steps"]
    for step in steps:
        assert {"run", "shell"} <= set(step) <= {"id", "run", "shell", "env"}
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
    check_commands(steps)
    # What the script reads, the action gives.
    script = (ROOT / "scripts" / "gate").read_text(encoding="utf-8")
    (given,) = (step["env"] for step in steps if "scripts/gate" in step["run"])
    assert set(given) == set(re.findall(r"^\w+=\$\{([A-Z]+):", script, re.MULTILINE))


def stand_in(file: Path, code: int) -> None:
    """A program that writes down what it is called with."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'#!/bin/bash\necho "${{0##*/}} $*" >>"$LOG"\nexit {code}\n', encoding="utf-8")
    file.chmod(0o755)


@pytest.mark.parametrize(("gate", "code"), [("regression", 1), ("wrong", 0), ("all", 2)])
def test_the_steps_of_the_action_run_as_a_runner_runs_them(tmp_path: Path, gate: str, code: int) -> None:
    stand_in(tmp_path / "bin" / "python", 0)
    stand_in(tmp_path / "bin" / "jacstrat", 1)
    given = {"sweep": "my sweep.toml", "base": "origin/main", "gate": gate}
    environ = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "RUNNER_TEMP": str(tmp_path),
    }
    codes = []
    for step in ACTION["runs"]["steps"]:
        own = {name: given[value.strip("${} ").removeprefix("inputs.")] for name, value in step.get("env", {}).items()}
        (tmp_path / "step.sh").write_text(step["run"], encoding="utf-8")
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", tmp_path / "step.sh"]
        codes.append(subprocess.run(command, env=environ | own, cwd=tmp_path, capture_output=True).returncode)
    assert codes == [0, code]
    installed, *compared = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert installed == f"python -m pip install {ROOT}"
    if gate == "all":
        assert compared == []
        return
    directory = (tmp_path / "output").read_text(encoding="utf-8").strip().removeprefix("directory=")
    assert compared == [
        f"jacstrat compare --rev origin/main --sweep my sweep.toml --keep {directory}/compared"
        f" --plot {directory}/ratios.svg"
    ]


@every_workflow
def test_every_command_is_one_that_bash_reads(text: str) -> None:
    for step in steps_of(load(text)):
        if "run" in step:
            done = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_a_checkout_of_this_project_keeps_no_credentials(file: Path) -> None:
    for step in steps_of(load(file.read_text(encoding="utf-8"))):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_workflow
def test_what_uses_the_action_gives_inputs_that_it_has_and_uses_outputs_that_it_has(text: str) -> None:
    used = [step for step in steps_of(load(text)) if OWN_ACTION.fullmatch(step.get("uses", ""))]
    for step in used:
        assert set(step.get("with", {})) <= set(ACTION["inputs"])
        if "id" in step:
            assert set(re.findall(rf"steps\.{step['id']}\.outputs\.(\w+)", text)) <= set(ACTION["outputs"])
    identities = {step["id"] for step in used if "id" in step}
    assert set(re.findall(r"steps\.(\w+)\.outputs", text)) <= identities


def test_a_release_is_checked_built_and_tried_on_every_python_before_it_is_published() -> None:
    workflow = load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    assert workflow["on"] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    jobs = workflow["jobs"]
    assert [jobs["try"]["needs"], jobs["publish"]["needs"]] == ["build", "try"]
    built = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    checked = 'python3 scripts/release.py "$GITHUB_REF_NAME"'
    assert built[0] == checked
    assert built[-2:] == ["python3 -m build", f"{checked} --dist dist"]
    assert "jacstrat run quick --out quick" in [step.get("run") for step in jobs["try"]["steps"]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = jobs["try"]["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={pythons[0]}"
    assert pythons == ["3.11", "3.12", "3.13"]
    # No secret: PyPI trusts the workflow by its identity.
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert [name for name, job in jobs.items() if publishes(job)] == ["publish"]
    assert "secrets." not in yaml.safe_dump(jobs)
