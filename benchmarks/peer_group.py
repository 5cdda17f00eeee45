"""The peers of one comparison: started together, measured in turns, dropped with a line where one fails."""

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from benchmarks.peer_server import PeerServer
from benchmarks.peers import Installed
from training.to_gguf import write_gguf


class PeerGroup:
    """Running peers. One that fails is told of and measured no more; its rows are left out."""

    def __init__(self, servers: Sequence[PeerServer]) -> None:
        self._servers = list(servers)

    def measure(self, how: Callable[[PeerServer], float]) -> dict[str, float]:
        """Measure each once; returns the figures by name."""
        figures: dict[str, float] = {}
        for server in list(self._servers):
            try:
                figures[server.name] = how(server)
            except (RuntimeError, httpx.HTTPError) as error:
                self._drop(server, error)
        return figures

    def wait_until_ready(self) -> None:
        """Wait for all of them."""
        for server in list(self._servers):
            try:
                server.wait_until_ready()
            except RuntimeError as error:
                self._drop(server, error)

    def titles(self) -> list[tuple[str, str]]:
        """Return name and title of each that is still there."""
        return [(server.name, server.title) for server in self._servers]

    def _drop(self, server: PeerServer, error: Exception) -> None:
        print(f"{server.name} is left out: {error or type(error).__name__}", flush=True)
        self._servers.remove(server)
        server.stop()


@contextmanager
def running(peers: Sequence[Installed], folder: Path) -> Generator[PeerGroup]:
    """Run the peers on the model of `folder` while the block does, each in a home of its own that goes with it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch, ExitStack() as stack:
        gguf, kind = Path(scratch).resolve() / f"{folder.name}.gguf", ""
        if any(one.peer.gguf for one in peers):
            kind = write_gguf(folder, gguf)
        servers: list[PeerServer] = []
        for one in peers:
            home = Path(scratch).resolve() / one.peer.name
            home.mkdir()
            title = f"`{one.peer.name}`" + (f" ({kind} GGUF)" if one.peer.gguf else "")
            servers.append(PeerServer(one, gguf if one.peer.gguf else folder, home, title))
            stack.callback(servers[-1].stop)
            servers[-1].start()
        group = PeerGroup(servers)
        group.wait_until_ready()
        yield group
