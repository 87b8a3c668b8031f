"""What a worker does: takes its measuring slot, does a job, and says what it is. Imports nothing of Dask by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from filelock import FileLock

from jacstrat.harness.dispatch.children import Children
from jacstrat.harness.dispatch.job import Done, Job, outcomes
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.environment import Environment, host_id, snapshot, warnings

# Those of this worker, which end with it.
_CHILDREN = Children()
VISIBLE_CARDS = "CUDA_VISIBLE_DEVICES"


def work(job: Job, run: str, address: str, scratch: str) -> Done:
    """Do a job here, alone in the slot that it measures in.

    Args:
        job: What to do.
        run: Name of the run, whose references are kept until a job of another run comes.
        address: Address of this worker.
        scratch: A directory of this worker's.
    """
    environment, described = here()
    with slot(job.cell):
        outcomes_of_job = tuple(outcomes(job, references=Path(_references(run, scratch).name), children=_CHILDREN))
    return Done(outcomes_of_job, environment.id, address, described)


@cache
def here() -> tuple[Environment, Mapping[str, Any]]:
    """This machine as it was when its worker did its first job, and the same as plain JSON with its warnings."""
    environment = snapshot()
    return environment, environment.to_json() | {"warnings": list(warnings(environment))}


@contextmanager
def slot(cell: Cell, folder: Path | None = None) -> Iterator[None]:
    """Hold the slot that a cell is measured in: its card, or of a machine's CPU the only one.

    A file lock, which the system takes back from a process that dies: workers on one machine wait for each other,
    whatever scheduler they have.

    Args:
        cell: What is to be measured.
        folder: Where the locks are; None for the directory of temporary files.
    """
    lock = FileLock((folder or Path(gettempdir())) / f"jacstrat-{slot_name(cell.device)}.lock", mode=0o666)
    with lock:
        yield


def slot_name(device: str) -> str:
    """The name of the slot of a device on this machine; of a card its UUID, or else its number.

    A job of a cluster often sees its card as number 0, whichever it is.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return host_id()
    cards = [card.strip() for card in os.environ.get(VISIBLE_CARDS, "").split(",") if card.strip()]
    number = int(index or 0)
    card = cards[number] if number < len(cards) else str(number)
    if kind == "cuda" and card.isdecimal():
        card = _uuid(int(card)) or card
    return f"{host_id()}-{kind}-{re.sub(r'[^A-Za-z0-9]+', '-', card)}"


def _uuid(number: int) -> str | None:
    """The UUID of an NVIDIA card by NVML's number, which starts no CUDA; None without a driver that tells."""
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            return str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(number)))
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None


@lru_cache(maxsize=1)
def _references(run: str, scratch: str) -> TemporaryDirectory[str]:
    # The one before is removed as it is forgotten: a reference outlives no change of the code that it came from.
    return TemporaryDirectory(prefix=f"jacstrat-{run}-", dir=scratch)


def _asker() -> Callable[[], dict[str, str]]:
    """`versions`, made within a function so that pickle sends it whole: a worker without jacstrat could not find it."""

    def versions() -> dict[str, str]:
        """What must be the same on every worker: jacstrat with a digest of its sources, and torch without its build."""
        import hashlib
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec
        from pathlib import Path

        installed = {}
        for package in ("jacstrat", "torch"):
            try:
                installed[package] = version(package).split("+")[0]
            except PackageNotFoundError:
                installed[package] = "none"
        # Found, not imported: torch takes seconds.
        spec = find_spec("jacstrat")
        if spec is not None and spec.origin is not None:
            digest, root = hashlib.sha256(), Path(spec.origin).parent
            for file in sorted(root.rglob("*.py")):
                digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
            installed["jacstrat"] += f" (sources {digest.hexdigest()[:8]})"
        return installed

    return versions


versions = _asker()
