"""Plans: a forecast for every case, what would be skipped, and nothing run or written."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner, Result

from jacstrat import UsageError
from jacstrat.cli import app
from jacstrat.harness.plan.planning import plan, print_plan
from jacstrat.harness.plan.predict import Forecast, Prediction
from jacstrat.harness.plan.sweep import Grid, Sweep
from tests.harness.conftest import mine
from tests.harness.functions import in_transform
from tests.test_cli import complaint

SIN = Sweep((Grid(problems=("sin",), operators=("divergence",), strategies=("identity", "vmap"), n=(4, 64, 96)),))


def runs_on_meta_alone(x):
    """Loaded by the harness from this file, by path."""
    assert x.is_meta
    return torch.sin(x) if in_transform() else torch.cos(x)


def found(sweep: Sweep, assume_bytes: int | None = None) -> dict[tuple[str, int], Forecast]:
    return {(f.case.strategy, f.case.n): f for f in plan(sweep, assume_bytes)}


def call(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["plan", *arguments])


def test_every_case_is_foretold_and_none_run() -> None:
    sweep = SIN.override(problems=(f"{__file__}:runs_on_meta_alone",), strategies=("identity", "vmap", "hessian"))
    seen = []
    forecasts = list(plan(sweep, None, lambda case: seen.append(case.strategy)))
    assert [f.case.key for f in forecasts] == [case.key for cell in sweep.cells() for case in cell.cases]
    assert {f.skip for f in forecasts} == {""}
    for forecast in forecasts:
        assert (forecast.prediction.peak_bytes is None) == (forecast.case.strategy == "hessian")
    assert set(seen) <= {"f", "identity", "vmap", "hessian"}


@pytest.mark.long
def test_the_memory_decides_what_is_skipped() -> None:
    # vmap holds n probes, n products and two times B n numbers: 2 n^2 + 2 n for one point.
    assert {f.skip for f in found(SIN).values()} == {""}
    reason = "predicted peak of 65.0 KiB is beyond the 32.0 KiB available"
    for tight in (found(SIN.override(max_memory_bytes=2**15)), found(SIN, 2**15)):
        assert {key: f.skip for key, f in tight.items() if f.skip} == {
            ("vmap", 64): reason,
            ("vmap", 96): f"skipped at n = 64: {reason}",
        }
        assert tight["vmap", 96].prediction.peak_bytes > tight["vmap", 64].prediction.peak_bytes
    assert [n for (_, n), f in found(SIN, 10**5).items() if f.skip] == [96]


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_a_missing_device_is_planned_for_with_assumed_memory() -> None:
    on_device = SIN.override(device=("cuda",))
    assert {f.skip for f in found(on_device).values()} == {"device cuda is not available; here: cpu"}
    assert [key for key, f in found(on_device, 2**15).items() if f.skip] == [("vmap", 64), ("vmap", 96)]


@pytest.mark.long(but_one_in=3)
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("raises_in_transform", "vmap cannot differentiate this function: ValueError: mine, over two lines"),
        ("segfaults_in_transform", "killed by SIGSEGV"),
        ("hangs_in_transform", "no end after 0.7 s"),
    ],
)
def test_what_f_does_to_one_strategy_is_its_row(function: str, reason: str) -> None:
    forecasts = found(SIN.override(problems=(mine(function),), timeout_s=0.7))
    assert len(forecasts) == 6
    for (strategy, n), forecast in forecasts.items():
        if strategy == "identity":
            assert forecast.prediction.peak_bytes > 0
        else:
            assert forecast.prediction.peak_bytes is None
            assert forecast.prediction.reason == (
                f"timeout at n = 4: {reason}" if function.startswith("hangs") and n > 4 else reason
            )


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("hangs", "f itself: no end after 0.7 s"),
        ("exits", "f itself: exited with code 3"),
        ("raises_system_exit", "f itself: SystemExit: 5"),
        ("raises_keyboard_interrupt", "f itself: KeyboardInterrupt raised by f"),
        ("aborts", "f itself: killed by SIGABRT; last words: terminate called: a C++ exception"),
        ("wrong_shape", "f itself: the field must map (1, 4) to (1, 4), got (1, 1); of a scalar take the laplacian"),
    ],
)
def test_what_f_does_at_once_is_the_row_of_every_strategy(function: str, reason: str) -> None:
    forecasts = found(SIN.override(problems=(mine(function),), n=(4,), timeout_s=0.7))
    assert [f.prediction for f in forecasts.values()] == [Prediction(reason=reason)] * 2
    assert {f.skip for f in forecasts.values()} == {""}


def test_memory_to_assume_is_positive() -> None:
    with pytest.raises(UsageError, match="the memory to assume must be more than 0 bytes, got 0"):
        list(plan(SIN, 0))


def printed(forecasts: list[Forecast], width: int = 80) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        print_plan(forecasts, console)
    return capture.get().split("\n")


def test_the_table_says_each_thing_once_in_80_columns(cell) -> None:
    one = cell("sin", "vmap", n=8, batch=16, threads=2)
    other = cell("[bold]f[/bold]", "identity", "hutchinson:[red]", n=8, threads=2)
    larger = cell("sin", "vmap", n=16, batch=16, threads=2).case("vmap")
    reason = "predicted peak of 12.3 GiB is beyond the 8.00 GiB available, of which nobody would have thought before"
    lines = printed(
        [
            Forecast(one.cases[0], Prediction(13207024435, 10**12, 17), reason, "memory"),
            *(Forecast(case, Prediction(1234, reason="not followed beyond 50 operations")) for case in other.cases),
            Forecast(
                larger, Prediction(2 * 13207024435, 8 * 10**12, 17), f"skipped at n = 8: {reason}", "after_memory"
            ),
        ]
    )
    assert lines == [
        "sin divergence, B = 16, float64 on cpu, evaluate",
        "strategy       n        peak     FLOPs     ops",
        "vmap           8    12.3 GiB     1e+12      17  skipped",
        "    predicted peak of 12.3 GiB is beyond the 8.00 GiB available, of which nobody",
        "    would have thought before",
        "              16    24.6 GiB     8e+12      17  skipped",
        "",
        "[bold]f[/bold] divergence, B = 2, float64 on cpu, evaluate",
        "strategy               n        peak     FLOPs     ops",
        "identity               8  ≥ 1.21 KiB",
        "    not followed beyond 50 operations",
        "hutchinson:[red]       8  ≥ 1.21 KiB",
        "    not followed beyond 50 operations",
        "",
        "4 cases: 2 would be skipped, 0 have no prediction.",
        f"Largest peak: 24.6 GiB, {larger.key}",
        f"Largest peak of those that would run: 1.21 KiB, {other.cases[0].key}",
        "",
    ]


def test_threads_are_named_where_they_differ(cell) -> None:
    lines = printed([Forecast(cell("sin", "vmap", threads=t).cases[0], Prediction(reason="no")) for t in (1, 2)])
    assert [line for line in lines if "threads" in line] == [
        "sin divergence, B = 2, float64 on cpu, evaluate, 1 threads",
        "sin divergence, B = 2, float64 on cpu, evaluate, 2 threads",
    ]
    assert lines[-2] == "2 cases: 0 would be skipped, 2 have no prediction."


SMALL = ["-p", "linear", "-o", "divergence", "-s", "identity", "-s", "vmap", "-s", "hessian", "-n", "4,64"]


def test_the_command_prints_a_table_and_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*SMALL, "--batch", "128", "--max-memory", "4MiB")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines()[:-2])) <= 80
    # FLOPs: n + 1 passes of 2 B n^2.
    assert re.search(r"^ +64 +8\.09 MiB +6\.82e\+07 +\d+  skipped$", done.stdout, re.MULTILINE)
    assert "4.00 MiB available" in done.stdout
    assert "hessian cannot serve the divergence: a field has no Hessian" in done.stdout
    assert "6 cases: 1 would be skipped, 2 have no prediction." in done.stdout
    assert "\x1b" not in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_the_command_plans_for_a_device_that_is_not_here(monkeypatch, capsys) -> None:
    arguments = ["-p", "linear", "-s", "vmap", "-n", "64", "--device", "cuda:1"]
    message = complaint(monkeypatch, capsys, "plan", *arguments)
    assert message == ("jacstrat: device cuda:1 is not available; here: cpu; --assume-memory 80GiB plans without it\n")
    done = call(*arguments, "--assume-memory", "80GiB")
    assert done.exit_code == 0
    assert "linear divergence, B = 1, float64 on cuda:1, evaluate" in done.stdout
    assert "2 cases: 0 would be skipped, 0 have no prediction." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quik"], "unknown sweep 'quik'; did you mean quick or gpu-quick?"),
        (["-p", "sin", "-s", "vmpa"], "unknown strategy 'vmpa'; did you mean vmap?"),
        (["-p", "sin", "-n", "two"], "-n must be whole numbers with commas between, such as 1,2,4; got 'two'"),
        (["-p", "sin", "--assume-memory", "much"], "--assume-memory must be bytes such as 2GiB, got 'much'"),
        (["-p", "sin", "--assume-memory", "0"], "the memory to assume must be more than 0 bytes, got 0"),
        (["-p", "sin", "--timeout", "0"], "timeout_s must be more than 0 seconds and finite, got 0.0"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(monkeypatch, capsys, arguments: list[str], message: str) -> None:
    assert message in complaint(monkeypatch, capsys, "plan", *arguments)


def test_options_of_a_run_choose_the_same_cases_in_a_plan() -> None:
    def options(command: str) -> set[str]:
        help_text = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command, "--help"]).output
        return set(re.findall(r"(?<= )--[a-z-]+", help_text))

    own = {"--sample", "--out", "--resume", "--retry", "--no-isolation", "--counts", "--scheduler", "--wait", "--shard"}
    own |= {"--cache", "--trace", "--energy"}  # how calls are timed
    assert options("run") - own == options("plan") - {"--assume-memory", "--workers"}


@pytest.mark.long
def test_interrupting_ends_at_once() -> None:
    command = [sys.executable, "-m", "jacstrat", "plan", "-p", mine("hangs"), "-o", "divergence", "-n", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 300  # of a busy machine
    # The fork server and the child that hangs.
    while len(psutil.Process(process.pid).children(recursive=True)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in said
