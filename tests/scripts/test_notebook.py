"""scripts/notebook.py: the cells of a page, their outputs, and a cell that fails."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.pages import ROOT, blocks_of

SCRIPT = ROOT / "scripts" / "notebook.py"
SPEC = importlib.util.spec_from_file_location("notebook", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
notebook = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(notebook)

PAGE = """# A page

Words, and a [link](other.md).

```python
# mine.py
x = 20
```

```console measured
$ echo one \\
      two
one two
$ cat mine.py
```

```python
class Shown:
    def _repr_html_(self):
        return "<b>\\n\\nbold</b>"


print(x + 1)
Shown()
```

```text
21
```

Last words.
"""


def test_a_page_becomes_cells_without_the_outputs_that_it_shows() -> None:
    cells = [(cell.cell_type, cell.source) for cell in notebook.to_notebook(PAGE).cells]
    assert [kind for kind, _ in cells] == ["markdown", "code", "code", "code", "code", "code", "markdown"]
    assert [source for _, source in cells][1:5] == [
        "%%writefile mine.py\n# mine.py\nx = 20",
        "%run -i mine.py",
        "!echo one two",
        "!cat mine.py",
    ]
    with pytest.raises(ValueError, match="no cells for a block in 'toml'; use python, console or text"):
        notebook.to_notebook("```toml\nx = 1\n```\n")


def test_every_python_block_of_the_tutorial_notebook_is_a_cell() -> None:
    text = (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8")
    code = [cell.source for cell in notebook.to_notebook(text).cells if cell.cell_type == "code"]
    assert code == [block.text.rstrip() for block in blocks_of(text) if block.language == "python"]


def run(page: str, directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / "page.md"
    file.write_text(page, encoding="utf-8")
    command = [sys.executable, SCRIPT, file, directory / "page.ipynb", directory / "out.md"]
    return subprocess.run(command, capture_output=True, text=True)


def test_cells_are_executed_in_a_directory_of_their_own_and_bring_their_outputs(tmp_path: Path) -> None:
    done = run(PAGE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mine.py").exists()
    read = nbformat.read(tmp_path / "page.ipynb", as_version=4)
    nbformat.validate(read)
    printed = ["".join(output.get("text", "") for output in cell.get("outputs", ())) for cell in read.cells]
    assert printed[3].split() == ["one", "two"]
    assert printed[4].split() == ["#", "mine.py", "x", "=", "20"]
    assert printed[5] == "21\n"
    page = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert page.startswith("# A page\n\n[As a notebook](page.ipynb)\n\nWords")
    assert '```text\n21\n```\n\n<div class="output"><b>  bold</b></div>\n\nLast words.' in page


def test_a_command_that_fails_is_told_and_leaves_no_notebook(tmp_path: Path) -> None:
    done = run("```console\n$ cat nowhere\n```\n", tmp_path)
    assert done.returncode == 1
    assert "page.md: An error occurred while executing" in done.stderr
    assert "exit code 1" in done.stderr
    assert not (tmp_path / "page.ipynb").exists()
