"""Typed asynchronous client for the Prefactor API.

`PrefactorHttpClient` is loaded when it is first asked for, and aiohttp with it; everything else is
there at once and cheap.
"""

import logging
from typing import TYPE_CHECKING, Any

from prefactor_http._version import __version__ as __version__
from prefactor_http.config import HttpClientConfig as HttpClientConfig
from prefactor_http.exceptions import PrefactorApiError as PrefactorApiError
from prefactor_http.exceptions import PrefactorAuthError as PrefactorAuthError
from prefactor_http.exceptions import PrefactorClientError as PrefactorClientError
from prefactor_http.exceptions import PrefactorHttpError as PrefactorHttpError
from prefactor_http.exceptions import PrefactorNotFoundError as PrefactorNotFoundError
from prefactor_http.exceptions import (
    PrefactorResponseContractError as PrefactorResponseContractError,
)
from prefactor_http.exceptions import PrefactorRetryExhaustedError as PrefactorRetryExhaustedError
from prefactor_http.exceptions import PrefactorValidationError as PrefactorValidationError
from prefactor_http.models.agent_instance import AgentInstance as AgentInstance
from prefactor_http.models.agent_instance import (
    AgentInstanceRecordQuality as AgentInstanceRecordQuality,
)
from prefactor_http.models.agent_instance import AgentInstanceSpanCounts as AgentInstanceSpanCounts
from prefactor_http.models.agent_instance import AgentVersionForRegister as AgentVersionForRegister
from prefactor_http.models.agent_instance import FinishInstanceRequest as FinishInstanceRequest
from prefactor_http.models.agent_instance import RuntimeEnvironment as RuntimeEnvironment
from prefactor_http.models.agent_span import AgentSpan as AgentSpan
from prefactor_http.models.base import ApiResponse as ApiResponse
from prefactor_http.models.bulk import BulkItem as BulkItem
from prefactor_http.models.bulk import BulkOutput as BulkOutput
from prefactor_http.models.bulk import BulkRequest as BulkRequest
from prefactor_http.models.bulk import BulkResponse as BulkResponse
from prefactor_http.models.schema import (
    AgentSchemaVersionForRegister as AgentSchemaVersionForRegister,
)
from prefactor_http.models.schema import QualitySchemaDetails as QualitySchemaDetails
from prefactor_http.models.schema import QualitySchemaForCreate as QualitySchemaForCreate
from prefactor_http.models.schema import SpanTypeSchemaForCreate as SpanTypeSchemaForCreate
from prefactor_http.models.types import AgentStatus as AgentStatus
from prefactor_http.models.types import FinishStatus as FinishStatus
from prefactor_http.models.types import InstancePurpose as InstancePurpose

if TYPE_CHECKING:
    from prefactor_http.client import PrefactorHttpClient as PrefactorHttpClient

__all__ = [
    "AgentInstance",
    "AgentInstanceRecordQuality",
    "AgentInstanceSpanCounts",
    "AgentSchemaVersionForRegister",
    "AgentSpan",
    "AgentStatus",
    "AgentVersionForRegister",
    "ApiResponse",
    "BulkItem",
    "BulkOutput",
    "BulkRequest",
    "BulkResponse",
    "FinishInstanceRequest",
    "FinishStatus",
    "HttpClientConfig",
    "InstancePurpose",
    "PrefactorApiError",
    "PrefactorAuthError",
    "PrefactorClientError",
    "PrefactorHttpClient",
    "PrefactorHttpError",
    "PrefactorNotFoundError",
    "PrefactorResponseContractError",
    "PrefactorRetryExhaustedError",
    "PrefactorValidationError",
    "QualitySchemaDetails",
    "QualitySchemaForCreate",
    "RuntimeEnvironment",
    "SpanTypeSchemaForCreate",
    "__version__",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name != "PrefactorHttpClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from prefactor_http.client import PrefactorHttpClient  # noqa: PLC0415  # aiohttp takes its time

    globals()[name] = PrefactorHttpClient
    return PrefactorHttpClient


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
