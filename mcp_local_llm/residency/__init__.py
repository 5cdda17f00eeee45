"""Who holds the model, and for how long."""

from mcp_local_llm.residency.lease import Lease, LeaseOwner
from mcp_local_llm.residency.resident import Resident, ResidentState
from mcp_local_llm.residency.routing import RoutedBackend
from mcp_local_llm.setup.places import runtime_folder

__all__ = ["Lease", "LeaseOwner", "Resident", "ResidentState", "RoutedBackend", "runtime_folder"]
