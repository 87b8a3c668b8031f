"""JSON from a file that anybody may have written."""

from __future__ import annotations

import json
import re
from typing import Any

_SURROGATE = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


def show_json(plain: Any, indent: int) -> str:
    """Plain JSON as text for a terminal or a file: signs stand as they are, and what is none as its code."""
    text = json.dumps(plain, indent=indent, ensure_ascii=False, allow_nan=False)
    # Beside line ends, which are the layout's own, only texts hold any.
    return "".join(f"{line if line.isprintable() else _coded(line)}\n" for line in text.split("\n"))


def _coded(line: str) -> str:
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in line)


def parse_json(text: str | bytes) -> Any:
    """What JSON says; half of a surrogate pair, which no file can hold, is a question mark.

    Raises:
        ValueError: It is no JSON, not UTF-8, or nested deeper than Python reads; says so on one line.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        plain = json.loads(decoded)
        if _SURROGATE.search(decoded):
            plain = json.loads(json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from None
    return plain
