"""Tests mirror the package: jacstrat/ROOM/MODULE.py is tested in tests/ROOM/test_MODULE.py, or it says here where.

Both tables are exceptions. What is in neither has its namesake, and what needs no exception must not be in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Rooms whose tests are not held to this yet.
NOT_YET = {"compare", "cli", "measure", "harness", "strategies/auto", "problems"}
# A reason begins with the file that has the tests.
RULES_OF_PATTERNS = "tests/structure/test_rules.py: rules of the one table, each on its operations"
RULES_OF_TAYLOR = "tests/taylor/test_table.py: rules of the one table, each against the one for any operation"
RULES_OF_SERIES = "tests/series/test_table.py: rules of the one table, each against nested reverse mode"
PARTS_OF_CHAINS = "tests/chain/test_field.py: parts of one reading, which mean nothing by themselves"
TEXT_OF_KERNELS = "tests/fused/test_narrow.py: text that means something where a kernel is executed"
TEXT_OF_LAYERS = "tests/fused/test_wide.py: text that means something where a kernel is executed"
REAL_PROCESSES = "tests/revisions/test_compare.py: ends of real processes, which take seconds to start together"
# Module: why it has no file of tests under its name.
ELSEWHERE = {
    "chain/factors.py": PARTS_OF_CHAINS,
    "chain/plan.py": PARTS_OF_CHAINS,
    "chain/reading.py": PARTS_OF_CHAINS,
    "core/status.py": "tests/test_documented.py: a table of names, held against its page",
    "fused/directions.py": TEXT_OF_KERNELS,
    "fused/forms.py": "tests/fused/test_reading.py: what a tape is read into, told by the network that comes of it",
    "fused/function.py": TEXT_OF_KERNELS,
    "fused/kernels.py": TEXT_OF_KERNELS,
    "fused/layer.py": TEXT_OF_LAYERS,
    "fused/operands.py": "tests/fused/test_evaluate.py: what a network is given at a call",
    "fused/passes.py": TEXT_OF_KERNELS,
    "fused/prelude.py": TEXT_OF_KERNELS,
    "fused/source.py": TEXT_OF_KERNELS,
    "fused/writer.py": TEXT_OF_KERNELS,
    "peers/serve.py": "tests/peers/test_process.py: the other end of a process",
    "report/page/panels.py": "tests/report/page/test_write.py: sections of the page, read in it",
    "revisions/parent.py": REAL_PROCESSES,
    "revisions/processes.py": REAL_PROCESSES,
    "revisions/side.py": REAL_PROCESSES,
    "revisions/survey.py": REAL_PROCESSES,
    "series/matrices.py": RULES_OF_SERIES,
    "series/pointwise.py": RULES_OF_SERIES,
    "series/products.py": RULES_OF_SERIES,
    "series/rule.py": RULES_OF_SERIES,
    "strategies/look.py": "tests/strategies/test_witness.py: what of a claim is looked at",
    "strategies/weights/constant.py": "tests/strategies/weights/test_weighing.py: stages that a weight is made into",
    "strategies/weights/rows.py": "tests/strategies/weights/test_weighing.py: stages that a weight is made into",
    "structure/rules_index.py": RULES_OF_PATTERNS,
    "structure/rules_window.py": RULES_OF_PATTERNS,
    "taylor/engine.py": "tests/taylor/test_functions.py: whole functions go through it",
    "taylor/fallback.py": RULES_OF_TAYLOR,
    "taylor/kinds.py": "tests/trace/test_operations.py: a view of the table of operations, held to the rules there",
    "taylor/linear.py": RULES_OF_TAYLOR,
    "taylor/matrices.py": RULES_OF_TAYLOR,
    "taylor/node.py": "tests/taylor/test_liveness.py: an operation, and what liveness says of it",
    "taylor/normalised.py": RULES_OF_TAYLOR,
    "taylor/pointwise.py": RULES_OF_TAYLOR,
    "taylor/preparation.py": "tests/taylor/test_sparse.py: what it plans is seen in the work that is done",
    "taylor/prod.py": RULES_OF_TAYLOR,
    "taylor/products.py": RULES_OF_TAYLOR,
    "taylor/program.py": "tests/taylor/test_sparse.py: what is kept of a preparation",
    "taylor/rule.py": RULES_OF_TAYLOR,
    "zeros.py": "tests/measure/test_zeros.py: under the modes that measure, in a process of its own",
}
# File of tests: what it is of, where that is no module of its name.
ACROSS = {
    "chain/test_property.py": "random chains: all of the room",
    "fused/test_products.py": "the accuracy of products by halves on networks of the library",
    "report/page/test_browser.py": "the whole page in a browser",
    "revisions/test_cli.py": "the command as a program, with the repository of this room",
    "strategies/test_captured.py": "which records can be captured: chain and taylor on a device that records",
    "strategies/test_served.py": "the page of operators",
    "strategies/test_stochastic.py": "all that draw probes, on average",
    "strategies/test_strategies.py": "every strategy on every problem",
    "taylor/test_functions.py": "functions as people write them: all of the room",
    "test_api.py": "the reference of the API",
    "test_architecture.py": "the map for newcomers",
    "test_cli.py": "the command line as a user meets it",
    "test_docs.py": "blocks and tables of README and docs",
    "test_documented.py": "nothing is undocumented",
    "test_mirror.py": "this",
    "test_pages.py": "the tests of the docs themselves",
    "test_workflows.py": "workflows and the action",
}


def is_held(path: Path) -> bool:
    """Whether the room of a file, relative to the package or to its tests, is held to this."""
    return NOT_YET.isdisjoint(map(str, path.parents))


def modules() -> Iterator[Path]:
    for file in sorted((ROOT / "jacstrat").rglob("*.py")):
        if not file.name.startswith("__") and is_held(path := file.relative_to(ROOT / "jacstrat")):
            yield path


def files_of_tests() -> Iterator[Path]:
    """Files of tests in the rooms of the package; other folders test what is beside it."""
    rooms = {path.parent for path in modules()}
    for room in sorted(rooms):
        yield from (file.relative_to(ROOT / "tests") for file in sorted((ROOT / "tests" / room).glob("test_*.py")))


def namesake(module: Path) -> Path:
    return module.with_name(f"test_{module.name}")


def test_every_module_has_its_tests_or_says_where_they_are() -> None:
    missing = {str(path) for path in modules() if not (ROOT / "tests" / namesake(path)).exists()}
    assert missing == set(ELSEWHERE)


def test_every_file_of_tests_is_of_a_module_or_says_what_it_is_of() -> None:
    unnamed = {
        str(path)
        for path in files_of_tests()
        if not (ROOT / "jacstrat" / path.with_name(path.name[len("test_") :])).exists()
    }
    assert unnamed == set(ACROSS)


@pytest.mark.parametrize("module", ELSEWHERE)
def test_where_the_tests_of_a_module_are_said_to_be_there_is_a_file_of_tests(module: str) -> None:
    place, _, reason = ELSEWHERE[module].partition(": ")
    assert Path(place).match("test_*.py")
    assert (ROOT / place).is_file()
    assert reason


def test_a_room_that_is_not_held_yet_is_there() -> None:
    assert all((ROOT / "jacstrat" / room).is_dir() for room in NOT_YET)
