"""A hundred fields x -> sin(x) that do something nasty first; each is to be a row of its own and harm no other.

The docstring of each begins with the statuses that it may have, and says what it does. Only processes, files and
descriptors of its own process, of the fork server and of the temporary directory are touched: none asks for the run
itself, which has the same rights and could be killed by any of them. Loaded by the harness from this file, by path.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import faulthandler
import gc
import json
import mmap
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

import torch

HOSTILE: dict[str, Callable] = {}
_STATE: dict[str, int] = {}


def hostile(function: Callable) -> Callable:
    """Enter a function in the table."""
    HOSTILE[function.__name__] = function
    return function


def statuses(name: str) -> tuple[str, ...]:
    """How the rows of a hostile function may end."""
    text = HOSTILE[name].__doc__ or ""
    return tuple(text.split(":")[0].split(" or "))


def _nth() -> int:
    """How often it was called in this process."""
    _STATE["calls"] = _STATE.get("calls", 0) + 1
    return _STATE["calls"]


def _all_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]


def _write_everywhere(message: bytes, descriptors=range(3, 64)) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.set_blocking(descriptor, False)
            os.write(descriptor, message)


# The channel


@hostile
def huge_message(x):
    """error: A message of 50 MB."""
    raise ValueError("A" * (50 << 20))


@hostile
def huge_header(x):
    """timeout: The length of a message that never comes, in every descriptor."""
    _write_everywhere(struct.pack("!i", 0x7FFFFFF0))
    time.sleep(1e6)


@hostile
def garbage_all_descriptors(x):
    """ok or crashed: Something that looks like a message, in every descriptor up to 64."""
    _write_everywhere(b"\x00\x00\x00\x04spam" * 8)
    return torch.sin(x)


@hostile
def garbage_every_descriptor(x):
    """crashed: The same in every descriptor that the system lists."""
    _write_everywhere(b"\x00\x00\x00\x04spam" * 8, _all_descriptors())
    return torch.sin(x)


@hostile
def garbage_then_exit(x):
    """crashed: Bytes that are no text, and the end."""
    _write_everywhere(b"\xff" * 64, _all_descriptors())
    os._exit(3)


@hostile
def pickled_call(x):
    """crashed: A pickle that calls something where it is read."""

    class Call:
        def __reduce__(self):
            return (os.getpid, ())

    message = pickle.dumps(Call())
    _write_everywhere(struct.pack("!i", len(message)) + message, _all_descriptors())
    time.sleep(1)
    return torch.sin(x)


@hostile
def forged_end(x):
    """crashed: The word that ends the work, without the key."""
    payload = json.dumps({"end": None}).encode()
    _write_everywhere(struct.pack("!I", len(payload)) + bytes(32) + payload, _all_descriptors())
    time.sleep(1)
    return torch.sin(x)


@hostile
def replayed_frames(x):
    """crashed or timeout: What it can read of its own descriptors, written back."""
    for descriptor in _all_descriptors():
        with contextlib.suppress(OSError):
            os.set_blocking(descriptor, False)
            os.write(descriptor, os.read(descriptor, 4096) or b"?")
    _write_everywhere(b"{}\n", _all_descriptors())
    return torch.sin(x)


@hostile
def one_byte_at_a_time(x):
    """crashed or timeout: A channel that trickles for ever."""
    while True:
        _write_everywhere(b"\0", _all_descriptors())
        time.sleep(0.05)


@hostile
def floods_descriptors(x):
    """crashed or timeout: As much as goes into every descriptor, without an end."""
    while True:
        _write_everywhere(b"\0" * 65536, _all_descriptors())


@hostile
def closes_everything(x):
    """crashed or timeout: All descriptors closed, and on."""
    os.closerange(3, 65536)
    return torch.sin(x)


@hostile
def closes_everything_and_sleeps(x):
    """timeout: All descriptors closed, and no end."""
    os.closerange(0, 65536)
    time.sleep(1e6)


@hostile
def reopens_everything(x):
    """crashed or timeout: All descriptors closed, and others in their places."""
    os.closerange(3, 65536)
    for _ in range(900):
        os.open(os.devnull, os.O_WRONLY)
    return torch.sin(x)


@hostile
def takes_all_descriptors(x):
    """ok or error or crashed: As many open files as the system allows."""
    _STATE["files"] = 0
    with contextlib.suppress(OSError):
        while True:
            os.open(os.devnull, os.O_RDONLY)
    return torch.sin(x)


@hostile
def forbids_descriptors(x):
    """ok or error or crashed: A limit of no open file."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    return torch.sin(x)


