"""Make the environments of peers: `python -m jacstrat.peers NAME... [--python PATH]`."""

from __future__ import annotations

import argparse
import sys

from jacstrat.core.errors import UsageError, lookup
from jacstrat.peers.place import Place
from jacstrat.peers.strategy import Peer
from jacstrat.strategies import STRATEGIES
from jacstrat.strategies.absent import PEERS, absent


def places() -> dict[str, Place]:
    """Those of the peers whose packages are installed, by name."""
    return {name: kind.place for name, kind in STRATEGIES.items() if issubclass(kind, Peer)}


def place_of(name: str) -> Place:
    """That of a peer.

    Raises:
        UsageError: There is none of that name, or its package is not installed, or it needs none.
    """
    known = places()
    if name in PEERS and name not in known:
        if name in STRATEGIES:
            raise UsageError(f"{name} has no environment of its own; it is installed, and works in this process")
        raise UsageError(str(absent(name, name).missing))
    return lookup("peer", name, known)


def main(arguments: list[str] | None = None) -> None:
    """Make them; exit code 2 with one line where one cannot be made."""
    parser = argparse.ArgumentParser(
        prog="python -m jacstrat.peers",
        description="Make the environments of peers: other libraries that are strategies in a process of their own.",
        epilog=f"Installed: {', '.join(places()) or 'none'}. See docs/peers.md.",
    )
    parser.add_argument("name", nargs="+", metavar="NAME", help="of a strategy that a peer's package registers")
    parser.add_argument("--python", metavar="PATH", help="the interpreter to make them of [this one, or pythonX.Y]")
    options = parser.parse_args(arguments)
    try:
        for peer_place in [place_of(name) for name in options.name]:
            print(f"{peer_place.name}: {peer_place.make(options.python)}")
    except UsageError as error:
        print(f"jacstrat.peers: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
