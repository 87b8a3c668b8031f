"""The two commands that compare, of which one was an option of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from typer.core import TyperCommand

from jacstrat.core.errors import UsageError

COMPARE, COMPARE_REV = "compare", "compare-rev"
WHAT_IS_COMPARED: Mapping[str, str] = MappingProxyType(
    {COMPARE: "compares sets of records as they are", COMPARE_REV: "measures revisions"}
)
REV = "--rev"


def current(words: Sequence[str]) -> list[str]:
    """The words of a command line, `compare --rev` among them as `compare-rev`.

    It is the spelling that every version takes, so that a workflow can have it for old revisions, too. It is changed
    before anything is parsed, since a command has one set of options.
    """
    command, rest = words[:1], list(words[1:])
    options = rest[: rest.index("--")] if "--" in rest else rest
    if command != [COMPARE] or REV not in options:
        return [*words]
    return [COMPARE_REV, *(word for word in options if word != REV), *rest[len(options) :]]


class ComparingCommand(TyperCommand):
    """A command that compares: an option that only the other one has is refused with the name of that."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Typer brings its own click or takes that of the environment, by its version; the attribute is the same.
            option = getattr(error, "option_name", None)
            for name, what in WHAT_IS_COMPARED.items():
                if name != self.name and option in options_of(ctx.parent.command.commands[name]) - options_of(self):
                    raise UsageError(
                        f"{option} is for `jacstrat {name}`, which {what}; `jacstrat {self.name}` "
                        f"{WHAT_IS_COMPARED[str(self.name)]}"
                    ) from None
            raise


def options_of(command: Any) -> set[str]:
    """Every spelling of a command's options."""
    return {spelling for parameter in command.params for spelling in parameter.opts}
