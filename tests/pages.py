"""The pages of the documentation, the code blocks on them, and how output is compared with what a page shows."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "results" / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Fields:
        line: The number of its first line, the fence where it has one.
        info: What follows the fence: the language, and "measured" where its numbers are a run's; "indented" for a block
            without a fence.
        text: What is in it, without its indentation.
    """

    line: int
    info: str
    text: str

    @property
    def language(self) -> str:
        return self.info.partition(" ")[0]

    @property
    def measured(self) -> bool:
        return self.info.partition(" ")[2] == "measured"


def blocks_of(text: str) -> list[Block]:
    """The fenced and the indented code blocks of a page, in order."""
    lines = text.splitlines()
    found: list[Block] = []
    i, item = 0, 0  # `item` is where the text of the list item begins that the line is in
    while i < len(lines):
        line = lines[i]
        indent = len(line) - len(line.lstrip())
        if fence := re.match(r" *(```+)(.*)$", line):
            end = next((j for j in range(i + 1, len(lines)) if lines[j].strip() == fence[1]), len(lines))
            found.append(Block(i + 1, fence[2].strip(), textwrap.dedent("\n".join(lines[i + 1 : end]) + "\n")))
            i = end + 1
            continue
        if line.strip() and indent >= item + 4 and (i == 0 or not lines[i - 1].strip()):
            end = i
            while end < len(lines) and (not lines[end].strip() or lines[end].startswith(" " * (item + 4))):
                end += 1
            found.append(Block(i + 1, "indented", textwrap.dedent("\n".join(lines[i:end])).rstrip() + "\n"))
            i = end
            continue
        if marker := re.match(r" *([-*+]|\d+[.)]) +", line):
            item = marker.end()
        elif line.strip() and indent < item:
            item = 0
        i += 1
    return found


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the output that the page shows, "" where it shows none."""

    line: int
    text: str
    output: str


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block: each begins with `$ `, and goes on where a line ends with a backslash."""
    found: list[Command] = []
    rest = list(enumerate(block.text.splitlines(), start=block.line + 1))
    while rest:
        number, line = rest.pop(0)
        assert line.startswith("$ "), f"line {number}: a console block begins with a command, `$ `, got {line!r}"
        text = line[2:]
        while text.endswith("\\"):
            text = text[:-1].rstrip() + " " + rest.pop(0)[1].strip()
        output = []
        while rest and not rest[0][1].startswith("$ "):
            output.append(rest.pop(0)[1])
        found.append(Command(number, text, "\n".join(output).strip("\n")))
    return found


_NUMBER = re.compile(r"(?<![\w.])\d[\d.]*(e[+-]?\d+)?( ?(ns|µs|ms|s|B|KiB|MiB|GiB|×|%)(?!\w))?")


def _plain(text: str, measured: bool) -> list[str]:
    """Lines whose columns may have other widths, and which may have other numbers where they are measured."""
    lines = [re.sub("─+", "─", " ".join(line.split())) for line in text.strip().splitlines()]
    if measured:
        lines = [re.sub("#–#", "#", _NUMBER.sub("#", line)) for line in lines]
    return lines


def agrees(shown: str, got: str, measured: bool) -> bool:
    """Whether output is what a page shows.

    The widths of spaces and rules do not count. `...` stands for anything on its line; alone on a line, for any number
    of lines. In a block that is marked "measured" one number is as good as another, with its unit and its range, and
    the order of lines does not count, since what was faster stands first.
    """
    expected, lines = _plain(shown, measured), _plain(got, measured)
    if measured:
        return _are_among(expected, lines)
    pattern = "".join(r"(?:.*\n)*" if line == "..." else _pattern(line) + r"\n" for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines)) is not None


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("...")))


def _are_among(expected: list[str], lines: list[str]) -> bool:
    """Each expected line is one of the lines, and there are no others unless `...` stands for them."""
    left = [line for line in lines if line]
    for line in filter(None, expected):
        if line != "...":
            found = next((other for other in left if re.fullmatch(_pattern(line), other)), None)
            if found is None:
                return False
            left.remove(found)
    return "..." in expected or not left
