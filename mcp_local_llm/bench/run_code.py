"""Runs a model's code with its tests in a process of its own: bounded, in an empty folder, without network.

Bounds: processor time, memory, no further processes (but for root, whom Linux does not count), no file content written,
a limit of time, and an empty environment. The network is closed by a namespace of Linux or by `sandbox-exec` of macOS;
where neither works, `network_closed` says so. It is no jail: what the user may read, the code may read.
"""

import secrets
import subprocess
import sys
import tempfile

from mcp_local_llm.values.errors import ConfigError

WAIT_S = 15.0
CPU_S, MEMORY_BYTES = 4, 2**30

SANDBOX = ("/usr/bin/sandbox-exec", "-p", "(version 1)(allow default)(deny network*)")

RUNNER = f"""
import ctypes, os, resource, sys
if sys.platform == "linux":
    # CLONE_NEWUSER | CLONE_NEWNET, sched.h: a network namespace without a route.
    closed = ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x40000000) == 0
else:
    closed = sys.argv[2] == "sandbox"
if sys.argv[1] == "probe":
    sys.exit(0 if closed else 3)
for what, bound in (
    (resource.RLIMIT_CPU, {CPU_S}), (resource.RLIMIT_AS, {MEMORY_BYTES}), (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_CORE, 0),
):
    try:
        resource.setrlimit(what, (bound, bound))
    except (OSError, ValueError):
        pass
code, tests, token = sys.stdin.read().split("\\0")
scope = {{"__name__": "answer"}}
exec(compile(code, "answer.py", "exec"), scope)
exec(compile(tests, "tests.py", "exec"), scope)
os.write(1, token.encode())
"""


def network_closed() -> bool:
    """Return whether code would run without network on this machine."""
    return _run("probe", "").returncode == 0


def passes(code: str, tests: str) -> bool:
    """Run code, then its tests; return whether none failed.

    Raises:
        ConfigError: no process can be started.
    """
    # The code cannot know the token, so it cannot pass by ending early.
    token = secrets.token_hex(16)
    try:
        done = _run("run", "\0".join((code.replace("\0", ""), tests, token)))
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and done.stdout.endswith(token.encode())


def _run(mode: str, text: str) -> subprocess.CompletedProcess[bytes]:
    mac = sys.platform == "darwin"
    command = [*(SANDBOX if mac else ()), sys.executable, "-I", "-c", RUNNER, mode, "sandbox" if mac else "none"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            return subprocess.run(
                command,
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={},
                timeout=WAIT_S,
                check=False,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(f"No process can be started for the code: {error.strerror}.") from error
