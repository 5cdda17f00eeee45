"""A real model that says exactly what a test wants: a folder that mlx-lm loads as it loads any other.

It is a Qwen3 of one layer whose attention and feed-forward weights are zero, so the residual stream carries nothing but
the embedding of the last token. Embeddings are one-hot, and the row of a token in `lm_head` marks the tokens that it
follows: a Markov chain of order one. Templating, tokenizing, prefill, KV cache, decoding, detokenizing and parsing are
those of every model; only the words are known beforehand. (Qwen2 will not do: transformers puts a decoder of its own in
the place of the file's.)

Each position of each script is a token of its own, so that a word may come back: its text with a private-use character
behind it, which the decoder drops. The last token of the prompt is a run of white space that says which script follows;
as white space it leaves the end of the prompt what the template made it, an opened block or a closed one.
"""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.decoders import Replace
from tokenizers.decoders import Sequence as DecoderSequence
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from tests.model_cache import Tensors, safetensors, write

WINDOW = 131_072
"""Tokens of prompt and answer together."""
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""One token each in the vocabulary, as in Qwen3's."""
END_OF_TURN = "<|im_end|>"

_SPECIAL = ("<|im_start|>", END_OF_TURN)
_FRAME = ("<|im_start|>", "user\n", END_OF_TURN, "\n", "<|im_start|>", "assistant\n")
_PIECE = 5
_FIRST_MARK = 0xE000
_MARKS = "[\ue000-\uf8ff]"
_BITS = "\u2002\u2003"
_CERTAINTY = 4.0
_NARROW = 32


@dataclass(frozen=True)
class Script:
    """What the model says when a question's words are the script's name.

    Attributes:
        pieces: the texts of its tokens, in order; a character is never cut.
        opening: what the template writes behind the opener of the answer, such as a block that it opens.
        whole_tags: pieces that are one of `TAGS`, or special tokens, are the vocabulary's own; one script may say each.
        ends: the turn ends behind the last piece; otherwise the script begins again.
    """

    pieces: tuple[str, ...]
    opening: str = ""
    whole_tags: bool = False
    ends: bool = True


def cut(text: str, *, whole_tags: bool = False, size: int = _PIECE) -> tuple[str, ...]:
    """Cut a text as tokens would: through the middle of words, and of tags where those are no tokens themselves."""
    parts = re.split(f"({'|'.join(TAGS)})", text) if whole_tags else [text]
    return tuple(piece for part in parts for piece in ([part] if part in TAGS and whole_tags else _chunks(part, size)))


def prompt_tokens(message: str) -> int:
    """Count the tokens of the prompt around a message that names no script: one for each byte, and the specials."""
    return sum(1 if part in _SPECIAL else len(part) for part in _FRAME) + len(message.encode())


def raw_prompt(scripts: Mapping[str, Script], name: str, text: str = "") -> str:
    """Write a prompt without a template that a script continues: `text`, and the white space that names the script."""
    return text + _selector(list(scripts).index(name), max(len(scripts) - 1, 1).bit_length())


def write_reciting_model(
    folder: Path,
    scripts: Mapping[str, Script],
    *,
    mentions: str = "",
    chooser: str = "",
    anywhere: bool = False,
    window: int = WINDOW,
) -> Path:
    """Write the model into `folder`: a few hundred kilobytes on disk, in some milliseconds; returns the folder.

    Args:
        folder: where to.
        scripts: what it says.
        mentions: markup that its template names, as the templates of a family of models do.
        chooser: jinja that sets `said` to the name of a script, from `messages`, `tools` and `openings`; without it the
            words of the last message are the name.
        anywhere: the name of a script may stand anywhere in the last message that is no system turn.
        window: tokens of prompt and answer together.

    Raises:
        ValueError: two scripts say the same tag of the vocabulary.
    """
    vocabulary = _Vocabulary(scripts)
    size, end = len(vocabulary.ids), vocabulary.ids[END_OF_TURN]
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": size,
        "num_hidden_layers": 1,
        "intermediate_size": _NARROW,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": _NARROW,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        "vocab_size": size,
        "max_position_embeddings": window,
        "tie_word_embeddings": False,
        "eos_token_id": end,
    }
    write(folder / "config.json", config)
    write(folder / "generation_config.json", {"do_sample": False, "eos_token_id": end})
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END_OF_TURN})
    template = _template(vocabulary.openings, mentions, _opening(anywhere, chooser), chooser)
    write(folder / "chat_template.jinja", template)
    vocabulary.tokenizer().save(str(folder / "tokenizer.json"))
    _write_weights(folder / "model.safetensors", size, vocabulary.next_tokens())
    return folder


