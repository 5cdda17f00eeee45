"""Downloads of models from the Hugging Face Hub into the cache that all tools share.

Talks to the hub over four kinds of request and writes the cache's documented layout
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache) by itself. `huggingface_hub` could fetch the files,
but its `hf_hub_download` (read in 2.4) begins an interrupted file again, cannot be stopped inside one, and compares
only sizes over HTTP; Xet, its faster way, keeps no partial file that could be continued. This package knows no
engine, no catalogue and no rule about memory.
"""

from mcp_local_llm.models.hub.access import HubAccess, hub_access
from mcp_local_llm.models.hub.hub import Hub
from mcp_local_llm.models.hub.repository import Repository, RepositoryFile, is_repository_id

__all__ = ["Hub", "HubAccess", "Repository", "RepositoryFile", "hub_access", "is_repository_id"]
