"""A reader of a page, who runs its blocks in order, in a directory like the repository's root."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import typer
import yaml

from jacstrat.cli import app, main
from tests.pages import ROOT, Block, Command, agrees, commands_of

WIDTH = "100"
LANGUAGES = ("python", "text", "console", "toml", "yaml")
FILE = re.compile(r"# ([\w/]+\.(?:py|toml))\n")
"""A block whose first line is `# my_model.py` is also the file of that name."""

NOT_RUN: Mapping[str, str] = {
    "bash scripts/bench*": "measures the default sweep, for minutes",
    "bash scripts/gpu*": "installs, and needs an accelerator",
    "bash scripts/test*": "runs this very test",
    "LONG=1 bash scripts/test*": "runs this very test",
    "bash scripts/docs*": "has a test of its own",
    ".venv/bin/pytest *": "measures, or needs an accelerator",
    ".venv/bin/python bench/measuring.py*": "measures the harness, for ten minutes",
    ".venv/bin/python bench/frontier.py*": "measures the Laplacian of networks, for half an hour",
    ".venv/bin/python bench/passes.py*": "compiles eight networks; tests/bench/test_passes.py counts a small one",
    "bash scripts/peers/setup*": "installs other libraries",
    "python -m jacstrat.peers *": "installs other libraries",
    "jacstrat run * -s folx*": "needs another library; tests/peers runs one of its own",
    ".venv/bin/python bench/files.py*": "calls two thousand commands",
    ".venv/bin/python bench/compare.py*": "counts the quick sweep six times",
    "jacstrat compare --baseline*": "counts the quick sweep; tests/compare does it with two cells",
    "jacstrat compare --update-baseline*": "counts the quick sweep",
    ".venv/bin/python bench/compare_rev.py*": "measures comparisons of revisions, for half an hour",
    "jacstrat compare-rev*": "needs a git repository, and measures for minutes",
    "jacstrat plan paper.toml *": "plan.md runs such commands; the run that follows reads the same file",
    "jacstrat advise pinn_tanh *": "measures every strategy; advise.md runs such a command",
    "jacstrat advise * --explain": "measures every strategy; tests/harness/test_advise.py runs it",
    "jacstrat run": "measures the default sweep, for minutes",
    "jacstrat run default*": "measures the default sweep, for minutes",
    ".venv/bin/python bench/scale.py*": "simulates a large run, or starts workers",
    "jacstrat run * --scheduler *": "starts workers; tests/harness/dispatch/test_cluster.py runs it",
    "jacstrat merge results/gpu/*": "merges what an array job would have written",
    "python scripts/release.py *": "ends with what is wanting; tests/scripts/test_release.py runs it",
    "python -m build": "tests/scripts/test_release.py does it",
    "pip install *": "installs",
    "scripts/slurm/*": "needs Slurm",
    "sbatch *": "needs Slurm",
    "dask *": "starts what does not end by itself",
    "CUDA_VISIBLE_DEVICES=* dask *": "starts what does not end by itself",
    "export *": "sets what no other command here reads",
    "jacstrat run full*": "measures for hours",
    "jacstrat run stochastic*": "measures for a minute",
    "jacstrat report results/stochastic": "reads what that run would have written",
    "jacstrat run gpu*": "needs an accelerator",
    "jacstrat plan gpu*": "follows a thousand cases, for minutes",
    "jacstrat run * --device cuda*": "needs an accelerator",
}
"""Commands that no test runs, and why; options of jacstrat, or handed on to it, are parsed all the same."""
HANDED_ON = {"scripts/bench": ["run", "default"], "scripts/gpu": ["run", "gpu"]}
OWN = {"scripts/gpu": ["--quick"]}
"""Options that a script has of its own, and does not hand on."""
TOOLS = ("cat", "head", "ls", "wc", "cut")


class Reader:
    """The state between the blocks of a page: a namespace, a directory, the last output and exit code."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.code = 0
        self.printed: str | None = None
        self._monkeypatch = monkeypatch
        for entry in ROOT.iterdir():
            if not entry.name.startswith(".") and entry.name != "results":
                (directory / entry.name).symlink_to(entry)
        for run in ("reference", "h100"):
            results = directory / "results" / run
            results.mkdir(parents=True)
            for file in (ROOT / "results" / run).iterdir():
                if file.is_file():
                    (results / file.name).write_bytes(file.read_bytes())
        monkeypatch.chdir(directory)
        monkeypatch.setenv("COLUMNS", WIDTH)

    def run(self, *blocks: Block) -> None:
        """Run blocks, one after the other; what is not as the page says raises."""
        for block in blocks:
            self._run(block)

    def _run(self, block: Block) -> None:
        assert block.language in LANGUAGES, f"line {block.line}: a block is one of {', '.join(LANGUAGES)}"
        printed, self.printed = self.printed, None
        if named := FILE.match(block.text):
            Path(named[1]).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            output = io.StringIO()
            with redirect_stdout(output):
                exec(compile(block.text, f"line {block.line}", "exec"), self.names)
            self.printed = output.getvalue()
        elif block.language == "text":
            assert printed is not None, f"line {block.line}: a text block shows what the python block before it prints"
            _compare(block.text, printed, block)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "yaml":
            # What is in it is the matter of test_workflows.
            assert isinstance(yaml.safe_load(block.text), dict)
        else:
            self._console(block)

    def _console(self, block: Block) -> None:
        for command in commands_of(block):
            asked_for_code = command.text == "echo $?"
            where = f"line {command.line}: {command.text}"
            assert asked_for_code or self.code == 0, f"exit code {self.code} before {where}; show it by `$ echo $?`"
            if asked_for_code:
                output, self.code = str(self.code), 0
            elif not_run(command.text):
                parse(command.text)
                continue
            else:
                self.code, output = self._call(command)
            if command.output:
                _compare(command.output, output, block)
        assert self.code == 0, f"exit code {self.code} at the end of the block at line {block.line}: {output}"

    def _call(self, command: Command) -> tuple[int, str]:
        """Exit code and output of a command; warnings of the machine are left out."""
        words = shlex.split(command.text, comments=True)
        if words[:3] == ["python", "-m", "jacstrat"]:
            words = words[2:]
        if words[0] == "jacstrat":
            code, output = self._jacstrat(words)
        else:
            assert words[0] in TOOLS, f"line {command.line}: the tests have no rule for `{words[0]}`"
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            code, output = done.returncode, done.stdout
        return code, "".join(line for line in output.splitlines(True) if not line.startswith("warning: "))

    def _jacstrat(self, words: list[str]) -> tuple[int, str]:
        output = io.StringIO()
        self._monkeypatch.setattr(sys, "argv", words)
        with redirect_stdout(output), redirect_stderr(output), pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), output.getvalue()


def not_run(command: str) -> bool:
    plain = " ".join(shlex.split(command, comments=True))
    return any(fnmatchcase(plain, pattern) for pattern in NOT_RUN)


def parse(command: str) -> None:
    """Refuse options that jacstrat does not have, of a command that is not run."""
    words = shlex.split(command, comments=True)
    script = words[1] if words[0] == "bash" else ""
    handed = [word for word in words[2:] if word not in OWN.get(script, ())]
    arguments = HANDED_ON[script] + handed if script in HANDED_ON else words[1:] if words[0] == "jacstrat" else []
    if arguments:
        COMMANDS[arguments[0]].make_context(arguments[0], arguments[1:])
    for word in words[1:]:
        if "/" in word and "://" not in word and not word.startswith(("-", "results/")):  # a run makes what lies there
            assert (ROOT / word).exists(), f"`{command}` names {word}, which is not there"


COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def _compare(shown: str, got: str, block: Block) -> None:
    assert agrees(shown, got, block.measured), f"line {block.line} shows\n{shown}\nbut the output is\n{got}"
