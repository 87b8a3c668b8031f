"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, whenever the process is killed; text as UTF-8.

    It is made beside the file under a name of this thread's own and takes its place, so that a reader has the one or
    the other, and a link that lies in a directory from elsewhere is replaced and not followed. What is there and is no
    regular file, as /dev/stdout, is written to.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    if file.exists() and not file.is_file():
        file.write_bytes(data)
        return
    temporary = file.with_name(f".{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as out:
            out.write(data)
        temporary.replace(file)
    except OSError as error:
        # Nobody has asked for a file of the other name.
        error.filename = str(file)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()
