"""Writes the bundle into `dist/`."""

import tempfile
from pathlib import Path

from mcp_local_llm import __version__
from release.bundle import write_bundle
from release.supply import ROOT

if __name__ == "__main__":
    target = ROOT / "dist" / f"mcp-local-llm-{__version__}.mcpb"
    with tempfile.TemporaryDirectory() as home:
        write_bundle(target, Path(home))
    print(target)