@hostile
def makes_the_channel_blocking(x):
    """ok: Flags of every descriptor changed."""
    for descriptor in _all_descriptors():
        with contextlib.suppress(OSError):
            os.set_blocking(descriptor, not os.get_blocking(descriptor))
    return torch.sin(x)


@hostile
def passes_descriptors_on(x):
    """ok: Every descriptor handed to a process that lives on."""
    subprocess.Popen(["sleep", "617"], close_fds=False, start_new_session=True, pass_fds=_all_descriptors())
    return torch.sin(x)


@hostile
def forked_copy_goes_on(x):
    """ok: A fork that returns, too, and measures on beside it."""
    if _nth() == 1:
        os.fork()
    return torch.sin(x)


@hostile
def parent_exits_copy_goes_on(x):
    """crashed: The process ends, and its fork goes on in its place."""
    if os.fork():
        os._exit(0)
    return torch.sin(x)


@hostile
def many_copies_go_on(x):
    """ok or timeout: Eight forks that return."""
    if _nth() == 1:
        for _ in range(3):
            os.fork()
    return torch.sin(x)


@hostile
def broken_json(x):
    """error or crashed: What makes messages is replaced."""
    json.dumps = lambda *args, **kwargs: "no JSON"
    raise ValueError("with no JSON")


@hostile
def broken_write(x):
    """ok or crashed or timeout: What writes messages is replaced."""
    os.write = lambda *args: 1
    return torch.sin(x)


@hostile
def sends_by_the_harness(x):
    """crashed: The harness's own sender, found among all objects, and used."""
    for one in gc.get_objects():
        if type(one).__name__ == "Sender":
            one.send({"message": {"case": "sin/divergence", "record": {"status": "ok"}, "samples": None}})
    return torch.sin(x)


@hostile
def says_it_is_done(x):
    """crashed: The same, to end the work before it is done."""
    for one in gc.get_objects():
        if type(one).__name__ == "Sender":
            one.send({"end": None})
    time.sleep(1)
    return torch.sin(x)


@hostile
def sends_another_row(x):
    """crashed: A row of another function, by the harness's own sender."""
    from jacstrat.core.case import Case
    from jacstrat.records import Record

    case = Case("sin", "divergence", "vmap", 2, 2, "float64", "cpu", "evaluate", 1, 0)
    row = vars(Record.of(case, "wrong", "forged"))
    for one in gc.get_objects():
        if type(one).__name__ == "Sender":
            one.send({"message": {"case": case.key, "record": row, "samples": None}})
    return torch.sin(x)


# Clocks and limits


@hostile
def patched_clock(x):
    """timeout: The clock that the child looks at replaced, then a loop."""
    time.monotonic_ns = lambda: 2**62
    time.monotonic = lambda: 1e18
    if _nth() > 6:
        while True:
            pass
    return torch.sin(x)


@hostile
def stopped_clock(x):
    """ok or timeout: All clocks stand still."""
    for name in ("monotonic", "perf_counter", "time", "process_time"):
        setattr(time, name, lambda: 1.0)
        setattr(time, f"{name}_ns", lambda: 10**9)
    return torch.sin(x)


@hostile
def backward_clock(x):
    """ok or error or timeout: All clocks run back."""
    now = [1e9]

    def back():
        now[0] -= 1.0
        return now[0]

    for name in ("monotonic", "perf_counter", "time"):
        setattr(time, name, back)
        setattr(time, f"{name}_ns", lambda: int(back() * 1e9))
    return torch.sin(x)


@hostile
def raises_from_the_clock(x):
    """ok or error or crashed: A clock that raises."""

    def broken():
        raise OSError("no clock")

    time.perf_counter = time.monotonic = time.perf_counter_ns = broken
    return torch.sin(x)


@hostile
def sleeps(x):
    """timeout: No end."""
    time.sleep(1e6)


@hostile
def sleeps_in_c(x):
    """timeout: No end, with no way for Python to interrupt it."""
    ctypes.PyDLL(None).sleep(100000)


