"""The program: its application, which each command's file adds itself to, its exit codes, and how it ends early."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from jacstrat.cli.signals import interruptible
from jacstrat.cli.spelling import current
from jacstrat.core.errors import JacstratError
from jacstrat.core.text import printable

EXIT_REGRESSION, EXIT_USAGE, EXIT_NOTHING_MEASURED, EXIT_BECAME_WRONG, EXIT_INTERRUPTED = 1, 2, 3, 4, 130
EXIT_CLOSED_PIPE = 141
"""128 and the number of SIGPIPE, as a shell gives it for programs that the signal ends."""
REMEDIES: Mapping[int, str] = MappingProxyType(
    {
        errno.ENOSPC: "make room, or name another place",
        errno.EDQUOT: "make room, or name another place",
        errno.EFBIG: "raise the limit with ulimit -f, or name another place",
        errno.EMFILE: "raise the limit with ulimit -n",
        errno.ENFILE: "end other programs",
        errno.ENOMEM: "make memory free",
        errno.ENAMETOOLONG: "name a shorter one",
        errno.EIO: "the disk or the terminal is gone",
    }
)


ELSE = "name another place, or change its rights"


class CommandLine(TyperGroup):
    """The commands; where the system refuses one what it needs, it ends with a line and exit code 2.

    Within click, which would give a closed pipe and Ctrl-C exit code 1, that of a regression.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, current(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                with interruptible():
                    return super().invoke(ctx)
            finally:
                # What is buffered fails here, and not as Python ends.
                sys.stdout.flush()
        except BrokenPipeError:
            code = EXIT_CLOSED_PIPE
        except OSError as error:
            complain(_refusal(error))
            code = EXIT_USAGE
        except MemoryError:
            complain("memory ran out; make some free, or ask for less")
            code = EXIT_USAGE
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        except Exception as error:
            if (line := _wrong_use(error)) is None:
                raise
            complain(line)
            code = EXIT_USAGE
        for stream in (sys.stdout, sys.stderr):
            _give_up(stream)
        raise typer.Exit(code)


app = typer.Typer(
    name="jacstrat",
    cls=CommandLine,
    help="Measure every way to contract the Jacobian of a PyTorch function.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The program `jacstrat`: a wrong use is one line and exit code 2."""
    for name in ("stdout", "stderr"):
        open_stream(name)
    try:
        app()
    except JacstratError as error:
        complain(str(error))
        sys.exit(EXIT_USAGE)


def complain(text: str) -> None:
    """A line on standard error, where there is one."""
    with suppress(OSError):
        print(f"jacstrat: {printable(text)}", file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """A line on standard output, whatever is in the names that it has."""
    print(printable(text))


def _wrong_use(error: Exception) -> str | None:
    """What a parser of options refuses, in one line; None of any other error.

    Typer brings its own click or takes that of the environment, by its version: its errors are known by what they have.
    """
    if not hasattr(error, "format_message"):
        return None
    message = " ".join(error.format_message().split()).rstrip(".")
    command = getattr(getattr(error, "ctx", None), "command", None)
    name = " ".join(filter(None, ("jacstrat", command.name if isinstance(command, TyperCommand) else "")))
    return f"{message[:1].lower()}{message[1:]}; see `{name} --help`"


def _refusal(error: OSError) -> str:
    """What the system said, of which file, and what to do."""
    file = f"{error.filename}: " if error.filename is not None else ""
    # Torch's own, whose import says so of whatever it has no memory for.
    short = error.errno is None and memory_is_limited()
    remedy = "raise the limit of memory with ulimit -v" if short else REMEDIES.get(error.errno or 0, ELSE)
    return f"{file}{error.strerror or error}; {remedy}"


def memory_is_limited() -> bool:
    """Whether this process has less address space than the machine would give it."""
    try:
        import resource
    except ImportError:
        # As on Windows, which has no such limit.
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def open_stream(name: str) -> None:
    """Have a standard stream take every text: one that is closed drops it, one of few signs writes their codes."""
    stream = getattr(sys, name)
    if stream is None:
        setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    elif isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _give_up(stream: Any) -> None:
    """Let go of what a stream still holds and cannot write, which Python would try again at its end."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
