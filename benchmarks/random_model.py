"""Make models of realistic shape with random weights, and a tokenizer to match, without downloading anything.

What such a model says means nothing; what it costs is what a real model of the same shape costs.
"""

import contextlib
import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlx.core
import mlx.utils
import mlx_lm.models.qwen2
import mlx_lm.utils
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

# mlx and mlx-lm declare their types in part only.
mx: Any = mlx.core
utils: Any = mlx.utils
lm_utils: Any = mlx_lm.utils
qwen2: Any = mlx_lm.models.qwen2

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen2 network, its embeddings tied.

    Attributes:
        bits: of the weights, in groups of 64; None does not quantize them.
        dtype: of everything else, the scales among it. With 16 bits everywhere, as mlx-lm's conversion writes it, MLX
            takes many times as long on a CPU (`benchmarks.scales`), which would hide whatever else is measured.
    """

    name: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    bits: int | None = 4
    dtype: str = "float32"


SMALL = Shape("small-151k", 151_936, 256, 4, 4, 2, 768)
HALF = replace(SMALL, name="small-151k-bfloat16", dtype="bfloat16")
QWEN_05B = Shape("qwen2.5-0.5b", 151_936, 896, 24, 14, 2, 4864)
DENSE_05B = replace(QWEN_05B, name="qwen2.5-0.5b-float32", bits=None)


def make_model(folder: Path, shape: Shape, seed: int = 0) -> Path:
    """Write config, weights and tokenizer into `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "intermediate_size": shape.ffn,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": 1e-6,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": 32_768,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": True,
        "eos_token_id": shape.vocabulary - 1,
    }
    mx.random.seed(seed)
    network = qwen2.Model(qwen2.ModelArgs.from_dict(config))
    network.set_dtype(getattr(mx, shape.dtype))
    if shape.bits is not None:
        # mlx-lm prints as it quantizes, and what we print is our result.
        with contextlib.redirect_stdout(io.StringIO()):
            network, config = lm_utils.quantize_model(network, config, group_size=64, bits=shape.bits)
    weights = dict(utils.tree_flatten(network.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(
        json.dumps({"do_sample": False, "eos_token_id": shape.vocabulary - 1})
    )
    write_tokenizer(folder, shape.vocabulary, seed)
    return folder


def write_tokenizer(folder: Path, vocabulary: int, seed: int = 0) -> None:
    """Write a byte-level BPE tokenizer with exactly `vocabulary` tokens, the last three of them special."""
    alphabet = sorted(ByteLevel.alphabet())
    ids = {symbol: at for at, symbol in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    room = vocabulary - len(SPECIAL)
    for word in _words(random.Random(seed)):
        start = word[0]
        for symbol in word[1:]:
            if start + symbol not in ids and len(ids) < room:
                merges.append((start, symbol))
                ids[start + symbol] = len(ids)
            start += symbol
            if start not in ids:
                break
        if len(ids) == room:
            break
    tokenizer: Any = Tokenizer(BPE(vocab=ids, merges=merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[-1], "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _words(source: random.Random) -> Iterator[str]:
    """Yield words as byte-level symbols: punctuation of JSON and code, then words of letters, then of Chinese."""
    space, newline = "Ġ", "Ċ"
    yield from ('":', '",', '"}', '{"', '["', '"]', '"},', "},", space + '"', space + "{", space + "[", "()", ");")
    yield from (symbol * length for symbol in (space, newline, "=", "-") for length in (2, 4, 8, 16))
    onsets = ["", *"bcdfghjklmnprstvwz", "br", "ch", "cl", "cr", "pr", "sh", "st", "th", "tr"]
    vowels = [*"aeiou", "ai", "ea", "ee", "io", "ou"]
    codas = ["", "", *"dlmnrst", "ck", "ng", "nt", "st"]
    bytes_of = dict(zip(_bytes(), _symbols(), strict=True))
    while True:
        for _ in range(3):
            syllables = source.randint(1, 4)
            word = "".join(
                source.choice(onsets) + source.choice(vowels) + source.choice(codas) for _ in range(syllables)
            )
            word = word.capitalize() if source.random() < 0.3 else word
            yield (space if source.random() < 0.6 else "") + word
        han = "".join(chr(source.randint(0x4E00, 0x9FA5)) for _ in range(source.randint(1, 3)))
        yield "".join(bytes_of[byte] for byte in han.encode())


def _bytes() -> list[int]:
    """Return the bytes in the order of GPT-2's table of byte-level symbols: printable ones first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*printable, *(byte for byte in range(256) if byte not in printable)]


def _symbols() -> list[str]:
    """Return the symbols that stand for `_bytes`."""
    printable = _bytes()[:188]
    return [*(chr(byte) for byte in printable), *(chr(256 + at) for at in range(256 - len(printable)))]
