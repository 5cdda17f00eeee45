"""MLX in this process: one thread loads the model, answers and unloads it.

Importing this package does not import mlx: `worker` and what it uses are imported by the MLX thread on its first
command, because `import mlx_lm` takes longer than a whole MCP handshake may.
"""

from mcp_local_llm.engines.mlx.engine import MlxLoader
from mcp_local_llm.engines.mlx.limits import EngineLimits, PrefixDiskLimits

__all__ = ["EngineLimits", "MlxLoader", "PrefixDiskLimits"]
