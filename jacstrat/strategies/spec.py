"""Spec strings: `name`, `name:key=value,key=value`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from jacstrat.errors import UsageError, lookup
from jacstrat.strategies.base import Strategy


def parse(spec: str, strategies: Mapping[str, type[Strategy]], aliases: Mapping[str, Strategy]) -> Strategy:
    """The strategy that a spec names; an alias gives its strategy, with the spec's parameters put over its own."""
    name, colon, text = (part.strip() for part in spec.partition(":"))
    kinds = {**strategies, **{alias: type(value) for alias, value in aliases.items()}}
    kind = lookup("strategy", name, kinds)
    parameters = {p.name: getattr(aliases[name], p.name) for p in fields(kind)} if name in aliases else {}
    given: set[str] = set()
    for item in text.split(",") if colon else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (key and equals and value):
            raise UsageError(f"{spec!r}: expected key=value after the colon, got {item!r}")
        lookup(f"parameter of {name}", key, {p.name: p for p in fields(kind)})
        if key in given:
            raise UsageError(f"{spec!r}: {key} is given twice")
        given.add(key)
        parameters[key] = _value(value)
    return kind(**parameters)


def _value(text: str) -> Any:
    """A number or a truth value where the text is one, else the text."""
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
