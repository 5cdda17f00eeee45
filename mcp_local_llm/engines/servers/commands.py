"""The command line and environment of each kind of server. Pure: it must not start a process."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcp_local_llm.values.cluster import Cluster
from mcp_local_llm.values.endpoint import Endpoint, EndpointName, FlavorName
from mcp_local_llm.values.model import ModelInfo

KEY_VARIABLE = "LLAMA_API_KEY"
"""llama-server reads its key from it (tools/server/README.md); a command line would show it to every user."""


@dataclass(frozen=True)
class ServerStart:
    """The command that serves one model.

    Attributes:
        title: the name of the server in messages.
        flavor: the fields that it accepts.
        model_id: the title, and the name of the model there.
        command: program and arguments.
        environ: variables added to the inherited ones.
        secret: the key that it requires; empty for none.
        loads_late: its health check succeeds before its model is loaded, so that only an answer shows that it is.
        window: tokens of context for each call, where the command limits them.
    """

    title: EndpointName
    flavor: FlavorName
    model_id: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    secret: str = ""
    loads_late: bool = False
    window: int | None = None

    def model(self, model: ModelInfo, port: int) -> ModelInfo:
        """Return `model` as one behind the endpoint that this server is."""
        endpoint = Endpoint(
            name=self.title,
            url=f"http://127.0.0.1:{port}/v1",
            flavor=self.flavor,
            api_key_env=KEY_VARIABLE if self.secret else None,
        )
        window = self.window or model.context_length
        return replace(model, id=self.model_id, source="endpoint", endpoint=endpoint, context_length=window)


def llama_start(binary: Path, model: ModelInfo, port: int, *, context: int, slots: int, secret: str) -> ServerStart:
    """Return the start of llama-server for a GGUF file.

    Args:
        binary: the program.
        model: whose file is loaded.
        port: on loopback.
        context: tokens of context for each call; llama-server divides its whole context among its slots.
        slots: calls that are answered side by side.
        secret: the key that it must require.
    """
    window = min(context, model.context_length or context)
    name = model.id.replace(",", ";")
    options = {
        "--model": str(model.path),
        # The name that it puts into its answers; a comma would begin another name.
        "--alias": name,
        "--host": "127.0.0.1",
        "--port": str(port),
        "--ctx-size": str(window * slots),
        "--parallel": str(slots),
    }
    command = (str(binary), *(part for option in options.items() for part in option), "--jinja")
    served, environ = f"llama-server/{name}", {KEY_VARIABLE: secret}
    return ServerStart("llama-server", "llama-server", served, command, environ, secret, window=window)


def cluster_start(program: Path, cluster: Cluster, port: int, *, hostfile: Path, python: str) -> ServerStart:
    """Return the start of a model on several machines.

    Args:
        program: `mlx.launch`.
        cluster: the machines and the model.
        port: on this machine's loopback, where rank 0 answers.
        hostfile: names the machines; rank 0 is this one.
        python: the interpreter, unless the cluster names one.
    """
    command = (
        str(program),
        *("--backend", cluster.backend),
        *("--hostfile", str(hostfile)),
        *("--starting-port", str(cluster.port)),
        *("--python", cluster.python or python),
        # Every machine has the model already; none of them contacts the hub.
        *("--env", "HF_HUB_OFFLINE=1"),
        "--",
        *("-m", "mlx_lm", "server"),
        *("--model", cluster.model),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
        *(("--pipeline",) if cluster.mode == "pipeline" else ()),
    )
    return ServerStart("mlx.launch", "mlx_lm.server", "mlx.launch/default_model", command, loads_late=True)


def machines_of(cluster: Cluster) -> list[dict[str, object]]:
    """Return the hostfile of a cluster that names its hosts; the first is this machine, which needs no ssh."""
    return [
        {"ssh": "127.0.0.1" if rank == 0 else str(host), "ips": [str(host)]} for rank, host in enumerate(cluster.hosts)
    ]
