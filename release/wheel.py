"""Builds the wheel and the sdist into `dist/` and tries them as users would: `make wheel`.

The wheel is made from the unpacked sdist, so that both are whole. It is installed with the versions and hashes of the
lock into a clean environment of every Python from 3.11 on that is here, and asked; for the systems and Pythons that are
not here, it is resolved whether the lock's wheels suit them.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from release.supply import LOCK, ROOT, tool, uv

DIST = ROOT / "dist"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("aarch64-apple-darwin", "x86_64-manylinux_2_35", "aarch64-manylinux_2_35")
"""Where the lock must hold, in uv's words; mlx has wheels from these versions of glibc and macOS on."""

QUESTION = "How many legs do two cats and a bird have?"
SMOKE = ROOT / "release" / "smoke.py"
SECONDS = 180
COMMANDS: Mapping[tuple[str, ...], str] = {
    ("--version",): "mcp-local-llm ",
    ("models",): "tiny",
    ("chat", "--no-stdin", "--model", "tiny", QUESTION): "10",
    ("prompt", "switch-model"): "model",
}
"""Arguments of the installed command → words that stdout must hold."""


def build(folder: Path) -> Path:
    """Build the sdist into `dist/`, and the wheel from what is in it; return the wheel."""
    for old in (*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")):
        old.unlink()
    _hatchling("sdist", ROOT)
    (sdist,) = DIST.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    _hatchling("wheel", unpacked)
    (wheel,) = DIST.glob("*.whl")
    return wheel


def pythons() -> Mapping[str, Path]:
    """Return the Pythons of this machine that the package supports, those of pyenv among them, by version."""
    found: dict[str, Path] = {}
    for version in VERSIONS:
        for path in _candidates(version):
            # A name on the PATH may be pyenv's word for a version that is not switched on.
            asked = [path, "-c", "import sys, venv, ssl; print(sys.base_prefix)"]
            if subprocess.run(asked, capture_output=True).returncode == 0:
                found[version] = Path(path)
                break
    return found


def install(uv_program: Path, python: Path, wheel: Path, folder: Path) -> bool:
    """Install the wheel into a new environment, with the lock's versions and hashes; false without an index."""
    uv(uv_program, "venv", "--quiet", "--no-python-downloads", "--python", python, folder)
    options = ("--constraint", LOCK, "--verify-hashes", "--only-binary", ":all:")
    return uv(uv_program, "pip", "install", "--python", folder / "bin" / "python", *options, wheel) is not None


def try_out(environment: Path, folder: Path) -> str:
    """Use the installed package in an empty folder; return what the smoke test says."""
    home = folder / "home"
    home.mkdir()
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PATH": os.environ["PATH"]}
    for arguments, words in COMMANDS.items():
        told = _run([environment / "bin" / "mcp-local-llm", *arguments], environ, home)
        if words not in told:
            sys.exit(f"mcp-local-llm {' '.join(arguments)} did not say {words!r}:\n{told}")
    return _run([environment / "bin" / "python", "-I", SMOKE, home], environ, home)


def check_types(environment: Path, folder: Path) -> None:
    """Check the smoke test strictly against the types of the installed package, away from the checkout."""
    shutil.copy(SMOKE, folder / "client.py")
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "include": ["client.py"]}))
    _run([sys.executable, "-m", "pyright", "--pythonpath", environment / "bin" / "python"], dict(os.environ), folder)


def resolve(uv_program: Path, folder: Path) -> Iterator[str]:
    """Resolve the lock's wheels for each system and Python; give the lines to print."""
    for platform in PLATFORMS:
        for version in VERSIONS:
            target = ("--target", folder, "--python-version", version, "--python-platform", platform)
            options = ("--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirements", LOCK)
            if (told := uv(uv_program, "pip", "install", *target, *options)) is None:
                yield "resolving: skipped, because no package index can be reached from here."
                return
            yield f"{platform}, Python {version}: {_count(told)}"


def main() -> None:
    """Build, install, try, check, resolve."""
    with tempfile.TemporaryDirectory() as name:
        wheel = build(Path(name))
    print(f"built {wheel.name} from the sdist")
    uv_program = tool("uv")
    if uv_program is None:
        print("installing: skipped, because uv could not be installed; the reason is above.")
        return
    found = pythons()
    for version, python in found.items():
        with tempfile.TemporaryDirectory() as name:
            environment, folder = Path(name) / "environment", Path(name) / "folder"
            folder.mkdir()
            if not install(uv_program, python, wheel, environment):
                print("installing: skipped, because no package index can be reached from here.")
                return
            print(try_out(environment, folder).strip(), flush=True)
            if version == next(iter(found)):
                check_types(environment, folder)
                print("a client passes pyright strict against the installed package", flush=True)
    missing = [version for version in VERSIONS if version not in found]
    print(f"not on this machine: Python {', '.join(missing)}" if missing else "every Python was tried")
    with tempfile.TemporaryDirectory() as name:
        for line in resolve(uv_program, Path(name)):
            print(line, flush=True)


def _candidates(version: str) -> Iterator[str | Path]:
    named = shutil.which(f"python{version}")
    if named:
        yield named
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))


def _hatchling(kind: str, folder: Path) -> None:
    _run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", DIST], dict(os.environ), folder)


def _run(command: list[str | Path], environ: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _count(told: str) -> str:
    return next((line for line in told.splitlines() if line.startswith("Resolved ")), "resolved").partition(" in ")[0]


if __name__ == "__main__":
    main()
