"""The queue of waiting requests: clients take turns, and the requests of one client keep their order. Pure."""

from collections import deque
from collections.abc import Callable, Iterator

from mcp_local_llm.engines.mlx.messages import Job


class RequestQueue:
    """A queue of queues: one client that sends many requests delays another by one request, not by all."""

    def __init__(self) -> None:
        self._clients: dict[str, deque[Job]] = {}
        self._served: str | None = None

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._clients.values())

    def __iter__(self) -> Iterator[Job]:
        """Go through the requests in the order in which they will be served."""
        rounds = max((len(jobs) for jobs in self._clients.values()), default=0)
        for index in range(rounds):
            for jobs in self._clients.values():
                if index < len(jobs):
                    yield jobs[index]

    def put(self, job: Job) -> None:
        """Add a request, behind the earlier ones of its client."""
        client, served = job.request.client, self._served
        fresh = client not in self._clients
        self._clients.setdefault(client, deque()).append(job)
        if fresh and served is not None and served != client and served in self._clients:
            # This client was served last, and its next request arrived before those of other clients.
            self._clients[served] = self._clients.pop(served)

    def first(self) -> Job:
        """Return the next request without removing it. There must be one."""
        return next(iter(self))

    def pop(self) -> Job:
        """Remove and return the next request; its client goes to the end of the round."""
        client, jobs = next(iter(self._clients.items()))
        del self._clients[client]
        self._served = client
        job = jobs.popleft()
        if jobs:
            self._clients[client] = jobs
        return job

    def drop(self, unwanted: Callable[[Job], bool]) -> None:
        """Remove the requests for which `unwanted` is true."""
        kept = {client: deque(job for job in jobs if not unwanted(job)) for client, jobs in self._clients.items()}
        self._clients = {client: jobs for client, jobs in kept.items() if jobs}

    def clear(self) -> None:
        """Remove all."""
        self._clients = {}
