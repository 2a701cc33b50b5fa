"""Own the import path of every model."""

from prefactor_http.models.agent import Agent as Agent
from prefactor_http.models.agent import AgentAvailableActions as AgentAvailableActions
from prefactor_http.models.agent import AgentForCreate as AgentForCreate
from prefactor_http.models.agent import AgentForUpdate as AgentForUpdate
from prefactor_http.models.agent import AgentInstanceCounts as AgentInstanceCounts
from prefactor_http.models.agent import AgentSummary as AgentSummary
from prefactor_http.models.agent_instance import AgentInstance as AgentInstance
from prefactor_http.models.agent_instance import (
    AgentInstanceRecordQuality as AgentInstanceRecordQuality,
)
from prefactor_http.models.agent_instance import AgentInstanceSpanCounts as AgentInstanceSpanCounts
from prefactor_http.models.agent_instance import AgentInstanceSummary as AgentInstanceSummary
from prefactor_http.models.agent_instance import AgentVersionForRegister as AgentVersionForRegister
from prefactor_http.models.agent_instance import FinishInstanceRequest as FinishInstanceRequest
from prefactor_http.models.agent_instance import RuntimeEnvironment as RuntimeEnvironment
from prefactor_http.models.agent_span import AgentSpan as AgentSpan
from prefactor_http.models.agent_span import AgentSpanSummary as AgentSpanSummary
from prefactor_http.models.base import ApiResponse as ApiResponse
from prefactor_http.models.base import ListResponse as ListResponse
from prefactor_http.models.base import PaginationOutput as PaginationOutput
from prefactor_http.models.base import Sorting as Sorting
from prefactor_http.models.bulk import BulkItem as BulkItem
from prefactor_http.models.bulk import BulkOutcome as BulkOutcome
from prefactor_http.models.bulk import BulkOutcomeWithIds as BulkOutcomeWithIds
from prefactor_http.models.bulk import BulkOutput as BulkOutput
from prefactor_http.models.bulk import BulkRequest as BulkRequest
from prefactor_http.models.bulk import BulkResponse as BulkResponse
from prefactor_http.models.bulk import OutcomeIds as OutcomeIds
from prefactor_http.models.pfid import PfidBatch as PfidBatch
from prefactor_http.models.schema import ActionProfile as ActionProfile
from prefactor_http.models.schema import (
    AgentSchemaVersionForRegister as AgentSchemaVersionForRegister,
)
from prefactor_http.models.schema import DataCategories as DataCategories
from prefactor_http.models.schema import DataRisk as DataRisk
from prefactor_http.models.schema import QualitySchemaDetails as QualitySchemaDetails
from prefactor_http.models.schema import QualitySchemaForCreate as QualitySchemaForCreate
from prefactor_http.models.schema import SpanTypeSchemaForCreate as SpanTypeSchemaForCreate
from prefactor_http.models.types import AgentLifecycle as AgentLifecycle
from prefactor_http.models.types import AgentStatus as AgentStatus
from prefactor_http.models.types import FinishStatus as FinishStatus
from prefactor_http.models.types import InstancePurpose as InstancePurpose

__all__ = [
    "ActionProfile",
    "Agent",
    "AgentAvailableActions",
    "AgentForCreate",
    "AgentForUpdate",
    "AgentInstance",
    "AgentInstanceCounts",
    "AgentInstanceRecordQuality",
    "AgentInstanceSpanCounts",
    "AgentInstanceSummary",
    "AgentLifecycle",
    "AgentSchemaVersionForRegister",
    "AgentSpan",
    "AgentSpanSummary",
    "AgentStatus",
    "AgentSummary",
    "AgentVersionForRegister",
    "ApiResponse",
    "BulkItem",
    "BulkOutcome",
    "BulkOutcomeWithIds",
    "BulkOutput",
    "BulkRequest",
    "BulkResponse",
    "DataCategories",
    "DataRisk",
    "FinishInstanceRequest",
    "FinishStatus",
    "InstancePurpose",
    "ListResponse",
    "OutcomeIds",
    "PaginationOutput",
    "PfidBatch",
    "QualitySchemaDetails",
    "QualitySchemaForCreate",
    "RuntimeEnvironment",
    "Sorting",
    "SpanTypeSchemaForCreate",
]
