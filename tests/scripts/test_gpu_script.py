"""scripts/gpu in a tree of stand-ins: for scripts/setup, torch, pytest and jacstrat, which write down their calls."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

JACSTRAT = """\
#!/usr/bin/env bash
echo "jacstrat $*" >>"$LOG"
[[ $1 == env ]] || echo "what $1 says"
[[ $1 != env ]] || { echo "warning: a hot card" >&2; printf '%s' "$ENVIRONMENT"; }
[[ $1 != "${FAILS:-}" ]] || exit 4
"""

TORCH = """\
from types import SimpleNamespace

__version__ = "{version}"
version = SimpleNamespace(cuda={cuda!r}, hip={hip!r})
built = {built!r} and SimpleNamespace(type={built!r})
accelerator = SimpleNamespace(is_available=lambda: {available}, current_accelerator=lambda: built)
"""

PYTEST = """\
import os, sys

with open(os.environ["LOG"], "a") as log:
    print("pytest", *sys.argv[1:], file=log)
print("some tests")
sys.exit(int(os.environ.get("TESTS", "0")))
"""

TESTS = {
    "gpu/test_card.py": "pytestmark = pytest.mark.gpu\n",
    "gpu/conftest.py": "",
    "room/test_a.py": "pytestmark = pytest.mark.gpus\n",
    "room/test_b.py": "@pytest.mark.gpu\ndef test_one(): pass\n",
    "room/mark.gpu.txt": "pytest.mark.gpu\n",
}

ENVIRONMENT = {
    "machine": "ab12cd34",
    "hardware": {"cpu_model": "A Processor", "logical_cores": 8},
    "torch": {"version": "2.13.0+cu130", "cuda": "13.0", "hip": None},
    "accelerator": {"kind": "cuda", "count": 2, "names": None},
    "cards": [
        {"name": "NVIDIA Stub 100", "driver": "570.86", "power_limit_w": 700.0, "sm_clock_max_mhz": 1980},
        {"name": "NVIDIA Stub 200", "driver": "570.86", "power_limit_w": None, "sm_clock_max_mhz": None},
    ],
}


@dataclass(frozen=True)
class Tree:
    """A copy of the script in a directory whose name has a space, and the log of what it calls."""

    root: Path

    def run(self, *arguments: str, environment: object = ENVIRONMENT, **variables: str):
        return subprocess.run(
            ["bash", str(self.root / "scripts" / "gpu"), *arguments],
            cwd=self.root.parent,
            env={
                "PATH": os.environ["PATH"],
                "LOG": str(self.root / "log"),
                "PYTHONPATH": str(self.root / "stand-ins"),
                "ENVIRONMENT": json.dumps(environment),
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def torch(self, version: str, built: str = "", available: bool = True, cuda: str = "", hip: str = "") -> None:
        """The torch that the script finds."""
        text = TORCH.format(version=version, built=built or None, available=available, cuda=cuda, hip=hip)
        (self.root / "stand-ins" / "torch.py").write_text(text, encoding="utf-8")

    def calls(self) -> list[str]:
        """What was called, with the root's path left out."""
        return (self.root / "log").read_text(encoding="utf-8").replace(f"{self.root}/", "").splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "a checkout"
    for directory in ("scripts", "results", "stand-ins", ".venv/bin"):
        (root / directory).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "gpu", root / "scripts" / "gpu")
    (root / "scripts" / "setup").write_text('echo "setup $*" >>"$LOG"; exit "${SETUP:-0}"\n', encoding="utf-8")
    (root / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    (root / ".venv" / "bin" / "jacstrat").write_text(JACSTRAT, encoding="utf-8")
    (root / "stand-ins" / "pytest.py").write_text(PYTEST, encoding="utf-8")
    for name, text in TESTS.items():
        (root / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "tests" / name).write_text(text, encoding="utf-8")
    for tool in (root / ".venv" / "bin").iterdir():
        tool.chmod(0o755)
    made = Tree(root)
    made.torch("2.13.0+cu130", "cuda", cuda="13.0")
    return made


def out(call: str) -> str:
    """The directory that a run is given."""
    words = call.split()
    return words[words.index("--out") + 1]


def test_the_tests_the_sweep_and_the_report_go_into_a_directory_of_their_date(tree: Tree) -> None:
    done = tree.run("-n", "8", TZ="UTC")
    assert done.returncode == 0
    setup, env, tests, run, report = tree.calls()
    assert (setup, env) == ("setup test", "jacstrat env")
    # All that has tests for a card, wherever it stands, and nothing else.
    assert tests == "pytest tests/gpu/test_card.py tests/room/test_b.py -m gpu -q -p no:cacheprovider"
    assert run.startswith("jacstrat run gpu --out results/gpu-20")
    assert run.endswith(" -n 8")
    assert report == f"jacstrat report {out(run)}"
    date = out(run).removeprefix("results/gpu-")
    assert len(date) == len("2026-01-31T23-59-59")
    assert date[10] == "T"
    logs = {file.name: file.read_text() for file in (tree.root / out(run)).glob("*.log")}
    assert logs == {"tests.log": "some tests\n", "sweep.log": "what run says\n", "report.log": "what report says\n"}


def test_the_essentials_of_the_environment_come_first(tree: Tree) -> None:
    done = tree.run()
    assert done.stdout.splitlines()[:-3] == [
        "machine      ab12cd34",
        "processor    A Processor",
        "torch        2.13.0+cu130",
        "accelerator  2 x cuda",
        "card         NVIDIA Stub 100, driver 570.86, 700.0 W, 1980 MHz",
        "card         NVIDIA Stub 200, driver 570.86",
    ]
    assert done.stdout.splitlines()[-3:] == ["some tests", "what run says", "what report says"]
    assert done.stderr == "warning: a hot card\n"


def test_quick_is_the_short_sweep(tree: Tree) -> None:
    assert tree.run("--quick", "--energy").returncode == 0
    assert tree.calls()[-2].startswith("jacstrat run gpu-quick --out results/gpu-20")
    assert tree.calls()[-2].endswith(" --energy")


@pytest.mark.parametrize("option", [["--out", "mine"], ["--out=mine"], ["--resume", "--out", "mine"]])
def test_a_directory_that_is_named_takes_the_logs_too(tree: Tree, option: list[str]) -> None:
    (tree.root / "results" / "gpu-2026-01-31T10-00-00").mkdir()
    assert tree.run(*option).returncode == 0
    assert tree.calls()[-2].startswith("jacstrat run gpu --out mine")
    assert (tree.root.parent / "mine" / "sweep.log").is_file()


def test_a_failing_test_stops_nothing_and_is_told_at_the_end(tree: Tree) -> None:
    done = tree.run("--out", "mine", TESTS="1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "scripts/gpu: tests failed, see mine/tests.log"
    assert [call.split()[:2] for call in tree.calls()[-2:]] == [["jacstrat", "run"], ["jacstrat", "report"]]
    # Once they pass, that is all that is left to do.
    assert tree.run("--out", "mine", "--resume").returncode == 0
    assert [call.split()[0] for call in tree.calls()[-3:]] == ["setup", "jacstrat", "pytest"]
    assert (tree.root.parent / "mine" / "tests.log").read_text() == "some tests\nsome tests\n"


def test_it_goes_on_where_it_stopped(tree: Tree) -> None:
    assert tree.run("--out", "mine", FAILS="run").returncode == 4
    assert tree.calls()[-1].startswith("jacstrat run")
    assert tree.run("--out", "mine", "--resume").returncode == 0
    assert tree.calls()[-4:] == [
        "setup test",
        "jacstrat env",
        "jacstrat run gpu --out mine --resume",
        "jacstrat report mine",
    ]
    done = tree.run("--out", "mine", "--resume")
    assert done.returncode == 0
    assert tree.calls()[-1] == "jacstrat env"
    assert "sweep      done before, see mine/sweep.log" in done.stdout


def test_a_python_that_is_given_is_taken_with_the_checkout_and_nothing_is_installed(tree: Tree) -> None:
    package = tree.root / "jacstrat"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import os, subprocess, sys\nsys.exit(subprocess.call([os.environ['JACSTRAT'], *sys.argv[1:]]))\n",
        encoding="utf-8",
    )
    program = str(tree.root / ".venv" / "bin" / "jacstrat")
    done = tree.run("--out", "mine", JACSTRAT_PYTHON=sys.executable, JACSTRAT=program)
    assert done.returncode == 0, done.stderr
    assert [call.split()[0] for call in tree.calls()] == ["jacstrat", "pytest", "jacstrat", "jacstrat"]


def test_another_accelerator_than_cuda_is_named_to_the_sweep_and_the_user_has_the_last_word(tree: Tree) -> None:
    tree.torch("2.13.0", "xpu")
    environment = {**ENVIRONMENT, "accelerator": {"kind": "xpu", "count": 1, "names": ["An Accelerator"]}, "cards": []}
    done = tree.run("--device", "xpu:0", environment=environment)
    assert done.stdout.splitlines()[-5:-3] == ["accelerator  1 x xpu", "device       An Accelerator"]
    assert tree.calls()[-2].endswith(" --device xpu --device xpu:0")


@pytest.mark.parametrize(
    ("torch", "message"),
    [
        (
            {"version": "2.13.0+cpu"},
            "torch 2.13.0+cpu is a build for the CPU alone; install one for your accelerator into .venv "
            "(https://pytorch.org/get-started/locally)",
        ),
        (
            {"version": "2.13.0+cu130", "built": "cuda", "cuda": "13.0"},
            "torch 2.13.0+cu130 is a build for CUDA 13.0, which finds no device; see nvidia-smi and "
            "CUDA_VISIBLE_DEVICES",
        ),
        (
            {"version": "2.13.0+rocm7", "built": "cuda", "hip": "7.0"},
            "torch 2.13.0+rocm7 is a build for ROCm 7.0, which finds no device; see rocm-smi and HIP_VISIBLE_DEVICES",
        ),
        (
            {"version": "2.13.0+xpu", "built": "xpu"},
            "torch 2.13.0+xpu is a build for xpu, which finds no device; see to its driver",
        ),
    ],
)
def test_without_an_accelerator_one_line_says_which_torch_it_is_and_what_to_do(
    tree: Tree, torch: dict[str, str], message: str
) -> None:
    tree.torch(available=False, **torch)
    done = tree.run()
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"scripts/gpu: no accelerator: {message}\n"
    assert tree.calls() == ["setup test"]


def test_help_needs_no_accelerator(tree: Tree) -> None:
    tree.torch("2.13.0+cpu", available=False)
    assert tree.run("--help").returncode == 0
    assert tree.calls() == ["setup test", "jacstrat run gpu --help"]


def test_resuming_goes_on_with_the_latest_run(tree: Tree) -> None:
    for date in ("2026-01-31T10-00-00", "2026-02-01T09-00-00"):
        (tree.root / "results" / f"gpu-{date}").mkdir()
    (tree.root / "results" / "gpu-of-mine").mkdir()
    (tree.root / "results" / "latest").mkdir()
    (tree.root / "results" / "gpu-notes.txt").touch()
    assert tree.run("--resume").returncode == 0
    assert tree.calls()[-2] == "jacstrat run gpu --out results/gpu-2026-02-01T09-00-00 --resume"


def test_resuming_without_an_earlier_run_begins_one(tree: Tree) -> None:
    assert tree.run("--resume").returncode == 0
    assert out(tree.calls()[-2]).startswith("results/gpu-20")


def test_the_exit_code_is_that_of_what_failed(tree: Tree) -> None:
    assert tree.run(FAILS="run").returncode == 4
    assert tree.run(FAILS="env").returncode == 4
    assert tree.calls()[-1] == "jacstrat env"
    assert tree.run(SETUP="1").returncode == 1
