"""Own the shapes of agent instances: what registers and ends one, what the API says of one."""

from datetime import datetime
from typing import Literal

import msgspec

from prefactor_http.models._model import Model
from prefactor_http.models.schema import (
    ActionProfile,
    AgentSchemaVersionForRegister,
    DataCategories,
    DataRisk,
    QualitySchemaDetails,
    QualitySchemaForCreate,
    SpanTypeSchemaForCreate,
)
from prefactor_http.models.types import AgentStatus, FinishStatus, InstancePurpose, JsonObject

__all__ = [
    "ActionProfile",
    "AgentInstance",
    "AgentInstanceRecordQuality",
    "AgentInstanceSpanCounts",
    "AgentInstanceSummary",
    "AgentSchemaVersionForRegister",
    "AgentVersionForRegister",
    "DataCategories",
    "DataRisk",
    "FinishInstanceRequest",
    "QualitySchemaDetails",
    "QualitySchemaForCreate",
    "RegisterAgentInstanceRequest",
    "RuntimeEnvironment",
    "SpanSchemaCounts",
    "SpanTypeSchemaForCreate",
    "TerminateInstanceRequest",
    "TimestampRequest",
]


class RuntimeEnvironment(Model, kw_only=True):
    """What an agent version runs on.

    Attributes:
        agent_sdk: Packages the agent is built with, as ``name@version``.
        os: The operating system, such as ``linux``.
        prefactor_sdk: Packages that report to Prefactor, as ``name@version``.
        runtime: The language runtime, such as ``cpython@3.11``.
    """

    agent_sdk: list[str] | None = None
    os: str | None = None
    prefactor_sdk: list[str] | None = None
    runtime: str | None = None


class AgentVersionForRegister(Model, kw_only=True):
    """Name the version of the agent that is about to run.

    Attributes:
        name: Name of the agent; changes it.
        external_identifier: Label of the version, such as ``v1.0.0`` or a commit id.
        description: Description of the agent; changes it.
        runtime_environment: What the version runs on.
    """

    name: str | None = None
    external_identifier: str | None = None
    description: str | None = None
    runtime_environment: RuntimeEnvironment | None = None


class RegisterAgentInstanceRequest(Model, kw_only=True):
    """The body that registers an instance.

    Attributes:
        agent_id: The agent; ``None`` with a token that belongs to one deployment.
        agent_version: The version that runs, see `AgentVersionForRegister`.
        agent_schema_version: Its span types, see `AgentSchemaVersionForRegister`.
        id: An id of the caller's choice, a PFID in the partition of the account.
        idempotency_key: Names this registration, so that a repetition does nothing.
        update_current_version: Whether the version becomes the released one.
        environment_id: The environment; needed with a token of the account.
        purpose: Why the instance runs.
        external_identifier: The caller's own id, unique within the agent.
    """

    agent_id: str | None = None
    agent_version: JsonObject
    agent_schema_version: JsonObject
    id: str | None = None
    idempotency_key: str | None = None
    update_current_version: bool | None = None
    environment_id: str | None = None
    purpose: InstancePurpose | None = None
    external_identifier: str | None = None


class TimestampRequest(Model, kw_only=True):
    """The body that starts an instance.

    Attributes:
        timestamp: When it started, in ISO 8601; ``None`` lets the API take its own clock.
        idempotency_key: Names this start, so that a repetition does nothing.
    """

    timestamp: str | None = None
    idempotency_key: str | None = None


class FinishInstanceRequest(Model, kw_only=True):
    """The body that finishes an instance; ``None`` is not sent.

    Attributes:
        status: How it ended; the API takes ``complete`` if nothing is said.
        timestamp: When it ended, in ISO 8601; the API takes its own clock if nothing is said.
        idempotency_key: Names this finish, so that a repetition does nothing.
    """

    status: FinishStatus | None = None
    timestamp: str | None = None
    idempotency_key: str | None = None


class TerminateInstanceRequest(Model, kw_only=True):
    """The body that stops a running instance from outside.

    Attributes:
        reason: Why, for people; not empty.
        timestamp: When, in ISO 8601; the API takes its own clock if nothing is said.
        idempotency_key: Names this call, so that a repetition does nothing.
    """

    reason: str
    timestamp: str | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        if not self.reason:
            raise ValueError("reason must say why the instance is terminated, got an empty string")


class AgentInstanceRecordQuality(Model, kw_only=True):
    """One recorded measure of quality.

    Attributes:
        name: A name from the ``quality_schemas`` of the registered schema version.
        payload: The value; ``None`` is sent as ``null`` and removes the recorded value.
    """

    name: str
    payload: JsonObject | None = None


class AgentInstanceSpanCounts(Model, kw_only=True):
    """How many spans an instance has, by state.

    Attributes:
        finished: The sum of ``complete``, ``failed`` and ``cancelled``.
    """

    total: int = 0
    pending: int = 0
    active: int = 0
    complete: int = 0
    failed: int = 0
    cancelled: int = 0
    finished: int = 0


class SpanSchemaCounts(Model, kw_only=True):
    """How many spans an instance has, by span type."""

    by_name: dict[str, int] = msgspec.field(default_factory=dict)


class AgentInstanceSummary(Model, kw_only=True):
    """One run of an agent, as lists show it.

    Attributes:
        started_at: When it started, ``None`` while it is pending.
        finished_at: When it ended, ``None`` while it runs.
        termination_reason: Why it was terminated, ``None`` if it was not.
        purpose: Why it runs.
        external_identifier: The caller's own id.
        last_activity_span_at: When its latest activity span began.
        raised_alert_count: How many alerts it raised.
        risk_score: The risk the API sees in it.
    """

    type: Literal["agent_instance"]
    id: str
    account_id: str
    agent_id: str
    agent_version_id: str
    environment_id: str
    status: AgentStatus
    inserted_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    termination_reason: str | None = None
    purpose: InstancePurpose | None = None
    external_identifier: str | None = None
    last_activity_span_at: datetime | None = None
    raised_alert_count: int | None = None
    risk_score: JsonObject | None = None


class AgentInstance(AgentInstanceSummary, kw_only=True):
    """One run of an agent.

    Attributes:
        span_counts: How many spans it has, by state.
        agent_deployment_id: The deployment it belongs to.
        quality_payloads: Recorded measures of quality by name.
        quality_summaries: The same, summed up in one line each.
        cost_breakdown: What the run cost.
        span_schema_counts: How many spans it has, by span type.
    """

    span_counts: AgentInstanceSpanCounts | None = None
    agent_deployment_id: str | None = None
    quality_payloads: dict[str, JsonObject] | None = None
    quality_summaries: dict[str, str] | None = None
    cost_breakdown: JsonObject | None = None
    span_schema_counts: SpanSchemaCounts | None = None