@hostile
def spins(x):
    """timeout: A loop."""
    while True:
        pass


@hostile
def stops_itself(x):
    """timeout: Stopped by a signal."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return torch.sin(x)


@hostile
def waits_for_a_lock(x):
    """timeout: A lock that it holds itself."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@hostile
def waits_for_input(x):
    """error: Input that nobody gives."""
    return input() and torch.sin(x)


@hostile
def later_and_later(x):
    """timeout: Each call takes twice as long."""
    time.sleep(0.05 * 1.5 ** _nth())
    return torch.sin(x)


def _live_for_ever() -> None:
    """Signs of life by a thread, in the memory that the harness shares."""
    for one in gc.get_objects():
        if type(one) is mmap.mmap and len(one) == 16:

            def beat(one=one):
                count = 10**6
                while True:
                    count += 1
                    one[:16] = struct.pack("qq", 0, count)
                    time.sleep(0.01)

            threading.Thread(target=beat, daemon=True).start()


@hostile
def says_that_it_lives(x):
    """ok or error: False signs of life."""
    if _nth() == 1:
        _live_for_ever()
    return torch.sin(x)


def says_that_it_lives_and_sleeps(x):
    """timeout: The same without an end, which takes MOST_STEPS times the limit."""
    _live_for_ever()
    time.sleep(1e6)


@hostile
def points_at_no_strategy(x):
    """crashed: The number of a strategy that is none, then the end."""
    for one in gc.get_objects():
        if type(one) is mmap.mmap and len(one) == 16:
            one[:16] = struct.pack("qq", 2**60, -1)
    os._exit(9)


@hostile
def alarm(x):
    """crashed: An alarm that ends it."""
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(1)
    return torch.sin(x)


@hostile
def limit_of_time(x):
    """crashed: The system's own limit of time."""
    resource.setrlimit(resource.RLIMIT_CPU, (0, 1))
    while True:
        pass


# The server


@hostile
def kills_the_server(x):
    """crashed: The process that it was forked from, killed."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(5)
    return torch.sin(x)


@hostile
def terminates_the_server(x):
    """crashed: The same, asked to end."""
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(5)
    return torch.sin(x)


@hostile
def interrupts_the_server(x):
    """ok or crashed: The same, interrupted."""
    os.kill(os.getppid(), signal.SIGINT)
    return torch.sin(x)


@hostile
def stops_the_server(x):
    """ok: The same, stopped."""
    os.kill(os.getppid(), signal.SIGSTOP)
    return torch.sin(x)


@hostile
def traces_the_server(x):
    """ok: The same, traced."""
    ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)
    return torch.sin(x)


@hostile
def outlives_the_server(x):
    """crashed or timeout: The server killed, and its own end with it called off."""
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1e6)


@hostile
def slows_the_server(x):
    """ok: The server's priority lowered."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)
    return torch.sin(x)


@hostile
def signals_its_group(x):
    """crashed: Its own group killed."""
    os.killpg(0, signal.SIGKILL)


# Processes


@hostile
def leaves_a_daemon(x):
    """ok: A process in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    return torch.sin(x)


@hostile
def leaves_a_command(x):
    """ok: A command in a session of its own."""
    if _nth() == 1:
        subprocess.Popen(["sleep", "613"], start_new_session=True)
    return torch.sin(x)


@hostile
def leaves_a_command_without_environment(x):
    """ok: The same, with nothing that marks it."""
    if _nth() == 1:
        subprocess.Popen(["sleep", "614"], start_new_session=True, env={})
    return torch.sin(x)


@hostile
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


@hostile
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


@hostile
def leaves_many(x):
    """ok or timeout: Sixty processes that fork again when one of them ends."""
    if _nth() == 1:
        for _ in range(60):
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
    return torch.sin(x)


@hostile
def leaves_a_pool(x):
    """ok or error: A pool of multiprocessing's."""
    if _nth() == 1:
        _STATE["pool"] = multiprocessing.get_context("fork").Pool(2)  # type: ignore[assignment]
    return torch.sin(x)


@hostile
def leaves_zombies(x):
    """ok: Children that nobody waits for."""
    if _nth() < 30 and os.fork() == 0:
        os._exit(0)
    return torch.sin(x)


