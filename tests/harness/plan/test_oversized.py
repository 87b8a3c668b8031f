"""What cannot fit into memory is left out of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jacstrat import read_records
from jacstrat.harness.dispatch import job
from jacstrat.harness.plan.sweep import Grid, Sweep
from tests.harness.plan.functions import unpredictable
from tests.harness.test_run import Log, go

# 64 arrays of 100 x 64 x 256 numbers are beyond it, and so is the one of 64 x 100 x 64 that vmap takes; what identity
# takes is not.
LARGE = Sweep(
    (
        Grid(
            problems=(unpredictable("never_on_data_in_transform"),),
            operators=("divergence",),
            n=(4, 64, 96),
            batch=(100,),
        ),
    ),
    sample_s=0.01,
    max_memory_bytes=2**20,
).override(strategies=("identity", "vmap"))


def rows(directory):
    return {(r.strategy, r.n): (r.status, r.reason) for r in read_records(directory).itertuples()}


def test_what_cannot_fit_is_skipped_before_it_allocates_and_so_are_larger_sizes(tmp_path) -> None:
    go(tmp_path, LARGE)
    found = rows(tmp_path)
    # On data f fails in a transform: at n = 4 nothing is predicted.
    assert found["vmap", 4][0] == "unsupported"
    reason = "predicted peak of 3.25 MiB is beyond the 1.00 MiB available"
    assert found["vmap", 64] == ("skipped", reason)
    assert found["vmap", 96] == ("skipped", f"skipped at n = 64: {reason}")
    assert [found["identity", n] for n in (4, 64, 96)] == [("ok", "")] * 3


def test_an_isolated_run_skips_too(tmp_path) -> None:
    go(tmp_path, LARGE.override(strategies=("vmap",), n=(64, 96)), isolate=True)
    assert {status for status, _ in rows(tmp_path).values()} == {"skipped"}


def test_a_resumed_run_knows_what_was_beyond(tmp_path) -> None:
    sweep = LARGE.override(strategies=("vmap",), n=(64, 96))
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, sweep, Log(interrupt_after=1))
    before = rows(tmp_path)
    assert list(before) == [("vmap", 64)]
    go(tmp_path, sweep, resume=True)
    assert rows(tmp_path)["vmap", 96] == ("skipped", f"skipped at n = 64: {before['vmap', 64][1]}")
    # With more memory, on request, they are tried: f then fails on data.
    log = go(tmp_path, replace(sweep, max_memory_bytes=2**34), resume=True, retry=("skipped",))
    assert [(r.n, r.status) for r in log.records] == [(64, "unsupported"), (96, "unsupported")]


def test_a_small_run_makes_no_prediction(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(job, "forecasts", None)
    log = go(tmp_path)
    assert len(log.records) == 6
