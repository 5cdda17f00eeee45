"""Finds the models on this machine, and reads their facts from config files and the headers of weight files.

It must not know the network, model libraries, the choice, memory or roles.
"""

from mcp_local_llm.models.find.cache import FolderCache
from mcp_local_llm.models.find.find import find_models
from mcp_local_llm.models.find.folder import announced_model
from mcp_local_llm.models.find.loadable import native_architectures
from mcp_local_llm.models.find.roots import ModelRoots, default_roots, folder_warnings, referenced_revision

__all__ = [
    "FolderCache",
    "ModelRoots",
    "announced_model",
    "default_roots",
    "find_models",
    "folder_warnings",
    "native_architectures",
    "referenced_revision",
]
