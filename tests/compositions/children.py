"""Children that judge programs, so that one that dies takes nothing with it but its strategy on its program."""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from jacstrat.core.torch_parts import PARTS
from tests.compositions.programs import Program, program
from tests.compositions.verdict import Fault, Verdict, judge, settle, strategies_of

# A child takes so many programs and is over, so that no memory grows without end.
CHUNK = 100
# Strategies that look at every program, where the others take turns: the default, and those that claim the most.
ALWAYS = ("auto", "chain", "taylor")
# What says nothing for so long hangs, seconds.
PATIENCE_S = 180.0


class At(NamedTuple):
    """What a child is about to do: a strategy on the program of a seed; "" where it makes the program and its truth."""

    seed: int
    strategy: str = ""


class Judged(NamedTuple):
    """A verdict as it comes from a child.

    Fields:
        seed, operator, operations: As in the program; no operations where it could not be made.
        text: The program as source, where there is a fault; else "".
        verdict: What came of it.
    """

    seed: int
    operator: str
    operations: tuple[str, ...]
    text: str
    verdict: Verdict


def judged(
    seeds: Iterable[int], processes: int, only: tuple[str, ...] = (), method: str = "forkserver", turns: int = 1
) -> Iterator[Judged]:
    """The verdicts on the programs of these seeds, as they come in.

    Args:
        seeds: Of programs.
        processes: How many children work beside each other.
        only: The strategies to look at; all where there is none.
        method: How multiprocessing starts children.
        turns: Programs in a row that a strategy looks at one of; all that are not in ALWAYS take turns by the seed.
    """
    left = list(seeds)
    children: list[_Child] = []
    try:
        while left or children:
            while left and len(children) < processes:
                chunk, left = left[:CHUNK], left[CHUNK:]
                children.append(_Child(chunk, only, method, turns))
            ready = wait([child.connection for child in children], timeout=1.0)
            for child in children:
                if child.connection in ready:
                    yield from child.hear()
                elif time.monotonic() - child.heard_s > PATIENCE_S:
                    yield from child.bury(f"hangs: nothing for {PATIENCE_S:.0f} s")
            children = [child for child in children if not child.done]
    finally:
        for child in children:
            child.stop()


class _Child:
    """A process, started again behind whatever ended it.

    Attributes:
        connection: Where its messages come from.
        heard_s: When the last one came.
        done: There is nothing left to judge.
    """

    def __init__(self, seeds: list[int], only: tuple[str, ...], method: str, turns: int) -> None:
        self.done = False
        self._left, self._only, self._method, self._turns = seeds, only, method, turns
        self._at = At(seeds[0])
        self._deaths: dict[int, list[Fault]] = {}
        self._start()

    def hear(self) -> Iterator[Judged]:
        """Take a message, or its end."""
        self.heard_s = time.monotonic()
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            yield from self.bury(self._last_words())
            return
        if isinstance(message, At):
            self._at = message
            return
        message.verdict.faults.extend(self._deaths.pop(message.seed, []))
        self._left.remove(message.seed)
        if self._left:
            self._at = At(self._left[0])
        else:
            self.done = True
            self.stop()
        yield message

    def bury(self, why: str) -> Iterator[Judged]:
        """Note what it died of, and go on without the strategy that did it."""
        self.stop()
        seed, strategy = self._at
        death = Fault(strategy, "process", "crashes", why)
        if strategy:
            self._deaths.setdefault(seed, []).append(death)
        else:
            self._left.remove(seed)
            yield Judged(seed, "", (), "", Verdict(faults=[death]))
        if self._left:
            self._start()
        else:
            self.done = True

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()
        self._log.unlink(missing_ok=True)

    def _start(self) -> None:
        # A server that has torch in it and forks: a child is there at once.
        context = multiprocessing.get_context(self._method)
        if self._method == "forkserver":
            context.set_forkserver_preload([__name__, *PARTS])
        descriptor, log = tempfile.mkstemp(prefix="compositions")
        os.close(descriptor)
        self._log = Path(log)
        self.connection, far = context.Pipe(duplex=False)
        without = {seed: [death.strategy for death in deaths] for seed, deaths in self._deaths.items()}
        self._process = context.Process(
            target=_judge_all, args=(far, self._left, self._only, self._turns, without, log), daemon=True
        )
        self._process.start()
        far.close()
        self.heard_s = time.monotonic()

    def _last_words(self) -> str:
        """How the process ended, and where in Python it was."""
        lines = self._log.read_text(errors="replace").splitlines()
        frames = [line.strip() for line in lines if line.strip().startswith("File ")]
        where = next((frame for frame in frames if "jacstrat" in frame), frames[0] if frames else "")
        head = next((line for line in lines if "rror" in line), "")
        return f"exit code {self._process.exitcode}: {head} {where}".strip()


def _judge_all(
    connection: Connection,
    seeds: list[int],
    only: tuple[str, ...],
    turns: int,
    without: dict[int, list[str]],
    log: str,
) -> None:
    """In a child: send At before each piece of work, and Judged after each program."""
    errors = os.open(log, os.O_WRONLY)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    faulthandler.enable()
    warnings.filterwarnings("ignore")
    logging.disable(logging.ERROR)
    settle()
    for seed in list(seeds):
        connection.send(At(seed))
        one = program(seed)
        strategies = strategies_in_turn(one, seed, turns, only, without.get(seed, []))
        verdict = judge(one, strategies, lambda strategy, seed=seed: connection.send(At(seed, strategy)))
        text = one.text if verdict.faults or seed in without else ""
        connection.send(Judged(seed, one.operator, one.operations, text, verdict))


def strategies_in_turn(
    one: Program, seed: int, turns: int, only: Sequence[str] = (), without: Sequence[str] = ()
) -> tuple[str, ...]:
    """The strategies that look at the program of a seed."""
    all_of_them = strategies_of(one)
    others = [strategy for strategy in all_of_them if strategy not in ALWAYS]
    in_turn = {*ALWAYS, *others[seed % turns :: turns]}
    return tuple(
        strategy
        for strategy in all_of_them
        if strategy in in_turn and strategy not in without and (not only or strategy in only)
    )
