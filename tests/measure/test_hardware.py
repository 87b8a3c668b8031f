"""Fake /proc, /sys and /etc trees; what psutil reads is replaced."""

import math
import os
import platform
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.measure.hardware import Hardware, Load, read_hardware, read_load


def tree(root, files):
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture
def machine(monkeypatch):
    """A machine of 4 cores, 8 threads, 16 GiB, as psutil and the standard library tell it."""
    memory = SimpleNamespace(total=16 * 2**30, available=9 * 2**30)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8 if logical else 4)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(cpu_affinity=lambda: [3, 1, 2]))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "release", lambda: "6.1.0-18-amd64")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.5", ("", "", ""), "arm64"))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 1.25, 2.0), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return memory


CPUINFO = """processor\t: 0
model name\t: AMD EPYC 9354 32-Core Processor
cpu MHz\t\t: 3000.500

processor\t: 1
model name\t: AMD EPYC 9354 32-Core Processor
cpu MHz\t\t: 3200.000
"""

CPU = "sys/devices/system/cpu"


def test_a_full_tree_is_read(tmp_path, machine):
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": CPUINFO,
            "proc/self/cgroup": "0::/user.slice/run.scope\n",
            "sys/fs/cgroup/user.slice/run.scope/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/user.slice/run.scope/memory.max": "4294967296\n",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "performance\n",
            f"{CPU}/cpu1/cpufreq/scaling_governor": "performance\n",
            "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        },
    )
    assert read_hardware(root) == Hardware(
        cpu_model="AMD EPYC 9354 32-Core Processor",
        architecture="x86_64",
        physical_cores=4,
        logical_cores=8,
        affinity=(1, 2, 3),
        cpu_quota_cores=1.5,
        memory_bytes=16 * 2**30,
        memory_limit_bytes=2**32,
        governor="performance",
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-18-amd64",
    )


def test_what_an_empty_tree_does_not_say_is_none(tmp_path, machine):
    hardware = read_hardware(tmp_path)
    assert (hardware.cpu_model, hardware.cpu_quota_cores, hardware.memory_limit_bytes) == (None, None, None)
    assert hardware.governor is None
    assert hardware.system == "Linux 6.1.0-18-amd64"


def test_a_system_that_says_nothing_is_none_throughout(tmp_path, machine, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: None)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace())
    monkeypatch.delattr(os, "getloadavg")
    machine.total = machine.available = 0
    for name in ("machine", "system", "release"):
        monkeypatch.setattr(platform, name, lambda: "")
    hardware = read_hardware(tmp_path)
    assert set(vars(hardware).values()) == {None}
    assert hardware.usable_cores is None
    assert set(vars(read_load(tmp_path)).values()) == {None}


def test_macos_asks_sysctl_for_the_processor(tmp_path, machine, monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(command)
        return SimpleNamespace(stdout="Apple M2 Pro\n")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", run)
    hardware = read_hardware(tmp_path)
    assert (hardware.cpu_model, hardware.system) == ("Apple M2 Pro", "macOS 14.5")
    assert asked == [("sysctl", "-n", "machdep.cpu.brand_string")]


@pytest.mark.parametrize("error", [FileNotFoundError("sysctl"), subprocess.TimeoutExpired("sysctl", 10)])
def test_a_command_that_fails_leaves_none(tmp_path, machine, monkeypatch, error):
    def run(command, **options):
        raise error

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", run)
    assert read_hardware(tmp_path).cpu_model is None


def test_windows_asks_the_platform_for_the_processor(tmp_path, machine, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "processor", lambda: "Intel64 Family 6 Model 151, GenuineIntel")
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setattr(platform, "release", lambda: "11")
    hardware = read_hardware(tmp_path)
    assert (hardware.cpu_model, hardware.system) == ("Intel64 Family 6 Model 151, GenuineIntel", "Windows 11")


def test_an_arm_processor_is_told_by_its_codes(tmp_path, machine):
    cpuinfo = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd4f\n"
    root = tree(tmp_path, {"proc/cpuinfo": cpuinfo})
    assert read_hardware(root).cpu_model == "Arm implementer 0x41 part 0xd4f"


def test_differing_governors_are_all_named(tmp_path, machine):
    files = {
        f"{CPU}/cpu{core}/cpufreq/scaling_governor": name for core, name in enumerate(("powersave", "performance"))
    }
    assert read_hardware(tree(tmp_path, files)).governor == "performance+powersave"


V1 = "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize("folder", ["docker/abc/", ""])
def test_version_1_limits_are_found_under_either_mount_and_inside_a_container(tmp_path, machine, mount, folder):
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": V1,
            f"sys/fs/cgroup/{mount}/{folder}cpu.cfs_quota_us": "250000",
            f"sys/fs/cgroup/{mount}/{folder}cpu.cfs_period_us": "100000",
            f"sys/fs/cgroup/memory/{folder}memory.limit_in_bytes": "1073741824",
        },
    )
    hardware = read_hardware(root)
    assert (hardware.cpu_quota_cores, hardware.memory_limit_bytes) == (2.5, 2**30)