class _Vocabulary:
    """The tokens of all scripts, and which follows which."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.ids: dict[str, int] = {symbol: at for at, symbol in enumerate(sorted(ByteLevel.alphabet()))}
        self.openings: dict[str, str] = {}
        self._added: list[str] = []
        self._chains: list[list[int]] = []
        self._marks = 0
        bits = max(len(scripts) - 1, 1).bit_length()
        said = [self._tokens(script) for script in scripts.values()]
        names = [_selector(number, bits) for number in range(len(scripts))]
        # Behind all others: transformers gives what is added the next ids, in the order of the list.
        for text in (*_SPECIAL, *TAGS, *names):
            self.ids[text] = len(self.ids)
            self._added.append(text)
        for (name, script), selector, tokens in zip(scripts.items(), names, said, strict=True):
            self.openings[name] = script.opening + selector
            chain = [self.ids[selector], *(self.ids[token] for token in tokens)]
            self._chains.append([*chain, self.ids[END_OF_TURN] if script.ends else chain[1]])

    def next_tokens(self) -> dict[int, int]:
        """Which token follows each; behind one that no script says, the turn ends."""
        found: dict[int, int] = {}
        for chain in self._chains:
            for token, after in pairwise(chain):
                if found.setdefault(token, after) != after:
                    raise ValueError("Two scripts say one of the vocabulary's own tags. Let one of them cut it.")
        return {token: found.get(token, self.ids[END_OF_TURN]) for token in self.ids.values()}

    def tokenizer(self) -> Tokenizer:
        """Bytes, which any text is made of; the scripts' tokens, which no text is; tags, specials, names."""
        plain = {text: at for text, at in self.ids.items() if text not in self._added}
        tokenizer: Any = Tokenizer(BPE(vocab=plain, merges=[]))
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
        tokenizer.decoder = DecoderSequence([Replace(Regex(_MARKS), ""), ByteLevelDecoder()])
        tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in _SPECIAL])
        others = [text for text in self._added if text not in _SPECIAL]
        tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in others])
        return tokenizer

    def _tokens(self, script: Script) -> list[str]:
        own = (*TAGS, *_SPECIAL) if script.whole_tags else ()
        return [piece if piece in own else self._marked(piece) for piece in script.pieces]

    def _marked(self, piece: str) -> str:
        """Make a token of its own for one place of one script."""
        token = _byte_symbols(piece) + chr(_FIRST_MARK + self._marks)
        self._marks += 1
        self.ids[token] = len(self.ids)
        return token


def _chunks(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _selector(number: int, bits: int) -> str:
    """Write a number in two kinds of space that no message holds."""
    return "".join(_BITS[number >> place & 1] for place in range(bits))


def _byte_symbols(text: str) -> str:
    """Write a text in the symbols that stand for its bytes in a vocabulary."""
    return "".join(word for word, _ in ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text))


def _opening(anywhere: bool, chooser: str) -> str:
    """Write what opens an answer: it depends on the last message, or on what the chooser says."""
    if anywhere:
        return (
            "{%- set said = messages | rejectattr('role', 'equalto', 'system') | list -%}"
            "{%- for name, opening in openings.items() if name in said[-1].content -%}"
            "{%- if loop.first -%}{{- opening -}}{%- endif -%}"
            "{%- endfor -%}"
        )
    return "{{- openings[said] -}}" if chooser else "{{- openings.get(messages[-1].content, '') -}}"


def _template(openings: Mapping[str, str], mentions: str, opening: str, chooser: str) -> str:
    """Write a ChatML template."""
    return (
        f"{{%- set mentions = {json.dumps(mentions, ensure_ascii=False)} -%}}"
        f"{{%- set openings = {json.dumps(openings)} -%}}{chooser}"
        "{%- if tools -%}{{- '<|im_start|>system\\n' + (tools | tojson) + '<|im_end|>\\n' -}}{%- endif -%}"
        "{%- for message in messages -%}"
        "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
        "{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{- '<|im_start|>assistant\\n' -}}}}{opening}{{%- endif -%}}"
    )


def _write_weights(path: Path, size: int, next_tokens: Mapping[int, int]) -> None:
    """Write the few numbers that are not zero into a file of holes."""
    into, out_of = (_NARROW, size), (size, _NARROW)
    shapes = {
        "model.embed_tokens": (size, size),
        "lm_head": (size, size),
        "model.norm": (size,),
        "model.layers.0.input_layernorm": (size,),
        "model.layers.0.post_attention_layernorm": (size,),
        **{f"model.layers.0.self_attn.{part}_proj": into for part in "qkv"},
        "model.layers.0.self_attn.o_proj": out_of,
        **{f"model.layers.0.self_attn.{part}_norm": (_NARROW,) for part in "qk"},
        **{f"model.layers.0.mlp.{part}_proj": into for part in ("gate", "up")},
        "model.layers.0.mlp.down_proj": out_of,
    }
    tensors: Tensors = {f"{name}.weight": ("F32", shape) for name, shape in shapes.items()}
    known = {
        "model.embed_tokens": [(token * size + token, 1.0) for token in next_tokens],
        "lm_head": [(after * size + token, _CERTAINTY) for token, after in next_tokens.items()],
        **{name: [(at, 1.0) for at in range(shape[0])] for name, shape in shapes.items() if name.endswith("norm")},
    }
    content = safetensors(tensors)
    write(path, content)
    header = json.loads(content.head[8:])
    with path.open("r+b") as file:
        for name, values in known.items():
            start = len(content.head) + header[f"{name}.weight"]["data_offsets"][0]
            for at, value in values:
                file.seek(start + 4 * at)
                file.write(struct.pack("<f", value))
