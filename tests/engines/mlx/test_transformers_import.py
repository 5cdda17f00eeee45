"""The import of transformers that reads its files once gives what the plain one gives."""

import subprocess
import sys
from pathlib import Path

from tests.clients import WAIT_S
from tests.source import ROOT

IMPORT = "from mcp_local_llm.engines.mlx.load.transformers_import import import_transformers; import_transformers()"
COMPARED = f"""
{IMPORT}
import os, sys
import mlx_lm.utils
reader = sys.modules["transformers.utils.import_utils"]
folder = os.path.dirname(sys.modules["transformers.models"].__file__)
read = reader.create_import_structure_from_path
folders = sum(1 for path, _, _ in os.walk(folder) if "__pycache__" not in path)
print(read.cache_info().misses <= 1.2 * folders, end=" ")
once = {{name: module for name, module in sys.modules["transformers.models"]._class_to_module.items()}}
plain = reader.define_import_structure.__wrapped__(os.path.join(folder, "__init__.py"))
print(once == {{name: module for found in plain.values() for module, names in found.items() for name in names}})
"""


def run(program: str, path: Path) -> str:
    environ = {"PYTHONPATH": f"{path}:{ROOT}", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_every_name_of_a_model_is_found_where_the_plain_import_finds_it(tmp_path: Path) -> None:
    assert run(COMPARED, tmp_path) == "True True"


def test_a_version_without_that_function_is_imported_as_it_is(tmp_path: Path) -> None:
    models = tmp_path / "transformers" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("from . import models\n")
    (models / "__init__.py").write_text("LATER = 1\n")
    assert run(f"{IMPORT}\nimport transformers\nprint(transformers.models.LATER)", tmp_path) == "1"