def test_no_limit_is_none_in_both_versions(tmp_path, machine):
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": V1 + "0::/system.slice\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/unified/system.slice/cpu.max": "max 100000",
            "sys/fs/cgroup/unified/system.slice/memory.max": "max",
        },
    )
    hardware = read_hardware(root)
    assert (hardware.cpu_quota_cores, hardware.memory_limit_bytes) == (None, None)


@given(
    quotas=st.lists(st.none() | st.integers(1_000, 6_400_000), min_size=1, max_size=5),
    limits=st.lists(st.none() | st.integers(4096, 2**50), min_size=1, max_size=5),
)
def test_the_tightest_limit_on_the_way_up_holds(tmp_path_factory, quotas, limits):
    root = tmp_path_factory.mktemp("root")
    depth = max(len(quotas), len(limits))
    files = {"proc/self/cgroup": "0::/" + "/".join("g" * depth) + "\n"}
    for level, quota in enumerate(quotas):
        files[f"sys/fs/cgroup/{'g/' * level}cpu.max"] = f"{'max' if quota is None else quota} 100000"
    for level, limit in enumerate(limits):
        files[f"sys/fs/cgroup/{'g/' * level}memory.max"] = "max" if limit is None else str(limit)
    hardware = read_hardware(tree(root, files))
    quotas = [quota / 100_000 for quota in quotas if quota is not None]
    assert hardware.cpu_quota_cores == min(quotas, default=None)
    assert hardware.memory_limit_bytes == min((limit for limit in limits if limit is not None), default=None)


@pytest.mark.parametrize(
    ("affinity", "quota", "logical", "usable"),
    [
        ((0, 1, 2), None, 8, 3),
        ((0, 1, 2), 1.5, 8, 1.5),
        ((0, 1, 2), 6.0, 8, 3),
        (None, None, 8, 8),
        (None, 2.0, None, 2.0),
        (None, None, None, None),
    ],
)
def test_usable_cores_are_the_lesser_of_affinity_and_quota(tmp_path, machine, affinity, quota, logical, usable):
    hardware = replace(read_hardware(tmp_path), affinity=affinity, cpu_quota_cores=quota, logical_cores=logical)
    assert hardware.usable_cores == usable


HWMON = "sys/class/hwmon"


def test_load_frequency_and_temperature_are_read(tmp_path, machine):
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": CPUINFO,
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "2400000",
            f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "3600000",
            f"{HWMON}/hwmon0/name": "nvme",
            f"{HWMON}/hwmon0/temp1_input": "99000",
            f"{HWMON}/hwmon1/name": "k10temp",
            f"{HWMON}/hwmon1/temp1_input": "61250",
            f"{HWMON}/hwmon1/temp3_input": "58000",
        },
    )
    assert read_load(root) == Load(
        load_1min=0.5,
        load_5min=1.25,
        load_15min=2.0,
        memory_available_bytes=9 * 2**30,
        frequency_mhz=3000.0,
        temperature_c=61.25,
    )


def test_without_cpufreq_the_frequency_is_that_of_cpuinfo(tmp_path, machine):
    assert read_load(tree(tmp_path, {"proc/cpuinfo": CPUINFO})).frequency_mhz == 3100.25


def test_files_that_hold_something_else_read_as_none(tmp_path, machine):
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": "cpu MHz\t: unknown\nmodel name\t:\n",
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "",
            "sys/fs/cgroup/memory.max": "lots",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "\n",
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "<unknown>",
            f"{HWMON}/hwmon0/name": "coretemp",
            f"{HWMON}/hwmon0/temp1_input": "",
            "etc/os-release": "ID=void\n",
        },
    )
    hardware, load = read_hardware(root), read_load(root)
    assert (hardware.cpu_model, hardware.governor, hardware.cpu_quota_cores) == (None, None, None)
    assert hardware.memory_limit_bytes is None
    assert (load.frequency_mhz, load.temperature_c) == (None, None)


def test_this_machine_is_read_without_zeros_or_empty_strings():
    hardware = read_hardware()
    assert hardware.memory_bytes == psutil.virtual_memory().total
    assert hardware.logical_cores == os.cpu_count()
    assert 0 < hardware.usable_cores <= hardware.logical_cores
    assert not {0, ""} & set(vars(hardware).values())
    frequency = read_load().frequency_mhz
    assert frequency is None or (frequency > 0 and math.isfinite(frequency))
