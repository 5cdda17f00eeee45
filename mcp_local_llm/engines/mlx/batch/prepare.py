"""Makes a request's plan, sampler, processors and state before the device computes for it.

A failure here ends one request. Runs on the MLX thread only.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from mcp_local_llm.engines.mlx.batch import memory
from mcp_local_llm.engines.mlx.batch.admission import FreeMemory, RequestPlan, plan_request
from mcp_local_llm.engines.mlx.batch.request import Processor, RequestState
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.engines.mlx.messages import Job
from mcp_local_llm.engines.mlx.prompt.reasoning_tags import turn_ends
from mcp_local_llm.engines.mlx.prompt.render import Prompt
from mcp_local_llm.engines.mlx.steer.processors import ProcessorFactory
from mcp_local_llm.engines.mlx.steer.sampling import Sampler, sampler_for
from mcp_local_llm.values.errors import InvalidRequestError, LocalLLMError, reason_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedRequest:
    """A request that is ready for prefill."""

    plan: RequestPlan
    state: RequestState
    sampler: Sampler
    processors: tuple[Processor, ...]


class RequestPreparer:
    """Prepares the requests of one loaded model; a request that waits for memory is prepared again later."""

    def __init__(self, model: LoadedModel, limits: EngineLimits, clock: Callable[[], float]) -> None:
        self._model = model
        self._limits = limits
        self._clock = clock
        self._processors = ProcessorFactory(model, limits.long_input_penalty)
        self._turn_ends = turn_ends(model.tokenizer)

    def prepare(self, job: Job, *, promised: int, live: int, prefixes: int) -> PreparedRequest | None:
        """Prepare the request; None: it must wait for memory. For the arguments in bytes see `FreeMemory`.

        Raises:
            LocalLLMError: this request cannot be answered; any other exception becomes an `InvalidRequestError`.
        """
        try:
            free = memory.read_free_memory(self._limits, promised=promised, live=live, prefixes=prefixes)
            plan = self.plan(job, job.rendered.prompt, free)
            if plan.waits:
                return None
            processors = self._processors.processors_for(job.request, job.rendered.prompt)
            state = RequestState(job, self._model, processors, self._clock(), self._turn_ends)
            return PreparedRequest(plan, state, sampler_for(job.request.sampling, self._model), processors.all)
        except LocalLLMError:
            raise
        except BaseException as error:
            # Native code over a stranger's schema and a model's own files: what it raises (a panic is no Exception)
            # concerns this request, and neither the others of the batch nor the thread.
            log.exception("a request could not be prepared", extra={"call": job.call})
            raise InvalidRequestError(f"The request could not be prepared: {reason_of(error)}.") from error

    def plan(self, job: Job, prompt: Prompt, free: FreeMemory) -> RequestPlan:
        """Fit the request into memory.

        Raises:
            InsufficientMemoryError: see `plan_request`.
        """
        return plan_request(
            len(prompt.tokens),
            min(prompt.max_tokens, self._limits.max_generation_tokens),
            asked=job.request.sampling.max_tokens is not None and not job.request.lower_max_tokens,
            shape=self._model.shape,
            memory=free,
            model=self._model.info.id,
        )
