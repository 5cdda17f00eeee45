"""Tells from config files and GGUF headers whether a model writes text at all. Pure functions; names tell nothing."""

import re
from collections.abc import Collection, Iterable
from typing import cast

from mcp_local_llm.models.find.files import JsonObject

_WRITES = re.compile(r"(?:ForCausalLM|ForConditionalGeneration|LMHeadModel|ForImageTextToText|ForMultimodalLM)$")
_TASKS = (
    (re.compile("Eagle|EAGLE|DFlash|Draft|Medusa|Specul|MTP|NextN|Assistant"), "a draft head for another model"),
    (re.compile("TTS|TextTo(?:Speech|Wav)|[Vv]oco|Codec"), "a text-to-speech model"),
    (re.compile("Classif|Rank|Reward|CrossEncoder|MultipleChoice|QuestionAnswering"), "a classifier or reranker"),
    (re.compile("MaskedLM|Embed|Bidirectional|Encod|FeatureExtraction|Retriev|Colbert|ColBERT"), "an embedding model"),
)
"""Parts of the names under `architectures`, and what such a model is."""
_DRAFT_KEYS = frozenset(
    {"dflash_config", "draft_vocab_size", "eagle_config", "medusa_num_heads", "speculators_config"}
    | {"eagle_aux_hidden_state_layer_ids", "speculators_model_type"}
)
_EMBEDDING_FILES = frozenset({"config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"})
_EMBEDDING_FOLDER = re.compile(r"\d+_(?:Pooling|Dense|Normalize|LogitScore|CausalScoreHead)")
_DRAFT_TENSORS = frozenset({"fc.weight", "d2t", "t2d"})


def other_purpose(names: Collection[str], config: JsonObject, tensors: Iterable[str] = ()) -> str | None:
    """Return what a folder of safetensors holds in place of a model that writes text; None for such a model.

    Args:
        names: of the files and subfolders; those of a repository may have the folder in front.
        config: the content of config.json.
        tensors: the names of its tensors.
    """
    if "model_index.json" in names:
        return "a diffusion pipeline, not a language model"
    if any(name in _EMBEDDING_FILES or _EMBEDDING_FOLDER.match(name) for name in names):
        return "an embedding model, not a language model"
    named: object = config.get("architectures")
    kinds = [kind for kind in cast(list[object], named) if isinstance(kind, str)] if isinstance(named, list) else []
    for kind in kinds:
        if task := next((task for part, task in _TASKS if part.search(kind)), None):
            return f"{task} ({kind}), not a chat model"
    draft = _DRAFT_KEYS & config.keys() or any(
        name in _DRAFT_TENSORS or name.startswith(("midlayer.", "medusa_head")) for name in tensors
    )
    if draft:
        return "a draft head for another model, not a chat model"
    encodes = any(kind.endswith("Model") or re.search("For[A-Z]", kind) for kind in kinds)
    if encodes and not any(_WRITES.search(kind) for kind in kinds):
        return f"an encoder or another model that writes no text ({', '.join(kinds)}), not a chat model"
    return None


_GGUF_TYPES = {
    "adapter": "an adapter (LoRA), not a whole model",
    "imatrix": "an importance matrix (imatrix) for quantizing, not a model",
    "vocab": "a vocabulary without weights, not a model",
}
_GGUF_ARCHITECTURES = (
    (re.compile("bert|embed|t5encoder"), "an embedding model"),
    (re.compile("wavtokenizer|vocoder|snac|kokoro|parler|tts|^dia$|orpheus"), "a text-to-speech model or vocoder"),
    (re.compile("eagle|dflash|medusa|mtp$|draft"), "a draft head for another model"),
    (re.compile("controlvector"), "a control vector"),
    (re.compile("vit$|siglip"), "a vision encoder"),
    (re.compile("whisper"), "a speech recognizer"),
    (re.compile(r"flux|^sd\d|^sdxl|^aura$|ltxv|hyvid|^wan$|hidream|cosmos|lumina|_image"), "an image generator"),
)
_POOLED = {1: "an embedding model", 2: "an embedding model", 3: "an embedding model", 4: "a reranker"}
"""`pooling_type` of a header (llama.cpp, enum llama_pooling_type), and what such a model is."""


def gguf_purpose(facts: JsonObject) -> str | None:
    """Return what a GGUF file holds, by its header, in place of a model that writes text; None for such a model."""
    kind, architecture = facts.get("general.type"), facts.get("general.architecture")
    if not isinstance(kind, str) and any(key.startswith(("adapter.", "imatrix.")) for key in facts):
        kind = "adapter" if "adapter.type" in facts else "imatrix"
    if isinstance(kind, str) and kind != "model":
        return _GGUF_TYPES.get(kind, f"of the type {kind!r}, not a model")
    if not isinstance(architecture, str):
        return None
    if task := next((task for part, task in _GGUF_ARCHITECTURES if part.search(architecture)), None):
        return f"{task} ({architecture}), not a chat model"
    if f"{architecture}.classifier.output_labels" in facts:
        return "a classifier or reranker, not a chat model"
    if pooled := _POOLED.get(facts.get(f"{architecture}.pooling_type", 0)):
        return f"{pooled} (its header names a pooling), not a chat model"
    if not facts.get(f"{architecture}.attention.causal", True):
        return "an encoder or a diffusion model (its attention is not causal), not a chat model"
    return None
