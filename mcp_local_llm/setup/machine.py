"""Reads the facts of this machine: memory and its limits, the chip and its memory bandwidth.

Everything is read through a `MachineReader`, so that tests can pass in text and numbers. It must not know models or
mlx: the engine reads Metal's own working-set limit.
"""

import os
import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_local_llm.values.machine import Machine, Memory

GIB = 2**30
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SYSCTL_TIMEOUT_S = 2.0

# Memory bandwidth in GB/s as Apple publishes it: newsroom articles and technical specifications of each chip
# (apple.com/newsroom, support.apple.com/specs). M1's 68 is the rate of its LPDDR4X-4266 on 128 bits.
_BANDWIDTH = {
    "M1": 68, "M1 Pro": 200, "M1 Max": 400, "M1 Ultra": 800,
    "M2": 100, "M2 Pro": 200, "M2 Max": 400, "M2 Ultra": 800,
    "M3": 100, "M3 Pro": 150, "M3 Max": 300, "M3 Ultra": 819,
    "M4": 120, "M4 Pro": 273, "M4 Max": 410,
    "M5": 153, "M5 Pro": 307, "M5 Max": 460,
}  # fmt: skip
# The Max chips since M3 come in two variants, which differ in CPU cores; the table above holds the smaller one.
# M5 Max has 18 cores in both, so its 40-core GPU (614 GB/s) is underestimated until it is measured.
_LARGER_VARIANTS = {("M3 Max", 16): 400, ("M4 Max", 16): 546}


@dataclass(frozen=True)
class MachineReader:
    """The functions that read the facts.

    Attributes:
        system: as `platform.system()`.
        cores: number of CPU cores.
        read_text: returns a file's text, None where it cannot be read.
        sysctl: returns the output of sysctl, a `name: value` line for each value that exists; used on macOS.
        memory: returns total and available bytes; used where /proc/meminfo has no such values.
    """

    system: str
    cores: int
    read_text: Callable[[Path], str | None]
    sysctl: Callable[[], str]
    memory: Callable[[], tuple[int, int]]


def local_machine_reader() -> MachineReader:
    """Return the reader of this machine."""
    return MachineReader(platform.system(), os.cpu_count() or 1, _read_text, _sysctl, _psutil_memory)


def read_machine(reader: MachineReader) -> Machine:
    """Read all facts, in a few milliseconds; a fact that cannot be read is left out."""
    if reader.system == "Darwin":
        return _read_mac(reader)
    cpu = re.search(r"^model name\s*:\s*(.+)$", reader.read_text(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    return Machine(reader.system, cpu[1].strip() if cpu else "unknown", reader.cores, _linux_memory(reader))


def memory_reader(reader: MachineReader) -> Callable[[], Memory]:
    """Return a function that reads the memory; on a Mac it reads limits once, since sysctl takes milliseconds."""
    known: list[Memory] = []

    def read() -> Memory:
        if reader.system != "Darwin" or not known:
            known[:] = [read_machine(reader).memory]
            return known[0]
        return replace(known[0], available=reader.memory()[1])

    return read


def chip_bandwidth(chip: str, cores: int) -> float | None:
    """Return the memory bandwidth of an Apple chip in bytes per second, None for others.

    Args:
        chip: e.g. `Apple M4 Max`.
        cores: number of CPU cores, in which the variants of some chips differ.
    """
    name = chip.removeprefix("Apple ").strip()
    rate = _LARGER_VARIANTS.get((name, cores), _BANDWIDTH.get(name))
    return None if rate is None else rate * 1e9


def working_set_limit(total: int) -> int:
    """Return the working set that Metal recommends at most, in bytes, where `iogpu.wired_limit_mb` is not set.

    Two thirds of the memory up to 32 GiB and three quarters above, as `recommendedMaxWorkingSetSize` reports it on
    machines from 8 to 192 GiB; the engine's own reading replaces it.
    """
    return total * 2 // 3 if total <= 32 * GIB else total * 3 // 4


def _read_mac(reader: MachineReader) -> Machine:
    pairs = (line.partition(":") for line in reader.sysctl().splitlines())
    values = {name: value.strip() for name, _, value in pairs}
    total, available = reader.memory()
    total = _number(values.get("hw.memsize")) or total
    cores = _number(values.get("hw.ncpu")) or reader.cores
    chip = values.get("machdep.cpu.brand_string", "unknown")
    wired = _number(values.get("iogpu.wired_limit_mb"))
    limit = None
    if chip.startswith("Apple"):
        limit = wired * 2**20 if wired else working_set_limit(total)
    return Machine(reader.system, chip, cores, Memory(total, available, limit), chip_bandwidth(chip, cores))


def _linux_memory(reader: MachineReader) -> Memory:
    """Read /proc/meminfo, and the limits of this process and of its control groups (a container has one)."""
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", reader.read_text(Path("/proc/meminfo")) or "", re.MULTILINE))
    if "MemTotal" in found:
        total = int(found["MemTotal"]) * 1024
        available = int(found.get("MemAvailable", found.get("MemFree", 0))) * 1024
    else:
        total, available = reader.memory()
    for folder, names in _control_groups(reader.read_text(Path("/proc/self/cgroup")) or ""):
        limit, usage = (_number(reader.read_text(folder / name)) for name in names[:2])
        if limit is None or limit >= total:
            continue  # "max" in version 2, a huge number in version 1: no limit
        cache = re.search(rf"^{names[2]} (\d+)$", reader.read_text(folder / "memory.stat") or "", re.MULTILINE)
        total = limit
        available = min(available, max(limit - (usage or 0) + (int(cache[1]) if cache else 0), 0))
    if (space := _address_space(reader)) is not None:
        total, available = min(total, space[0]), min(available, space[1])
    return Memory(total, min(available, total))


def _address_space(reader: MachineReader) -> tuple[int, int] | None:
    """Return the most bytes that this process may map (RLIMIT_AS), and what is left of them; None without a limit.

    Beyond it, native code ends the process where Python would raise an error.
    """
    limit = re.search(r"^Max address space\s+(\d+)", reader.read_text(Path("/proc/self/limits")) or "", re.MULTILINE)
    pages = (reader.read_text(Path("/proc/self/statm")) or "").split()
    if limit is None or not pages:
        return None
    return int(limit[1]), max(int(limit[1]) - int(pages[0]) * PAGE_BYTES, 0)


def _control_groups(text: str) -> list[tuple[Path, tuple[str, str, str]]]:
    """Return the folders of this process's memory control groups and their parents, with their file names.

    Inside a container the group's own path is often not visible; the root of the mount then has its limits.
    """
    second = ("memory.max", "memory.current", "inactive_file")
    first = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    groups: list[tuple[Path, tuple[str, str, str]]] = []
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            root, names = Path("/sys/fs/cgroup"), second
        elif "memory" in controllers.split(","):
            root, names = Path("/sys/fs/cgroup/memory"), first
        else:
            continue
        own = root / path.strip("/")
        groups += [(folder, names) for folder in (own, *own.parents) if folder.is_relative_to(root)]
    return groups


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdecimal() else None


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _sysctl() -> str:
    """Read all values in one call; `-i` skips values that this version of macOS lacks."""
    try:
        done = subprocess.run(
            [
                "/usr/sbin/sysctl",
                "-i",
                "hw.memsize",
                "hw.ncpu",
                "iogpu.wired_limit_mb",
                "machdep.cpu.brand_string",
            ],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SYSCTL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _psutil_memory() -> tuple[int, int]:
    import psutil  # takes 30 ms, and Linux does not need it

    memory = psutil.virtual_memory()
    return memory.total, memory.available
