"""Runs git so that nothing of a repository's configuration runs a program, and nothing of the environment steers it.

git obeys the configuration of the repository that it reads: filters, diff drivers, monitors, hooks. Each is switched
off by name, nothing is read from the working tree, and the time and the output are bounded.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.files.access.roots import without_links
from mcp_local_llm.values.errors import FileAccessError

TIME_LIMIT_S = 20.0
"""For all git commands of one call."""

MAX_OUTPUT_BYTES = 20_000_000

_CONFIG = (
    *(
        "core.fsmonitor=false",
        "core.hooksPath=/dev/null",
        "core.attributesFile=/dev/null",
        "core.excludesFile=/dev/null",
    ),
    *("diff.external=", "diff.noprefix=false", "diff.mnemonicPrefix=false", "diff.orderFile=/dev/null"),
    *("core.quotePath=false", "core.untrackedCache=false", "core.askPass=", "credential.helper=", "color.ui=never"),
    *("log.showSignature=false", "submodule.recurse=false", "protocol.allow=never", "safe.bareRepository=explicit"),
)
_GLOBAL = ("--no-optional-locks", "--no-pager", "--literal-pathspecs", "--no-replace-objects")


@dataclass(frozen=True)
class Git:
    """git in one folder.

    Attributes:
        program: absolute path of git.
        root: the folder to work in; a repository above it is not found.
        deadline: when the last command must have ended, by `time.monotonic`.
    """

    program: str
    root: Path
    deadline: float

    def run(self, *arguments: str) -> bytes:
        """Return what a command writes.

        Raises:
            FileAccessError: of kind `git`: it fails, takes too long or writes too much.
        """
        code, output, complaint = self.attempt(*arguments)
        if code != 0:
            words = complaint.decode("utf-8", "replace").strip().splitlines()
            why = next((line for line in words if line.startswith("fatal:")), words[-1] if words else f"status {code}")
            raise FileAccessError(f"git cannot read {self.root}: {why.removeprefix('fatal: ')[:300]}.", "git")
        return output

    def attempt(self, *arguments: str) -> tuple[int, bytes, bytes]:
        """Return status, output and the beginning of the complaints of a command."""
        config = [word for setting in _CONFIG for word in ("-c", setting)]
        process = subprocess.Popen(
            [self.program, *_GLOBAL, *config, *arguments],
            cwd=self.root,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with process:
            try:
                output, complaint = self._outputs(process)
                return process.wait(max(self.deadline - time.monotonic(), 0.1)), output, complaint
            except subprocess.TimeoutExpired as error:
                raise self._too_slow() from error
            finally:
                _kill(process)

    def _outputs(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        assert process.stdout is not None
        assert process.stderr is not None
        found = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        open_ends = list(found)
        while open_ends:
            ready, _, _ = select.select(open_ends, [], [], max(self.deadline - time.monotonic(), 0))
            if not ready:
                raise self._too_slow()
            for end in ready:
                piece = os.read(end, 1 << 16)
                found[end] += piece
                if not piece:
                    open_ends.remove(end)
                if len(found[end]) > MAX_OUTPUT_BYTES:
                    raise FileAccessError(
                        f"The diff has more than {MAX_OUTPUT_BYTES:,} bytes. Choose a smaller range.", "too_large"
                    )
        output, complaint = found.values()
        return bytes(output), bytes(complaint)

    def _too_slow(self) -> FileAccessError:
        return FileAccessError(f"git took longer than {TIME_LIMIT_S:g} s. Choose a smaller range.", "git")

    def _environ(self) -> dict[str, str]:
        """Begin with nothing: GIT_DIR, GIT_EXTERNAL_DIFF, GIT_CONFIG_COUNT and their like would steer git."""
        return {
            "PATH": os.path.dirname(self.program),
            "LC_ALL": "C",
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_CEILING_DIRECTORIES": str(self.root.parent),
        }


def find_git(root: Path, environ: Mapping[str, str], roots: Sequence[Path]) -> Git:
    """Find the program on the PATH, outside the roots, where a project could have put its own.

    Raises:
        FileAccessError: of kind `git`: there is none.
    """
    folders = [Path(folder) for folder in environ.get("PATH", os.defpath).split(os.pathsep)]
    outside = [
        str(folder)
        for folder in folders
        if folder.is_absolute() and not any(without_links(folder).is_relative_to(one) for one in roots)
    ]
    program = shutil.which("git", path=os.pathsep.join(outside)) if outside else None
    if program is None:
        raise FileAccessError("git is not on the PATH. Install it, or name files instead.", "git")
    return Git(program, root, time.monotonic() + TIME_LIMIT_S)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what still runs, with its children."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.killpg(process.pid, signal.SIGKILL)
