"""A model whose weights are divided among several machines, as the settings describe it. Pure data.

It runs with `mlx.launch`: each machine holds a part of the weights, and the first one answers.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, model_validator

from mcp_local_llm.values.endpoint import EndpointName
from mcp_local_llm.values.numbers import NO_BOOLEAN
from mcp_local_llm.values.user_path import UserPath

ClusterBackend = Literal["ring", "jaccl"]
"""The network backend: `ring` over any network, `jaccl` with RDMA over Thunderbolt 5."""
ClusterMode = Literal["tensor", "pipeline"]
"""How the weights are divided: every matrix (`tensor`), or by layers (`pipeline`)."""


class Cluster(BaseModel):
    """One model on several machines.

    Attributes:
        name: e.g. `two-macs`; the first part of the model's id.
        model: repository on the hub, or folder; the same on every machine, which must have it already.
        hosts: addresses of the machines, this one first; ssh must reach the others without a password.
        hostfile: the file that `mlx.distributed_config` writes, instead of `hosts`; this machine must be first.
        backend: the network backend; `jaccl` needs a hostfile.
        mode: how the weights are divided.
        port: the first of the ports on which the machines connect, one more for each machine; 1024 to 65000.
        python: the interpreter with mlx-lm on every machine; None is the path of this process's interpreter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: EndpointName
    model: Annotated[str, Field(min_length=1)]
    hosts: tuple[IPvAnyAddress, ...] = ()
    hostfile: UserPath | None = None
    backend: ClusterBackend = "ring"
    mode: ClusterMode = "tensor"
    port: Annotated[int, Field(ge=1024, le=65_000), NO_BOOLEAN] = 32_323
    python: str | None = None

    @model_validator(mode="after")
    def _machines_named_once(self) -> "Cluster":
        if bool(self.hosts) == (self.hostfile is not None):
            raise ValueError("give either hosts or a hostfile")
        if self.hostfile is None and len(self.hosts) < 2:
            raise ValueError("hosts must name at least two machines; one machine needs no cluster")
        if self.backend == "jaccl" and self.hostfile is None:
            raise ValueError("jaccl needs a hostfile, which names the RDMA devices; `mlx.distributed_config` writes it")
        return self

    @property
    def machines(self) -> int:
        """Number of machines; a hostfile counts as two, the least that it can name."""
        return max(len(self.hosts), 2)

    @property
    def model_id(self) -> str:
        """Id of the model in the list of models."""
        return f"{self.name}/{self.model.rstrip('/').rpartition('/')[2]}"
