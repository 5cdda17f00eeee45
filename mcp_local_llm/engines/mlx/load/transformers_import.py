"""Imports transformers, which mlx-lm takes its tokenizers from, without reading all of its source files twice.

transformers reads each of its model files, some 1,600, to learn which of them defines a name: once for the package and
once for `transformers.models`. It remembers what it found in a folder, but of 128 folders only, and there are 500. The
second time is a third of the CPU time of `import mlx_lm` (0.6 of 2.0 s with transformers 5.23).
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Any


def import_transformers() -> None:
    """Import `transformers.models`, whose names are answered from what the package has just read.

    A file stands for its folder in transformers' own function, so the answer is the one that it would find. Where a
    version has no such function, the import is as it is without this.
    """
    # mlx-lm does the same before it imports transformers, which would warn on stderr that PyTorch is missing.
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    package = importlib.import_module("transformers")
    reader: Any = sys.modules.get("transformers.utils.import_utils")
    read = getattr(reader, "create_import_structure_from_path", None)
    if package.__file__ is None or read is None or "transformers.models" in sys.modules:
        return
    folder = Path(package.__file__).parent / "models"
    # transformers asks for this value first, so it is the one that it still remembers.
    same = os.fspath(folder / "__init__.py")

    def read_once(path: Any) -> Any:
        return read(folder) if os.fspath(path) == same else read(path)

    reader.create_import_structure_from_path = read_once
    try:
        importlib.import_module("transformers.models")
    finally:
        reader.create_import_structure_from_path = read
