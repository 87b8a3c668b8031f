"""Messages of a process that runs code of others: framed, bounded, parsed as data, and known for its own.

A frame is the length of its payload (4 bytes, big-endian), a tag of that, a tag of the payload (16 bytes each) and the
payload, JSON in UTF-8. A tag is a keyed BLAKE2b hash of the frame's number and of what it is for. The key is drawn anew
for each process, so that bytes which f writes into the descriptor, whatever they look like, are no message: the reader
says so as soon as it has a length, and the process is given up.

Nothing but the standard library is imported: revisions load this file by its path.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import struct
from os import _exit, getpid, write
from typing import Any

# Samples of the longest case take about 0.5 MB, the cases of a large sweep more.
MOST_BYTES = 64 * 2**20
KEY_BYTES, TAG_BYTES = 32, 16
_LENGTH = struct.Struct("!I")
_HEAD_BYTES = _LENGTH.size + 2 * TAG_BYTES
_PART_BYTES = 1 << 16


class FrameError(Exception):
    """What came is no frame of the sender's; the message says what is the matter with it."""


def new_key() -> bytes:
    """A key for one channel."""
    return secrets.token_bytes(KEY_BYTES)


def _tag(key: bytes, number: int, what: bytes) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big") + what, key=key, digest_size=TAG_BYTES).digest()


def _plain(value: Any) -> Any:
    """A number of NumPy's or torch's as Python's own."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no data")


class Sender:
    """Writes frames to a descriptor. A fork of the process that made it says nothing: it ends at its first word."""

    def __init__(self, descriptor: int, key: bytes) -> None:
        self._descriptor, self._key, self._number, self._process = descriptor, key, 0, getpid()

    def send(self, value: Any) -> None:
        """Send a value that JSON has.

        Raises:
            ValueError: It is longer than MOST_BYTES.
            OSError: Nobody listens, or f has closed the descriptor.
        """
        if getpid() != self._process:
            _exit(1)
        payload = json.dumps(value, default=_plain).encode()
        if len(payload) > MOST_BYTES:
            raise ValueError(f"a message of {len(payload)} bytes is beyond the {MOST_BYTES} that a channel takes")
        length = _LENGTH.pack(len(payload))
        tags = (_tag(self._key, self._number, part) for part in (length, payload))
        frame = memoryview(b"".join((length, *tags, payload)))
        self._number += 1
        while frame:
            frame = frame[write(self._descriptor, frame) :]


class Receiver:
    """Reads frames from a descriptor, which is made non-blocking: what has not come is not waited for."""

    def __init__(self, descriptor: int, key: bytes) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor, self._key, self._number = descriptor, key, 0
        self._buffer = bytearray()

    def receive(self) -> list[Any]:
        """The values that are there, none to all.

        Raises:
            FrameError: What came is no frame.
            EOFError: The last value was received before, and the descriptor is closed at its other end.
        """
        try:
            part = os.read(self._descriptor, _PART_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            part = b""
        if not part:
            raise EOFError
        self._buffer += part
        messages = []
        while (value := self._first()) is not None:
            messages.append(value[0])
        return messages

    def _first(self) -> tuple[Any] | None:
        """The value of the first frame, taken out of what is held; None where it is not whole yet."""
        buffer, key, number = self._buffer, self._key, self._number
        if len(buffer) < _HEAD_BYTES:
            return None
        packed = bytes(buffer[: _LENGTH.size])
        tags = bytes(buffer[_LENGTH.size : _HEAD_BYTES])
        length = _LENGTH.unpack(packed)[0]
        if length > MOST_BYTES or not secrets.compare_digest(tags[:TAG_BYTES], _tag(key, number, packed)):
            raise FrameError("what comes is no message")
        if len(buffer) < _HEAD_BYTES + length:
            return None
        payload = bytes(buffer[_HEAD_BYTES : _HEAD_BYTES + length])
        if not secrets.compare_digest(tags[TAG_BYTES:], _tag(key, number, payload)):
            raise FrameError("a message has been changed on its way")
        del buffer[: _HEAD_BYTES + length]
        self._number += 1
        try:
            return (json.loads(payload),)
        except (ValueError, RecursionError) as error:
            raise FrameError(f"a message is no JSON: {error}") from None


def out_of_the_way(descriptor: int) -> int:
    """A copy of the descriptor near the end of those that there may be; the original is closed.

    Code that writes to, or closes, all descriptors up to some number does not come to it; what finds it in
    /proc/self/fd is found out by its bytes.
    """
    import fcntl
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    limit = 1024 if limit == resource.RLIM_INFINITY else min(limit, 1024)
    try:
        copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, limit - 1 - secrets.randbelow(max(1, limit // 8)))
    except OSError:
        return descriptor
    os.close(descriptor)
    return int(copy)
