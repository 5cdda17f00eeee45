"""A disk tier in a folder of its own."""

from pathlib import Path

import pytest

from mcp_local_llm.engines.mlx.prefix.disk import PrefixDisk
from mcp_local_llm.engines.mlx.prefix.disk_files import PrefixFiles
from tests.engines.mlx.kept_prefixes import MIB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "prefixes"


@pytest.fixture
def disk(root: Path) -> PrefixDisk:
    return PrefixDisk(PrefixFiles(root, "model", 64 * MIB))
