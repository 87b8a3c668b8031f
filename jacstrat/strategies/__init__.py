"""Ways to contract a Jacobian. One table feeds the command line, the tests, the bench suites and the docs."""

from collections.abc import Mapping
from types import MappingProxyType

from jacstrat.strategies.base import OPERATORS, Contraction, Estimate, Operator, Prepared, Strategy
from jacstrat.strategies.dense import Hessian, Jacfwd, Jacrev
from jacstrat.strategies.probing import ForwardOverForward, Identity, Jvp, Ones, Vmap
from jacstrat.strategies.spec import parse
from jacstrat.strategies.taylor import Taylor

__all__ = [
    "ALIASES",
    "OPERATORS",
    "STRATEGIES",
    "Contraction",
    "Estimate",
    "Operator",
    "Prepared",
    "Strategy",
    "parse_strategy",
]

STRATEGIES: Mapping[str, type[Strategy]] = MappingProxyType(
    {kind.name: kind for kind in (Identity, Ones, Vmap, Jvp, ForwardOverForward, Jacrev, Jacfwd, Hessian, Taylor)}
)

# Other names of the same values: how the field calls the nestings of a Laplacian.
ALIASES: Mapping[str, Strategy] = MappingProxyType(
    {"reverse_over_reverse": Vmap(), "forward_over_reverse": Jvp(chunk_size="all")}
)


def parse_strategy(spec: str | Strategy) -> Strategy:
    """The strategy that a spec such as "vmap:chunk_size=64" names; a strategy is returned as it is.

    Raises:
        UsageError: An unknown name or parameter, with the nearest ones, or a value out of range.
    """
    return spec if isinstance(spec, Strategy) else parse(spec, STRATEGIES, ALIASES)
