"""A model as our discovery sees it."""

from pathlib import Path

from mcp_local_llm.models.find import default_roots, find_models
from mcp_local_llm.values.model import ModelInfo


def model_in(folder: Path) -> ModelInfo:
    """Return what is known of the model in `folder`, found from the folder above it.

    Raises:
        ValueError: there is no model.
    """
    roots = default_roots({}, folder.parent, (folder.parent,))
    (info,) = (model for model in find_models(roots) if model.path == folder)
    return info
