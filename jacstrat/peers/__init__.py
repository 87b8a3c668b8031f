"""Other libraries as strategies: a peer lives in a process of its own and takes turns with the rest of its cell."""

from jacstrat.peers.place import Place
from jacstrat.peers.strategy import Peer

__all__ = ["Peer", "Place"]
