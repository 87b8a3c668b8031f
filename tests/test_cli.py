"""The command line as a user meets it: answers, one-line complaints, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from typer.testing import CliRunner, Result

from jacstrat import PROBLEMS, STRATEGIES, read_records
from jacstrat.cli import app, main
from jacstrat.harness.plan.sweep import shipped_sweeps
from tests.harness.conftest import mine

SMALL = ["-p", "sin", "-o", "divergence", "-s", "identity", "-s", "ones", "-n", "2,4", "--sample", "0.01"]


def call(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


def complaint(monkeypatch, capsys, *arguments: str) -> str:
    """The one line on standard error of a call that ends with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["jacstrat", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jacstrat: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["report", "--help"]])
def test_help_does_not_import_torch(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['jacstrat', *{arguments!r}]\n"
        "from jacstrat.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code\n"
        "import jacstrat\n"
        "assert not {'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.mark.long
def test_a_small_run_writes_everything_and_says_what_was_found(tmp_path) -> None:
    done = call("run", *SMALL, "-p", "linear", "--out", str(tmp_path / "out"), "--no-isolation")
    assert done.exit_code == 0, done.output
    frame = read_records(tmp_path / "out")
    assert len(frame) == 8
    assert set(frame.loc[frame["problem"] == "linear"].query("strategy == 'ones'")["status"]) == {"wrong"}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"records.csv", "samples.jsonl", "environment.json", "sweep.toml", "plots", "report.html"} <= names
    suffixes = {path.suffix for path in (tmp_path / "out" / "plots").iterdir()}
    assert suffixes == {".png", ".svg", ".pdf"}
    assert done.stdout.startswith("Divergence of sin and divergence of linear on ")
    assert "ones is wrong in " in done.stdout
    assert {path.stem for path in (tmp_path / "out" / "plots").iterdir()} == {"answer"}
    assert "8 cases in" in done.output.splitlines()[-1]


@pytest.mark.long
def test_an_isolated_run_through_the_module(tmp_path) -> None:
    command = [sys.executable, "-m", "jacstrat", "run", *SMALL, "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert set(read_records(tmp_path / "out")["status"]) == {"ok"}
    assert "\x1b" not in done.stdout + done.stderr  # no terminal: no bar, no colours


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, Result]:
    """A run in this process: its directory, not to be changed, and what was said."""
    out = tmp_path_factory.mktemp("ran") / "out"
    return out, call("run", *SMALL, "--out", str(out), "--no-isolation")


@pytest.fixture
def copied(ran: tuple[Path, Result], tmp_path: Path) -> Path:
    """The directory of that run, to be changed."""
    return shutil.copytree(ran[0], tmp_path / "out")


def test_report_repeats_what_the_run_said_and_what_its_screen_had_no_room_for(ran: tuple[Path, Result]) -> None:
    out, said = ran
    again = call("report", str(out))
    assert again.exit_code == 0
    lines = [line for line in said.stdout.splitlines() if not line.startswith("... ")]
    assert [line for line in again.stdout.splitlines() if line in lines] == lines


def test_plots_and_their_width_are_chosen(copied: Path) -> None:
    plots = copied / "plots"
    shutil.rmtree(plots)
    found = call("report", str(copied), "--plot", "time", "--width", "3.4in")
    assert found.exit_code == 0
    assert {path.suffix for path in plots.iterdir()} == {".png", ".svg", ".pdf"}
    with (plots / "divergence-sin-time.png").open("rb") as file:
        assert int.from_bytes(file.read(20)[16:], "big") == round(3.4 * 150)
    missing = call("report", str(copied), "--plot", "roofline")
    assert "roofline: no record has " in missing.stdout


