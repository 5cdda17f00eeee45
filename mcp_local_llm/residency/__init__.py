"""The lease, and the resident model of the lease owner. It must not know names of models, doors or a certain engine."""

from mcp_local_llm.residency.lease import Lease, LeaseOwner
from mcp_local_llm.residency.resident import Resident, ResidentState
from mcp_local_llm.residency.routing import RoutingLoader

__all__ = ["Lease", "LeaseOwner", "Resident", "ResidentState", "RoutingLoader"]
