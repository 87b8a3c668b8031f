"""On a card all is compiled before any of it is timed: the order, the limits, and what is compiled, with fakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.checks import frontier, warm
from bench.checks.cells import CARD_BILAPLACIANS, CARD_DIVERGENCES, CARD_LAPLACIANS, SMALL_LAPLACIANS
from bench.checks.compiling import network_of, prepare
from bench.checks.deadline import Deadline
from bench.checks.laplacian import CARD_BEST
from bench.checks.peers import CARD_FOLX, CARD_JET
from jacstrat.core.case import Case

CELL = SMALL_LAPLACIANS[0].cell(
    "float32", ("taylor", "compiled(taylor)", "graphed(compiled(taylor))", "graphed(taylor)")
)


class Fake:
    """A process that ends after so many looks at it."""

    def __init__(self, looks: float, code: int = 0) -> None:
        self.looks, self.code, self.killed = looks, code, False

    def poll(self) -> int | None:
        self.looks -= 1
        return self.code if self.looks < 0 else None

    def kill(self) -> None:
        self.killed = True

    def wait(self) -> int:
        return self.code


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*warm.CACHES, *warm.ALL_OF_JAX):
        # Set and taken away, so that what the code sets ends with the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_what_compiles_is_compiled_once_and_of_a_graph_its_program() -> None:
    assert [job.strategy for job in warm.jobs_of([CELL])] == ["compiled(taylor)"]
    absent = SMALL_LAPLACIANS[0].cell("float32", ("jet", "folx"))
    assert [job for job in warm.jobs_of([absent]) if job.strategy not in ("jet", "folx")] == []


def test_so_many_side_by_side_and_those_that_failed_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    started: list[Case] = []
    alive: list[Fake] = []
    most = 0

    def start(job: Case) -> Fake:
        nonlocal most
        started.append(job)
        alive.append(Fake(2, code=len(started) == 2))
        most = max(most, sum(one.looks >= 0 for one in alive))
        return alive[-1]

    cells = [one.cell(dtype, ("compiled(taylor)",)) for one in SMALL_LAPLACIANS for dtype in one.precisions]
    left = warm.warm(cells, Deadline(), start, most=2, sleep=lambda _: None)
    assert len(started) == 4
    assert most == 2
    assert left == [started[1]]
    told = capsys.readouterr().err
    assert "compiling 4 programs, 2 at a time" in told
    assert f"{started[1].key}: not compiled ahead" in told


def test_what_is_not_done_in_time_is_ended_and_timing_goes_on() -> None:
    now = [0.0]
    endless = Fake(float("inf"))

    def sleep(seconds: float) -> None:
        now[0] += 1

    cells = [one.cell("float32", ("compiled(taylor)",)) for one in SMALL_LAPLACIANS]
    left = warm.warm(cells, Deadline(10.0, lambda: now[0]).share(0.5), lambda job: endless, most=1, sleep=sleep)
    assert len(left) == 2
    assert endless.killed
    assert now[0] == 5


def test_caches_that_are_set_stay() -> None:
    found = warm.caches({"TRITON_CACHE_DIR": "/mine"}, Path("/here"))
    assert found["TRITON_CACHE_DIR"] == "/mine"
    assert found["JAX_COMPILATION_CACHE_DIR"] == str(Path("/here/jax"))
    assert found["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"


def test_a_job_finds_its_network_by_its_key_and_prepares_it() -> None:
    for one in (*CARD_LAPLACIANS, *CARD_DIVERGENCES, *CARD_BILAPLACIANS):
        for dtype in one.precisions:
            assert network_of(one.cell(dtype, ("vmap",), "cuda").cases[0]) is one
    prepare(CELL.case("vmap").key)
    with pytest.raises(LookupError, match="is the key of no case"):
        prepare("nothing")


def test_on_a_card_everything_is_compiled_first_then_timed_and_late_cells_are_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told: list[str] = []
    cells: list[str] = []

    def rows_apart(asked, device: str, limit_s: float):
        assert 0 < limit_s <= 540
        told.append(f"kernels on {device}")
        return []

    def fake_warm(given, until) -> None:
        cells.extend(cell.key for cell in given)
        told.append(f"compile until {until.limit_s:g} s")

    def fake_measured(networks, strategies, settings, writer, device, is_late: Callable[[], bool], children):
        assert children is not None  # what dies takes nothing else with it
        told.append(f"time {len(networks)} on {device}, {len(strategies)} strategies, {settings.limit_s:g} s each")
        return []

    monkeypatch.setattr("bench.checks.warm.warm", fake_warm)
    monkeypatch.setattr("bench.checks.measured.measured", fake_measured)
    monkeypatch.setattr("bench.checks.memory.memory", lambda networks, device: told.append(f"memory on {device}") or [])
    monkeypatch.setattr(
        "bench.checks.swept.sweep", lambda records, device: told.append(f"sweep of {records.name}") or []
    )
    monkeypatch.setattr("bench.checks.fused_apart.rows_apart", rows_apart)
    monkeypatch.setattr("jacstrat.harness.plan.devices.missing_device", lambda device: None)
    monkeypatch.setattr(frontier, "RESULTS", tmp_path)
    with pytest.raises(SystemExit):
        frontier.main(["--device", "cuda"])
    assert told == [
        "compile until 324 s",
        "time 8 on cuda, 12 strategies, 0.3 s each",
        "time 6 on cuda, 6 strategies, 0.3 s each",
        "time 1 on cuda, 9 strategies, 0.3 s each",
        "memory on cuda",
        "sweep of h100",
        "kernels on cuda",
    ]
    # Those of the kernels beside them, of the networks that are chains of layers.
    assert len(cells) == 11 + 6 + 1 + 9
    assert all("/cuda/" in key for key in cells)
    out = capsys.readouterr().out
    for what in ("`graphed(compiled(taylor))`", "jet at its best setting", "jax_hessian at its best", "bilaplacian"):
        assert what in out
    assert "a call on tanh-10-64x3 in float32, the best of ours | at most 30 us |" in out


def test_kernels_alone_end_in_eight_minutes_and_measure_no_eager_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def fake_measured(networks, strategies, *_):
        told.append(strategies)
        return []

    monkeypatch.setattr("bench.checks.warm.warm", lambda given, until: told.append(until.limit_s))
    monkeypatch.setattr("bench.checks.measured.measured", fake_measured)
    monkeypatch.setattr(
        "bench.checks.fused_apart.rows_apart", lambda asked, device, limit_s: told.append(limit_s) or []
    )
    monkeypatch.setattr("jacstrat.harness.plan.devices.missing_device", lambda device: None)
    with pytest.raises(SystemExit):
        frontier.main(["--device", "cuda", "fused"])
    until, strategies, limit_s = told
    assert until == 0.6 * 440
    assert limit_s <= 440
    assert set(strategies) == {*CARD_BEST, *CARD_JET, *CARD_FOLX}


def test_the_records_of_a_card_are_those_of_its_latest_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(frontier, "RESULTS", tmp_path)
    assert frontier._latest(on_card=False) == tmp_path / "latest"
    assert frontier._latest(on_card=True) == tmp_path / "h100"
    for name in ("gpu-2026-01-01T00-00-00", "gpu-2026-02-01T00-00-00"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "records.csv").touch()
    (tmp_path / "gpu-2026-03-01T00-00-00").mkdir()
    assert frontier._latest(on_card=True) == tmp_path / "gpu-2026-02-01T00-00-00"


def test_a_deadline_is_over_when_its_seconds_are() -> None:
    now = [5.0]
    deadline = Deadline(2.0, lambda: now[0])
    assert not deadline.is_over()
    now[0] = 6.5
    assert deadline.left_s() == 0.5
    assert deadline.share(0.5).is_over()
    now[0] = 7.0
    assert deadline.is_over()
    assert not Deadline().is_over()
