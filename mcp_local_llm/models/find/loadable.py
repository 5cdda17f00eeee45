"""Tells from a model's files whether mlx-lm can load them, with the remedy. It must not import a model library."""

import re
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from mcp_local_llm.models.find import config as configs
from mcp_local_llm.models.find.files import JsonObject, section

# mlx_lm/utils.py, MODEL_REMAPPING: names in config.json whose code is in a module of another name.
_REMAPPED = frozenset(
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
TEMPLATES_IN_CODE = frozenset({"muse_spark"})
"""Architectures whose chat template mlx-lm has in code, for models without a template of their own."""

_ROPE_RULES: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "hunyuan": (("factor", "type"), frozenset()),
    "hunyuan_v1_dense": (("alpha", "factor", "type"), frozenset()),
    "internlm2": (("factor", "type"), frozenset({"linear", "dynamic"})),
    "internlm3": (("factor", "rope_type"), frozenset({"linear", "dynamic"})),
    "nemotron": (("factor", "type|rope_type"), frozenset({"linear"})),
    "nemotron-nas": (("factor", "rope_type"), frozenset()),
    "phi3": (("long_factor", "type"), frozenset()),
    "qwen2_moe": (("factor", "type"), frozenset({"linear"})),
}
"""Architecture → what mlx-lm demands of `rope_scaling`: its keys (`|` between two names of one) and its types, if it
does not take any (the `ModelArgs` of mlx_lm/models)."""


@cache
def native_architectures() -> frozenset[str] | None:
    """Return every `model_type` that mlx-lm runs; None where mlx-lm is not installed."""
    folder = _folder_of("mlx_lm")
    return frozenset(path.stem for path in (folder / "models").glob("*.py")) | _REMAPPED if folder else None


def unsupported(
    config: JsonObject, architectures: Collection[str] | None, tokenizer: JsonObject | None = None
) -> list[str]:
    """Return the reasons why mlx-lm cannot load a complete model that writes text.

    Args:
        config: the content of config.json.
        architectures: every `model_type` that mlx-lm runs; None where they are not known.
        tokenizer: the content of tokenizer_config.json.
    """
    if (model_file := config.get("model_file")) is not None:
        return [f"it needs remote code ({model_file}), which is never run"]
    if method := configs.foreign_quantization(config):
        return [f"it is quantized with {method}, which mlx-lm does not read"]
    kind = configs.architecture(config)
    if config and architectures is not None and kind not in architectures:
        if auto_map := section(config, "auto_map"):
            code = ", ".join(_modules(list(auto_map.values())))
            return [f"it needs remote code ({code}), which is never run: mlx-lm has no architecture {kind}"]
        return [f"mlx-lm has no architecture {kind}" if kind != "unknown" else "config.json names no model_type"]
    faults = (_rope_fault(kind, config), _tokenizer_fault(kind, tokenizer or {}), _template_fault(tokenizer or {}))
    return [fault for fault in faults if fault]


def _rope_fault(kind: str, config: JsonObject) -> str | None:
    scaling = section(config, "rope_scaling")
    if not scaling or kind not in _ROPE_RULES:
        return None
    keys, types = _ROPE_RULES[kind]
    missing = [key for key in keys if not any(scaling.get(name) is not None for name in key.split("|"))]
    named = scaling.get("type") or scaling.get("rope_type")
    if missing:
        fault = f"has no {' and no '.join(key.replace('|', ' or ') for key in missing)}"
    elif types and named not in types:
        fault = f"is of the type {named!r}"
    else:
        return None
    wanted = f" and of the type {' or '.join(sorted(types))}" if types else ""
    return (
        f"mlx-lm cannot load it: rope_scaling in config.json {fault}, and {kind} must have "
        f"{', '.join(key.replace('|', ' or ') for key in keys)}{wanted}. Complete it after the model's card, or get "
        "another conversion"
    )


def _tokenizer_fault(kind: str, tokenizer: JsonObject) -> str | None:
    """Report a tokenizer that only its own Python code reads, as transformers decides it (`AutoTokenizer`)."""
    entry: object = section(tokenizer, "auto_map").get("AutoTokenizer") or tokenizer.get("auto_map")
    code = _modules(cast(list[object], entry) if isinstance(entry, list) else [entry])
    known = _known_to_transformers()
    if not code or known is None:
        return None
    own = str(tokenizer.get("tokenizer_class") or "")
    if kind in known or (own and {own, own.removesuffix("Fast"), f"{own}Fast"} & known):
        return None
    return (
        f"its tokenizer needs remote code ({', '.join(code)}), which is never run: get a conversion whose "
        "tokenizer.json works without"
    )


def _template_fault(tokenizer: JsonObject) -> str | None:
    kind, folder = tokenizer.get("chat_template_type"), _folder_of("mlx_lm")
    if not kind or folder is None or (folder / "chat_templates" / f"{kind}.py").is_file():
        return None
    return f"tokenizer_config.json names the chat template {kind!r}, which mlx-lm does not have"


def _modules(references: list[object]) -> list[str]:
    """Return the files of references such as `tokenization_kimi.TikTokenTokenizer`."""
    return sorted({f"{name.rpartition('--')[2].partition('.')[0]}.py" for name in references if isinstance(name, str)})


@cache
def _known_to_transformers() -> frozenset[str] | None:
    """Return the model types and tokenizer classes that transformers has; None where it is not installed.

    They are read from its source: an import takes seconds, and a list of models must not.
    """
    folder = _folder_of("transformers")
    try:
        source = (folder / "models" / "auto" / "tokenization_auto.py").read_text(encoding="utf-8") if folder else ""
    except OSError:
        return None
    return frozenset(re.findall(r'"([\w.-]+)"', source)) or None


def _folder_of(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None
