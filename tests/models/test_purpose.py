"""Models that write no text are listed as what they are, by their config, headers and files, never by their names."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from mcp_local_llm.models.find import ModelRoots, announced_model, find_models
from tests.model_cache import QWEN_7B, Content, Fact, Words, gguf, place_in_hub, safetensors, write
from tests.models.single import FOUR, config, found, without

DRAFT, SPEECH, CLASSIFIER, EMBEDDING = "draft head", "text-to-speech", "classifier or reranker", "embedding model"

OTHERS: dict[str, tuple[dict[str, Content], str]] = {
    "DFlash": (config(architectures=["DFlashDraftModel"], dflash_config={"mask_token_id": 1}), DRAFT),
    "EAGLE 3": (config(architectures=["LlamaForCausalLMEagle3"], draft_vocab_size=32000), DRAFT),
    "EAGLE 3, named in front": (config(architectures=["Eagle3LlamaForCausalLM"]), DRAFT),
    "EAGLE with the architecture of its model": (
        config(architectures=["LlamaForCausalLM"])
        | {"model.safetensors": safetensors({"fc.weight": ("F16", (8, 16)), "layers.0.a.weight": ("F16", (8, 8))})},
        DRAFT,
    ),
    "EAGLE 3 with maps of the vocabulary": (
        config() | {"model.safetensors": safetensors({"d2t": ("I32", (8,)), "midlayer.a.weight": ("F16", (8, 8))})},
        DRAFT,
    ),
    "a draft vocabulary": (config(draft_vocab_size=32000), DRAFT),
    "a head for several tokens": (config(architectures=["Qwen3NextMTP"]), DRAFT),
    "Medusa": (config(architectures=["MedusaModel"], medusa_num_heads=4), DRAFT),
    "a speculator": (config(architectures=["MLPSpeculatorPreTrainedModel"]), DRAFT),
    "a bare encoder": (config(architectures=["Qwen2Model"]), "writes no text (Qwen2Model)"),
    "an encoder that looks both ways": (config(architectures=["LlamaBidirectionalModel"]), EMBEDDING),
    "pooling": (without() | {"1_Pooling/config.json": {"pooling_mode_lasttoken": True}}, EMBEDDING),
    "sentence-transformers": (without() | {"sentence_bert_config.json": {}}, EMBEDDING),
    "a score of sentence-transformers": (without() | {"1_LogitScore/config.json": {}}, EMBEDDING),
    "masked words": (config(architectures=["ModernBertForMaskedLM"]), EMBEDDING),
    "a reranker": (config(architectures=["Qwen3ForSequenceClassification"]), CLASSIFIER),
    "a ranking": (config(architectures=["JinaForRanking"]), CLASSIFIER),
    "a reward model": (config(architectures=["Qwen2ForRewardModel"]), CLASSIFIER),
    "labels of words": (config(architectures=["Qwen2ForTokenClassification"]), CLASSIFIER),
    "speech": (config(architectures=["Qwen3TTSForConditionalGeneration"]), SPEECH),
    "speech of an unknown architecture": (
        config(architectures=["ParlerTTSForConditionalGeneration"], model_type="parler_tts"),
        SPEECH,
    ),
    "another task": (config(architectures=["Qwen2ForFeatureExtraction"]), EMBEDDING),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_model_that_writes_no_text_is_listed_as_what_it_is(case: str, tmp_path: Path) -> None:
    files, words = OTHERS[case]
    model = found(tmp_path, files)
    assert words in model.problems[0]
    assert not model.usable


@pytest.mark.parametrize(
    "architectures",
    [
        ["Qwen2ForCausalLM"],
        ["Qwen2_5_VLForConditionalGeneration"],
        ["GPT2LMHeadModel"],
        ["QWenLMHeadModel"],
        ["Gemma3ForCausalLM", "Gemma3Model"],
        ["SomethingNew"],
        [],
        None,
        "Qwen2Model",
        [7],
    ],
)
def test_a_model_that_writes_text_is_sound_whatever_its_class_is_called(architectures: object, tmp_path: Path) -> None:
    assert found(tmp_path, config(architectures=architectures)).problems == ()


def test_the_purpose_is_known_before_a_download() -> None:
    sizes = QWEN_7B.config() | FOUR.config()
    reranker = {**sizes, "architectures": ["Qwen2ForSequenceClassification"]}
    names = ["config.json", "model.safetensors", "1_Pooling/config.json"]
    assert CLASSIFIER in announced_model("a/b", reranker, names[:2], 1, {"qwen2"}).problems[0]
    assert EMBEDDING in announced_model("a/b", sizes, names, 1, {"qwen2"}).problems[0]


BLOCK: Mapping[str, tuple[int, ...]] = {"blk.0.ffn_up.weight": (8, 8)}
OTHER_GGUF: dict[str, tuple[dict[str, Fact], str]] = {
    "imatrix": ({"general.type": "imatrix", "imatrix.chunk_count": 7}, "importance matrix"),
    "imatrix without a type": ({"imatrix.chunk_count": 7}, "importance matrix"),
    "LoRA": ({"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}, "adapter (LoRA)"),
    "LoRA without a type": ({"general.architecture": "llama", "adapter.type": "lora"}, "adapter (LoRA)"),
    "a type of tomorrow": ({"general.type": "hologram", "general.architecture": "llama"}, "'hologram'"),
    "vocabulary": ({"general.type": "vocab", "general.architecture": "llama"}, "vocabulary without weights"),
    "bert": ({"general.architecture": "bert"}, EMBEDDING),
    "nomic": ({"general.architecture": "nomic-bert-moe"}, EMBEDDING),
    "gemma": ({"general.architecture": "gemma-embedding"}, EMBEDDING),
    "pooling": ({"general.architecture": "qwen3", "qwen3.pooling_type": 3}, EMBEDDING),
    "ranks": ({"general.architecture": "qwen3", "qwen3.pooling_type": 4}, "reranker"),
    "labels": ({"general.architecture": "qwen3", "qwen3.classifier.output_labels": Words(("a", "b"))}, "classifier"),
    "looks both ways": ({"general.architecture": "llama", "llama.attention.causal": False}, "encoder"),
    "vocoder": ({"general.architecture": "wavtokenizer-dec"}, "vocoder"),
    "draft": ({"general.architecture": "eagle3"}, DRAFT),
    "control vector": ({"general.architecture": "controlvector"}, "control vector"),
    "pictures": ({"general.architecture": "flux"}, "image generator"),
}


@pytest.mark.parametrize("case", OTHER_GGUF)
def test_a_gguf_file_that_is_no_chat_model_is_listed_as_what_it_is(case: str, tmp_path: Path) -> None:
    facts, words = OTHER_GGUF[case]
    write(tmp_path / "m.gguf", gguf(facts, BLOCK, 1000))
    (model,) = find_models(ModelRoots(extra=(tmp_path,)))
    assert words in model.problems[0]


def test_a_vision_encoder_in_gguf_is_a_part_of_a_model_and_not_listed(tmp_path: Path) -> None:
    write(tmp_path / "mmproj-m.gguf", gguf({"general.architecture": "llama"}, BLOCK, 1000))
    write(tmp_path / "m-mmproj-f16.gguf", gguf({"general.architecture": "clip", "general.type": "mmproj"}, BLOCK, 1000))
    write(tmp_path / "v.gguf", gguf({"general.architecture": "qwen3", "general.type": "mmproj"}, BLOCK, 1000))
    assert find_models(ModelRoots(extra=(tmp_path,))) == ()


def test_a_gguf_file_without_weights_is_told(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", gguf({"general.architecture": "llama"}, {}, 1000))
    (model,) = find_models(ModelRoots(extra=(tmp_path,)))
    assert model.problems == ("it contains no weights",)


def test_a_base_model_is_sound_and_does_not_chat(tmp_path: Path) -> None:
    place_in_hub(tmp_path, "some/base", without("tokenizer_config.json"))
    (model,) = find_models(ModelRoots(hub_caches=(tmp_path,)), architectures={"qwen2"})
    assert (model.usable, model.chats) == (True, False)
