from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_local_llm.models.resolve import ordered, resolve
from mcp_local_llm.values.errors import AmbiguousModelError, IncompleteModelError, ModelError, UnknownModelError
from mcp_local_llm.values.model import ModelInfo, Quantization
from tests.sweep import examples

ACME = "acme/Acme-132B-6bit"
GGUF = "bartowski/Qwen2.5-7B-Instruct-GGUF/Qwen2.5-7B-Instruct-Q4_K_M"
OSS = "mlx-community/gpt-oss-20b-MXFP4-Q8"
LLAMA = "mlx-community/Llama-3.2-3B-bf16"
CODER_14B = "mlx-community/Qwen2.5-Coder-14B-Instruct-6bit"
CODER_32B_4 = "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit"
CODER_32B_8 = "mlx-community/Qwen2.5-Coder-32B-Instruct-8bit"
CODER_7B = "mlx-community/Qwen2.5-Coder-7B-Instruct-4bit"
PARTIAL = "mlx-community/Qwen3-32B-4bit"
SMALL = "mlx-community/Qwen3-4B-4bit"
MOE = "mlx-community/Qwen3-Coder-30B-A3B-Instruct-4bit"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"

ROLES = {
    "default": None,
    "coding": CODER_7B,
    "quickest": "qwen3-4b-4bit",
    "tool-calling": MOE.upper(),
    "large-context": "mlx-community/Gone-70B-4bit",
    "most-capable": PARTIAL,
    "oss": None,
    "test": "tiny",
}

UNKNOWN, AMBIGUOUS, INCOMPLETE = UnknownModelError, AmbiguousModelError, IncompleteModelError

# What fits: all but the 32B with 8 bits.
QUERIES: list[tuple[str, str | type[Exception]]] = [
    # numbers of the list, which the names below are in the order of
    ("2", GGUF),
    ("3", OSS),
    ("4", LLAMA),
    ("5", CODER_14B),
    ("6", CODER_32B_4),
    ("7", CODER_32B_8),
    ("8", CODER_7B),
    ("#10", SMALL),
    (" 11 ", MOE),
    ("13", "tiny"),
    ("1", INCOMPLETE),
    ("9", INCOMPLETE),
    ("12", INCOMPLETE),
    ("0", UNKNOWN),
    ("14", UNKNOWN),
    ("32", UNKNOWN),
    # roles
    ("coding", CODER_7B),
    ("Coding", CODER_7B),
    ("quickest", SMALL),
    ("tool-calling", MOE),
    ("test", "tiny"),
    ("large-context", UNKNOWN),
    ("most-capable", INCOMPLETE),
    ("default", UNKNOWN),
    ("oss", OSS),
    # full ids and last parts
    (CODER_32B_8, CODER_32B_8),
    (CODER_32B_4.lower(), CODER_32B_4),
    (f"'{MOE}'", MOE),
    ("Qwen3-Coder-30B-A3B-Instruct-4bit", MOE),
    ("qwen2.5-coder-32b-instruct-8bit", CODER_32B_8),
    ("Qwen2.5-7B-Instruct-Q4_K_M", GGUF),
    ("tiny", "tiny"),
    ("Tiny", "tiny"),
    (PARTIAL, INCOMPLETE),
    ("Qwen3-32B-4bit", INCOMPLETE),
    (ACME, INCOMPLETE),
    ("Acme-132B-6bit", INCOMPLETE),
    # every word equals a word of the name
    ("3b", LLAMA),
    ("3B", LLAMA),
    ("4b", SMALL),
    ("7b coder", CODER_7B),
    ("14b", CODER_14B),
    ("20b", OSS),
    ("30b", MOE),
    ("30b-a3b", MOE),
    ("a3b", MOE),
    ("32b", CODER_32B_4),
    ("132b", INCOMPLETE),
    ("2b", UNKNOWN),
    ("0.6b", INCOMPLETE),
    ("6b", UNKNOWN),
    ("qwen2.5 coder 32b 4bit", CODER_32B_4),
    ("qwen2.5 coder 32b 8bit", CODER_32B_8),
    ("qwen2.5 coder 32b 8-bit", CODER_32B_8),
    ("qwen2.5_coder_32b_8 bit", CODER_32B_8),
    ("Qwen2.5/Coder 32B", CODER_32B_4),
    ("32b coder", CODER_32B_4),
    ("qwen2.5 coder", AMBIGUOUS),
    ("coder", AMBIGUOUS),
    ("4bit", AMBIGUOUS),
    ("4bits 7b", CODER_7B),
    ("6bit", CODER_14B),
    ("8bit", CODER_32B_8),
    ("instruct", AMBIGUOUS),
    ("gguf", GGUF),
    ("7b", AMBIGUOUS),
    ("bartowski", GGUF),
    ("mlx-community", AMBIGUOUS),
    ("llama", LLAMA),
    ("llama 3.2", LLAMA),
    ("gpt oss", OSS),
    ("mxfp4", OSS),
    ("q4_k_m", GGUF),
    ("qwen3 coder", MOE),
    ("qwen3 4b", SMALL),
    ("embedding", INCOMPLETE),
    # every word begins a word of the name
    ("lla", LLAMA),
    ("cod 7", CODER_7B),
    ("coder 32", CODER_32B_4),
    ("qwen2", UNKNOWN),
    ("bf", LLAMA),
    ("llama 3", LLAMA),
    ("acm", INCOMPLETE),
    ("tin", UNKNOWN),
    # every word occurs in the name
    ("lama", LLAMA),
    ("2.5 32b", CODER_32B_4),
    ("wen3 oder", MOE),
    ("iny", UNKNOWN),
    ("en2.5", AMBIGUOUS),
    # nothing
    ("gemma", UNKNOWN),
    ("32b gemma", UNKNOWN),
    ("b", AMBIGUOUS),
    ("", UNKNOWN),
    ("  ", UNKNOWN),
    ("-", UNKNOWN),
    ("qwen4", UNKNOWN),
]


