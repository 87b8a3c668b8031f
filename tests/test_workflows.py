"""Workflows, the project's own and those that docs recommend: valid, and every command in them is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pages import PAGES, ROOT, blocks_of, name_of
from tests.reader import COMMANDS

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
PROGRAMS = ("pip", "python3")


def load(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text)
    # YAML 1.1 reads the key `on` as true.
    found["on"] = found.pop(True)
    return found


def steps_of(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_are_workflows_for_pushes_and_for_pull_requests_and_recipes() -> None:
    assert {file.name for file in OWN} == {"tests.yml", "compare.yml"}
    assert len(SHOWN) == 3
    own = {file.name: load(file.read_text(encoding="utf-8")) for file in OWN}
    assert set(own["tests.yml"]["on"]) == {"push", "pull_request"}
    assert set(own["compare.yml"]["on"]) == {"pull_request"}
    ran = {name: " ".join(step.get("run", "") for step in steps_of(flow)) for name, flow in own.items()}
    assert "bash .ci/run" in ran["tests.yml"]
    assert "jacstrat compare --baseline" in ran["tests.yml"]
    assert "jacstrat compare --rev" in ran["compare.yml"]


@every_workflow
def test_a_workflow_is_one_and_may_do_no_more_than_it_needs(text: str) -> None:
    workflow = load(text)
    assert (
        {"name", "on", "permissions", "jobs"} <= set(workflow) <= {"name", "on", "permissions", "concurrency", "jobs"}
    )
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert set(job) <= {"runs-on", "timeout-minutes", "strategy", "env", "steps"}
        assert job["runs-on"]
        assert 0 < job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert set(step) <= {"uses", "with", "run", "if", "env"}
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


@every_workflow
def test_what_compares_with_another_revision_has_it(text: str) -> None:
    for job in load(text)["jobs"].values():
        commands = [step.get("run", "") for step in job["steps"]]
        if any("--rev" in command for command in commands):
            (checkout,) = (step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout"))
            assert checkout["with"]["fetch-depth"] == 0


@every_workflow
def test_nothing_that_somebody_else_wrote_is_put_into_a_command(text: str) -> None:
    # A branch or a title may hold a command; variables of the environment are not run.
    for step in steps_of(load(text)):
        assert "${{" not in step.get("run", "")


@every_workflow
def test_commands_and_their_options_are_there(text: str) -> None:
    commands = [line for step in steps_of(load(text)) for line in step.get("run", "").splitlines() if line.strip()]
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command)
        if Path(program).name == "jacstrat":
            COMMANDS[arguments[0]].make_context(arguments[0], arguments[1:])
        elif program == "bash":
            assert (ROOT / arguments[0]).is_file()
        else:
            assert Path(program).name in PROGRAMS, command
