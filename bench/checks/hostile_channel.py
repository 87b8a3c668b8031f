"""Fields x -> sin(x) that write to, close or counterfeit the channel between them and the harness first.

The docstring of each begins with the statuses that its rows may have. See `hostile.py`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import resource
import struct
import subprocess
import time

import torch

_CALLS: list[int] = []


def _all_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]


def _write_everywhere(message: bytes, descriptors=range(3, 64)) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.set_blocking(descriptor, False)
            os.write(descriptor, message)


def _nth() -> int:
    """How often it was called in this process."""
    _CALLS.append(1)
    return len(_CALLS)


def huge_message(x):
    """error: A message of 50 MB."""
    raise ValueError("A" * (50 << 20))


def huge_header(x):
    """timeout: The length of a message that never comes, in every descriptor."""
    _write_everywhere(struct.pack("!i", 0x7FFFFFF0))
    time.sleep(1e6)


def garbage_all_descriptors(x):
    """ok or crashed: Something that looks like a message, in every descriptor up to 64."""
    _write_everywhere(b"\x00\x00\x00\x04spam" * 8)
    return torch.sin(x)


def garbage_every_descriptor(x):
    """crashed: The same in every descriptor that the system lists."""
    _write_everywhere(b"\x00\x00\x00\x04spam" * 8, _all_descriptors())
    return torch.sin(x)


def garbage_then_exit(x):
    """crashed: Bytes that are no text, and the end."""
    _write_everywhere(b"\xff" * 64, _all_descriptors())
    os._exit(3)


def pickled_call(x):
    """crashed: A pickle that calls something where it is read."""

    class ForeignCall:
        def __reduce__(self):
            return (os.getpid, ())

    message = pickle.dumps(ForeignCall())
    _write_everywhere(struct.pack("!i", len(message)) + message, _all_descriptors())
    time.sleep(1)
    return torch.sin(x)


def forged_end(x):
    """crashed: The word that ends the work, without the key."""
    payload = json.dumps({"end": None}).encode()
    _write_everywhere(struct.pack("!I", len(payload)) + bytes(32) + payload, _all_descriptors())
    time.sleep(1)
    return torch.sin(x)


def replayed_frames(x):
    """crashed or timeout: What it can read of its own descriptors, written back."""
    for descriptor in _all_descriptors():
        with contextlib.suppress(OSError):
            os.set_blocking(descriptor, False)
            os.write(descriptor, os.read(descriptor, 4096) or b"?")
    _write_everywhere(b"{}\n", _all_descriptors())
    return torch.sin(x)


def one_byte_at_a_time(x):
    """crashed or timeout: A channel that trickles for ever."""
    while True:
        _write_everywhere(b"\0", _all_descriptors())
        time.sleep(0.05)


def floods_descriptors(x):
    """crashed or timeout: As much as goes into every descriptor, without an end."""
    while True:
        _write_everywhere(b"\0" * 65536, _all_descriptors())


def closes_everything(x):
    """crashed or timeout: All descriptors closed, and on."""
    os.closerange(3, 65536)
    return torch.sin(x)


def closes_everything_and_sleeps(x):
    """timeout: All descriptors closed, and no end."""
    os.closerange(0, 65536)
    time.sleep(1e6)


def reopens_everything(x):
    """crashed or timeout: All descriptors closed, and others in their places."""
    os.closerange(3, 65536)
    for _ in range(900):
        os.open(os.devnull, os.O_WRONLY)
    return torch.sin(x)


def takes_all_descriptors(x):
    """ok or error or crashed: As many open files as the system allows."""
    with contextlib.suppress(OSError):
        while True:
            os.open(os.devnull, os.O_RDONLY)
    return torch.sin(x)


def forbids_descriptors(x):
    """ok or error or crashed: A limit of no open file."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    return torch.sin(x)


def makes_the_channel_blocking(x):
    """ok: Flags of every descriptor changed."""
    for descriptor in _all_descriptors():
        with contextlib.suppress(OSError):
            os.set_blocking(descriptor, not os.get_blocking(descriptor))
    return torch.sin(x)


def passes_descriptors_on(x):
    """ok: Every descriptor handed to a process that lives on."""
    subprocess.Popen(["sleep", "617"], close_fds=False, start_new_session=True, pass_fds=_all_descriptors())
    return torch.sin(x)


def forked_copy_goes_on(x):
    """ok: A fork that returns, too, and measures on beside it."""
    if _nth() == 1:
        os.fork()
    return torch.sin(x)


def parent_exits_copy_goes_on(x):
    """crashed: The process ends, and its fork goes on in its place."""
    if os.fork():
        os._exit(0)
    return torch.sin(x)


def many_copies_go_on(x):
    """ok or timeout: Eight forks that return."""
    if _nth() == 1:
        for _ in range(3):
            os.fork()
    return torch.sin(x)


def broken_json(x):
    """error or crashed: What makes messages is replaced."""
    json.dumps = lambda *args, **kwargs: "no JSON"
    raise ValueError("with no JSON")


def broken_write(x):
    """ok or crashed or timeout: What writes messages is replaced."""
    os.write = lambda *args: 1
    return torch.sin(x)


def sends_by_the_harness(x):
    """crashed: The harness's own sender, found among all objects, and used."""
    for one in gc.get_objects():
        if type(one).__name__ == "Sender":
            one.send({"message": {"case": "sin/divergence", "record": {"status": "ok"}, "samples": None}})
    return torch.sin(x)


def says_it_is_done(x):
    """crashed: The same, to end the work before it is done."""
    for one in gc.get_objects():
        if type(one).__name__ == "Sender":
            one.send({"end": None})
    time.sleep(1)
    return torch.sin(x)


def sends_another_row(x):
    """crashed: A row of another function, by the harness's own sender."""
    from jacstrat.core.case import Case
    from jacstrat.record import Record

    case = Case("sin", "divergence", "vmap", 2, 2, "float64", "cpu", "evaluate", 1, 0)
    row = vars(Record.of(case, "wrong", "forged"))
    for one in gc.get_objects():
        if type(one).__name__ == "Sender":
            one.send({"message": {"case": case.key, "record": row, "samples": None}})
    return torch.sin(x)
