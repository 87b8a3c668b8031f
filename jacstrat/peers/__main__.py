"""Make the environments of peers: `python -m jacstrat.peers NAME... [--python PATH]`."""

from __future__ import annotations

import argparse
import sys

from jacstrat.core.errors import UsageError, lookup
from jacstrat.peers.place import Place
from jacstrat.peers.strategy import Peer
from jacstrat.strategies import STRATEGIES


def places() -> dict[str, Place]:
    """Those of the peers whose packages are installed, by name."""
    return {name: kind.place for name, kind in STRATEGIES.items() if issubclass(kind, Peer)}


def main(arguments: list[str] | None = None) -> None:
    """Make them; exit code 2 with one line where one cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m jacstrat.peers", description="Make the environments of peers.")
    parser.add_argument("name", nargs="+", metavar="NAME", help="of a strategy that a peer's package registers")
    parser.add_argument("--python", metavar="PATH", help="the interpreter to make them of [this one, or pythonX.Y]")
    options = parser.parse_args(arguments)
    try:
        for peer_place in [lookup("peer", name, places()) for name in options.name]:
            print(f"{peer_place.name}: {peer_place.make(options.python)}")
    except UsageError as error:
        print(f"jacstrat.peers: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