def fits(model: ModelInfo) -> bool:
    return model.weight_bytes < 20 * 10**9


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_a_query_means(query: str, expected: str | type[Exception], models: tuple[ModelInfo, ...]) -> None:
    if isinstance(expected, str):
        assert resolve(query, models, roles=ROLES, fits=fits).model.id == expected
    else:
        with pytest.raises(expected):
            resolve(query, models, roles=ROLES, fits=fits)


def named(identity: str, bits: int | None = None, *, problems: tuple[str, ...] = (), gigabytes: int = 1) -> ModelInfo:
    quantization = Quantization(bits) if bits else None
    size = gigabytes * 10**9
    return ModelInfo(
        identity, Path(identity), "huggingface", weight_bytes=size, quantization=quantization, problems=problems
    )


VARIANTS = [
    named("a/Name-8B", gigabytes=16),
    named("a/Name-8B-8bit", 8, gigabytes=8),
    named("a/Name-8B-6bit", 6, gigabytes=6),
    named("a/Name-8B-4bit-DWQ", 4, gigabytes=4),
]


@pytest.mark.parametrize(
    ("room", "chosen", "decision"),
    [
        (99, "a/Name-8B", "16-bit is the best that fits"),
        (9, "a/Name-8B-8bit", "8-bit is the best that fits"),
        (7, "a/Name-8B-6bit", "6-bit is the best that fits"),
        (1, "a/Name-8B-4bit-DWQ", "none fits, and 4-bit is the smallest"),
    ],
)
def test_of_hits_that_differ_in_quantization_alone_the_best_that_fits_is_taken(
    room: int, chosen: str, decision: str
) -> None:
    found = resolve("8b", VARIANTS, roles={}, fits=lambda model: model.weight_bytes <= room * 10**9)
    assert found.model.id == chosen
    assert found.note == f"It is here in 16-bit, 8-bit, 6-bit and 4-bit; {decision}."


def test_a_broken_variant_is_passed_over_for_a_sound_one() -> None:
    models = [named("a/Name-8B-8bit", 8, problems=("partial download",)), named("a/Name-8B-4bit", 4)]
    assert resolve("8b", models, roles={}, fits=fits).model.id == "a/Name-8B-4bit"
    with pytest.raises(IncompleteModelError):
        resolve("name-8b-8bit", models, roles={}, fits=fits)


def test_the_same_name_by_two_publishers_is_for_the_user_to_choose() -> None:
    models = [named("a/Name-8B-4bit", 4), named("b/Name-8B-4bit", 4)]
    with pytest.raises(AmbiguousModelError):
        resolve("Name-8B-4bit", models, roles={}, fits=fits)
    assert resolve("b name", models, roles={}, fits=fits).model.id == "b/Name-8B-4bit"


def test_candidates_carry_the_numbers_of_the_list_which_choose_them(models: tuple[ModelInfo, ...]) -> None:
    with pytest.raises(AmbiguousModelError) as caught:
        resolve("7b", models, roles={}, fits=fits)
    assert str(caught.value) == (
        "'7b' means 2 models. Give a number or more of the name:\n"
        f"  2. {GGUF} (4.7 GB, Q4_K_M)\n"
        f"  8. {CODER_7B} (4.3 GB, 4-bit)"
    )


