"""Two revisions of a user's repository, with real processes and little time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
import pytest

from jacstrat import JacstratError, read_records
from jacstrat.compare.thresholds import Thresholds
from jacstrat.compare.verdict import NothingToCompareError, Verdict
from jacstrat.history.store import Store
from jacstrat.records import by_round, read_samples
from jacstrat.revisions import processes
from jacstrat.revisions.compare import measure, revision_pair_of, verdicts
from jacstrat.revisions.interleave import RoundLimits
from jacstrat.revisions.processes import DiedError, Parent, RefusedError, RevisionPair
from jacstrat.revisions.results import write
from jacstrat.revisions.survey import Selection, survey
from tests.revisions.conftest import git

QUICK = RoundLimits(block_s=1e-3, least_rounds=3, most_rounds=3, most_pairs=3)
THRESHOLDS = Thresholds()


def of_model(*strategies: str, **over) -> Selection:
    given = {"operators": ["divergence"], "n": [3], "threads": [1]} | over
    return Selection(problems=("model.py:field",), strategies=strategies or ("vmap",), over=given)


def processes_of(tree: Path) -> list[str]:
    """The processes at work in a tree."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(tree):
                found.append(str(process))
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture(scope="module")
def parent() -> Iterator[Parent]:
    """One process with torch for all tests here: it takes seconds to start."""
    with Parent(Path(sys.executable)) as started:
        yield started
    assert not psutil.pid_exists(started._server.pid)


@pytest.fixture
def revision_pair(repository, parent, monkeypatch) -> Callable:
    """Both sides of a comparison with the working tree, and afterwards nothing of them."""
    monkeypatch.setattr(processes, "Parent", lambda python: nullcontext(parent))

    @contextmanager
    def opened(base: str = "HEAD", step_s: float = 30.0):
        with revision_pair_of(repository, base, None, step_s) as found:
            yield found
            place = found.base.tree.path.parent
        assert not place.exists()
        assert processes_of(place) == []
        assert git(repository, "worktree", "list").count("\n") == 0

    return opened


@pytest.mark.long
def test_an_error_and_counts_that_rose_are_found_and_results_can_be_kept(revision_pair, change, tmp_path) -> None:
    change("torch.sin(x) + 0 * x")
    with revision_pair() as both:
        measured = measure(both, of_model("vmap", "identity"), THRESHOLDS, QUICK)
        assert both.share_a_parent
    found = verdicts(measured, THRESHOLDS)
    assert found.exit_code == 1
    assert [case.case.split("/")[2] for case in found.cases] == ["vmap", "identity"]
    for case in found.cases:
        assert case.verdict in (Verdict.WORSE, Verdict.SLOWER)
        assert "aten_ops" in {finding.measure for finding in case.findings}
        assert case.time is not None
        assert "3 pairs of processes" in case.time.reason
    assert found.notes == (f"times of 2 cases over 3 pairs of processes, {measured.interleaved.spent_s:.0f} s",)

    write(tmp_path / "kept", measured.trees, measured.survey, measured.interleaved.blocks)
    base, new = (read_records(tmp_path / "kept" / side) for side in ("base", "new"))
    assert list(base["status"]) == list(new["status"]) == ["ok", "ok"]
    assert (new["aten_ops"] > base["aten_ops"]).all()
    assert list(base["samples"]) == [9, 9]
    samples = [read_samples(tmp_path / "kept" / side) for side in ("base", "new")]
    for case in base["case"]:
        one, other = (side[case] for side in samples)
        assert by_round(one).keys() == by_round(other).keys()
        assert (one["calls"], one["pairs"]) == (other["calls"], [0, 0, 0, 1, 1, 1, 2, 2, 2])
    with Store(tmp_path / "h.sqlite") as store:
        runs = [store.add(tmp_path / "kept" / side)[0] for side in ("base", "new")]
    assert runs[0].commit == runs[1].commit == measured.trees["base"].commit
    assert [run.dirty for run in runs] == [False, True]


