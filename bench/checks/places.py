"""Places that are hard to work in: full, closed, odd, narrow, or taken away meanwhile."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jacstrat.records import RECORDS

ALL = ("run", "resume", "report", "findings", "compare", "history", "merge")
"""The commands that are tried, see `trials.COMMANDS`."""
MEASURING = ("run", "resume")
USUAL = ("run", "resume", "report", "compare")
WRITING = ("run", "resume", "report", "history", "merge")
ODD = "-a 'b' \"c\" \n größe [red]x $x_1$ %s"
"""A leading dash, blanks, quotes, a line end, signs beyond ASCII, and what markup and mathematics begin with."""
FOREIGN = "a,b\n"
"""A line that another program writes into the records."""
JUMP_S = 3600
CLOCKS = f"""
import time

_now, _begin = time.monotonic, time.monotonic()


def _jumping(clock, by):
    return lambda: clock() + (by if _now() - _begin > 4 else 0)


for _name, _by in (("monotonic", {JUMP_S}), ("perf_counter", {JUMP_S}), ("time", -{JUMP_S})):
    setattr(time, _name, _jumping(getattr(time, _name), _by))
    setattr(time, f"{{_name}}_ns", _jumping(getattr(time, f"{{_name}}_ns"), _by * 10**9))
"""
"""A sitecustomize.py: 4 s after a process starts its clocks go an hour on, and that of the wall an hour back."""


@dataclass(frozen=True)
class HostilePlace:
    """What surrounds a command.

    Fields:
        name: In words.
        commands: Of ALL, those that it matters to.
        codes: Exit codes that are right there, by command; 0 where nothing is said.
        variables: Of the environment; {folder} is a folder of the trial's own, None takes one away.
        limits: Soft limits of the system's resources, by number.
        directory: Name of the results directory.
        output: What standard output is: "pipe", or "full", "closed" or "unread".
        errors: The same of standard error.
        room_bytes: Of the disk beyond what is on it; None for as much as there is.
        read_only: Neither the directory of results nor the one above can be written.
        prepare: Called with the trial's folder before the command.
        amid: Called with the results directory once a row is there.
        beside: How many of the command start in the same moment; all but one are refused.
    """

    name: str
    commands: Sequence[str] = USUAL
    codes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    variables: Mapping[str, str | None] = field(default_factory=dict)
    limits: Mapping[int, int] = field(default_factory=dict)
    directory: str = "run"
    output: str = "pipe"
    errors: str = "pipe"
    room_bytes: int | None = None
    read_only: bool = False
    prepare: Callable[[Path], object] | None = None
    amid: Callable[[Path], object] | None = None
    beside: int = 1

    def environment(self, folder: Path) -> dict[str, str]:
        """Variables of the environment, for a trial in the folder."""
        variables = {
            name: None if text is None else text.format(folder=folder) for name, text in self.variables.items()
        }
        environ = os.environ | {"TMPDIR": str(folder / "tmp")} | variables
        if resource.RLIMIT_FSIZE in self.limits or self.room_bytes is not None:
            # Python does not look whether it has written a compiled module whole, and all others would read the half.
            environ["PYTHONDONTWRITEBYTECODE"] = "1"
        return {name: text for name, text in environ.items() if text is not None}

    def limit(self) -> None:
        """Set the limits of this process."""
        for kind, most in self.limits.items():
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def _refused(*commands: str) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(commands, (2,))


def _either(*commands: str) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(commands, (0, 2))


def _clocks(folder: Path) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(CLOCKS, encoding="utf-8")


def _renamed(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))


def _truncated(directory: Path) -> None:
    os.truncate(directory / RECORDS, 0)


def _cut(directory: Path) -> None:
    os.truncate(directory / RECORDS, (directory / RECORDS).stat().st_size - 7)


def _appended(directory: Path) -> None:
    with (directory / RECORDS).open("a", encoding="utf-8") as file:
        file.write(FOREIGN)


def _no_longer_writable(directory: Path) -> None:
    for file in directory.iterdir():
        file.chmod(0o444)
    directory.chmod(0o555)


ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
# A socket's path has 108 bytes.
LONG = "/".join(["{folder}", *["0123456789" * 5] * 4])
PLACES: Sequence[HostilePlace] = (
    HostilePlace(
        "a disk without a byte", ALL, codes=_refused("run", "resume", "report", "history", "merge"), room_bytes=0
    ),
    HostilePlace("a disk with 32 KiB", codes=_either(*WRITING), room_bytes=32 * 2**10),
    HostilePlace("a disk with 400 KiB", codes=_either(*WRITING), room_bytes=400 * 2**10),
    HostilePlace("files of at most 1 KB", codes=_either(*WRITING, "compare"), limits={resource.RLIMIT_FSIZE: 1_000}),
    HostilePlace("files of at most 20 KB", codes=_either(*WRITING, "compare"), limits={resource.RLIMIT_FSIZE: 20_480}),
    HostilePlace("a directory that is read-only", ALL, codes=_refused(*WRITING), read_only=True),
    HostilePlace("14 descriptors", ALL, codes=_either(*ALL), limits={resource.RLIMIT_NOFILE: 14}),
    HostilePlace("20 descriptors", codes=_either(*ALL), limits={resource.RLIMIT_NOFILE: 20}),
    HostilePlace("64 descriptors", limits={resource.RLIMIT_NOFILE: 64}),
    HostilePlace("800 MB of address space", codes=_either(*ALL), limits={resource.RLIMIT_AS: 800_000 * 1024}),
    HostilePlace("no HOME", variables={"HOME": None, "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None}),
    HostilePlace(
        "a HOME and a TMPDIR that are not there", variables={"HOME": "{folder}/none", "TMPDIR": "{folder}/none"}
    ),
    HostilePlace(
        "a TMPDIR longer than the path of a socket",
        variables={"TMPDIR": LONG},
        prepare=lambda folder: Path(LONG.format(folder=folder)).mkdir(parents=True),
    ),
    HostilePlace("a directory of an odd name in a locale of ASCII", ALL, directory=ODD, variables=ASCII),
    HostilePlace("a directory whose name is no UTF-8", ALL, directory="r\udcff\udc80", codes=_either("merge")),
    HostilePlace("a terminal of 20 columns", variables={"COLUMNS": "20"}),
    HostilePlace("a terminal of 1 column", variables={"COLUMNS": "1", "LINES": "1"}),
    HostilePlace("PYTHONWARNINGS=error", variables={"PYTHONWARNINGS": "error"}),
    HostilePlace(
        "clocks that jump",
        variables={"PYTHONPATH": "{folder}/site:" + os.pathsep.join(filter(None, sys.path))},
        prepare=_clocks,
    ),
    HostilePlace("standard output full", ALL, codes=_refused(*ALL), output="full"),
    HostilePlace("standard output unread", ALL, codes=dict.fromkeys(ALL, (141,)), output="unread"),
    HostilePlace("standard output closed", output="closed"),
    HostilePlace("standard error full", codes=_either(*ALL), errors="full"),
    HostilePlace("standard error unread", codes=dict.fromkeys(MEASURING, (0, 141)), errors="unread"),
    HostilePlace("standard error closed", errors="closed"),
    HostilePlace("results renamed in mid-run", MEASURING, _refused(*MEASURING), amid=_renamed),
    HostilePlace("results removed in mid-run", MEASURING, _refused(*MEASURING), amid=shutil.rmtree),
    HostilePlace("records cut to nothing in mid-run", MEASURING, _refused(*MEASURING), amid=_truncated),
    HostilePlace("records cut within a row in mid-run", MEASURING, _refused(*MEASURING), amid=_cut),
    HostilePlace("records written by another in mid-run", MEASURING, _refused(*MEASURING), amid=_appended),
    HostilePlace(
        "results made read-only in mid-run", MEASURING, _either(*MEASURING), amid=_no_longer_writable, read_only=False
    ),
    HostilePlace("four that start in one moment", ("run", "resume", "merge"), beside=4),
    HostilePlace("ten that start in one moment", ("history",), beside=10),
)
