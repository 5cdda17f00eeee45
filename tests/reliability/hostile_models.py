"""Files of models that are broken or hostile, as tables: what a case is called → the files that replace sound ones."""

import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

from tests.model_cache import TINY, Content

Json = dict[str, Any]
Files = dict[str, Content | None]

WEIGHTS = (TINY / "model.safetensors").read_bytes()
HEADER_SIZE: int = struct.unpack("<Q", WEIGHTS[:8])[0]
HEADER: Json = json.loads(WEIGHTS[8 : 8 + HEADER_SIZE])
BODY = WEIGHTS[8 + HEADER_SIZE :]
EMBEDDING = "model.embed_tokens.weight"
TEMPLATE = (TINY / "chat_template.jinja").read_text()


def weights(header: Json | bytes, body: bytes = BODY) -> Files:
    """A weight file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return {"model.safetensors": struct.pack("<Q", len(text)) + text + body}


def embedding(**entries: object) -> Files:
    """A weight file whose largest tensor is described in another way."""
    return weights(HEADER | {EMBEDDING: HEADER[EMBEDDING] | entries})


def config(**entries: object) -> Files:
    """A config.json with other entries."""
    return {"config.json": json.loads((TINY / "config.json").read_text()) | entries}


def tokenizer(**parts: object) -> Files:
    """A tokenizer.json with other parts."""
    return {"tokenizer.json": json.loads((TINY / "tokenizer.json").read_text()) | parts}


def vocabulary(words: dict[str, int]) -> Files:
    """A tokenizer.json with more words."""
    described = json.loads((TINY / "tokenizer.json").read_text())
    described["model"]["vocab"] |= words
    return {"tokenizer.json": described}


def added(*tokens: Json) -> Files:
    """A tokenizer.json with more added tokens."""
    described = json.loads((TINY / "tokenizer.json").read_text())
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    described["added_tokens"] += [plain | token for token in tokens]
    return {"tokenizer.json": described}


def tokenizer_config(**entries: object) -> Files:
    """A tokenizer_config.json with other entries."""
    return {"tokenizer_config.json": json.loads((TINY / "tokenizer_config.json").read_text()) | entries}


def template(start: str) -> Files:
    """The sound template behind other text."""
    return {"chat_template.jinja": start + TEMPLATE}


def cut_off(random: Random) -> Files:
    """Weights that end too early."""
    return {"model.safetensors": WEIGHTS[: random.choice([random.randrange(16), random.randrange(len(WEIGHTS))])]}


def flipped(random: Random) -> Files:
    """Weights with some other bits, in the header or behind it."""
    content = bytearray(WEIGHTS)
    for _ in range(random.choice([1, 8, 64])):
        content[random.choice([random.randrange(HEADER_SIZE + 8), random.randrange(len(content))])] ^= (
            1 << random.randrange(8)
        )
    return {"model.safetensors": bytes(content)}


def not_numbers(random: Random) -> Files:
    """Weights that are NaN or infinite in a tensor that every answer needs."""
    first, last = HEADER["model.norm.weight"]["data_offsets"]
    value = random.choice([b"\xc0\x7f", b"\x80\x7f", b"\x80\xff"])
    return weights(HEADER, BODY[:first] + value * ((last - first) // 2) + BODY[last:])


DOUBLED: Json = {"type": "Replace", "pattern": {"String": "o"}, "content": "oo"}
BYTES: Json = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def twice(first: Json, count: int = 40) -> Json:
    """A normalizer that makes a text longer again and again."""
    return {"type": "Sequence", "normalizers": [first] * count}


def split(pattern: str) -> Json:
    """A pre-tokenizer with a regular expression."""
    parts: list[Json] = [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}]
    return {"type": "Sequence", "pretokenizers": [*parts, BYTES]}


HEADERS: dict[str, Callable[[], Files]] = {
    "a length beyond the file": lambda: {"model.safetensors": struct.pack("<Q", 2**63) + b"{}" * 50},
    "a negative length": lambda: {"model.safetensors": struct.pack("<q", -5) + b"{}" * 50},
    "a negative offset": lambda: embedding(data_offsets=[-100, 196508]),
    "offsets beyond the file": lambda: embedding(data_offsets=[10**12, 10**12 + 196608]),
    "offsets of 65 bits": lambda: embedding(data_offsets=[2**64, 2**64 + 196608]),
    "offsets that go back": lambda: embedding(data_offsets=[1410688, 1214080]),
    "a span of an exabyte": lambda: embedding(data_offsets=[0, 2**63 - 1]),
    "two tensors in one place": lambda: embedding(data_offsets=[0, 196608]),
    "a shape that is too large": lambda: embedding(shape=[768000, 128]),
    "a shape whose size overflows": lambda: embedding(shape=[2**40, 2**40]),
    "a negative shape": lambda: embedding(shape=[-768, -128]),
    "a shape of fractions": lambda: embedding(shape=[768.5, 128]),
    "a shape that is a text": lambda: embedding(shape="768"),
    "a million dimensions": lambda: embedding(shape=[1] * 1_000_000 + [768, 128]),
    "another type": lambda: embedding(dtype="I64"),
    "a type that nobody knows": lambda: embedding(dtype="Q99"),
    "offsets that are texts": lambda: embedding(data_offsets=["a", "b"]),
    "a tensor that is null": lambda: weights(HEADER | {EMBEDDING: None}),
    "a tensor too many": lambda: weights(HEADER | {"x": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]}}),
    "a tensor too few": lambda: weights({name: entry for name, entry in HEADER.items() if name != EMBEDDING}),
    "a name twice": lambda: weights(
        json.dumps(HEADER)[:-1].encode()
        + b', "%b": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}' % EMBEDDING.encode()
    ),
    "lists without end": lambda: weights(b'{"__metadata__":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "objects without end": lambda: weights(b'{"__metadata__":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_001),
    "metadata that are a number": lambda: weights(HEADER | {"__metadata__": 5}),
    "ten megabytes of metadata alone": lambda: weights({"__metadata__": {"a": "x" * 10_000_000}}),
    "bytes that are no text": lambda: weights(json.dumps(HEADER).encode().replace(b"embed", b"emb\xff\xfe", 1)),
    "a tensor of another shape": lambda: weights(
        HEADER | {EMBEDDING: HEADER[EMBEDDING] | {"shape": [128, 768]}},
    ),
}

HUGE = 10**9
CONFIGS: dict[str, Callable[[], Files]] = {
    "a billion layers": lambda: config(num_hidden_layers=HUGE),
    "a billion layers that cache nothing": lambda: config(num_hidden_layers=HUGE, layer_types=["sliding_attention"]),
    "a million layers and a window of one": lambda: config(num_hidden_layers=10**6, max_position_embeddings=1),
    "a number of 400 digits": lambda: config(head_dim=10**400, num_hidden_layers=10**400),
    "a billion heads": lambda: config(num_attention_heads=HUGE),
    "a billion words": lambda: config(vocab_size=HUGE),
    "a width of a billion": lambda: config(hidden_size=HUGE),
    "negative sizes": lambda: config(hidden_size=-128, head_dim=-32),
    "sizes of zero": lambda: config(hidden_size=0),
    "texts for numbers": lambda: config(rope_theta="x"),
    "lists for numbers": lambda: config(intermediate_size=[384]),
    "null for numbers": lambda: config(num_key_value_heads=None),
    "a quantization that is a text": lambda: config(quantization="4bit"),
    "a rope scaling that is a list": lambda: config(rope_scaling=[1]),
    "a rope scaling of no kind": lambda: config(rope_scaling={"type": "evil"}),
    "a name with dots": lambda: config(model_type="..utils"),
    "a name of a module that is no model": lambda: config(model_type="cache"),
    "a name that is a list": lambda: config(model_type=["qwen3"]),
    "a file with code": lambda: config(model_file="evil.py") | {"evil.py": "raise SystemExit"},
    "files with code": lambda: config(model_file=["evil.py"]) | {"evil.py": "raise SystemExit"},
    "code for another architecture": lambda: config(model_type="moose", auto_map={"AutoModel": "evil.Moose"}),
    "lists 900 deep": lambda: {"config.json": '{"model_type":"qwen3","x":' + "[" * 900 + "]" * 900 + "}"},
    "lists without end": lambda: {"config.json": '{"model_type":"qwen3","x":' + "[" * 100_000},
    "end tokens of no kind": lambda: config(eos_token_id={"a": 1}),
}

TOKENIZERS: dict[str, Callable[[], Files]] = {
    "half a file": lambda: {"tokenizer.json": (TINY / "tokenizer.json").read_bytes()[:20_000]},
    "an empty file": lambda: {"tokenizer.json": b""},
    "another object": lambda: {"tokenizer.json": {}},
    "a number": lambda: {"tokenizer.json": "5"},
    "objects without end": lambda: {"tokenizer.json": b'{"a":' * 100_000 + b"1" + b"}" * 100_000},
    "a token with the id four billion": lambda: vocabulary({"Hello": 4_000_000_000}),
    "a negative id": lambda: vocabulary({"Hello": -1}),
    "ids above those of the weights": lambda: vocabulary({chr(word): 5000 + word for word in range(33, 123)}),
    "two hundred thousand added tokens": lambda: added(
        *({"id": 768 + at, "content": f"z{at}"} for at in range(200_000))
    ),
    "an added token of ten megabytes": lambda: added({"id": 768, "content": "z" * 10_000_000}),
    "merges of unknown words": lambda: tokenizer(
        model=json.loads((TINY / "tokenizer.json").read_text())["model"] | {"merges": [["zzz", "yyy"]]}
    ),
    "a normalizer that doubles a letter 40 times": lambda: tokenizer(normalizer=twice(DOUBLED)),
    "a normalizer that writes megabytes for a letter": lambda: tokenizer(
        normalizer={"type": "Replace", "pattern": {"Regex": "."}, "content": "A" * 10_000_000}
    ),
    "a normalizer that writes megabytes before a text": lambda: tokenizer(
        normalizer=twice({"type": "Prepend", "prepend": "A" * 1_000_000}, 20)
    ),
    "a normalizer that replaces nothing": lambda: tokenizer(
        normalizer={"type": "Replace", "pattern": {"Regex": ""}, "content": "A" * 1000}
    ),
    "a table of a normalizer that is broken": lambda: tokenizer(
        normalizer={"type": "Precompiled", "precompiled_charsmap": "////" * 1000}
    ),
    "a normalizer that nobody knows": lambda: tokenizer(normalizer={"type": "Evil"}),
    "a pre-tokenizer that doubles bytes 40 times": lambda: tokenizer(
        pre_tokenizer={"type": "Sequence", "pretokenizers": [BYTES] * 40}
    ),
    "a catastrophic regular expression": lambda: tokenizer(pre_tokenizer=split("(a+)+$|(.+)+x(.+)+y")),
    "a broken regular expression": lambda: tokenizer(pre_tokenizer=split("(((")),
    "a decoder that doubles a letter 40 times": lambda: tokenizer(
        decoder={"type": "Sequence", "decoders": [BYTES] + [DOUBLED] * 40}
    ),
    "a class that is a number": lambda: tokenizer_config(tokenizer_class=5),
    "a window that is a text": lambda: tokenizer_config(model_max_length="x"),
    "a parser of calls outside its folder": lambda: tokenizer_config(tool_parser_type="..utils"),
    "a template of mlx-lm outside its folder": lambda: tokenizer_config(chat_template_type="../../evil"),
    "a special token that is a list": lambda: tokenizer_config(eos_token=["a"]),
}

EVIL = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"
CODE: dict[str, Callable[[], Files]] = {
    "a tokenizer class of its own": lambda: (
        tokenizer_config(tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]})
        | {"evil.py": EVIL}
    ),
    "a tokenizer that says it may be trusted": lambda: (
        tokenizer_config(trust_remote_code=True, auto_map={"AutoTokenizer": ["evil.Evil", None]}) | {"evil.py": EVIL}
    ),
    "a config for code of its own": lambda: (
        config(auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}) | {"evil.py": EVIL}
    ),
    "modules with the names of libraries": lambda: dict.fromkeys(
        ("json.py", "__init__.py", "tokenization_qwen2.py", "modeling_qwen3.py", "sitecustomize.py"), EVIL
    ),
    "pickles beside the weights": lambda: {
        "pytorch_model.bin": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
        "model.pkl": b"cposix\nsystem\n(S'id'\ntR.",
        "weights.npz": b"PK\x03\x04",
        "tokenizer.pkl": b"cposix\nsystem\n(S'id'\ntR.",
    },
    "files named outside of the folder": lambda: tokenizer_config(
        vocab_file="/etc/passwd", tokenizer_file="/etc/passwd", name_or_path="evil/evil"
    ),
}
PICKLED_ALONE: Files = {"model.safetensors": None, "pytorch_model.bin": b"\x80\x04\x8c\x05posix\x8c\x06system\x93."}

LOOPS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
TEMPLATES: dict[str, Callable[[], Files]] = {
    "loops without end": lambda: template(LOOPS),
    "a text of a gigabyte": lambda: template("{{ 'a' * 10**9 }}"),
    "a macro that calls itself": lambda: template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
    "a file that it includes": lambda: template("{% include '/etc/passwd' %}"),
    "a file that it extends": lambda: template("{% extends '/etc/passwd' %}"),
    "a module that it imports": lambda: template("{% import 'os' as os %}{{ os.system('id') }}"),
    "the classes of Python": lambda: template("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "the globals of a function": lambda: template("{{ cycler.__init__.__globals__.os.popen('id').read() }}"),
    "a class by way of a format": lambda: template("{{ '{0.__class__.__mro__}'.format('') }}"),
    "a class by way of a map": lambda: template(
        "{{ '{a.__class__.__init__.__globals__}'.format_map({'a': namespace()}) }}"
    ),
    "a change of the conversation": lambda: template("{% set _ = messages.append(1) %}"),
    "no template": lambda: {"chat_template.jinja": "{% for %}"},
    "a template of a megabyte": lambda: {"chat_template.jinja": "{{ 1 }}" * 150_000},
    "brackets without end": lambda: {"chat_template.jinja": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"},
    "bytes that are no text": lambda: {"chat_template.jinja": b"\xff\xfe\x00" * 100},
}
