"""scripts/setup, scripts/bench and scripts/test on a copy of the tree, with a Python that makes and installs nothing.

The stand-in answers `-m venv` and `-m pip` with a line in a log and the files these would leave; all else it hands to
the real Python. No package is downloaded.
"""

import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("jacstrat", "ruff", "lint-imports", "mypy", "pytest")
INSTALL = "pip install --disable-pip-version-check --no-compile --editable {} --constraint constraints.txt"

STAND_IN = """\
#!/usr/bin/env bash
case "$1 $2" in
    "-m venv")
        echo "venv $3" >>"$LOG"
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
        ;;
    "-m pip")
        echo "${*:2}" >>"$LOG"
        echo "Collecting torch"
        [[ ${FAILS:-} != pip ]] || echo "No matching distribution" >&2
        for tool in $TOOLS; do
            printf '%s\\n' '#!/usr/bin/env bash' \\
                'echo "'$tool' $*" >>"$LOG"; [[ "'$tool'" != "${FAILS:-}" ]] || exit 3' >"${0%/*}/$tool"
            chmod +x "${0%/*}/$tool"
        done
        [[ ${FAILS:-} != pip ]]
        ;;
    *) exec "$REAL_PYTHON" "$@" ;;
esac
"""


@dataclass(frozen=True)
class Tree:
    """A copy of what the scripts read, in a directory whose name has a space, and the log of what they call."""

    root: Path
    python: Path
    log: Path

    def run(self, *command: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the copy; `variables` override the environment."""
        script, *arguments = command
        environment = {
            "PATH": os.environ["PATH"],
            "LOG": str(self.log),
            "TOOLS": " ".join(TOOLS),
            "REAL_PYTHON": sys.executable,
            "PYTHON": str(self.python),
            **variables,
        }
        return subprocess.run(
            ["bash", str(self.root / "scripts" / script), *arguments],
            cwd=cwd or self.root.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What was called since the last look, with the root's path left out."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return text.replace(f"{self.root}/", "").splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "a checkout"
    (root / "scripts").mkdir(parents=True)
    (root / "results").mkdir()
    for name in ("scripts/setup", "scripts/bench", "scripts/test", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    python = tmp_path / "python3 stand-in"
    python.write_text(STAND_IN, encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return Tree(root, python, tmp_path / "log")


def test_setup_makes_an_environment_once(tree: Tree) -> None:
    assert tree.run("setup").returncode == 0
    assert tree.calls() == ["venv .venv", INSTALL.format(".")]
    again = tree.run("setup")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert tree.calls() == []


def test_setup_says_a_line_a_step_and_pip_speaks_to_a_log(tree: Tree) -> None:
    done = tree.run("setup")
    log = tree.root / ".venv" / "setup.log"
    assert (done.stdout, log.read_text(encoding="utf-8")) == ("", "Collecting torch\n")
    said = [line.partition(": ")[2].partition(",")[0] for line in done.stderr.splitlines()]
    assert said == [f"making .venv with {tree.python}", "installing jacstrat into .venv", "installed"]


def test_the_end_of_the_log_is_shown_where_pip_fails(tree: Tree) -> None:
    done = tree.run("setup", FAILS="pip")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-3:] == [
        "scripts/setup: pip failed; the end of .venv/setup.log:",
        "Collecting torch",
        "No matching distribution",
    ]


def test_the_environment_of_the_tests_serves_a_run_but_not_the_other_way(tree: Tree) -> None:
    tree.run("setup")
    tree.calls()
    assert tree.run("setup", "test").returncode == 0
    assert tree.calls() == [INSTALL.format(".[test]")]
    assert tree.run("setup").returncode == 0
    assert tree.calls() == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_setup_installs_again_when_an_input_changes(tree: Tree, name: str) -> None:
    tree.run("setup")
    tree.calls()
    with (tree.root / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert tree.run("setup").returncode == 0
    assert tree.calls() == [INSTALL.format(".")]


def test_setup_replaces_an_environment_whose_installation_failed(tree: Tree) -> None:
    assert tree.run("setup", FAILS="pip").returncode == 1
    tree.calls()
    done = tree.run("setup")
    assert done.returncode == 0
    assert "replacing .venv, which is unfinished" in done.stderr
    assert tree.calls() == ["venv .venv", INSTALL.format(".")]


def test_setup_replaces_an_environment_without_a_python(tree: Tree) -> None:
    (tree.root / ".venv" / "bin").mkdir(parents=True)
    assert tree.run("setup").returncode == 0
    assert tree.calls() == ["venv .venv", INSTALL.format(".")]


def test_setup_replaces_an_environment_that_was_moved(tree: Tree) -> None:
    tree.run("setup")
    tree.calls()
    moved = Tree(tree.root.rename(tree.root.with_name("moved")), tree.python, tree.log)
    assert moved.run("setup").returncode == 0
    assert moved.calls() == ["venv .venv", INSTALL.format(".")]


def test_setup_replaces_an_environment_of_another_python_than_asked_for(tree: Tree, tmp_path: Path) -> None:
    tree.run("setup")
    tree.calls()
    assert tree.run("setup", PYTHON="").returncode == 0
    assert tree.calls() == []
    other = tmp_path / "other"
    asked = '"-c import sys; print(sys.version)") echo 3.99.0 ;;\n    *) exec'
    other.write_text(STAND_IN.replace("*) exec", asked), encoding="utf-8")
    other.chmod(0o755)
    assert tree.run("setup", PYTHON=str(other)).returncode == 0
    assert tree.calls() == ["venv .venv", INSTALL.format(".")]


def test_setup_installs_into_an_environment_that_someone_else_made(tree: Tree) -> None:
    subprocess.run([tree.python, "-m", "venv", tree.root / ".venv"], env={**os.environ, "LOG": "/dev/null"}, check=True)
    assert tree.run("setup").returncode == 0
    assert tree.calls() == [INSTALL.format(".")]


def test_setup_refuses_a_python_that_is_none(tree: Tree) -> None:
    done = tree.run("setup", PYTHON="/nowhere/python3")
    assert done.returncode == 1
    assert done.stderr == (
        "scripts/setup: PYTHON='/nowhere/python3' is no Python 3.11 or newer with venv and ensurepip;"
        " give another, or unset it\n"
    )
    assert not (tree.root / ".venv").exists()


def path_of_pythons(directory: Path, pythons: dict[str, str]) -> str:
    """A PATH with nothing but what the scripts need and these Pythons: name -> bash body."""
    directory.mkdir()
    for tool in ("bash", "env", "dirname", "sed", "rm", "mkdir", "cp", "chmod"):
        (directory / tool).symlink_to(str(shutil.which(tool)))
    for name, body in pythons.items():
        (directory / name).write_text(body, encoding="utf-8")
        (directory / name).chmod(0o755)
    return str(directory)


def test_setup_says_in_one_line_that_no_python_is_there(tree: Tree, tmp_path: Path) -> None:
    too_old = "#!/usr/bin/env bash\nexit 1\n"
    done = tree.run("setup", PYTHON="", PATH=path_of_pythons(tmp_path / "bin", {"python3": too_old}))
    assert done.returncode == 1
    assert done.stderr == (
        "scripts/setup: no Python 3.11 or newer with venv and ensurepip found; install one, or set PYTHON to its path\n"
    )


@pytest.mark.parametrize(
    ("pythons", "taken"),
    [
        ({"python3.13": "works", "python3.12": "works", "python3": "works"}, "python3"),
        ({"python3.13": "broken", "python3.12": "works", "python3.11": "works", "python3": "broken"}, "python3.12"),
    ],
)
def test_setup_takes_python3_or_the_newest_other_that_works(tree: Tree, tmp_path: Path, pythons, taken: str) -> None:
    kinds = {"works": STAND_IN, "broken": "#!/usr/bin/env bash\nexit 127\n"}
    path = path_of_pythons(tmp_path / "bin", {name: kinds[kind] for name, kind in pythons.items()})
    done = tree.run("setup", PYTHON="", PATH=path)
    assert done.returncode == 0
    assert f"making .venv with {path}/{taken}\n" in done.stderr


def test_setup_refuses_an_unknown_kind(tree: Tree) -> None:
    done = tree.run("setup", "gpu")
    assert (done.returncode, done.stderr) == (2, "scripts/setup: unknown kind 'gpu'; use test, or nothing\n")


def test_test_runs_its_steps_in_order(tree: Tree) -> None:
    done = tree.run("test", "-k", "two words")
    assert done.returncode == 0
    assert tree.calls() == [
        "venv .venv",
        INSTALL.format(".[test]"),
        "ruff check",
        "ruff format --check",
        "lint-imports ",
        "mypy ",
        "pytest -n 2 -k two words",
    ]
    headings = [line for line in done.stdout.splitlines() if line.startswith("== ")]
    assert headings[:4] == ["== ruff check", "== ruff format --check", "== lint-imports", "== mypy"]
    assert headings[4:] == ["== pytest; without tests marked long, unless LONG=1, CI or options choose them"]


def test_test_stops_at_the_first_failure(tree: Tree) -> None:
    assert tree.run("test", FAILS="mypy").returncode == 3
    assert tree.calls()[-1] == "mypy "


def test_bench_runs_the_default_sweep_from_anywhere(tree: Tree, tmp_path: Path) -> None:
    done = tree.run("bench", "-p", "sine", cwd=tmp_path)
    assert done.returncode == 0
    assert tree.calls()[-1] == "jacstrat run default --out results/latest -p sine"


def test_bench_keeps_the_exit_code(tree: Tree) -> None:
    assert tree.run("bench", FAILS="jacstrat").returncode == 3


def a_previous_run(tree: Tree) -> Path:
    latest = tree.root / "results" / "latest"
    latest.mkdir()
    (latest / "records.csv").write_text("case\n", encoding="utf-8")
    os.utime(latest / "records.csv", (1_700_000_000, 1_700_000_000))
    return latest


def test_bench_moves_the_previous_results_to_their_date(tree: Tree) -> None:
    tree.run("setup")
    for kept in ("2023-11-14T22-13-20", "2023-11-14T22-13-20+"):
        a_previous_run(tree)
        done = tree.run("bench", TZ="UTC")
        assert done.stderr.splitlines() == [
            f"scripts/bench: moved the previous results/latest to results/{kept}",
            "scripts/bench: measuring the default sweep into results/latest",
        ]
        assert (tree.root / "results" / kept / "records.csv").is_file()
        assert not (tree.root / "results" / "latest").exists()


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["--resume"], "jacstrat run default --out results/latest --resume"),
        (["--help"], "jacstrat run default --out results/latest --help"),
        (["--out", "elsewhere"], "jacstrat run default --out elsewhere"),
        (["--resume", "--out=elsewhere"], "jacstrat run default --resume --out=elsewhere"),
    ],
)
def test_bench_leaves_the_previous_results_in_place(tree: Tree, arguments: list[str], called: str) -> None:
    latest = a_previous_run(tree)
    assert tree.run("bench", *arguments).returncode == 0
    assert tree.calls()[-1] == called
    assert (latest / "records.csv").is_file()
