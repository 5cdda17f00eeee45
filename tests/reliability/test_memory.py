"""Memory: what does not fit is refused by numbers before it is read, and one call's hunger costs that call alone."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.model_cache import QWEN3_4B, QWEN_32B, Packing, model_files, write
from tests.reliability.steady import Steady
from tests.sharing.sessions import GREETING

GROUP = "Memory"
LONG = "Hello " * 500
MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steady]:
    steady = Steady(tmp_path_factory.mktemp("memory"))
    yield steady
    steady.close()


@pytest.mark.fault(
    GROUP,
    "a model larger than the machine is asked for while another one is loaded",
    promised="refused by numbers before a byte of its weights is read; the loaded one stays and answers",
)
def test_a_model_that_does_not_fit_is_refused_unread(server: Steady, tries: int) -> None:
    server.lives()
    loaded = psutil.Process(server.process.pid)
    for attempt in range(tries):
        name = f"giant-{attempt}"
        # Sparse files: from some 2 TB on.
        sizes = replace(QWEN_32B, layers=300 + 50 * attempt, hidden=16_384, ffn=131_072)
        for file, content in model_files(sizes, Packing(16)).items():
            write(server.models / name / file, content)
        before, read = loaded.memory_info().rss, loaded.io_counters().read_chars
        text = server.refused(name)
        assert "can be had" in text
        assert "TB" in text
        assert loaded.memory_info().rss - before < 200 * MIB
        assert loaded.io_counters().read_chars - read < 50 * MIB
        assert server.chat("tiny") == (False, GREETING)
        server.remove(name)


@pytest.mark.fault(
    GROUP,
    "a model larger than what the process may map (RLIMIT_AS) is asked for",
    promised="the limit counts as the machine's memory: refused by numbers, unread; the loaded model answers",
)
def test_a_limit_of_the_process_counts_as_memory(server: Steady, tries: int) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux sets the limits of another process")
    server.lives()
    pid = server.process.pid
    for attempt in range(tries):
        name = f"large-{attempt}"
        for file, content in model_files(QWEN3_4B, Packing(4)).items():
            write(server.models / name / file, content)
        limit = psutil.Process(pid).memory_info().vms + (600 + 10 * attempt) * MIB
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        assert "can be had" in server.refused(name)
        assert server.chat("tiny") == (False, GREETING)
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        server.remove(name)


MEMINFO = "MemTotal: {total} kB\nMemAvailable: {available} kB\n"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Steady, Path]]:
    """A server on a machine with the memory that a file tells; it has a mount namespace of its own."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMINFO.format(total=2**20, available=2**19))
    mount = f"mount --bind {meminfo} /proc/meminfo"
    if sys.platform != "linux" or os.geteuid() or subprocess.run(["unshare", "-m", "sh", "-c", mount]).returncode:
        pytest.skip("only root on Linux can give a process a machine with less memory")
    script = f'{mount} && exec "$0" -m mcp_local_llm'
    steady = Steady(tmp_path, command=["unshare", "--mount", "sh", "-c", script, sys.executable])
    yield steady, meminfo
    steady.close()


@pytest.mark.fault(
    GROUP,
    "a prompt and its answer need more memory than is free",
    promised="refused by numbers before it is read; smaller calls at the same moment are answered",
)
def test_a_prompt_that_does_not_fit_is_refused_and_others_are_answered(small: tuple[Steady, Path], tries: int) -> None:
    server, meminfo = small
    server.lives()
    meminfo.write_text(MEMINFO.format(total=2**20, available=1024))
    for attempt in range(tries):
        hungry = server.begin("tiny", f"{attempt} {LONG}", max_tokens=2000 + attempt)
        modest = server.begin("tiny")
        failed, text = server.result(hungry)
        assert failed
        assert "can be had" in text
        assert f"{2000 + attempt:,}" in text
        assert server.result(modest) == (False, GREETING)
    meminfo.write_text(MEMINFO.format(total=2**20, available=2**19))
    failed, text = server.chat("tiny", f"{LONG}", max_tokens=200)
    assert not failed, text


@pytest.mark.fault(
    GROUP,
    "the machine's memory is taken by others when a model is to be loaded",
    promised="refused by numbers, nothing is unloaded; it loads once there is room",
)
def test_a_model_without_room_is_refused_until_there_is_room(small: tuple[Steady, Path], tries: int) -> None:
    server, meminfo = small
    server.lives()
    for attempt in range(tries):
        name = f"other-{attempt}"
        server.place(name)
        meminfo.write_text(MEMINFO.format(total=2**20, available=attempt))
        assert "can be had" in server.refused(name)
        failed, status = server.result(server.call("status"))
        assert not failed
        assert "tiny" in status
        meminfo.write_text(MEMINFO.format(total=2**20, available=2**19))
        assert server.chat(name) == (False, GREETING)
        server.lives()
        server.remove(name)
