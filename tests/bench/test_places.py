"""Commands in hard places: what is wrong with how one ends, and with what it leaves."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bench.checks import calling, trials
from bench.checks.calling import Ended, call, change_rights
from bench.checks.places import ALL, JUMP_S, ODD, PLACES, HostilePlace
from bench.checks.trials import COMMANDS, PlaceTrial, WholeRun, faults, judge, lost


def test_every_place_has_commands_that_there_are_and_codes_for_them() -> None:
    assert set(ALL) == set(COMMANDS)
    assert len({place.name for place in PLACES}) == len(PLACES) > 30
    for place in PLACES:
        assert set(place.commands) <= set(ALL)
        assert set(place.codes) <= set(ALL)
        assert {code for codes in place.codes.values() for code in codes} <= {0, 2, 141}


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        (Ended(0, "warning: x\n"), []),
        (Ended(2, "warning: x\njacstrat: no room\n"), ["exit code 2"]),
        (Ended(None), ["does not end in 240 s"]),
        (Ended(1, "Traceback (most recent call last):\n"), ["exit code 1", "a traceback"]),
        (Ended(0, "\x1b[31m"), ["control characters reach the terminal: ['\\x1b']"]),
    ],
)
def test_what_is_wrong_with_how_a_command_ends(ended: Ended, wrong: list[str]) -> None:
    assert list(faults(HostilePlace("easy"), "run", ended)) == wrong


def test_a_refusal_is_one_line_where_it_can_be_said() -> None:
    full = HostilePlace("full", codes={"run": (2,)})
    assert list(faults(full, "run", Ended(2, "jacstrat: no room\n"))) == []
    assert list(faults(full, "run", Ended(0))) == ["exit code 0"]
    assert list(faults(full, "run", Ended(2, "no room\n"))) == ["exit code 2 with 0 lines that say why"]
    assert list(faults(HostilePlace("deaf", codes={"run": (2,)}, errors="closed"), "run", Ended(2))) == []


def tell(place: HostilePlace, folder: Path, code: str) -> tuple[Ended, str]:
    """What a line of Python has found in a place, and has printed where that can be read."""
    for new in (folder / "here", folder / "tmp"):
        new.mkdir(exist_ok=True)
    (ended,) = call(place, [sys.executable, "-c", code], folder, {"MARK": "x"})
    out = folder / "0.out"
    return ended, out.read_text() if out.exists() else ""


def test_a_place_is_what_it_says(tmp_path: Path) -> None:
    limits = {resource.RLIMIT_NOFILE: 64}
    place = HostilePlace("hard", variables={"HOME": None, "A": "{folder}/a"}, limits=limits)
    code = "import os, resource as r; e = os.environ; "
    code += "print('HOME' in e, e['A'], e['MARK'], e['TMPDIR'], os.getcwd(), r.getrlimit(r.RLIMIT_NOFILE)[0], sep=' ')"
    ended, out = tell(place, tmp_path, code)
    assert ended == Ended(0)
    assert out.split() == ["False", f"{tmp_path}/a", "x", f"{tmp_path}/tmp", f"{tmp_path}/here", "64"]


def test_where_files_are_cut_off_python_keeps_nothing_that_others_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    for cuts in ({"limits": {resource.RLIMIT_FSIZE: 1_000}}, {"room_bytes": 2**15}):
        assert HostilePlace("cut", **cuts).environment(tmp_path)["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "PYTHONDONTWRITEBYTECODE" not in HostilePlace("usual").environment(tmp_path)


@pytest.mark.parametrize(
    ("kind", "found"),
    [("full", "No space left"), ("unread", "Broken pipe"), ("closed", "(Bad file descriptor|object has no attribute)")],
)
def test_a_stream_is_what_it_is_called(tmp_path: Path, kind: str, found: str) -> None:
    if kind == "full" and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    ended, _ = tell(HostilePlace("hard", output=kind), tmp_path, "import os; os.write(1, b'x')")
    assert ended.code == 1
    assert any(word in ended.err for word in found.strip("()").split("|"))
    assert tell(HostilePlace("hard", errors=kind), tmp_path, "import os; os.write(2, b'x')")[0].code == 1


def test_a_full_disk_keeps_what_was_on_it(tmp_path: Path) -> None:
    for new in (tmp_path / "here", tmp_path / "tmp"):
        new.mkdir()
    (tmp_path / "here" / "kept").write_bytes(b"x" * 10_000)
    code = "open('new', 'wb').write(b'y' * 9000)"
    for room_bytes, written in ((16_384, True), (0, False)):
        ended, _ = tell(HostilePlace("disk", room_bytes=room_bytes), tmp_path, code)
        if ended.code == calling.COULD_NOT:
            pytest.skip("no file system can be mounted here")
        assert (ended.code == 0) is written
        assert (tmp_path / "here" / "kept").read_bytes() == b"x" * 10_000
        assert ("No space left" in ended.err) is not written
        (tmp_path / "here" / "new").unlink(missing_ok=True)


def test_what_is_read_only_is_so_for_root_as_well(tmp_path: Path) -> None:
    for new in (tmp_path / "here", tmp_path / "tmp"):
        new.mkdir()
    change_rights(tmp_path / "here", 0o222, take=True)
    ended, _ = tell(HostilePlace("read-only"), tmp_path, "open('new', 'w')")
    change_rights(tmp_path / "here", 0o200, take=False)
    assert "Permission denied" in ended.err
    (tmp_path / "here" / "new").touch()


def test_clocks_jump(tmp_path: Path) -> None:
    place = next(place for place in PLACES if place.name == "clocks that jump")
    assert place.prepare
    place.prepare(tmp_path)
    code = "import time; a = time.monotonic(), time.time(), time.perf_counter_ns()\n"
    code += "import sitecustomize as s; s._begin -= 5\n"
    code += "b = time.monotonic(), time.time(), time.perf_counter_ns(); print(b[0] - a[0], b[1] - a[1], b[2] - a[2])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        check=True,
    )
    monotonic, wall, perf_ns = map(float, done.stdout.split())
    assert monotonic == pytest.approx(JUMP_S, abs=1)
    assert wall == pytest.approx(-JUMP_S, abs=1)
    assert perf_ns == pytest.approx(JUMP_S * 1e9, abs=1e9)


def test_rows_that_are_lost_are_told(tmp_path: Path, monkeypatch) -> None:
    whole = WholeRun(Path("sweep"), tmp_path, tmp_path, frozenset({"a"}))
    asked = []
    monkeypatch.setattr(trials, "finish", lambda sweep, run, *options, **more: asked.append(run) or 3)
    run = tmp_path / ODD
    run.mkdir()
    assert lost(run, b"", whole, is_whole=False) == ["--resume exits with code 3 afterwards"]
    (tmp_path / f"{ODD}-saved-x").mkdir()
    assert lost(run, b"", whole, is_whole=False) == ["--resume exits with code 3 afterwards"]
    assert asked == [run, tmp_path / f"{ODD}-saved-x"]
    assert lost(run, b"head\nrow\n", whole, is_whole=True) == [
        "rows that were completed before are not there as they were",
        "1 cases are missing",
    ]


def test_every_command_that_ends_otherwise_counts() -> None:
    place = HostilePlace("full", ("run", "merge"))
    good, bad = PlaceTrial("full", "run", (2,)), PlaceTrial("full", "merge", (0, 0, 2), ("not one alone has it",))
    figure = judge(place, [good, bad])
    assert (figure.value, figure.met) == (1, False)
    assert figure.note == ("exit codes: run 2, merge 2 times 0 and 2; for one, merge: not one alone has it")
    assert not judge(place, []).met
