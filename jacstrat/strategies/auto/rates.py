"""What a device does in a second: of a CPU fitted, of an accelerator measured once, and kept on disk."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch

from jacstrat.core.modelled import META, kind_of
from jacstrat.strategies.auto import disk_cache
from jacstrat.strategies.points import outside_transforms


class Rates(NamedTuple):
    """What a device does in a second, and what it costs the host to ask it.

    Fields:
        flops: Floating-point operations of matrix products, a second.
        bytes: Written by operations, a second.
        launch_s: Host time of an operation that is queued; 0 where the host is the device.
        sync_s: Host time of waiting for a device that is idle; 0 likewise.
    """

    flops: float
    bytes: float
    launch_s: float = 0.0
    sync_s: float = 0.0


# Fitted to the shipped reference run (results/reference): float64 on one core of the machine that it names.
CPU_THREAD = Rates(flops=30e9, bytes=4e9)
# Of an accelerator that cannot be measured, as while its memory is taken or where it is planned for without one: the
# order of what data-centre cards publish, a tenth of their peak, and launches of a slow host.
ACCELERATOR = Rates(flops=5e12, bytes=5e11, launch_s=1e-5, sync_s=1e-5)

# What is measured: a product of square matrices, numbers written in one operation, operations queued in a row; the
# queue of a device holds more of them than these.
PRODUCT_N, NUMBERS, LAUNCHES = 2048, 2**24, 200
# Each of the four is repeated for so long, and not more often.
EACH_S, MOST_REPEATS = 0.15, 20

_KNOWN: dict[torch.device, Rates] = {}
_LOCK = threading.Lock()


def rates_of(device: torch.device) -> Rates:
    """Rates of a device; those of a CPU grow with the threads that torch computes with.

    Those of an accelerator are measured where they are first asked for, within a second, which is said in a line on
    stderr; on this machine once for each kind of device and version of torch, unless $JACSTRAT_CACHE is "off".
    """
    if device.type == META and kind_of(device) != "cpu":
        return ACCELERATOR
    if kind_of(device) == "cpu":
        threads = torch.get_num_threads()
        return Rates(CPU_THREAD.flops * threads, CPU_THREAD.bytes * threads)
    with _LOCK:
        if (known := _KNOWN.get(device)) is None:
            known = _KNOWN[device] = _stored_or_measured(device)
    return known


def _stored_or_measured(device: torch.device) -> Rates:
    """Rates from disk, or measured now."""
    module = torch.get_device_module(device)
    name = module.get_device_name(device) if hasattr(module, "get_device_name") else device.type
    # Beside the device the host tells: a card has another launch_s in another machine, and a home may be shared.
    facts = {"rates": Rates._fields, "device": name, "host": disk_cache.processor(), "torch": torch.__version__}
    key = f"rates-{disk_cache.digest(facts)}"
    if (stored := _stored(key)) is not None:
        return stored
    begin = time.perf_counter()
    try:
        with outside_transforms(), torch.no_grad():
            rates = measured(Bench(device, partial(torch.accelerator.synchronize, device)))
    except RuntimeError:  # out of memory, among others
        return ACCELERATOR
    disk_cache.write(key, rates._asdict())
    print(f"jacstrat: measured {name} in {time.perf_counter() - begin:.1f} s: {_in_words(rates)}", file=sys.stderr)
    return rates


def _stored(key: str) -> Rates | None:
    """Rates from disk; None where there are none, or where what is there is none of ours: they are measured again."""
    values = disk_cache.read(key)
    if values is None or set(values) != set(Rates._fields):
        return None
    if not all(isinstance(value, int | float) for value in values.values()):
        return None
    return Rates(**{field: float(value) for field, value in values.items()})


@dataclass(frozen=True)
class Bench:
    """Where rates are measured.

    Fields:
        device: The device.
        synchronize: Waits until it is idle.
        clock: Seconds.
    """

    device: torch.device
    synchronize: Callable[[], object]
    clock: Callable[[], float] = time.perf_counter

    def least_s(self, work: Callable[[], object], wait: bool = True) -> float:
        """The least time of the work, begun on an idle device; with or without waiting for its end."""
        work()
        self.synchronize()
        taken: list[float] = []
        end = self.clock() + EACH_S
        while not taken or (len(taken) < MOST_REPEATS and self.clock() < end):
            begin = self.clock()
            work()
            if wait:
                self.synchronize()
            taken.append(self.clock() - begin)
            self.synchronize()
        return min(taken)


def measured(bench: Bench) -> Rates:
    """The rates of a device now, by float32 with torch's switches as they are: a product, a sum, many small sums."""
    sync_s = bench.least_s(bench.synchronize, wait=False)
    one = torch.zeros(1, device=bench.device)

    def launches() -> None:
        for _ in range(LAUNCHES):
            one.add_(1)

    launch_s = bench.least_s(launches, wait=False) / LAUNCHES
    a = torch.ones(PRODUCT_N, PRODUCT_N, device=bench.device)
    c = torch.empty_like(a)
    product_s = bench.least_s(lambda: torch.mm(a, a, out=c)) - sync_s
    numbers = torch.zeros(NUMBERS, device=bench.device)
    sums = torch.empty_like(numbers)
    sum_s = bench.least_s(lambda: torch.add(numbers, 1, out=sums)) - sync_s
    return Rates(
        flops=2 * PRODUCT_N**3 / max(product_s, 1e-9),
        bytes=numbers.numel() * numbers.itemsize / max(sum_s, 1e-9),
        launch_s=launch_s,
        sync_s=sync_s,
    )


def _in_words(rates: Rates) -> str:
    return (
        f"{rates.flops / 1e12:.3g} TFLOP/s, {rates.bytes / 1e9:.3g} GB/s written, "
        f"{rates.launch_s * 1e6:.3g} us a launch, {rates.sync_s * 1e6:.3g} us a synchronisation"
    )
