"""The shape of a Qwen3 model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Qwen3Config:
    """Sizes of the model; the names are those of its `config.json`."""

    vocab_size: int = 768
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    max_position_embeddings: int = 4096

    @property
    def query_size(self) -> int:
        """Width of all query heads together."""
        return self.num_attention_heads * self.head_dim

    @property
    def key_value_size(self) -> int:
        """Width of all key heads together, and of all value heads."""
        return self.num_key_value_heads * self.head_dim

    @property
    def queries_per_key(self) -> int:
        """Query heads that share one key head."""
        return self.num_attention_heads // self.num_key_value_heads
