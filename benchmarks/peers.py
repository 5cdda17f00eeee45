"""Other engines that serve OpenAI's API, and where they are on this machine: a table and a search, no process.

All of them have run under this runner on Linux without a GPU: vllm-mlx 0.6.0, rapid-mlx 0.16.10 and mlx-openai-server
1.7.1, each with `mlx[cpu]` of a matching version installed beside it (they bring only MLX for macOS; for the last one
that was 0.31.2, because its own choice, 0.31.1, lacks what its mlx-lm calls), and llama-server from llama.cpp's source.
None of them was run by us on a Mac.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BUILT = Path(__file__).parents[1] / ".cache" / "engines"
"""Where `make test-engines` leaves llama-server."""
CALLS = 8
"""Requests at once in the widest comparison; llama-server divides its context among so many slots."""
_SLOT = 2048
_ASK_PACKAGES = """
import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        print(name, version(name))
    except PackageNotFoundError:
        pass
"""
_BESIDE = ("mlx", "mlx-lm")
"""Packages whose versions are told with a peer's own: they do its arithmetic."""
_ANSWER_S = 60.0


@dataclass(frozen=True)
class Peer:
    """A server as its own documentation starts it.

    Attributes:
        name: its program, by which it is looked for and called in the report.
        arguments: with `{model}` for the folder or file and `{port}`.
        ready: path that answers 200 once requests are answered.
        model: what requests call the model, with `{model}` as above.
        package: the Python distribution that it must come from; empty for a program that is none.
        gguf: it reads a GGUF file, and no folder of mlx-lm.
    """

    name: str
    arguments: tuple[str, ...]
    ready: str
    model: str = "{model}"
    package: str = ""
    gguf: bool = False


_LOOPBACK = ("--host", "127.0.0.1", "--port", "{port}")
MLX_LM = Peer(
    "mlx_lm.server", ("--model", "{model}", *_LOOPBACK), ready="/health", model="default_model", package="mlx-lm"
)
PEERS = (
    MLX_LM,
    # Without batching it answers one request after the other.
    Peer("vllm-mlx", ("serve", "{model}", "--continuous-batching", *_LOOPBACK), ready="/health", package="vllm-mlx"),
    # Its /health says 200 while it still warms up.
    Peer("rapid-mlx", ("serve", "{model}", *_LOOPBACK), ready="/health/ready", package="rapid-mlx"),
    Peer(
        "mlx-openai-server",
        ("launch", "--model-path", "{model}", "--model-type", "lm", "--no-log-file", *_LOOPBACK),
        ready="/health",
        package="mlx-openai-server",
    ),
    # It ends at whatever its vocabulary calls an end of turn; the models here must not end.
    Peer(
        "llama-server",
        ("--model", "{model}", "--parallel", f"{CALLS}", "--ctx-size", f"{CALLS * _SLOT}", "--ignore-eos", *_LOOPBACK),
        ready="/health",
        gguf=True,
    ),
)
OPTIONAL = tuple(peer.name for peer in PEERS if peer is not MLX_LM)
"""Those that an extra step installs."""


@dataclass(frozen=True)
class Installed:
    """A peer that is here: the program with what stands before its arguments, and its version in words."""

    peer: Peer
    program: tuple[str, ...]
    version: str


def parse_places(options: Sequence[str]) -> dict[str, Path]:
    """Read `NAME=PATH` options.

    Raises:
        ValueError: no peer is called so, or no program is there.
    """
    places: dict[str, Path] = {}
    for option in options:
        name, _, place = option.partition("=")
        if name not in OPTIONAL:
            raise ValueError(f"{option!r} names no peer; give NAME=PATH with one of {', '.join(OPTIONAL)}")
        program = shutil.which(Path(place).expanduser()) if place else None
        if program is None:
            raise ValueError(f"{option!r}: there is no program at {place!r}")
        places[name] = Path(program).absolute()
    return places


def find_peers(places: Mapping[str, Path]) -> tuple[list[Installed], list[str]]:
    """Look for every peer of the table: where `places` says, on the PATH, where our own build leaves it.

    Returns:
        Those that are here, `mlx_lm.server` always among them; and a line for each of the others, with the reason.
    """
    here = [Installed(MLX_LM, (sys.executable, "-m", MLX_LM.name), _packages(sys.executable, MLX_LM.package))]
    absent: list[str] = []
    for peer in PEERS:
        if peer is MLX_LM:
            continue
        found = places.get(peer.name) or shutil.which(peer.name) or shutil.which(peer.name, path=str(BUILT))
        if found is None:
            absent.append(f"{peer.name} (not installed)")
            continue
        program = Path(found).absolute()
        try:
            here.append(Installed(peer, (str(program),), _version(peer, program)))
        except (LookupError, OSError, subprocess.SubprocessError) as error:
            absent.append(f"{peer.name} ({program}: {error})")
    return here, absent


def _version(peer: Peer, program: Path) -> str:
    """Return the version of a program, of what does its arithmetic, too, where that is a package beside it.

    Raises:
        LookupError: the program belongs to another package. rapid-mlx installs one that is called `vllm-mlx`.
    """
    if not peer.package:
        run = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_ANSWER_S, check=True)
        said = re.search(r"version: (.+)", run.stdout + run.stderr)
        return said.group(1).strip() if said else "of unknown version"
    python = _python_of(program)
    if python is None:
        return "of unknown version"
    versions = _packages(python, peer.package, *_BESIDE)
    if not versions.startswith(f"{peer.package} "):
        raise LookupError(f"its Python, {python}, has no package {peer.package}")
    return versions.removeprefix(f"{peer.package} ")


def _python_of(program: Path) -> str | None:
    """Return the interpreter of a script: the one that its first line names, or the one beside it."""
    with program.open("rb") as file:
        first = file.readline(512)
    named = Path(first.removeprefix(b"#!").decode(errors="replace").strip()) if first.startswith(b"#!") else None
    beside = program.resolve().parent / "python"
    for python in (named, beside):
        if python is not None and python.name.startswith("python") and python.is_file():
            return str(python)
    return None


def _packages(python: str, *names: str) -> str:
    """Return `a 1.0, b 2.0` for the packages that an interpreter has."""
    command = [python, "-c", _ASK_PACKAGES, *names]
    out = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S, check=True).stdout
    return ", ".join(out.split("\n")[:-1])
