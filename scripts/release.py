"""Whether a tag can be released, and what is new in it.

    python3 scripts/release.py v0.2.0              # prints the section of CHANGELOG.md
    python3 scripts/release.py v0.2.0 --dist dist  # and dist has the sdist and the wheel of that version, and no more

Exit code 1, with a line for each thing that is the matter, where CHANGELOG.md has no dated section of the version or
has another one on top, CITATION.cff names another version, or pyproject.toml does not say where the source is.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TAG = re.compile(r"v(\d+\.\d+\.\d+)")
SECTION = re.compile(r"^## \[(?P<version>\d+\.\d+\.\d+)\] - (?P<date>.+)\n(?P<text>(?:(?!## ).*\n?)*)", re.MULTILINE)


def faults_of(version: str, root: Path, dist: Path | None) -> list[str]:
    """What keeps a version from being released, a line each."""
    found = []
    newest = next(SECTION.finditer(read(root / "CHANGELOG.md")), None)
    if newest is None or newest["version"] != version:
        on_top = "no version" if newest is None else newest["version"]
        found.append(f"CHANGELOG.md has {on_top} on top, not {version}; add its section")
    elif not re.fullmatch(r"\d{4}-\d{2}-\d{2}", newest["date"]):
        found.append(f"CHANGELOG.md dates {version} {newest['date']!r}; write the day, YYYY-MM-DD")
    cited = re.findall(r"^version: (.+)$", read(root / "CITATION.cff"), re.MULTILINE)
    if cited != [version]:
        found.append(f"CITATION.cff has version {', '.join(cited) or 'none'}, not {version}; change it")
    urls = tomllib.loads(read(root / "pyproject.toml"))["project"].get("urls", {})
    if "Source" not in urls:
        found.append("pyproject.toml has no Source under [project.urls]; add the address of the repository")
    if dist is not None:
        wanted = {f"jacstrat-{version}.tar.gz", f"jacstrat-{version}-py3-none-any.whl"}
        built = {file.name for file in dist.iterdir()}
        if built != wanted:
            found.append(
                f"{dist} has {', '.join(sorted(built)) or 'nothing'}, not {', '.join(sorted(wanted))}; build the tag"
            )
    return found


def notes(version: str, root: Path) -> str:
    """The section of a version in CHANGELOG.md, without its heading."""
    return next(found["text"] for found in SECTION.finditer(read(root / "CHANGELOG.md")) if found["version"] == version)


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether a tag can be released.")
    parser.add_argument("tag", help="vX.Y.Z")
    parser.add_argument("--dist", type=Path, help="a directory with what was built")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    given = parser.parse_args()
    named = TAG.fullmatch(given.tag)
    if named is None:
        print(f"{given.tag} is no tag of a version; it is vX.Y.Z", file=sys.stderr)
        return 1
    faults = faults_of(named[1], given.root, given.dist)
    if faults:
        print(*faults, sep="\n", file=sys.stderr)
        return 1
    print(notes(named[1], given.root).strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
