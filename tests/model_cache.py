"""Builds Hugging Face caches for tests: folders as the hub lays them out, weights as headers over sparse files.

The tensors have the names, types and shapes of the real models, so sizes and counts are the real ones, while a file
of 18 GB takes a few kilobytes of disk. `place_tiny` puts a model into a cache that really loads.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REVISION = "0123456789abcdef0123456789abcdef01234567"
TINY = Path(__file__).parents[1] / "mcp_local_llm" / "tiny"

CHAT_TEMPLATE = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
TOOL_TEMPLATE = "{%- if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}" + CHAT_TEMPLATE
THINKING_TEMPLATE = TOOL_TEMPLATE + "{% if enable_thinking is false %}<think>\n\n</think>{% endif %}"

_ITEM_BYTES = {"U8": 1, "F8_E4M3": 1, "BF16": 2, "F16": 2, "F32": 4, "I32": 4, "U32": 4}


@dataclass(frozen=True)
class Sparse:
    """A file that begins with `head` and is `size` bytes long; the rest are zeros that take no disk."""

    head: bytes
    size: int


Content = bytes | str | Sparse | Mapping[str, Any]
"""What a file of a model holds; a mapping is written as JSON."""

Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""Name → type and shape."""


def write(path: Path, content: Content) -> None:
    """Write one file, its folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        if isinstance(content, Sparse):
            file.write(content.head)
            file.truncate(content.size)
        elif isinstance(content, bytes):
            file.write(content)
        else:
            file.write((content if isinstance(content, str) else json.dumps(content)).encode())


def place_in_hub(cache: Path, repository: str, files: Mapping[str, Content]) -> Path:
    """Lay a repository out as the hub's cache does, blobs with links to them; returns the snapshot's folder."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / REVISION
    write(folder / "refs" / "main", REVISION)
    for number, (name, content) in enumerate(files.items()):
        blob = folder / "blobs" / f"{number:040x}"
        write(blob, content)
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return snapshot


def place_tiny(cache: Path, repository: str) -> Path:
    """Place a copy of the built-in model, which loads, under a repository's name; returns the snapshot's folder."""
    return place_in_hub(cache, repository, {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()})


