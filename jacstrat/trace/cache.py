"""The tapes of one function, by shape, dtype and device of x, made when they are first asked for.

What is made of a tape is shared with later calls for the same function, as far as it is known to be the same: see
`fingerprint`. Nothing is kept alive by that: constants are held weakly.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from torch import Tensor

from jacstrat.trace.arguments import Args, kinds, lifted
from jacstrat.trace.fingerprint import Fingerprint, fingerprint, switches
from jacstrat.trace.record import Untraceable, record
from jacstrat.trace.tape import Tape, leaves
from jacstrat.trace.tracers import is_transformed

# Shapes whose tapes are kept; tapes are small, but shapes may be without end.
MOST_ENTRIES = 32
# Tapes that serve later calls.
MOST = 128

T = TypeVar("T")


class Tapes(Generic[T]):
    """What is made of the tape of a function at each shape of its points.

    Args:
        f: Row-wise function.
        build: From a tape, points like those that it is for, and further arguments of f, to what is kept.
        decompositions: Operations to be recorded in other words, see `record`.
        weak_factory: From what was made, and the identities of tensors that the function reaches, to a function that
            gives it again and keeps no tensor alive; None where it has a tensor that is not among them. With it, what
            was made serves later calls, too; `made` is then to be the same object every time.
        recordings: Tapes of the same function in the same words, to be taken where f would be recorded once more.
    """

    def __init__(
        self,
        f: Callable[..., Tensor],
        build: Callable[[Tape, Tensor, Args], T],
        decompositions: Mapping[Any, Callable[..., Any]] | None = None,
        weak_factory: Callable[[T, frozenset[int]], Callable[[], T | None] | None] | None = None,
        recordings: Tapes[Tape] | None = None,
    ) -> None:
        self.f = f
        self.recordings = recordings
        self.build = build
        self.decompositions = decompositions or {}
        self.weak_factory = weak_factory
        # Tensors that the recordings have as they are.
        self.constants: dict[int, Tensor] = {}
        self._entries: OrderedDict[Any, T | Untraceable] = OrderedDict()

    def at(self, x: Tensor, args: Args = ()) -> T | Untraceable:
        """What is kept for points like x, and arguments like these, or why there is no tape."""
        key = _key(x, args)
        if (value := self._entries.get(key)) is not None:
            return value
        try:
            value = self._shared(x, args)
            if value is None:
                value = self._recorded(x, args)
        except Untraceable as reason:
            value = reason
        if not is_transformed():
            self._entries[key] = value
            if len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)
        return value

    def is_shared(self, x: Tensor, args: Args = ()) -> bool:
        """Whether what is kept for points like x is there before anything is recorded."""
        key = _key(x, args)
        if key not in self._entries and (shared := self._shared(x, args)) is not None:
            self._entries[key] = shared
        return key in self._entries

    def _shared(self, x: Tensor, args: Args) -> T | None:
        if self.weak_factory is None or (now := switches(x)) is None or (alike := fingerprint(self.f)) is None:
            return None
        return SHARED.get((alike.key, now, *self._circumstances(x, args)))

    def _recorded(self, x: Tensor, args: Args) -> T:
        """From a new recording, which is shared where f was the same whenever it was called, and is so still."""
        now = switches(x) if self.weak_factory else None
        if self.weak_factory is None or now is None:
            return self._built(self._tape(x, args), x, args)
        fingerprints: list[Fingerprint | None] = []

        def watched(x: Tensor, *args: Any) -> Tensor:
            fingerprints.append(fingerprint(self.f))
            return self.f(x, *args)

        value = self._built(record(watched, x, args, self.decompositions), x, args)
        last = fingerprint(self.f)
        if last is not None and all(one == last for one in fingerprints):
            SHARED.keep((last.key, now, *self._circumstances(x, args)), self.weak_factory(value, last.tensors))
        return value

    def _tape(self, x: Tensor, args: Args) -> Tape:
        if self.recordings is None:
            return record(self.f, x, args, self.decompositions)
        tape = self.recordings.at(x, args)
        if isinstance(tape, Untraceable):
            raise tape
        return tape

    def _built(self, tape: Tape, x: Tensor, args: Args) -> T:
        for node in tape.nodes:
            operands = leaves((node.args, *node.kwargs.values()))
            self.constants.update((id(leaf), leaf) for leaf in operands if isinstance(leaf, Tensor))
        return self.build(tape, x, lifted(args))

    def _circumstances(self, x: Tensor, args: Args) -> tuple[Hashable, ...]:
        return (self.build, tuple(self.decompositions.items()), _key(x, args))


def tapes_themselves(f: Callable[..., Tensor], decompositions: Mapping[Any, Callable[..., Any]]) -> Tapes[Tape]:
    """The tapes of a function of which several things are made."""
    return Tapes(f, lambda tape, x, args: tape, decompositions)


def _key(x: Tensor, args: Args) -> Hashable:
    return (x.shape, x.dtype, x.device, kinds(args) if args else ())


class _Shared:
    """What was made of tapes, by the fingerprint of their functions: the latest of them, each to be given again."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Hashable, Callable[[], Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        with self._lock:
            revive = self._entries.get(key)
            if revive is None:
                return None
            self._entries.move_to_end(key)
        return revive()

    def keep(self, key: Hashable, revive: Callable[[], Any] | None) -> None:
        if revive is None:
            return
        with self._lock:
            self._entries[key] = revive
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


SHARED = _Shared(MOST)
