"""The tests of the docs see every block, and a page that shows something else than it gives fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import Block, agrees, blocks_of, commands_of
from tests.reader import Reader, not_run, parse


def test_blocks_are_found_with_their_language_and_line() -> None:
    page = (
        "# A page\n\n```python\nx = 1\n\ny = 2\n```\n\ntext\n\n    bare one\n\n    bare two\n\n"
        "- item\n\n  ```console measured\n  $ a\n    b\n  ```\n\n"
        "1. item\n   goes on\n\n       deep\n\n   no code\n\nend\n    no code either\n```\nno language\n```\n"
    )
    assert blocks_of(page) == [
        Block(3, "python", "x = 1\n\ny = 2\n"),
        Block(11, "indented", "bare one\n\nbare two\n"),
        Block(17, "console measured", "$ a\n  b\n"),
        Block(25, "indented", "deep\n"),
        Block(31, "", "no language\n"),
    ]


def test_a_mark_is_no_language() -> None:
    block = Block(1, "console measured", "")
    assert (block.language, block.measured) == ("console", True)
    assert not Block(1, "console", "").measured


def test_commands_with_their_output() -> None:
    block = Block(1, "console", "$ one \\\n      two\nfirst\n\nsecond\n\n$ three  # why\n")
    assert [(c.line, c.text, c.output) for c in commands_of(block)] == [
        (2, "one two", "first\n\nsecond"),
        (8, "three  # why", ""),
    ]
    with pytest.raises(AssertionError, match="a console block begins with a command"):
        commands_of(Block(1, "console", "three\n"))


@pytest.mark.parametrize(
    ("shown", "got", "measured", "same"),
    [
        ("a  b\n───\n", "a b\n──────", False, True),
        ("a b", "a c", False, False),
        ("a b", "a b\nc", False, False),
        ("a ... d", "a b c d", False, True),
        ("a ... d", "a b\nc d", False, False),
        ("a\n...\nd", "a\nb\nc\nd", False, True),
        ("a\n...\nd", "a\nd", False, True),
        ("a\n...\nd", "a\nb", False, False),
        ("a.b", "axb", False, False),
        ("12.5 µs", "13.5 µs", False, False),
        ("vmap 8 ok 12.5 µs [11, 13] 3.2e-07", "vmap 8 ok 1.50 ms [1.2, 1.9] 0", True, True),
        ("vmap 1.2–3.4×", "vmap 2.2×", True, True),
        ("vmap 8 ok 12.5 µs", "vmap 8 WRONG 12.5 µs", True, False),
        ("float32 2 s", "float64 2 s", True, False),
        ("a 1 s\nb 2 s", "b 3 s\n\na 1 s", True, True),
        ("a 1 s\nb 2 s", "a 3 s\na 1 s", True, False),
        ("a 1 s", "a 3 s\nb 1 s", True, False),
        ("a 1 s\n...", "c\na 3 s\nb 1 s", True, True),
        ("a\nb", "b\na", False, False),
    ],
)
def test_output_agrees(shown: str, got: str, measured: bool, same: bool) -> None:
    assert agrees(shown, got, measured) == same


@pytest.fixture
def reader(tmp_path, monkeypatch) -> Reader:
    return Reader(tmp_path, monkeypatch)


def test_a_page_has_one_namespace_and_one_directory(reader: Reader) -> None:
    reader.run(Block(1, "python", "# mine.py\nx = 2\n"))
    reader.run(Block(5, "python", "print(x + 1)\n"))
    reader.run(Block(8, "text", "3\n"))
    reader.run(Block(10, "console", "$ cat mine.py\n# mine.py\nx = 2\n"))
    reader.run(Block(15, "toml", '# mine.toml\nproblems = ["sin"]\nn = [2]\n'))
    reader.run(Block(20, "console", "$ jacstrat run nowhere.toml\njacstrat: sweep file ... exist\n$ echo $?\n2\n"))
    assert reader.names["x"] == 2
    assert Path("mine.toml").read_text(encoding="utf-8").startswith("# mine.toml")


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([Block(1, "", "x")], "a block is one of python, text, console, toml"),
        ([Block(1, "sh", "x")], "a block is one of"),
        ([Block(1, "python", "print(3)"), Block(4, "text", "4")], "line 4 shows\n4\nbut the output is\n3"),
        ([Block(1, "text", "4")], "a text block shows what the python block before it prints"),
        ([Block(1, "python", "assert False, 'mine'")], "mine"),
        ([Block(1, "console", "$ jacstrat list problem\n")], "exit code 2 at the end"),
        ([Block(1, "console", "$ jacstrat list problem\n$ jacstrat env\n")], "exit code 2 before line 3: jacstrat env"),
        ([Block(1, "console", "$ jacstrat list sweeps\nnone\n")], "line 1 shows\nnone\nbut"),
        ([Block(1, "console", "$ rm -r results\n")], "the tests have no rule for `rm`"),
    ],
)
def test_a_page_that_does_not_say_what_is_so_fails(reader: Reader, blocks: list[Block], message: str) -> None:
    with pytest.raises(AssertionError) as raised:
        reader.run(*blocks)
    assert message in str(raised.value)


def test_what_is_not_run_has_its_options_parsed() -> None:
    for command in ("bash scripts/bench --timeout 5", "jacstrat run full --dtype float32", "bash scripts/gpu -n 64"):
        assert not_run(command)
        parse(command)
    assert not not_run("jacstrat run -p sin")
    with pytest.raises(Exception, match="No such option: --time") as raised:
        parse("bash scripts/bench --time 5")
    assert "UsageError" in [kind.__name__ for kind in type(raised.value).__mro__]
    with pytest.raises(AssertionError, match="names tests/gpus, which is not there"):
        parse(".venv/bin/pytest tests/gpus")