def safetensors(tensors: Tensors) -> Sparse:
    """Make a weight file that holds these tensors, all zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        start = end
        size = _ITEM_BYTES[dtype]
        for length in shape:
            size *= length
        end += size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    head = struct.pack("<Q", len(text)) + text
    return Sparse(head, len(head) + end)


def shards(tensors: Tensors, count: int) -> dict[str, Content]:
    """Spread tensors over `count` weight files with an index, as large models come."""
    names = list(tensors)
    step = -(-len(names) // count)
    files: dict[str, Content] = {}
    weight_map: dict[str, str] = {}
    for number in range(count):
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        part = {name: tensors[name] for name in names[number * step : (number + 1) * step]}
        files[file] = safetensors(part)
        weight_map.update(dict.fromkeys(part, file))
    return {**files, "model.safetensors.index.json": {"metadata": {}, "weight_map": weight_map}}


@dataclass(frozen=True)
class Words:
    """An array of texts in a GGUF header, such as a vocabulary."""

    words: tuple[str, ...]


Fact = str | int | tuple[int, ...] | Words
"""One value in a GGUF header."""


@dataclass(frozen=True)
class Packing:
    """How matrices are stored; 16 bits are plain."""

    bits: int = 4
    group_size: int = 64
    mode: str = "affine"

    def matrix(self, name: str, *shape: int) -> Tensors:
        """Return the tensors that one matrix becomes."""
        *rows, columns = shape
        if self.bits == 16:
            return {f"{name}.weight": ("BF16", shape)}
        scale = "BF16" if self.mode == "affine" else "U8"
        packed: Tensors = {
            f"{name}.weight": ("U32", (*rows, columns * self.bits // 32)),
            f"{name}.scales": (scale, (*rows, columns // self.group_size)),
        }
        return packed | ({f"{name}.biases": (scale, packed[f"{name}.scales"][1])} if self.mode == "affine" else {})

    def config(self) -> dict[str, Any]:
        """Return the entry for config.json."""
        own = {"group_size": self.group_size, "bits": self.bits}
        return {} if self.bits == 16 else {"quantization": own if self.mode == "affine" else own | {"mode": self.mode}}


@dataclass(frozen=True)
class Transformer:
    """The sizes of a model; the names of its parts are those of Qwen and Llama."""

    kind: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    context: int
    head_dim: int = 128
    tied: bool = False
    experts: int = 0
    experts_used: int = 0

    def config(self) -> dict[str, Any]:
        """Return config.json without quantization."""
        experts = {"num_experts": self.experts, "num_experts_per_tok": self.experts_used} if self.experts else {}
        return {
            "model_type": self.kind,
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.context,
            **experts,
        }

    def tensors(self, packing: Packing, dense: Packing | None = None) -> Tensors:
        """Return all tensors; `dense` packs what is no expert, where that differs."""
        dense = dense or packing
        found: Tensors = {"model.norm.weight": ("BF16", (self.hidden,))}
        found |= dense.matrix("model.embed_tokens", self.vocabulary, self.hidden)
        if not self.tied:
            found |= dense.matrix("lm_head", self.vocabulary, self.hidden)
        for number in range(self.layers):
            layer = f"model.layers.{number}"
            found |= {f"{layer}.{norm}_layernorm.weight": ("BF16", (self.hidden,)) for norm in ("input", "post")}
            for part, rows, columns in self._attention():
                found |= dense.matrix(f"{layer}.self_attn.{part}", rows, columns)
            if self.experts:
                found |= dense.matrix(f"{layer}.mlp.gate", self.experts, self.hidden)
            for part, rows, columns in self._feed_forward():
                if self.experts:
                    found |= packing.matrix(f"{layer}.mlp.switch_mlp.{part}", self.experts, rows, columns)
                else:
                    found |= packing.matrix(f"{layer}.mlp.{part}", rows, columns)
        return found

    def _attention(self) -> Iterator[tuple[str, int, int]]:
        width, kept = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield from (("q_proj", width, self.hidden), ("o_proj", self.hidden, width))
        yield from (("k_proj", kept, self.hidden), ("v_proj", kept, self.hidden))

    def _feed_forward(self) -> Iterator[tuple[str, int, int]]:
        yield from (("gate_proj", self.ffn, self.hidden), ("up_proj", self.ffn, self.hidden))
        yield "down_proj", self.hidden, self.ffn


QWEN_7B = Transformer("qwen2", 28, 3584, 28, 4, 18944, 152064, 32768)
QWEN_14B = Transformer("qwen2", 48, 5120, 40, 8, 13824, 152064, 32768)
QWEN_32B = Transformer("qwen2", 64, 5120, 40, 8, 27648, 152064, 32768)
QWEN3_4B = Transformer("qwen3", 36, 2560, 32, 8, 9728, 151936, 40960, tied=True)
QWEN3_32B = Transformer("qwen3", 64, 5120, 64, 8, 25600, 151936, 40960)
QWEN3_30B_A3B = Transformer("qwen3_moe", 48, 2048, 32, 4, 768, 151936, 262144, experts=128, experts_used=8)
GPT_OSS_20B = Transformer("gpt_oss", 24, 2880, 64, 8, 2880, 201088, 131072, head_dim=64, experts=32, experts_used=4)
LLAMA_3B = Transformer("llama", 28, 3072, 24, 8, 8192, 128256, 131072, tied=True)
EMBEDDING = Transformer("qwen3", 28, 1024, 16, 8, 3072, 151936, 32768, tied=True)


def model_files(
    sizes: Transformer, packing: Packing, *, template: str | None = TOOL_TEMPLATE, parts: int = 1
) -> dict[str, Content]:
    """Return the files of a sound model; `template` None leaves the chat template out."""
    tensors = sizes.tensors(packing)
    weights = shards(tensors, parts) if parts > 1 else {"model.safetensors": safetensors(tensors)}
    tokenizer = {} if template is None else {"chat_template": template}
    return {
        "config.json": sizes.config() | packing.config(),
        "tokenizer.json": {},
        "tokenizer_config.json": tokenizer,
        **weights,
    }


def gpt_oss_files() -> dict[str, Content]:
    """Return a mixture of experts in mxfp4 whose other matrices have 8 bits, each named in config.json."""
    experts, dense = Packing(4, 32, "mxfp4"), Packing(8, 64)
    tensors = GPT_OSS_20B.tensors(experts, dense)
    named = [name.removesuffix(".biases") for name in tensors if name.endswith(".biases")]
    quantization: dict[str, Any] = {"group_size": 32, "bits": 4, "mode": "mxfp4"}
    quantization |= {name: {"group_size": 64, "bits": 8} for name in named}
    kinds = ["sliding_attention", "full_attention"] * 12
    return {
        "config.json": GPT_OSS_20B.config() | {"quantization": quantization, "layer_types": kinds},
        "tokenizer.json": {},
        "chat_template.jinja": TOOL_TEMPLATE + "<|channel|>analysis<|message|>",
        "model.safetensors": safetensors(tensors),
    }


def gguf(facts: Mapping[str, Fact], tensors: Mapping[str, tuple[int, ...]], size: int, version: int = 3) -> Sparse:
    """Make a GGUF file; tensors are name → shape."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def value(fact: Fact) -> bytes:
        match fact:
            case str():
                return struct.pack("<I", 8) + text(fact)
            case int():
                return struct.pack("<II", 4, fact)
            case Words():
                return struct.pack("<IIQ", 9, 8, len(fact.words)) + b"".join(map(text, fact.words))
            case tuple():
                return struct.pack(f"<IIQ{len(fact)}I", 9, 4, len(fact), *fact)

    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(facts))
    head += b"".join(text(key) + value(fact) for key, fact in facts.items())
    for name, shape in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 12, 0)
    return Sparse(head, max(size, len(head)))


