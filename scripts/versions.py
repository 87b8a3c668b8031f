"""The versions of a site, a folder each: their list for the theme's menu, and a first page that leads to the newest.

    python scripts/versions.py build/site

Writes versions.json, in the form of mike, and index.html. A folder whose name is a version or `dev` is one; the newest
is the highest version, and `dev` where there is none.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

DEV = "dev"
VERSION = re.compile(r"\d+(\.\d+)*")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>jacstrat</title>
<meta http-equiv="refresh" content="0; url={newest}/">
<a href="{newest}/">jacstrat {newest}</a>
</html>
"""


def versions_in(site: Path) -> list[str]:
    """The versions of a site, the newest first and `dev` last."""
    names = [folder.name for folder in site.iterdir() if folder.is_dir()]
    numbered = sorted(
        filter(VERSION.fullmatch, names), key=lambda name: [int(part) for part in name.split(".")], reverse=True
    )
    return [*numbered, *(name for name in names if name == DEV)]


def write(site: Path) -> None:
    """The list and the first page."""
    versions = versions_in(site)
    listed = [{"version": name, "title": name, "aliases": []} for name in versions]
    (site / "versions.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    (site / "index.html").write_text(PAGE.format(newest=versions[0]), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
