"""Which architectures the installed mlx-lm can run, read from its folder without importing it.

Importing mlx-lm takes more than a second and belongs to the engine's thread alone.
"""

from importlib.util import find_spec
from pathlib import Path

# mlx_lm/utils.py, MODEL_REMAPPING: names in config.json that another module serves.
_SERVED_BY_ANOTHER = frozenset(
    {
        "deepseek_v41_text",
        "falcon_mamba",
        "gemma4_unified",
        "iquestcoder",
        "joyai_llm_flash",
        "kimi_k2",
        "llava",
        "minimax_m2",
        "mistral",
        "phi-msft",
        "qwen2_5_vl",
        "xverse",
    }
)


def native_architectures() -> frozenset[str] | None:
    """Return every `model_type` that mlx-lm runs, or None where mlx-lm is not installed."""
    spec = find_spec("mlx_lm")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    return frozenset(path.stem for path in folder.glob("*.py")) | _SERVED_BY_ANOTHER