@hostile
def leaves_a_listener(x):
    """ok: A process that listens at a port."""
    if _nth() == 1 and os.fork() == 0:
        os.setsid()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.accept()
    return torch.sin(x)


@hostile
def reaps_everything(x):
    """ok: All children waited for, and signals of their end ignored."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return torch.sin(x)


@hostile
def becomes_another_program(x):
    """crashed: Its process runs something else from now on."""
    os.execvp("sh", ["sh", "-c", "echo another program >&2; exit 7"])


@hostile
def becomes_a_sleeper(x):
    """timeout: Its process sleeps from now on."""
    os.execvp("sleep", ["sleep", "615"])


@hostile
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


# Ends


@hostile
def exits(x):
    """crashed: The end."""
    os._exit(3)


@hostile
def exits_as_if_done(x):
    """crashed: The end, with a code that means success."""
    os._exit(0)


@hostile
def raises_system_exit(x):
    """error: SystemExit."""
    raise SystemExit(5)


@hostile
def raises_keyboard_interrupt(x):
    """error: KeyboardInterrupt."""
    raise KeyboardInterrupt


@hostile
def raises_generator_exit(x):
    """error: An exception that is no Exception."""
    raise GeneratorExit


@hostile
def raises_its_own_base(x):
    """error: Another one."""

    class Mine(BaseException):
        pass

    raise Mine("mine")


@hostile
def raises_what_cannot_be_said(x):
    """error: An exception whose text raises."""

    class MineError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

        __repr__ = __str__

    raise MineError


@hostile
def raises_what_is_no_text(x):
    """error: An exception whose text is none."""

    class MineError(Exception):
        def __str__(self):
            return 7

    raise MineError


@hostile
def raises_surrogates(x):
    """error: Text that no encoding has."""
    raise ValueError("\udcff\ud800 \0 \x1b[31m \u2028 , \" ' \n\r\n")


@hostile
def raises_a_chain(x):
    """error: A thousand causes."""
    error = ValueError("first")
    for number in range(1000):
        another = ValueError(str(number))
        another.__cause__ = error
        error = another
    raise error


@hostile
def segfaults(x):
    """crashed: A read of nothing."""
    ctypes.string_at(0)


@hostile
def aborts(x):
    """crashed: As C++ ends."""
    print("terminate called: mine", file=sys.stderr, flush=True)
    os.abort()


@hostile
def overflows_the_stack(x):
    """crashed or error or oom: A recursion without an end."""
    sys.setrecursionlimit(10**9)

    def deeper(n):
        return deeper(n + 1) + 1

    return deeper(0)


@hostile
def unwinds_at_exit(x):
    """ok: What is to be called at the end of the interpreter never ends."""
    atexit.register(time.sleep, 1e6)
    threading.Thread(target=time.sleep, args=(1e6,)).start()
    return torch.sin(x)


@hostile
def exit_replaced(x):
    """ok: What ends the process is replaced."""
    os._exit = lambda code=0: None
    sys.exit = lambda code=0: None
    return torch.sin(x)


# The interpreter


@hostile
def breaks_builtins(x):
    """ok or error or crashed: len and isinstance replaced."""
    builtins.len = lambda thing: 0
    builtins.isinstance = lambda thing, kinds: True
    return torch.sin(x)


@hostile
def breaks_modules(x):
    """ok or error or crashed: Modules taken away."""
    for name in [name for name in sys.modules if name.startswith(("jacstrat", "numpy"))]:
        del sys.modules[name]
    return torch.sin(x)


@hostile
def breaks_the_harness(x):
    """ok or error or crashed: A function of the harness replaced."""
    import jacstrat.harness.cell as cell

    cell._exact = None
    return torch.sin(x)


@hostile
def low_recursion(x):
    """error or crashed or unsupported: Hardly any recursion."""
    sys.setrecursionlimit(40)
    return torch.sin(x)


@hostile
def traces_every_line(x):
    """ok or timeout: A tracer in every frame."""
    sys.settrace(lambda *args: None)
    sys.setprofile(lambda *args: None)
    return torch.sin(x)


@hostile
def tracer_that_raises(x):
    """ok or error or crashed or unsupported: A tracer that raises."""

    def trace(*args):
        raise RuntimeError("traced")

    sys.settrace(trace)
    return torch.sin(x)


@hostile
def warnings_as_errors(x):
    """ok or error or unsupported: Warnings become errors."""
    warnings.simplefilter("error")
    warnings.warn("mine", stacklevel=1)
    return torch.sin(x)


@hostile
def no_garbage_collection(x):
    """ok: Collection off, and cycles without an end."""
    gc.disable()
    for _ in range(1000):
        one: list = []
        one.append(one)
    return torch.sin(x)


@hostile
def finalizer_that_hangs(x):
    """timeout or ok: A finalizer that never ends."""

    class Mine:
        def __del__(self):
            time.sleep(1e6)

    Mine()
    return torch.sin(x)


@hostile
def finalizers_that_raise(x):
    """ok: Finalizers that raise."""

    class Mine:
        def __del__(self):
            raise RuntimeError("in __del__")

    one = Mine()
    weakref.finalize(one, lambda: 1 / 0)
    return torch.sin(x)


@hostile
def faulthandler_exits(x):
    """crashed or timeout: A watchdog that ends the process."""
    faulthandler.dump_traceback_later(0.2, exit=True)
    time.sleep(2)
    return torch.sin(x)


@hostile
def other_handlers(x):
    """ok: Handlers of all signals."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    return torch.sin(x)


