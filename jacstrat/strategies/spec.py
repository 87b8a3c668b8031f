"""Spec strings: `name`, `name:key=value,key=value`, and `name(SPEC)` for a strategy that works by another one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from jacstrat.core.errors import UsageError, lookup
from jacstrat.strategies.absent import PEERS, absent
from jacstrat.strategies.base import Strategy, form, inner_name

_FORM = re.compile(r"(?P<name>[^():]*)(?:\((?P<inner>.*)\)\s*)?(?::(?P<text>[^()]*))?", re.DOTALL)
"""A name, perhaps a spec in parentheses, which may have some itself, perhaps parameters."""


def parse(spec: str, strategies: Mapping[str, type[Strategy]], aliases: Mapping[str, Strategy]) -> Strategy:
    """The strategy that a spec names; an alias gives its strategy, with the spec's parameters put over its own.

    A peer whose package is not installed is an `Absent` one.
    """
    match = _FORM.fullmatch(spec)
    if match is None:
        raise UsageError(f"{spec!r}: the parentheses do not match; a spec is name:key=value or name(SPEC)")
    name, inner, text = match["name"].strip(), match["inner"], match["text"]
    kinds = {**strategies, **{alias: type(value) for alias, value in aliases.items()}}
    if name in PEERS and name not in kinds:
        return absent(spec.strip(), name)
    kind = lookup("strategy", name, kinds)
    within = inner_name(kind)
    known = {p.name: p for p in fields(kind) if p.name != within}
    parameters = {key: getattr(aliases[name], key) for key in known} if name in aliases else {}
    if inner is not None:
        if within is None:
            takers = " and ".join(form(one) for one in strategies.values() if inner_name(one))
            raise UsageError(f"{spec!r}: {name} takes no strategy in parentheses; that is for {takers}")
        parameters[within] = parse(inner, strategies, aliases)
    keys: set[str] = set()
    for item in text.split(",") if text is not None else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (key and equals and value):
            raise UsageError(f"{spec!r}: expected key=value after the colon, got {item!r}")
        lookup(f"parameter of {name}", key, known)
        if key in keys:
            raise UsageError(f"{spec!r}: {key} is given twice")
        keys.add(key)
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
