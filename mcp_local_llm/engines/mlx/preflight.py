"""What is known of a request before anything is computed for it: whether and how it fits into memory.

Runs on the MLX thread only.
"""

from mcp_local_llm.admission import RequestPlan, Room, plan_request
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.messages import Job
from mcp_local_llm.engines.mlx.prompt import Prompt
from mcp_local_llm.engines.mlx.weights import LoadedModel


class Preflight:
    """Checks a request as often as it takes until there is room."""

    def __init__(self, model: LoadedModel, limits: EngineLimits) -> None:
        self._model = model
        self._limits = limits

    def plan(self, job: Job, prompt: Prompt, room: Room) -> RequestPlan:
        """Fit the request into memory.

        Raises:
            InsufficientMemoryError: see `plan_request`.
        """
        return plan_request(
            len(prompt.tokens),
            min(prompt.max_tokens, self._limits.max_generation_tokens),
            asked=job.request.sampling.max_tokens is not None,
            shape=self._model.shape,
            room=room,
            model=self._model.info.id,
        )
