"""The requests that wait for a place: clients take turns, each client's own requests keep their order. Pure."""

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
        """Take a request; its client's earlier ones come first."""
        client, served = job.request.client, self._served
        fresh = client not in self._clients
        self._clients.setdefault(client, deque()).append(job)
        if fresh and served is not None and served != client and served in self._clients:
            # It had its turn just now, and its next request came before anybody else's.
            self._clients[served] = self._clients.pop(served)

    def first(self) -> Job:
        """Return the request whose turn it is; it stays in line. There must be one."""
        return next(iter(self))

    def pop(self) -> Job:
        """Take the request whose turn it is out of the line; its client goes to the end of the round."""
        client, jobs = next(iter(self._clients.items()))
        del self._clients[client]
        self._served = client
        job = jobs.popleft()
        if jobs:
            self._clients[client] = jobs
        return job

    def drop(self, unwanted: Callable[[Job], bool]) -> None:
        """Remove the requests of which `unwanted` is true."""
        kept = {client: deque(job for job in jobs if not unwanted(job)) for client, jobs in self._clients.items()}
        self._clients = {client: jobs for client, jobs in kept.items() if jobs}

    def clear(self) -> None:
        """Remove all."""
        self._clients = {}