def test_report_prints_a_format_and_writes_nothing(copied: Path) -> None:
    (copied / "report.html").unlink()
    found = call("report", str(copied), "--format", "json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)[0]["statuses"] == {"ok": 4}
    assert not (copied / "report.html").exists()


@pytest.mark.long
def test_report_sets_runs_beside_each_other(copied: Path, tmp_path: Path) -> None:
    again = shutil.copytree(copied, tmp_path / "again")
    found = call("report", str(copied), str(again), "--plot", "between")
    assert found.stdout.splitlines()[0].endswith("divergence-sin-between-again.png")
    page = tmp_path / "new" / "page.html"
    found = call("report", str(copied), str(again), "--out", str(page))
    assert found.exit_code == 0, found.output
    assert f"the page in {page}" in found.stdout
    assert "again over out" in page.read_text(encoding="utf-8")


def test_resume_takes_the_sweep_of_the_directory(copied: Path) -> None:
    before = (copied / "records.csv").read_bytes()
    again = call("run", "--resume", "--out", str(copied), "--no-isolation")
    assert again.exit_code == 0, again.output
    assert (copied / "records.csv").read_bytes() == before


def test_nothing_measured_is_exit_code_3(tmp_path) -> None:
    done = call(
        "run", "-p", mine("wrong_shape"), "-o", "divergence", "-n", "3", "--out", str(tmp_path), "--no-isolation"
    )
    assert done.exit_code == 3
    assert "the field must map (1, 3) to (1, 3), got (1, 1)" in " ".join(done.output.split())
    assert set(read_records(tmp_path)["status"]) == {"error"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quik"], "unknown sweep 'quik'; did you mean quick or gpu-quick?"),
        (["run", "-p", "sine"], "unknown problem 'sine'; did you mean sin"),
        (["run", "-p", "sin", "-s", "vmpa"], "unknown strategy 'vmpa'; did you mean vmap?"),
        (["run", "-p", "sin", "-s", "vmap:chunk_size=0"], "chunk_size must be a positive integer or all, got 0"),
        (["run", "-p", "sin", "-o", "div"], "unknown operator 'div'"),
        (["run", "-p", "sin", "--dtype", "float65"], "unknown dtype 'float65'; did you mean float64"),
        (["run", "-p", "sin", "-n", "-3"], "n must be a positive integer, got -3"),
        (["run", "-p", "sin", "-n", "two"], "-n must be whole numbers with commas between, such as 1,2,4; got 'two'"),
        (["run", "-p", "sin", "--max-memory", "much"], "--max-memory must be bytes such as 2GiB, got 'much'"),
        (["run", "-p", "sin", "--timeout", "-1"], "timeout_s must be more than 0 seconds and finite, got -1.0"),
        (["run", "-p", "sin", "--retry", "timeout"], "give --resume with it"),
        (["run", "-p", "sin", "--resume", "--out", "o", "--retry", "late"], "unknown status 'late'"),
        (["run", "-p", "sin", "--resume"], "--resume goes on with a directory; name it with --out"),
        (["run", "--shard", "3/2"], "a shard is I/N with I from 1 to N, such as 2/16, got '3/2'"),
        (["run", "--wait", "0"], "--wait must be more than 0 seconds, got 0"),
        (
            ["run", "--scheduler", "local:2", "--no-isolation"],
            "--no-isolation is for a debugger in this process; leave out --scheduler",
        ),
        (
            ["run", "--trace", "--scheduler", "local:2"],
            "--trace writes files where a case is measured; leave out --sched",
        ),
        (["run", "--trace", "--counts"], "--trace is about calls that are timed, and --counts times none"),
        (["run", "--cache", "cold", "--counts"], "--cache is about calls that are timed, and --counts times none"),
        (["run", "-p", "sin", "--cache", "hot"], "unknown cache 'hot'; "),
        (["run", "-p", "sin", "--cache", "cold,cold"], "cache must be warm, cold, or both, got cold, cold"),
        (["plan", "--workers", "0"], "--workers must be 1 or more, got 0"),
        (["merge", "nowhere", "--out", "all"], "nowhere holds no run: nowhere/sweep.toml is missing"),
        (["run", "-p", "sin", "--max-memory", "infGiB"], "--max-memory must be bytes such as 2GiB, got 'infGiB'"),
        (["run", "-p", "sin", "--device", "cud"], "unknown device 'cud'; did you mean cuda"),
        (["run", "-p", "sin", "--out", "/proc/no"], "/proc/no cannot be written"),
        (["run", "mine.toml"], "sweep file mine.toml does not exist"),
        (["list", "problem"], "unknown list 'problem'; did you mean problems?"),
        (["report", "nowhere"], "nowhere does not exist"),
        (["report", "results/reference", "--plot", "tme"], "unknown plot 'tme'; did you mean time?"),
        (
            ["report", "results/reference", "--format", "html"],
            "unknown format 'html'; known: csv, json, latex, markdown",
        ),
        (["report", "x", "--format", "csv", "--plot", "time"], "prints and writes nothing; leave out --plot"),
        (["report", "x", "--out", "y", "--plot", "time"], "writes no page; leave out --out"),
        (["report", "x", "--plots", "all", "--plot", "time"], "leave out --plots"),
        (["report", "x", "--width", "3"], "such as 3.4in, got '3'"),
        (["report", "results/reference", "--plots", "most"], "unknown choice of --plots 'most'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path, arguments, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in complaint(monkeypatch, capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_a_missing_device_is_refused_when_asked_for_and_skipped_in_a_sweep(monkeypatch, capsys, tmp_path) -> None:
    message = complaint(monkeypatch, capsys, "run", "-p", "sin", "--device", "cuda")
    assert message == "jacstrat: device cuda is not available; here: cpu\n"
    (tmp_path / "mine.toml").write_text('problems = ["sin"]\nn = [2]\nstrategies = ["ones"]\ndevice = ["cpu", "cuda"]')
    done = call("run", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "out"), "--no-isolation")
    assert done.exit_code == 0
    rows = read_records(tmp_path / "out")
    assert set(zip(rows["device"], rows["status"], strict=True)) == {("cpu", "ok"), ("cuda", "skipped")}


def test_unknown_options_and_commands_are_exit_code_2() -> None:
    assert call("run", "--nonsense").exit_code == 2
    assert call("rum").exit_code == 2


@pytest.mark.long
def test_ctrl_c_while_the_children_s_server_starts_is_told_in_a_line(tmp_path) -> None:
    """As a terminal sends it: to every process of the group."""
    command = [sys.executable, "-m", "jacstrat", "run", "-p", "sin", "-o", "divergence", "-n", "3"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True, start_new_session=True
    )

    def is_starting() -> bool:
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # a child that ends while it is looked at
            return any(
                "jacstrat.harness.dispatch.child" in " ".join(one.cmdline())
                for one in psutil.Process(process.pid).children()
            )
        return False

    wait_for(is_starting)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"interrupted; go on with --resume --out {tmp_path / 'out'}" in said
    assert "Traceback" not in said


@pytest.mark.long
def test_interrupting_keeps_what_there_is(tmp_path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f'problems = ["{mine("sine")}", "{mine("hangs_in_transform")}"]\noperators = ["divergence"]\n'
        'strategies = ["identity", "vmap"]\nn = [3]\nsample_s = 0.01\ntimeout_s = 100'
    )
    out = tmp_path / "out"
    command = [sys.executable, "-m", "jacstrat", "run", str(file), "--out", str(out)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: (out / "records.csv").exists() and len(read_records(out)) == 2)
    process.send_signal(2)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"interrupted; go on with --resume --out {out}" in said
    assert "Traceback" not in said
    assert len(read_records(out)) == 2


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_lists_hold_every_name() -> None:
    for what, names in (("strategies", STRATEGIES), ("problems", PROBLEMS), ("sweeps", shipped_sweeps())):
        done = call("list", what)
        assert done.exit_code == 0
        first_words = {
            line.split()[0].removesuffix("(SPEC)")
            for line in done.output.splitlines()
            if line.strip() and not line.startswith(" ")
        }
        assert set(names) <= first_words


def test_env_is_json() -> None:
    done = CliRunner().invoke(app, ["env"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["hardware"]["logical_cores"] >= 1


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("2GiB", 2**31), ("1.5 MiB", 3 * 2**19), ("3MB", 3 * 10**6), ("7B", 7)]
)
def test_bytes(text: str, value: int) -> None:
    from jacstrat.cli.options import byte_count

    assert byte_count("--max-memory", text) == value


def test_public_names_are_all_there() -> None:
    import jacstrat

    assert sorted(jacstrat.__all__) == sorted([*jacstrat._HOMES, "__version__"])
    for name in jacstrat.__all__:
        assert getattr(jacstrat, name) is not None
    with pytest.raises(AttributeError, match="module 'jacstrat' has no attribute 'nonsense'"):
        _ = jacstrat.nonsense
    assert Path(jacstrat.__file__).with_name("py.typed").exists()
