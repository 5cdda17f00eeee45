"""Who holds the model, and for how long."""

from mcp_local_llm.residency.lease import Lease, runtime_folder
from mcp_local_llm.residency.resident import Resident, ResidentState
from mcp_local_llm.residency.routing import RoutedBackend
from mcp_local_llm.residency.shared import SharedBackend

__all__ = ["Lease", "Resident", "ResidentState", "RoutedBackend", "SharedBackend", "runtime_folder"]