@hostile
def threads_without_end(x):
    """ok or error: Forty threads that spin now and then."""

    def spin():
        while True:
            time.sleep(0.01)

    if _nth() == 1:
        for _ in range(40):
            threading.Thread(target=spin, daemon=True).start()
    return torch.sin(x)


# Files, memory and output


@hostile
def floods_standard_error(x):
    """timeout: Standard error without an end."""
    while True:
        os.write(2, b"y" * 65536)


@hostile
def floods_standard_output(x):
    """timeout: Standard output without an end."""
    while True:
        os.write(1, b"x" * 65536)


@hostile
def truncates_its_errors(x):
    """crashed: Standard error cut and sought, then the end."""
    os.write(2, b"words\n")
    with contextlib.suppress(OSError):
        os.ftruncate(2, 0)
        os.lseek(2, 2**40, os.SEEK_SET)
    os.write(2, b"last words of mine\n")
    os._exit(4)


@hostile
def writes_no_text(x):
    """crashed: Standard error that is no text, then the end."""
    os.write(2, bytes(range(256)) * 20 + b"\n\x1b[2J\x1b]0;mine\x07\n")
    os._exit(5)


@hostile
def allocates_behind_torch(x):
    """oom or timeout: Memory that torch does not know of, page by page."""
    hoard = [bytearray(os.urandom(1 << 20)) for _ in range(700)]
    time.sleep(0.3)
    return torch.sin(x) + len(hoard) * 0


@hostile
def allocates_at_once(x):
    """oom or error: A hundred gigabytes."""
    return torch.sin(x) + torch.ones(100 * 10**9, dtype=torch.uint8)[0]


@hostile
def maps_shared_memory(x):
    """ok or oom or error: Shared memory, which is nobody's."""
    _STATE["map"] = mmap.mmap(-1, 64 << 20)  # type: ignore[assignment]
    return torch.sin(x)


@hostile
def goes_elsewhere(x):
    """ok: Another working directory, that is gone, and another mask."""
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    os.umask(0o777)
    return torch.sin(x)


@hostile
def empties_the_temporary_folder_of_the_run(x):
    """ok or error: The folder of references removed."""
    for folder in Path(tempfile.gettempdir()).glob("jacstrat-run-*"):
        # Of this run alone: others run beside it.
        if folder.name.split("-")[2] == os.environ.get("JACSTRAT_RUN", "").partition(".")[0]:
            shutil.rmtree(folder, ignore_errors=True)
    return torch.sin(x)


@hostile
def changes_the_environment(x):
    """ok: All variables gone."""
    os.environ.clear()
    return torch.sin(x)


@hostile
def forbids_files(x):
    """ok or error or crashed: No file may grow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return torch.sin(x)


@hostile
def draws_from_seeds(x):
    """ok: Seeds and dtypes set."""
    random.seed(0)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    torch.use_deterministic_algorithms(True)
    return torch.sin(x)


@hostile
def changes_torch(x):
    """ok or wrong or error or crashed or unsupported: torch.sin replaced."""
    torch.sin = torch.cos
    return torch.sin(x)
