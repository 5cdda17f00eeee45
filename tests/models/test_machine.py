from collections.abc import Mapping

import pytest

from mcp_local_llm.setup.machine import (
    PAGE_BYTES,
    MachineReader,
    chip_bandwidth,
    local_machine_reader,
    read_machine,
    working_set_limit,
)
from mcp_local_llm.values.machine import Machine, Memory

GIB = 2**30

MEMINFO = """MemTotal:       32768000 kB
MemFree:         1000000 kB
MemAvailable:   20480000 kB
HugePages_Total:       0
"""
CPUINFO = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7763\nmodel name\t: again\n"
TOTAL, AVAILABLE = 32_768_000 * 1024, 20_480_000 * 1024


def linux(files: Mapping[str, str]) -> Machine:
    def unexpected() -> str:
        raise AssertionError("there is no sysctl here")

    return read_machine(
        MachineReader("Linux", 8, lambda path: files.get(str(path)), unexpected, lambda: (7 * GIB, 5 * GIB))
    )


def mac(sysctl: str) -> Machine:
    return read_machine(MachineReader("Darwin", 4, lambda _: None, lambda: sysctl, lambda: (16 * GIB, 9 * GIB)))


PROC = {"/proc/meminfo": MEMINFO, "/proc/cpuinfo": CPUINFO}

# what the control groups say → total and available bytes
CONTROL_GROUPS: dict[str, tuple[dict[str, str], tuple[int, int]]] = {
    "none": ({}, (TOTAL, AVAILABLE)),
    "version 2 without a limit": (
        {"/proc/self/cgroup": "0::/user.slice\n", "/sys/fs/cgroup/user.slice/memory.max": "max\n"},
        (TOTAL, AVAILABLE),
    ),
    "version 2, seen from inside a container": (
        {
            "/proc/self/cgroup": "0::/\n",
            "/sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
            "/sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
            "/sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {GIB}\n",
        },
        (8 * GIB, 6 * GIB),
    ),
    "version 2, limited by a parent": (
        {
            "/proc/self/cgroup": "0::/a/b\n",
            "/sys/fs/cgroup/a/b/memory.max": f"{9 * GIB}",
            "/sys/fs/cgroup/a/b/memory.current": f"{GIB}",
            "/sys/fs/cgroup/a/memory.max": f"{4 * GIB}",
            "/sys/fs/cgroup/a/memory.current": f"{2 * GIB}",
        },
        (4 * GIB, 2 * GIB),
    ),
    "version 1": (
        {
            "/proc/self/cgroup": "9:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n",
            "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": f"{2 * GIB}",
            "/sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes": f"{GIB}",
            "/sys/fs/cgroup/memory/docker/1/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB // 2}\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
        (2 * GIB, GIB + GIB // 2),
    ),
    "used up": (
        {
            "/proc/self/cgroup": "0::/\n",
            "/sys/fs/cgroup/memory.max": f"{GIB}",
            "/sys/fs/cgroup/memory.current": f"{2 * GIB}",
        },
        (GIB, 0),
    ),
    "a limit of the address space": (
        {
            "/proc/self/limits": f"Max cpu time  unlimited\nMax address space         {4 * GIB}   unlimited   bytes\n",
            "/proc/self/statm": f"{GIB // PAGE_BYTES} 2 3\n",
        },
        (4 * GIB, 3 * GIB),
    ),
    "no limit of the address space": (
        {
            "/proc/self/limits": "Max address space         unlimited            unlimited            bytes\n",
            "/proc/self/statm": "1 2 3\n",
        },
        (TOTAL, AVAILABLE),
    ),
    "nonsense": (
        {"/proc/self/cgroup": "what\n0::\n", "/sys/fs/cgroup/memory.max": "much"},
        (TOTAL, AVAILABLE),
    ),
}


@pytest.mark.parametrize("case", CONTROL_GROUPS)
def test_on_linux_a_limit_of_a_control_group_counts_like_less_memory(case: str) -> None:
    files, (total, available) = CONTROL_GROUPS[case]
    assert linux(PROC | files).memory == Memory(total, available)


def test_on_linux_the_processor_is_named_and_no_bandwidth_is_known() -> None:
    machine = linux(PROC)
    assert (machine.system, machine.chip, machine.cores, machine.bandwidth) == ("Linux", "AMD EPYC 7763", 8, None)


def test_where_proc_cannot_be_read_the_other_reading_serves() -> None:
    machine = linux({})
    assert machine.memory == Memory(7 * GIB, 5 * GIB)
    assert machine.chip == "unknown"


def test_an_old_kernel_tells_free_memory_alone() -> None:
    assert linux({"/proc/meminfo": "MemTotal: 1000 kB\nMemFree: 400 kB\n"}).memory == Memory(1_024_000, 409_600)


def test_on_a_mac_the_facts_come_from_sysctl() -> None:
    text = f"hw.memsize: {64 * GIB}\nhw.ncpu: 16\niogpu.wired_limit_mb: 0\nmachdep.cpu.brand_string: Apple M3 Max\n"
    assert mac(text) == Machine("Darwin", "Apple M3 Max", 16, Memory(64 * GIB, 9 * GIB, 48 * GIB), 400e9)


def test_a_wired_limit_that_the_user_set_is_the_gpus_limit() -> None:
    text = f"hw.memsize: {32 * GIB}\niogpu.wired_limit_mb: 28672\nmachdep.cpu.brand_string: Apple M1 Pro\n"
    assert mac(text).memory.gpu_limit == 28 * GIB


def test_a_mac_without_apple_silicon_has_no_gpu_limit() -> None:
    machine = mac(f"hw.memsize: {16 * GIB}\nmachdep.cpu.brand_string: Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz\n")
    assert machine.memory.gpu_limit is None
    assert machine.bandwidth is None


def test_a_mac_whose_sysctl_says_nothing_still_has_its_memory() -> None:
    assert mac("") == Machine("Darwin", "unknown", 4, Memory(16 * GIB, 9 * GIB))


# gigabytes per second
CHIPS = [
    ("Apple M1", 8, 68),
    ("Apple M1 Ultra", 20, 800),
    ("Apple M2", 8, 100),
    ("Apple M3 Max", 14, 300),
    ("Apple M3 Max", 16, 400),
    ("Apple M3 Ultra", 32, 819),
    ("Apple M4", 10, 120),
    ("Apple M4 Pro", 14, 273),
    ("Apple M4 Max", 14, 410),
    ("Apple M4 Max", 16, 546),
    ("Apple M5", 10, 153),
    ("Apple M5 Pro", 18, 307),
    ("Apple M5 Max", 18, 460),
    ("Apple M9 Max", 18, None),
    ("Intel(R) Core(TM) i7", 8, None),
    ("", 0, None),
]


@pytest.mark.parametrize(("chip", "cores", "rate"), CHIPS)
def test_bandwidth_is_known_for_apples_chips(chip: str, cores: int, rate: int | None) -> None:
    assert chip_bandwidth(chip, cores) == (None if rate is None else rate * 1e9)


@pytest.mark.parametrize(("memory", "limit"), [(8, 16 / 3), (16, 32 / 3), (36, 27), (64, 48), (128, 96), (192, 144)])
def test_the_working_set_follows_what_metal_reports(memory: int, limit: float) -> None:
    assert working_set_limit(memory * GIB) == int(limit * GIB)


def test_this_machine_can_be_read() -> None:
    memory = read_machine(local_machine_reader()).memory
    assert 0 < memory.available <= memory.total


def test_the_other_reading_works_here() -> None:
    total, available = local_machine_reader().memory()
    assert 0 < available <= total
