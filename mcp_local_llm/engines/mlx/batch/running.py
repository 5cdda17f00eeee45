"""A request that has a place: its answer, its plan and how its tokens are drawn. Runs on the MLX thread only."""

from dataclasses import dataclass

from mcp_local_llm.engines.mlx.batch.admission import RequestPlan
from mcp_local_llm.engines.mlx.batch.request import Answer
from mcp_local_llm.engines.mlx.batch.sequence import Processor
from mcp_local_llm.engines.mlx.prefix.common_prefix import alike
from mcp_local_llm.engines.mlx.steer.sampling import Sampler


@dataclass(frozen=True)
class Running:
    """Everything of one running request but its KV cache."""

    answer: Answer
    plan: RequestPlan
    sampler: Sampler
    processors: tuple[Processor, ...]

    def shared(self, tokens: list[int]) -> int:
        """Count the tokens with which this prompt and `tokens` begin alike."""
        return alike(self.answer.prompt.tokens, tokens)
