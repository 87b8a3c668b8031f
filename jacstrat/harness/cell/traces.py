"""Chrome traces of a run, a file a case."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

# Of a name, which ends in eight digits of a hash: a file system takes 255.
MOST = 180


def trace_file(folder: Path, case: str) -> Path:
    """The file of a case, by its key: readable, and another one for every case."""
    name = re.sub(r"[^A-Za-z0-9.=]+", "-", case).strip("-.")[:MOST]
    return folder / f"{name}-{sha256(case.encode()).hexdigest()[:8]}.json.gz"