def qwen_gguf() -> Sparse:
    """Make a GGUF file with the facts of Qwen2.5-7B-Instruct at Q4_K_M."""
    facts: dict[str, Fact] = {
        "general.architecture": "qwen2",
        "qwen2.block_count": 28,
        "qwen2.context_length": 32768,
        "qwen2.embedding_length": 3584,
        "qwen2.attention.head_count": 28,
        "qwen2.attention.head_count_kv": 4,
        "tokenizer.ggml.tokens": Words(("a", "b", "c")),
        "tokenizer.ggml.token_type": (1, 1, 1),
        "tokenizer.chat_template": TOOL_TEMPLATE,
        "general.file_type": 15,
    }
    return gguf(facts, {"token_embd.weight": (3584, 152064), "blk.0.ffn_up.weight": (3584, 18944)}, 4_683_073_952)


def build_cache(cache: Path) -> None:
    """Build a hub cache with twelve models of every sort, sound and not."""
    four, six, eight = Packing(4), Packing(6), Packing(8)

    def place(repository: str, files: Mapping[str, Content]) -> Path:
        return place_in_hub(cache, repository, files)

    place("mlx-community/Qwen2.5-Coder-7B-Instruct-4bit", model_files(QWEN_7B, four))
    place("mlx-community/Qwen2.5-Coder-14B-Instruct-6bit", model_files(QWEN_14B, six, parts=3))
    place("mlx-community/Qwen2.5-Coder-32B-Instruct-4bit", model_files(QWEN_32B, four, parts=4))
    place("mlx-community/Qwen2.5-Coder-32B-Instruct-8bit", model_files(QWEN_32B, eight, parts=7))
    place("mlx-community/Qwen3-Coder-30B-A3B-Instruct-4bit", model_files(QWEN3_30B_A3B, four, parts=4))
    place("mlx-community/Qwen3-4B-4bit", model_files(QWEN3_4B, four, template=THINKING_TEMPLATE))
    place("mlx-community/Llama-3.2-3B-bf16", model_files(LLAMA_3B, Packing(16), template=None, parts=2))
    place("mlx-community/gpt-oss-20b-MXFP4-Q8", gpt_oss_files())
    place("bartowski/Qwen2.5-7B-Instruct-GGUF", {"Qwen2.5-7B-Instruct-Q4_K_M.gguf": qwen_gguf()})
    remote = model_files(QWEN_7B, six)
    place("acme/Acme-132B-6bit", remote | {"config.json": QWEN_7B.config() | {"model_file": "modeling_acme.py"}})
    place("Qwen/Qwen3-Embedding-0.6B", model_files(EMBEDDING, Packing(16)) | {"modules.json": "[]"})
    partial = model_files(QWEN3_32B, four, template=THINKING_TEMPLATE, parts=4)
    for name in ("model-00002-of-00004.safetensors", "model-00004-of-00004.safetensors"):
        del partial[name]
    snapshot = place("mlx-community/Qwen3-32B-4bit", partial)
    write(snapshot.parents[1] / "blobs" / "abc.1f2e3d4c.incomplete", b"half")
