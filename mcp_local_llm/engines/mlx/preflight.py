"""What is known of a request before anything is computed for it: exact token counts, window, cap and memory.

Runs on the MLX thread only.
"""

from mcp_local_llm.admission import RequestPlan, Room, plan_request
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.messages import Job
from mcp_local_llm.engines.mlx.prompt import Prompt, render
from mcp_local_llm.engines.mlx.weights import LoadedModel
from mcp_local_llm.errors import InvalidRequestError


class Preflight:
    """Renders a request once, and checks it as often as it takes until there is room."""

    def __init__(self, model: LoadedModel, limits: EngineLimits) -> None:
        self._model = model
        self._limits = limits
        self._rendered: tuple[Job, Prompt] | None = None

    def prompt(self, job: Job) -> Prompt:
        """Return the request's token ids; a request that waits for memory is not rendered again.

        Raises:
            InvalidRequestError, ContextLengthError: see `render`; or `max_tokens` is above the cap.
        """
        if self._rendered is None or self._rendered[0] is not job:
            asked, cap = job.request.sampling.max_tokens, self._limits.max_generation_tokens
            if asked is not None and asked > cap:
                raise InvalidRequestError(
                    f"max_tokens is {asked:,}, but the setting max_generation_tokens allows {cap:,} for one answer. "
                    "Ask for fewer, or raise the setting."
                )
            self._rendered = (job, render(job.request, self._model))
        return self._rendered[1]

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