def test_what_one_revision_lacks_is_said_and_what_neither_has_is_wrong_use(repository, revision_pair) -> None:
    (repository / "model.py").write_text(
        "import torch\n\ndef field(x):\n    return torch.sin(x)\n\ndef other(x):\n    return torch.cos(x)\n"
    )
    selection = Selection(
        problems=("model.py:field", "model.py:other"),
        strategies=("vmap",),
        over={"operators": ["divergence"], "n": [2], "threads": [1]},
    )
    with revision_pair() as both:
        with pytest.raises(JacstratError, match="unknown strategy 'vmapp'; did you mean vmap"):
            survey(both, of_model("vmapp"))
        found = survey(both, selection)
    assert {side: len(rows) for side, rows in found.records.items()} == {"base": 1, "new": 2}
    assert len(found.notes) == 1
    assert found.notes[0].startswith("model.py:other vmap is not in HEAD at ")
    assert "unknown attribute 'other'" in found.notes[0]
    assert [shared_case.key.split("/")[0] for shared_case in found.shared_cases] == ["model.py:field"]


@pytest.mark.long
def test_a_side_that_dies_or_hangs_has_a_row_that_says_so(change, revision_pair) -> None:
    change("__import__('os').abort() if x.dtype == torch.float32 else torch.sin(x)")
    with revision_pair() as both:
        found = survey(both, of_model("vmap", "ones", dtype=["float32", "float64"]))
    statuses = {key: row.status for key, row in found.records["new"].items()}
    assert sorted(statuses.values()) == ["crashed", "crashed", "ok", "ok"]
    assert {row.status for row in found.records["base"].values()} == {"ok"}
    reasons = {row.reason for row in found.records["new"].values() if row.status == "crashed"}
    assert all(reason.startswith("killed by SIGABRT") for reason in reasons)
    assert len(found.shared_cases) == 2
    chosen = found.shared_cases[0].key
    assert list(found.only([chosen]).records["base"]) == [chosen]
    assert [shared_case.key for shared_case in found.only([chosen]).shared_cases] == [chosen]


def test_a_model_that_cannot_be_imported_has_nothing_to_compare(repository, revision_pair) -> None:
    (repository / "model.py").write_text("def field(x:\n")
    with revision_pair() as both:
        measured = measure(both, of_model(), THRESHOLDS, QUICK)
    assert "model.py cannot be imported: SyntaxError" in measured.survey.notes[0]
    with pytest.raises(NothingToCompareError, match="has no case"):
        verdicts(measured, THRESHOLDS)


def test_a_revision_whose_jacstrat_is_broken_is_named(repository, revision_pair) -> None:
    (repository / "jacstrat").mkdir()
    (repository / "jacstrat" / "__init__.py").write_text("import no_such_module\n")
    with (
        revision_pair() as both,
        pytest.raises(RefusedError, match="with changes cannot be measured: ModuleNotFoundError: "),
    ):
        survey(both, of_model())


@pytest.mark.long
def test_no_answer_in_time_is_the_end_of_a_side(change, revision_pair) -> None:
    change("__import__('time').sleep(60) or x")
    with revision_pair(step_s=4.0) as both:
        found = survey(both, of_model())
    (row,) = found.records["new"].values()
    assert (row.status, row.reason) == ("timeout", "no end after 4 s")


def test_processes_are_pinned_and_are_children_of_one(revision_pair: Callable[..., RevisionPair]) -> None:
    core = max(os.sched_getaffinity(0))
    with revision_pair() as both, both.pair((core,)) as pair:
        pids = [child._pid for child in pair]
        parents = {psutil.Process(pid).ppid() for pid in pids}
        assert len(parents) == 1
        assert [os.sched_getaffinity(pid) for pid in pids] == [{core}] * 2
        files = [child.ask("load", 30, paths=[], directory="/", within="", cache="off")["file"] for child in pair]
        assert files[0] == files[1]
        os.kill(pids[0], 9)
        with pytest.raises(DiedError, match="killed by SIGKILL"):
            pair[0].ask("close", 30)
        assert pair[1].ask("close", 30) == {}
