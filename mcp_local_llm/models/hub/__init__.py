"""Downloads models from the Hugging Face Hub into the cache that all tools share.

It writes the documented layout of the cache (https://huggingface.co/docs/huggingface_hub/guides/manage-cache) without
`huggingface_hub`, whose `hf_hub_download` (read in 2.4) restarts an interrupted file, cannot be cancelled within one,
and compares only sizes over HTTP; downloads over Xet cannot be continued. It must not know engines, the catalogue or
memory.
"""

from mcp_local_llm.models.hub.access import HubAccess, hub_access
from mcp_local_llm.models.hub.cache import repository_lock
from mcp_local_llm.models.hub.hub import Hub
from mcp_local_llm.models.hub.repository import Repository, is_repository_id

__all__ = ["Hub", "HubAccess", "Repository", "hub_access", "is_repository_id", "repository_lock"]
