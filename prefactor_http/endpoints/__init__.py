"""Own the import path of the endpoint clients."""

from prefactor_http.endpoints.agent import AgentClient as AgentClient
from prefactor_http.endpoints.agent_instance import AgentInstanceClient as AgentInstanceClient
from prefactor_http.endpoints.agent_span import AgentSpanClient as AgentSpanClient
from prefactor_http.endpoints.bulk import BulkClient as BulkClient
from prefactor_http.endpoints.pfid import PfidClient as PfidClient

__all__ = [
    "AgentClient",
    "AgentInstanceClient",
    "AgentSpanClient",
    "BulkClient",
    "PfidClient",
]
