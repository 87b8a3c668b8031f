"""A run as it lies in its directory: its records with its name, its machine and its versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jacstrat.core.environment import Session, Snapshot, moment, read_sessions
from jacstrat.core.errors import UsageError
from jacstrat.record import Record
from jacstrat.records import SWEEP, read_records
from jacstrat.report.analysis.answers import WinnerRange, winner_ranges
from jacstrat.report.analysis.findings import findings
from jacstrat.report.analysis.headline import Headline, headline
from jacstrat.report.analysis.noisy_times import NoisyTime, noisy_times
from jacstrat.report.analysis.setting import to_records
from jacstrat.report.analysis.sheet import Sheet
from jacstrat.report.analysis.title import what, when, where
from jacstrat.report.analysis.units import format_bytes


@dataclass(frozen=True, eq=False)
class Run:
    """A run.

    Fields:
        label: Its name, distinct among those of a report.
        directory: Where it lies.
        records: The last of each case.
        sessions: What environment.json holds, an entry each time the run was begun or gone on with; () without one.
        sweep: The text of sweep.toml; "" without one.
        unread: What of the files beside the records is none, a line each.
    """

    label: str
    directory: Path
    records: tuple[Record, ...]
    sessions: tuple[Session, ...] = ()
    sweep: str = ""
    unread: tuple[str, ...] = ()

    @cached_property
    def findings(self) -> tuple[Sheet | str, ...]:
        """What the run found; see `jacstrat.report.analysis.findings`."""
        return findings(self.records, self.ranges)

    @cached_property
    def ranges(self) -> tuple[WinnerRange, ...]:
        """Who wins where, which headline, findings and page read; see `jacstrat.report.analysis.answers`."""
        return winner_ranges(self.records)

    @cached_property
    def doubts(self) -> tuple[NoisyTime, ...]:
        """The times that are to be doubted, the worst first."""
        return noisy_times(self.records)

    @cached_property
    def headline(self) -> Headline:
        """What is said first; see `jacstrat.report.analysis.headline`."""
        return headline(self.records, self.ranges, self.doubts)

    @property
    def title(self) -> str:
        """What was run, where and when, on one line; what is not known is left out."""
        day = when(self.sessions)
        return f"{what(self.records)} on {where(self.records, self.sessions)}" + (f", {day}" if day else "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What made the numbers doubtful, each once, as it was said; first what could not be read."""
        moments = [moment for session in self.sessions for moment in (session.start, session.end)]
        said = [text for moment in moments for text in moment.warnings]
        return tuple(dict.fromkeys([*self.unread, *said]))

    @property
    def facts(self) -> dict[str, str]:
        """What was run and where, in words by name; a fact that is not known is left out."""
        known = {name: words(self.sessions[0].start) for name, words in FACTS.items()} if self.sessions else {}
        known["measured"] = self._when()
        known["devices"] = ", ".join(dict.fromkeys(record.device for record in self.records))
        return {name: text for name, text in known.items() if text}

    def _when(self) -> str:
        if not self.sessions:
            return ""
        begun, ended = self.sessions[0].start.utc, self.sessions[-1].end.utc
        first, last = moment(begun), moment(ended)
        if first is None or last is None:
            return begun
        lasted = last - first
        times = f", in {len(self.sessions)} sessions" if len(self.sessions) > 1 else ""
        return f"{begun.replace('T', ' ')[:16]} UTC, {lasted.total_seconds() / 60:.1f} min{times}"


def _cores(start: Snapshot) -> str:
    counts = ((start.physical_cores, "cores"), (start.logical_cores, "hardware threads"))
    words = [f"{count} {name}" for count, name in counts if count]
    return ", ".join(words + ([f"quota {start.quota_cores:g}"] if start.quota_cores else []))


def _cards(start: Snapshot) -> str:
    return ", ".join(f"{count} × {name}" if count > 1 else name for name, count in Counter(start.accelerators).items())


def _commit(start: Snapshot) -> str:
    return f"{start.checkout[:12]}{', with changes' if start.checkout_dirty else ''}"


def _torch(start: Snapshot) -> str:
    parts = (start.torch, start.capability, f"{start.threads} threads" if start.threads else "")
    return ", ".join(filter(None, parts))


def _peers(start: Snapshot) -> str:
    """Other libraries that were measured, with their versions: "folx 0.2.30, jax 0.10.2 (CPython 3.11.7)"."""
    # Strategies of one package have one environment.
    peers = {str(sorted(one.items())): one for one in start.peers.values() if isinstance(one, Mapping)}
    words = []
    for one in peers.values():
        versions = ", ".join(f"{name} {version}" for name, version in one.items() if name != "python")
        words.append(f"{versions} ({one['python']})" if "python" in one else versions)
    return "; ".join(words)


FACTS: Mapping[str, Callable[[Snapshot], str]] = {
    "command": lambda start: " ".join(map(str, start.command)),
    "processor": lambda start: start.processor,
    "cores": _cores,
    "memory": lambda start: format_bytes(start.memory_bytes) if start.memory_bytes else "",
    "card": _cards,
    "system": lambda start: ", ".join(filter(None, (start.system, start.kernel))),
    "torch": _torch,
    "CUDA": lambda start: start.cuda,
    "Python": lambda start: start.python,
    "jacstrat": lambda start: str(start.packages.get("jacstrat") or ""),
    "peers": _peers,
    "commit": _commit,
    "machine": lambda start: start.machine,
}


def read_run(directory: Path, label: str | None = None) -> Run:
    """The run in a directory; a file beside the records that is absent or torn counts as not there,
    and a torn environment is among the warnings.

    Raises:
        UsageError: There are no records, see `read_records`.
    """
    records = tuple(to_records(read_records(directory)))
    home = directory if directory.is_dir() else directory.parent
    unread: tuple[str, ...] = ()
    try:
        sessions = read_sessions(home)
    except UsageError as error:
        sessions, unread = (), (str(error),)
    try:
        sweep = (home / SWEEP).read_text(encoding="utf-8")
    except (OSError, ValueError):
        sweep = ""
    return Run(label or home.resolve().name, home, records, sessions, sweep, unread)


def read_runs(directories: Sequence[Path]) -> tuple[Run, ...]:
    """Runs by their directories, with labels that are distinct: as many last parts of the path as that takes."""
    homes = [path.resolve() for path in directories]
    depth = 1
    while len({_tail(home, depth) for home in homes}) < len(set(homes)):
        depth += 1
    labels = [_tail(home, depth) for home in homes]
    # The same directory given twice is shown twice.
    numbered = [
        f"{label} ({labels[: i + 1].count(label)})" if labels.count(label) > 1 else label
        for i, label in enumerate(labels)
    ]
    return tuple(read_run(path, label) for path, label in zip(directories, numbered, strict=True))


def _tail(path: Path, depth: int) -> str:
    return "/".join(path.parts[-depth:])
