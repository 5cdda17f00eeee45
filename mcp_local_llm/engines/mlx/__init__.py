"""MLX in this process: one thread loads the model, answers requests and unloads it. It must not know verbs or doors.

    engine, chunks      the engine on the event loop; events of a request to chunks
    thread, worker      the MLX thread, from outside and inside
    messages, watch     commands and events; the watchdog of the thread
    limits, file_limit  bounds from the settings; the limit of open files
    prompt              a request to token ids, beside the MLX thread
    load                a folder to a network
    batch               admission, prefill and decoding of requests
    prefix              KV caches that are kept for reuse
    steer               logits processors, grammars, penalties, sampling

Importing this package does not import mlx: the MLX thread imports `worker` at its first command, because
`import mlx_lm` takes longer than an MCP handshake may.
"""

from mcp_local_llm.engines.mlx.engine import MlxLoader
from mcp_local_llm.engines.mlx.limits import EngineLimits, PrefixDiskLimits

__all__ = ["EngineLimits", "MlxLoader", "PrefixDiskLimits"]
