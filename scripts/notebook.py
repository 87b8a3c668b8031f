"""A page of the documentation as a notebook, executed, with its outputs.

    python scripts/notebook.py docs/notebook.md OUT.ipynb          # executed
    python scripts/notebook.py docs/notebook.md OUT.ipynb OUT.md   # and the page with the outputs of this execution

A `python` block is a cell, and one that is a file, too, is written and run; a command of a `console` block is run in a
shell; what the page shows as output is left out, since each cell brings its own: what it prints, and the value at its
end as Jupyter shows it. It runs in a directory of its own. Exit code 1: a cell failed, which is shown.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w/]+\.py)\n")
CELL_TIMEOUT_S = 300


def to_notebook(page: str) -> nbformat.NotebookNode:
    """The cells of a page, not executed.

    Args:
        page: Markdown.

    Raises:
        ValueError: A block is in a language that is neither python, console nor text.
    """
    cells = []
    end = 0
    for block in BLOCK.finditer(page):
        cells += _prose(page[end : block.start()])
        end = block.end()
        language, text = block.groups()
        if language == "python":
            cells += [nbformat.v4.new_code_cell(source) for source in _sources(text.rstrip())]
        elif language == "console":
            cells += [nbformat.v4.new_code_cell(f"!{command}") for command in _commands(text)]
        elif language != "text":
            raise ValueError(f"a notebook has no cells for a block in {language!r}; use python, console or text")
    cells += _prose(page[end:])
    for i, cell in enumerate(cells):
        cell["id"] = f"cell-{i}"  # the same each time
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _prose(text: str) -> list[nbformat.NotebookNode]:
    return [nbformat.v4.new_markdown_cell(text.strip())] if text.strip() else []


def _sources(text: str) -> list[str]:
    named = FILE.match(text)
    return [text] if named is None else [f"%%writefile {named[1]}\n{text}", f"%run -i {named[1]}"]


def _commands(text: str) -> list[str]:
    joined = re.sub(r" *\\\n *", " ", text)
    return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def execute(notebook: nbformat.NotebookNode, directory: Path) -> None:
    """Run the cells in a directory, each within CELL_TIMEOUT_S; their outputs are then in them.

    Raises:
        CellExecutionError: A cell raised, or a command of one ended with another exit code than 0.
    """
    # Commands such as jacstrat are those of this Python.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # A cell whose command fails does not raise by itself.
    check = nbformat.v4.new_code_cell("assert _exit_code == 0, f'exit code {_exit_code}'")
    cells, checked = list(notebook.cells), []
    for cell in cells:
        checked += [cell, check.copy()] if cell.cell_type == "code" and cell.source.startswith("!") else [cell]
    notebook.cells = checked
    resources = {"metadata": {"path": str(directory)}}
    try:
        NotebookClient(notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources=resources).execute()
    finally:
        notebook.cells = cells
    for number, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
        cell.metadata.pop("execution", None)  # when it ran
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number


def to_page(notebook: nbformat.NotebookNode, name: str) -> str:
    """An executed notebook as Markdown: what a cell printed as text, what it shows as HTML.

    Args:
        notebook: Executed.
        name: Of its file, which lies beside the page.
    """
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        parts += [_shown(output) for output in cell.outputs if output.get("name") != "stderr"]
    heading, _, rest = "\n\n".join(filter(None, parts)).partition("\n")
    return f"{heading}\n\n[As a notebook]({name})\n{rest}\n"


def _shown(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    if (html := output.data.get("text/html")) is not None:
        # One line, so that Markdown reads nothing in it; a line of progress that was cleared is empty.
        return f'<div class="output">{" ".join(html.splitlines())}</div>' if html else ""
    return f"```text\n{output.data['text/plain']}\n```"


def main() -> int:
    parser = argparse.ArgumentParser(description="A page as a notebook, executed.")
    parser.add_argument("page", type=Path, help="Markdown")
    parser.add_argument("out", type=Path, help="the notebook, .ipynb")
    parser.add_argument("rendered", type=Path, nargs="?", help="the page with the outputs, Markdown")
    given = parser.parse_args()
    notebook = to_notebook(given.page.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as directory:
        try:
            execute(notebook, Path(directory))
        except CellExecutionError as error:
            print(f"{given.page}: {error}", file=sys.stderr)
            return 1
    nbformat.validate(notebook)
    nbformat.write(notebook, given.out)
    if given.rendered:
        given.rendered.write_text(to_page(notebook, given.out.name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
