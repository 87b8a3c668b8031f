"""The records and samples of a run as they are written, and what is left of them when their directory is taken away."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jacstrat.core.errors import JacstratError
from jacstrat.record import Record
from jacstrat.records import RECORDS, SWEEP, RecordWriter
from jacstrat.samples import SAMPLES


class LostError(JacstratError):
    """The files of a run are not what it has written; the message says where its results are now."""


class Results:
    """A directory's records.csv and samples.jsonl, appended to by one run; looked at before each row.

    Where the directory was moved or removed, or a file of it changed by somebody else, the run writes nothing more
    there. What it has is then written whole into a new directory beside the old one, and a LostError says so. Rows are
    kept in memory for that, about 600 bytes each; samples are read from the file that is still open.

    Use as a context manager.

    Args:
        directory: Of the run, claimed.
        sweep: The text of its sweep.toml.
    """

    def __init__(self, directory: Path, sweep: str) -> None:
        self.directory = directory
        self._sweep = sweep
        self._writer = RecordWriter(directory)
        self._files = {name: (directory / name).open("rb") for name in (RECORDS, SAMPLES)}
        self._sizes = {name: os.fstat(file.fileno()).st_size for name, file in self._files.items()}
        self._rows = bytearray(self._files[RECORDS].read())

    def __enter__(self) -> Results:
        self._writer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files.values():
            file.close()
        self._writer.__exit__(*error)

    def write(self, record: Record) -> None:
        """Append a row; raises as `check`."""
        self.check()
        self._writer.write(record)
        self._rows += self._grown(RECORDS)

    def write_samples(self, case: str, samples: Mapping[str, Any]) -> None:
        """Append the samples of a case, before its row; raises as `check`."""
        self.check()
        self._writer.write_samples(case, samples)
        self._sizes[SAMPLES] = os.fstat(self._files[SAMPLES].fileno()).st_size

    def check(self) -> None:
        """See whether the files are still those that the run has written.

        Raises:
            LostError: They are not; what was measured is in the directory that it names, and `directory` is that.
        """
        for name, file in self._files.items():
            path = self.directory / name
            try:
                there = path.stat()
            except OSError:
                self._save(f"{path} is gone")
            if not os.path.samestat(there, os.fstat(file.fileno())):
                self._save(f"{path} is another file than before")
            if there.st_size != self._sizes[name]:
                self._save(f"{path} was changed by something else")

    def _grown(self, name: str) -> bytes:
        file, before = self._files[name], self._sizes[name]
        self._sizes[name] = os.fstat(file.fileno()).st_size
        return os.pread(file.fileno(), self._sizes[name] - before, before)

    def _save(self, what: str) -> None:
        file = self._files[SAMPLES]
        file.seek(0)
        samples = file.read(self._sizes[SAMPLES])
        texts = {SWEEP: self._sweep.encode(), RECORDS: bytes(self._rows), SAMPLES: samples}
        self.directory = _save_beside(self.directory, texts)
        raise LostError(
            f"{what} while the run goes on; what was measured is in {self.directory}, "
            f"go on with --resume --out {self.directory}"
        )


def _save_beside(directory: Path, texts: Mapping[str, bytes]) -> Path:
    """Write files into a new directory: beside the given one, or where there is no room, here, or among temporary ones.

    Raises:
        LostError: There is room nowhere.
    """
    name = f"{directory.name or 'results'}-saved-"
    for parent in (directory.absolute().parent, Path.cwd(), Path(tempfile.gettempdir())):
        with suppress(OSError):
            saved = Path(tempfile.mkdtemp(prefix=name, dir=parent))
            # As any directory that a run makes, for others to read.
            saved.chmod(0o777 & ~_umask())
            for file, text in texts.items():
                (saved / file).write_bytes(text)
            return saved
    raise LostError(f"{directory} is gone, and there is room for what was measured nowhere")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
