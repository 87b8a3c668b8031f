"""Fields x -> sin(x) that leave processes, or end or become something else, first.

The docstring of each begins with the statuses that its rows may have. See `hostile.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import torch

_CALLS: list[int] = []
_HELD: list[object] = []


def _nth() -> int:
    """How often it was called in this process."""
    _CALLS.append(1)
    return len(_CALLS)


def leaves_a_daemon(x):
    """ok: A process in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    return torch.sin(x)


def leaves_a_command(x):
    """ok: A command in a session of its own."""
    if _nth() == 1:
        subprocess.Popen(["sleep", "613"], start_new_session=True)
    return torch.sin(x)


def leaves_a_command_without_environment(x):
    """ok: The same, with nothing that marks it but, for a test, the number of the server that it is forked from."""
    if _nth() == 1:
        subprocess.Popen(["sleep", f"614.{os.getppid()}"], start_new_session=True, env={})
    return torch.sin(x)


def leaves_a_deaf_process(x):
    """ok: A process that hears no signal that can be ignored, and is stopped."""
    if _nth() == 1 and os.fork() == 0:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        os.setsid()
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(600)
    return torch.sin(x)


def leaves_a_chain(x):
    """ok: Processes that start the next and end, without an end."""
    if _nth() == 1 and os.fork() == 0:
        os.setsid()
        for _ in range(400):
            if os.fork():
                os._exit(0)
            time.sleep(0.01)
        os._exit(0)
    return torch.sin(x)


def leaves_many(x):
    """ok or timeout: Sixty processes that fork again when one of them ends."""
    if _nth() == 1:
        for _ in range(60):
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
    return torch.sin(x)


def leaves_a_pool(x):
    """ok or error: A pool of multiprocessing's."""
    if _nth() == 1:
        _HELD.append(multiprocessing.get_context("fork").Pool(2))
    return torch.sin(x)


def leaves_zombies(x):
    """ok: Children that nobody waits for."""
    if _nth() < 30 and os.fork() == 0:
        os._exit(0)
    return torch.sin(x)


def leaves_a_listener(x):
    """ok: A process that listens at a port."""
    if _nth() == 1 and os.fork() == 0:
        os.setsid()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.accept()
    return torch.sin(x)


def reaps_everything(x):
    """ok: All children waited for, and signals of their end ignored."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return torch.sin(x)


def becomes_another_program(x):
    """crashed: Its process runs something else from now on."""
    os.execvp("sh", ["sh", "-c", "echo another program >&2; exit 7"])


def becomes_a_sleeper(x):
    """timeout: Its process sleeps from now on."""
    os.execvp("sleep", ["sleep", "615"])


def leaves_its_session(x):
    """ok or crashed: Another group."""
    if _nth() > 1:
        return torch.sin(x)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    if os.fork():
        os.wait()
    else:
        os.setsid()
        os._exit(0)
    return torch.sin(x)


def exits(x):
    """crashed: The end."""
    os._exit(3)


def exits_as_if_done(x):
    """crashed: The end, with a code that means success."""
    os._exit(0)


def raises_system_exit(x):
    """error: SystemExit."""
    raise SystemExit(5)


def raises_keyboard_interrupt(x):
    """error: KeyboardInterrupt."""
    raise KeyboardInterrupt


def raises_generator_exit(x):
    """error: An exception that is no Exception."""
    raise GeneratorExit


def raises_its_own_base(x):
    """error: Another one."""

    class NoExceptionOfPythons(BaseException):
        pass

    raise NoExceptionOfPythons("mine")


def raises_what_cannot_be_said(x):
    """error: An exception whose text raises."""

    class UnsayableError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

        __repr__ = __str__

    raise UnsayableError


def raises_what_is_no_text(x):
    """error: An exception whose text is none."""

    class TextlessError(Exception):
        def __str__(self):
            return 7

    raise TextlessError


def raises_surrogates(x):
    """error: Text that no encoding has."""
    raise ValueError("\udcff\ud800 \0 \x1b[31m \u2028 , \" ' \n\r\n")


def raises_a_chain(x):
    """error: A thousand causes."""
    error = ValueError("first")
    for number in range(1000):
        another = ValueError(str(number))
        another.__cause__ = error
        error = another
    raise error


def segfaults(x):
    """crashed: A read of nothing."""
    ctypes.string_at(0)


def aborts(x):
    """crashed: As C++ ends."""
    print("terminate called: mine", file=sys.stderr, flush=True)
    os.abort()


def overflows_the_stack(x):
    """crashed or error or oom: A recursion without an end."""
    sys.setrecursionlimit(10**9)

    def deeper(n):
        return deeper(n + 1) + 1

    return deeper(0)


def unwinds_at_exit(x):
    """ok: What is to be called at the end of the interpreter never ends."""
    if _nth() > 1:
        return torch.sin(x)
    atexit.register(time.sleep, 1e6)
    threading.Thread(target=time.sleep, args=(1e6,)).start()
    return torch.sin(x)


def exit_replaced(x):
    """ok: What ends the process is replaced."""
    os._exit = lambda code=0: None
    sys.exit = lambda code=0: None
    return torch.sin(x)
