"""Which models lie on this machine, told from their files.

Reads folders and the first bytes of weight files, and nothing else: no network, no model library. It does not know
which model is chosen, whether one fits, or how people call it.
"""

from mcp_local_llm.models.find.cache import FolderCache
from mcp_local_llm.models.find.find import find_models, native_architectures
from mcp_local_llm.models.find.folder import announced_model
from mcp_local_llm.models.find.roots import ModelRoots, default_roots

__all__ = ["FolderCache", "ModelRoots", "announced_model", "default_roots", "find_models", "native_architectures"]