def test_many_candidates_are_cut_short() -> None:
    models = [named(f"a/Name{letter}-8B") for letter in "abcdefghijkl"]
    with pytest.raises(AmbiguousModelError) as caught:
        resolve("8b", models, roles={}, fits=fits)
    assert str(caught.value).endswith("10. a/Namej-8B (1.0 GB, 16-bit)\n     and 2 more; list_models shows all.")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("qwem2.5-7b", f"No model here is called 'qwem2.5-7b'. Nearest: {GGUF}, {CODER_7B}, "),
        ("tinny", "No model here is called 'tinny'. Nearest: tiny. list_models shows all 13."),
        ("zzz", "No model here is called 'zzz'. list_models shows all 13."),
        ("default", "The role 'default' names no model yet. list_models shows all 13."),
        ("99", "The list has 13 models; there is no number 99. Call list_models."),
        (
            "large-context",
            "The role 'large-context' stands for mlx-community/Gone-70B-4bit, which is not on this machine. ",
        ),
    ],
)
def test_a_miss_says_what_is_nearest(query: str, sentence: str, models: tuple[ModelInfo, ...]) -> None:
    with pytest.raises(UnknownModelError) as caught:
        resolve(query, models, roles=ROLES, fits=fits)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("query", ["x" * 301, "a b " * 500_000, "7" * 2_000_000])
def test_a_text_too_long_for_a_name_is_refused_before_it_is_compared(query: str, models: tuple[ModelInfo, ...]) -> None:
    with pytest.raises(UnknownModelError) as raised:
        resolve(query, models, roles=ROLES, fits=lambda model: True)
    assert "at most 300" in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_broken_model_says_what_is_missing(models: tuple[ModelInfo, ...]) -> None:
    with pytest.raises(IncompleteModelError) as caught:
        resolve(PARTIAL, models, roles={}, fits=fits)
    assert "2 of 4 weight files missing" in str(caught.value)


def test_several_broken_models_all_say_what_is_missing() -> None:
    broken = [named("a/One-8B", problems=("no config",)), named("a/Two-8B", problems=("no tokenizer",))]
    with pytest.raises(IncompleteModelError) as caught:
        resolve("8b", broken, roles={}, fits=fits)
    assert str(caught.value).startswith("a/One-8B cannot be used: no config. a/Two-8B cannot be used: no tokenizer.")


def test_a_role_is_said_in_the_note(models: tuple[ModelInfo, ...]) -> None:
    assert resolve("Coding", models, roles=ROLES, fits=fits).note == f"The role 'Coding' stands for {CODER_7B}."


def test_models_for_diagnosis_are_listed_last_and_the_others_by_name(models: tuple[ModelInfo, ...]) -> None:
    names = [model.id for model in ordered(reversed(models))]
    assert names[-1] == "tiny"
    assert names[:-1] == sorted(names[:-1], key=str.casefold)


@examples(300)
@given(query=st.text(max_size=30) | st.text("qwen 32b.-_/#4it", max_size=12))
def test_any_text_gives_a_sound_model_or_an_error_of_the_tree(query: str, models: tuple[ModelInfo, ...]) -> None:
    with suppress(ModelError):
        assert resolve(query, models, roles=ROLES, fits=fits).model.usable


def test_with_no_model_at_all_every_query_is_unknown() -> None:
    for query in ("1", "32b", "default"):
        with pytest.raises(UnknownModelError):
            resolve(query, [], roles={"default": None}, fits=fits)


FORMATS = (
    ModelInfo("mlx-community/SmolLM2-135M-Instruct-4bit", Path(), "huggingface"),
    ModelInfo("loose/SmolLM2-135M-Instruct-Q4_K_M", Path(), "folder", format="gguf", quantization=Quantization(4)),
    ModelInfo("loose/SmolLM2-135M-Instruct-Q8_0", Path(), "folder", format="gguf", quantization=Quantization(8)),
    ModelInfo("someone/Mistral-MLX-of-GGUF", Path(), "huggingface"),
    ModelInfo("studio/qwen-gguf", Path(), "endpoint", format="unknown"),
)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("smollm2 gguf", "loose/SmolLM2-135M-Instruct-Q8_0"),
        ("GGUF smollm2 q4_k_m", "loose/SmolLM2-135M-Instruct-Q4_K_M"),
        ("SmolLM2-135M-Instruct-Q4_K_M.gguf", "loose/SmolLM2-135M-Instruct-Q4_K_M"),
        ("smollm2 mlx", "mlx-community/SmolLM2-135M-Instruct-4bit"),
        ("smollm2 safetensors", "mlx-community/SmolLM2-135M-Instruct-4bit"),
        ("mistral mlx", "someone/Mistral-MLX-of-GGUF"),
        ("qwen gguf", "studio/qwen-gguf"),
    ],
)
def test_a_word_for_a_format_means_the_format_where_it_is_known(query: str, meant: str) -> None:
    assert resolve(query, FORMATS, roles={}, fits=lambda model: True).model.id == meant


def test_a_format_that_a_model_does_not_have_is_not_found() -> None:
    with pytest.raises(UnknownModelError):
        resolve("mistral gguf", FORMATS, roles={}, fits=lambda model: True)
