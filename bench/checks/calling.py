"""A command called in a place: with its limits and streams, as a user without rights, on a disk of its own."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .places import HostilePlace
from .rows import completed

LIMIT_S = 240.0
LOOK_S = 0.01
# Root may write what is read-only; without these it may not.
AS_A_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
ON_A_DISK = """
room=$1 here=$2 copied=$3
shift 3
mkdir "$copied" && cp -a "$here/." "$copied" && mount -t tmpfs -o mode=755 tmpfs "$here" || exit 125
# No size below a page is one.
cp -a "$copied/." "$here" && head -c 4096 /dev/zero > "$here/.filler" || exit 125
used=$(df -B1 --output=used "$here" | tail -n 1)
mount -o "remount,size=$((used + room))" "$here" && cd "$here" || exit 125
"$@"
code=$?
rm -r "$copied" && mkdir "$copied" && cp -a "$here/." "$copied" || exit 125
exit $code
"""
"""A command in a disk of its own over a folder, which the command ends with: what is on it then is copied."""
COULD_NOT = 125


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, None where it did not; and what it said on standard error."""

    code: int | None
    err: str = ""


def call(place: HostilePlace, arguments: Sequence[str], folder: Path, mark: Mapping[str, str]) -> list[Ended]:
    """Call a command in the place, as often side by side as it says."""
    here, copied = folder / "here", folder / "copied"
    command = closing([*(AS_A_USER if os.geteuid() == 0 else ()), *arguments], place)
    if place.room_bytes is not None:
        namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
        command = [*namespace, "sh", "-c", ON_A_DISK, "sh", str(place.room_bytes), str(here), str(copied), *command]
    processes = []
    for number in range(place.beside):
        with (
            stream(place.output, folder / f"{number}.out") as out,
            stream(place.errors, folder / f"{number}.err") as errors,
        ):
            processes.append(
                subprocess.Popen(
                    command,
                    cwd=here,
                    env=place.environment(folder) | mark,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=errors,
                    preexec_fn=place.limit,
                    start_new_session=True,
                )
            )
    if place.amid:
        _amid(place, here / place.directory, processes[0])
    deadline = time.monotonic() + LIMIT_S
    ended = []
    for number, process in enumerate(processes):
        try:
            code: int | None = process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            code = None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        err = folder / f"{number}.err"
        ended.append(Ended(code, err.read_text("utf-8", "replace") if err.exists() else ""))
    if copied.exists():
        shutil.rmtree(here)
        copied.rename(here)
    return ended


def _amid(place: HostilePlace, directory: Path, process: subprocess.Popen[bytes]) -> None:
    """Do what is done in mid-run, once the run has written a row."""
    assert place.amid
    begun = completed(directory).count(b"\n")
    while process.poll() is None and completed(directory).count(b"\n") <= max(begun, 1):
        time.sleep(LOOK_S)
    place.amid(directory)


@contextmanager
def stream(kind: str, file: Path) -> Iterator[IO[bytes] | int]:
    """What a standard stream is, for the block in which a process is started."""
    if kind == "unread":
        reader, writer = os.pipe()
        os.close(reader)
        try:
            yield writer
        finally:
            os.close(writer)
        return
    with (Path("/dev/full") if kind == "full" else file).open("wb") as opened:
        yield opened


def closing(command: Sequence[str], place: HostilePlace) -> list[str]:
    """The command with those of its streams closed that are to be."""
    closed = [redirect for redirect, kind in ((">&-", place.output), ("2>&-", place.errors)) if kind == "closed"]
    return ["sh", "-c", f'exec "$@" {" ".join(closed)}', "sh", *command] if closed else list(command)


def change_rights(folder: Path, bits: int, take: bool) -> None:
    """Take rights from a folder and all that is in it, or give them."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode & ~bits if take else mode | bits)
