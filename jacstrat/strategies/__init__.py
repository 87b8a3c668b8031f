"""Ways to contract a Jacobian. One table feeds the command line, the tests, the bench suites and the docs."""

from collections.abc import Mapping
from types import MappingProxyType

from jacstrat.core.errors import UsageError
from jacstrat.core.operator import OPERATORS, Operator
from jacstrat.plugins import Registry
from jacstrat.strategies.auto.strategy import Auto
from jacstrat.strategies.base import Strategy
from jacstrat.strategies.chain import Chain
from jacstrat.strategies.coloring import Coloring
from jacstrat.strategies.compiled import Compiled
from jacstrat.strategies.contraction import Contraction, Estimate, Together
from jacstrat.strategies.dense import Hessian, Jacfwd, Jacrev
from jacstrat.strategies.fused import Fused
from jacstrat.strategies.graphed import Graphed
from jacstrat.strategies.hutchinson import Hutchinson
from jacstrat.strategies.hutchpp import HutchPlusPlus
from jacstrat.strategies.prepared import Prepared
from jacstrat.strategies.probing import ForwardOverForward, Identity, Jvp, Ones, Vmap
from jacstrat.strategies.spec import parse
from jacstrat.strategies.taylor import Taylor
from jacstrat.strategies.xnystrace import XNysTrace
from jacstrat.strategies.xtrace import XTrace

__all__ = [
    "ALIASES",
    "OPERATORS",
    "STRATEGIES",
    "Contraction",
    "Estimate",
    "Operator",
    "Prepared",
    "Strategy",
    "Together",
    "default_strategies",
    "parse_strategy",
]

# Other names of the same values: how the field calls the nestings of a Laplacian.
ALIASES: Mapping[str, Strategy] = MappingProxyType(
    {"reverse_over_reverse": Vmap(), "forward_over_reverse": Jvp(chunk_size="all")}
)


def parse_strategy(spec: str | Strategy) -> Strategy:
    """The strategy that a spec such as "vmap:chunk_size=64" names; a strategy is returned as it is.

    Raises:
        UsageError: An unknown name or parameter, with the nearest ones, or a value out of range.
    """
    if isinstance(spec, Strategy):
        return spec
    if not isinstance(spec, str):
        raise UsageError(f"strategy must be a spec such as 'taylor', or a Strategy, got {spec!r}")
    if (strategy := _PARSED.get(spec)) is None:
        strategy = _PARSED[spec] = parse(spec, STRATEGIES, ALIASES)
    return strategy


# Specs that were read before: direct calls have one each.
_PARSED: dict[str, Strategy] = {}


def default_strategies() -> tuple[str, ...]:
    """Names of the strategies that are measured where nobody names any: all but those that wait for a compiler, or that
    need a device with graphs."""
    return tuple(name for name, kind in STRATEGIES.items() if not (kind.compiles or kind.captures))


def _accepted(name: str, entry: object) -> type[Strategy]:
    """The entry of the table that a package registers."""
    if not isinstance(entry, type) or not issubclass(entry, Strategy):
        raise UsageError("it is no subclass of jacstrat.Strategy")
    for word in ("name", "cost", "exact_when"):
        if not isinstance(getattr(entry, word, None), str):
            raise UsageError(f"its class has no {word}")
    if entry.name != name:
        raise UsageError(f"the strategy calls itself {entry.name!r}; it must be registered under that name")
    # Every parameter has a default, and nothing abstract is left.
    entry()
    return entry


STRATEGIES: Mapping[str, type[Strategy]] = Registry(
    {
        kind.name: kind
        for kind in (
            *(Auto, Identity, Ones, Vmap, Jvp, ForwardOverForward, Coloring, Jacrev, Jacfwd, Hessian, Taylor, Chain),
            *(Fused, Compiled, Graphed, Hutchinson, HutchPlusPlus, XTrace, XNysTrace),
        )
    },
    "jacstrat.strategies",
    _accepted,
    ALIASES,
)
"""The classes of strategies by name, those of installed packages among them: a read-only mapping."""
