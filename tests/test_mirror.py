"""Tests mirror the package: jacstrat/ROOM/MODULE.py is tested in tests/ROOM/test_MODULE.py, or it says here where.

Both tables are exceptions. What is in neither has its namesake, and what needs no exception must not be in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A reason begins with the file that has the tests.
RULES_OF_PATTERNS = "tests/structure/test_rules.py: rules of the one table, each on its operations"
RULES_OF_TAYLOR = "tests/taylor/test_table.py: rules of the one table, each against the one for any operation"
RULES_OF_SERIES = "tests/series/test_table.py: rules of the one table, each against nested reverse mode"
PARTS_OF_CHAINS = "tests/chain/test_field.py: parts of one reading, which mean nothing by themselves"
TEXT_OF_KERNELS = "tests/fused/test_narrow.py: text that means something where a kernel is executed"
TEXT_OF_GRADIENTS = "tests/fused/gradient/test_kernels.py: text that means something where a kernel is executed"
TEXT_OF_LAYERS = "tests/fused/test_wide.py: text that means something where a kernel is executed"
REAL_PROCESSES = "tests/revisions/test_compare.py: ends of real processes, which take seconds to start together"
COMMANDS = "tests/test_cli.py: commands as a user meets them, from their words to what they print"
CORRIDOR = "tests/harness/cell/test_measuring.py: a part of one cell's way, which is measured there"
CHOICE_CACHE = "tests/strategies/auto/test_strategy.py: steps of one choice, told by what is chosen"
OWN_FUNCTIONS = "tests/problems/test_own.py: what a user's function is asked, told by the message of each refusal"
# Module: why it has no file of tests under its name.
ELSEWHERE = {
    "chain/factors.py": PARTS_OF_CHAINS,
    "chain/plan.py": PARTS_OF_CHAINS,
    "chain/reading.py": PARTS_OF_CHAINS,
    "cli/advise.py": COMMANDS,
    "cli/history.py": COMMANDS,
    "cli/listing.py": COMMANDS,
    "cli/lists.py": COMMANDS,
    "cli/merge.py": "tests/harness/test_merge.py: the command as it stands, and what it merges",
    "cli/options.py": COMMANDS,
    "cli/plan.py": COMMANDS,
    "cli/progress.py": COMMANDS,
    "cli/report.py": COMMANDS,
    "cli/signals.py": "tests/cli/test_app.py: how every command ends by a signal",
    "cli/terminal.py": COMMANDS,
    "cli/verdicts.py": "tests/cli/test_compare.py: what both commands that compare print",
    "compare/wording.py": "tests/compare/test_tables.py: the words of a table, in it",
    "core/status.py": "tests/test_documented.py: a table of names, held against its page",
    "fused/directions.py": TEXT_OF_KERNELS,
    "fused/forms.py": "tests/fused/test_reading.py: what a tape is read into, told by the network that comes of it",
    "fused/function.py": TEXT_OF_KERNELS,
    "fused/gradient/bars.py": TEXT_OF_GRADIENTS,
    "fused/gradient/directions.py": TEXT_OF_GRADIENTS,
    "fused/gradient/launch.py": TEXT_OF_GRADIENTS,
    "fused/gradient/passes.py": TEXT_OF_GRADIENTS,
    "fused/gradient/sinks.py": TEXT_OF_GRADIENTS,
    "fused/gradient/source.py": TEXT_OF_GRADIENTS,
    "fused/layer.py": TEXT_OF_LAYERS,
    "fused/operands.py": "tests/fused/test_evaluate.py: what a network is given at a call",
    "fused/passes.py": TEXT_OF_KERNELS,
    "fused/prelude.py": TEXT_OF_KERNELS,
    "fused/source.py": TEXT_OF_KERNELS,
    "fused/writer.py": TEXT_OF_KERNELS,
    "harness/cell/cell_context.py": CORRIDOR,
    "harness/cell/outcomes.py": CORRIDOR,
    "harness/cell/prepared_case.py": "tests/harness/cell/test_verdicts.py: what is said of a first result",
    "harness/cell/setup.py": CORRIDOR,
    "harness/cell/traces.py": "tests/harness/cell/test_caches.py: one name of a file",
    "harness/directory.py": "tests/harness/test_run.py: the directory of a run, by runs on it",
    "harness/dispatch/child.py": "tests/harness/dispatch/test_isolation.py: the other end of a process",
    "harness/dispatch/job.py": "tests/harness/dispatch/test_worker.py: what a worker is given and gives back",
    "harness/dispatch/lines.py": "tests/harness/dispatch/test_scheduler.py: the queues that a scheduler takes from",
    "harness/dispatch/servers.py": "tests/harness/dispatch/test_server.py: the servers of a run, one of which it tests",
    "harness/plan/cases.py": "tests/harness/plan/test_sweep.py: the cells that a sweep is",
    "harness/plan/costs.py": "tests/harness/plan/test_planning.py: seconds of a plan, in it",
    "harness/plan/devices.py": "tests/harness/plan/test_sweep.py: the devices of a sweep",
    "measure/clocks.py": "tests/measure/test_host_clock.py: an interface, held by each clock",
    "measure/ranges.py": "tests/measure/test_activity.py: marks that a profiler sees",
    "peers/serve.py": "tests/peers/test_process.py: the other end of a process",
    "problems/arguments.py": OWN_FUNCTIONS,
    "problems/bodies.py": "tests/problems/test_scalars.py: points of the problems of particles",
    "problems/checked.py": OWN_FUNCTIONS,
    "problems/error_hints.py": OWN_FUNCTIONS,
    "problems/flows.py": "tests/problems/test_problems.py: rows of the library, each tried as every one is",
    "problems/reference.py": "tests/problems/test_base.py: the answer of an instance",
    "problems/wavefunctions.py": "tests/problems/test_problems.py: rows of the library, each tried as every one is",
    "report/page/panels.py": "tests/report/page/test_write.py: sections of the page, read in it",
    "revisions/parent.py": REAL_PROCESSES,
    "revisions/processes.py": REAL_PROCESSES,
    "revisions/side.py": REAL_PROCESSES,
    "revisions/survey.py": REAL_PROCESSES,
    "series/matrices.py": RULES_OF_SERIES,
    "series/pointwise.py": RULES_OF_SERIES,
    "series/products.py": RULES_OF_SERIES,
    "series/rule.py": RULES_OF_SERIES,
    "strategies/auto/candidates.py": CHOICE_CACHE,
    "strategies/auto/choosing.py": CHOICE_CACHE,
    "strategies/auto/counted.py": CHOICE_CACHE,
    "strategies/auto/offers.py": "tests/strategies/auto/test_offered.py: what every strategy offers",
    "strategies/look.py": "tests/strategies/test_witness.py: what of a claim is looked at",
    "strategies/parts.py": "tests/strategies/test_opened.py: what a function is opened into",
    "strategies/pattern.py": "tests/strategies/test_glance.py: what tells one function from another at a glance",
    "strategies/weights/constant.py": "tests/strategies/weights/test_weighing.py: stages that a weight is made into",
    "strategies/weights/rows.py": "tests/strategies/weights/test_weighing.py: stages that a weight is made into",
    "strategies/weights/sparse.py": "tests/strategies/weights/test_weighing.py: stages that a weight is made into",
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
    "harness/cell/test_caches.py": "cold and warm caches, through a whole cell",
    "harness/cell/test_compiled.py": "compiled strategies, through a whole cell",
    "harness/cell/test_operators.py": "every operator, through a whole cell",
    "harness/plan/test_oversized.py": "what cannot fit into memory, through a whole run",
    "harness/plan/test_tiles.py": "tiles of the device that is planned for, through a prediction",
    "harness/plan/test_meta.py": "predictions without numbers, of all that is shipped",
    "harness/test_shown.py": "what `benchmark` gives, in a terminal, in a notebook and as a plot",
    "measure/test_zeros.py": "zeros.py, under the modes that measure",
    "problems/test_mutants.py": "wrong answers, every one of which is found",
    "problems/test_pages.py": "the pages of the library",
    "problems/test_precision.py": "answers in every dtype",
    "problems/test_problems.py": "every problem of the library",
    "report/page/test_browser.py": "the whole page in a browser",
    "strategies/auto/test_cached.py": "choices that are kept, in the process and on disk",
    "strategies/auto/test_compile.py": "programs of a compiler in the trial",
    "strategies/auto/test_first_call.py": "how often f is followed in a whole choice",
    "strategies/auto/test_fused.py": "kernels of a device in the trial",
    "strategies/auto/test_graphed.py": "graphs of a device in the trial",
    "strategies/auto/test_offered.py": "the page of what auto chooses among",
    "strategies/auto/test_recorded.py": "chains and Taylor mode as choices",
    "strategies/test_captured.py": "which records can be captured: chain and taylor on a device that records",
    "strategies/test_served.py": "the page of operators",
    "strategies/test_stochastic.py": "all that draw probes, on average",
    "strategies/test_strategies.py": "every strategy on every problem",
    "taylor/test_functions.py": "functions as people write them: all of the room",
    "test_api.py": "the reference of the API",
    "test_architecture.py": "the map for newcomers",
    "test_cli.py": "the command line as a user meets it",
    "test_conftest.py": "which tests a command runs",
    "test_docs.py": "blocks and tables of README and docs",
    "test_documented.py": "nothing is undocumented",
    "test_mirror.py": "this",
    "test_pages.py": "the tests of the docs themselves",
    "test_workflows.py": "workflows and the action",
}


def modules() -> Iterator[Path]:
    for file in sorted((ROOT / "jacstrat").rglob("*.py")):
        if not file.name.startswith("__"):
            yield file.relative_to(ROOT / "jacstrat")


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
