"""Random compositions of torch's operations under every strategy: prints what is wrong, and a summary.

    python -m tests.compositions.run --count 20000 --start 0 --processes 2
    python -m tests.compositions.run --start 4711 --count 1 --strategies auto,taylor --text

Exit code 1 with any fault, or where too many programs have no truth. A program is made from its seed alone, so that a
seed that is printed is a program again.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter, defaultdict

from tests.compositions.children import Judged, judged
from tests.compositions.programs import program
from tests.compositions.verdict import FIELD, SCALAR, Fault

# The share of programs that may be without a truth, and of how many programs it is one.
SKIPPED, ENOUGH = 0.05, 100


class Summary:
    """What came of many programs.

    Attributes:
        faults: All of them, with their seeds.
    """

    def __init__(self) -> None:
        self.faults: list[tuple[int, Fault]] = []
        self._programs = self._right = 0
        self._skipped: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._gradients: Counter[str] = Counter()
        self._truth_s = self._total_s = 0.0

    def add(self, one: Judged) -> None:
        verdict = one.verdict
        self.faults += [(one.seed, fault) for fault in verdict.faults]
        self._programs += 1
        self._right += verdict.right
        self._refused += verdict.refused
        self._skipped[verdict.skipped] += bool(verdict.skipped)
        self._gradients[verdict.gradient] += 1
        self._truth_s += verdict.truth_s
        self._total_s += verdict.total_s

    @property
    def skipped_share(self) -> float:
        """The share of programs that there was no truth for."""
        return self._skipped.total() / max(self._programs, 1)

    @property
    def crashes(self) -> list[tuple[int, Fault]]:
        return [(seed, fault) for seed, fault in self.faults if fault.kind == "crashes"]

    def kinds(self) -> list[str]:
        """A line for each kind of fault, the commonest first."""
        kinds: defaultdict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
        for seed, fault in self.faults:
            words = re.sub(r"[\d.e+-]*\d|\[.*?\]", "#", fault.detail)[:70] if fault.kind != "wrong" else ""
            kinds[fault.what, fault.kind, words].append((seed, fault.strategy))
        lines = []
        for (what, kind, words), hits in sorted(kinds.items(), key=lambda item: -len(item[1])):
            strategies = ", ".join(f"{name} {count}" for name, count in Counter(name for _, name in hits).most_common())
            seeds = " ".join(str(seed) for seed in list(dict.fromkeys(seed for seed, _ in hits))[:8])
            lines.append(f"{len(hits):5d} {what} {kind} {words}\n        by {strategies}\n        seeds {seeds}")
        return lines

    def lines(self) -> list[str]:
        """What there is to say in the end."""
        refused = ", ".join(f"{name} {count}" for name, count in self._refused.most_common())
        skipped = ", ".join(f"{why} {count}" for why, count in self._skipped.most_common() if why)
        gradients = ", ".join(f"{why} {count}" for why, count in self._gradients.most_common() if why)
        each = max(self._programs, 1)
        return [
            f"gradients: {gradients or 'none'}",
            f"refusals: {refused or 'none'}",
            f"seconds a program: {self._total_s / each:.3f}, of them for the truth {self._truth_s / each:.3f}",
            f"{self._programs} programs ({self._skipped.total()} skipped{': ' * bool(skipped)}{skipped}), "
            f"{len({*FIELD, *SCALAR})} strategies, {self._right} right answers, {self._refused.total()} refusals, "
            f"{len(self.faults) - len(self.crashes)} disagreements, {len(self.crashes)} crashes, in "
            f"{len({seed for seed, _ in self.faults})} programs",
        ]


def shown(one: Judged) -> str:
    """A program with its faults."""
    faults = [f"  {fault.strategy}: {fault.what} {fault.kind}: {fault.detail}" for fault in one.verdict.faults]
    return "\n".join([one.text or f"# seed {one.seed}", *faults])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="how many programs")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2, help="children beside each other")
    parser.add_argument("--strategies", default="", help="only these, with commas between them")
    parser.add_argument("--turns", type=int, default=1, help="of so many programs most strategies look at one")
    parser.add_argument("--text", action="store_true", help="print each program before it is judged")
    arguments = parser.parse_args()
    seeds = range(arguments.start, arguments.start + arguments.count)
    summary, begin, told = Summary(), time.monotonic(), time.monotonic()
    if arguments.text:
        print("\n\n".join(program(seed).text for seed in seeds), flush=True)
    only = tuple(filter(None, arguments.strategies.split(",")))
    for one in judged(seeds, arguments.processes, only, turns=arguments.turns):
        summary.add(one)
        if one.verdict.faults:
            print(f"{shown(one)}\n", flush=True)
        if sys.stderr.isatty() and time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"seed {one.seed}, {told - begin:.0f} s, {len(summary.faults)} faults", file=sys.stderr, flush=True)
    print("\n".join([*summary.kinds(), *summary.lines()]))
    too_many = arguments.count >= ENOUGH and summary.skipped_share > SKIPPED
    if too_many:
        print(f"{summary.skipped_share:.1%} of the programs were skipped: the compositions show too little")
    return bool(summary.faults) or too_many


if __name__ == "__main__":
    sys.exit(main())
