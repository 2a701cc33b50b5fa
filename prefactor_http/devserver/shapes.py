"""What requests look like: one struct for each body, item or query."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

FinishStatus = Literal["complete", "failed", "cancelled"]
SpanStatus = Literal["pending", "active", "complete", "failed", "cancelled"]
Purpose = Literal["live", "smoke_test", "eval"]
ABSENT = Raw(b"")


class Keyed(msgspec.Struct, frozen=True, kw_only=True):
    """A body that may carry an idempotency key."""

    idempotency_key: str | None = None


class AgentVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The version of the program that registers."""

    name: str | None = None
    external_identifier: str | None = None
    description: str | None = None
    runtime_environment: dict[str, Any] | None = None


class SpanTypeSchema(msgspec.Struct, frozen=True, kw_only=True):
    """One declared kind of span."""

    name: str
    params_schema: dict[str, Any]
    result_schema: dict[str, Any] | None = None
    title: str | None = None
    description: str | None = None
    template: str | None = None
    data_risk: dict[str, Any] | None = None


class QualitySchema(msgspec.Struct, frozen=True, kw_only=True):
    """One declared kind of quality record."""

    name: str
    schema: dict[str, Any]
    title: str | None = None
    description: str | None = None
    template: str | None = None
    data_risk: dict[str, Any] | None = None


class AgentSchemaVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What kinds of spans a run declares."""

    external_identifier: str | None = None
    span_schemas: dict[str, dict[str, Any]] | None = None
    span_result_schemas: dict[str, dict[str, Any]] | None = None
    span_type_schemas: list[SpanTypeSchema] | None = None
    quality_schemas: list[QualitySchema] | None = None


class RegisterInstance(Keyed, frozen=True, kw_only=True):
    """Body of register."""

    agent_version: AgentVersion
    agent_schema_version: AgentSchemaVersion
    agent_id: str | None = None
    environment_id: str | None = None
    update_current_version: bool | None = None
    id: str | None = None
    external_identifier: str | None = None
    purpose: Purpose | None = None


class InstanceTarget(Keyed, frozen=True, kw_only=True):
    """A body about one instance; single calls name it in the path instead."""

    agent_instance_id: str | None = None


class StartInstance(InstanceTarget, frozen=True, kw_only=True):
    """Body of start."""

    timestamp: datetime | None = None


class FinishInstance(InstanceTarget, frozen=True, kw_only=True):
    """Body of an instance's finish."""

    status: FinishStatus | None = None
    timestamp: datetime | None = None


class TerminateInstance(InstanceTarget, frozen=True, kw_only=True):
    """Body of terminate."""

    reason: str
    timestamp: datetime | None = None


class RecordQuality(InstanceTarget, frozen=True, kw_only=True):
    """Body of record_quality."""

    name: str
    payload: dict[str, Any] | None


class ShowInstance(InstanceTarget, frozen=True, kw_only=True):
    """Query of an instance read."""

    external_identifier: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows of a list."""

    offset: int = 0
    page_size: int = 20


class Listing(Keyed, frozen=True, kw_only=True):
    """Query of any list."""

    pagination: Page = Page()
    sorting: str | dict[str, str] | None = None


class ListInstances(Listing, frozen=True, kw_only=True):
    """Query of the list of instances."""

    agent_id: str | None = None
    agent_version_id: str | None = None


class SpanDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The ``details`` of span create; payloads stay as the bytes that came."""

    agent_instance_id: str
    schema_name: Annotated[str, Meta(min_length=1)]
    status: SpanStatus
    payload: Raw
    result_payload: Raw = ABSENT
    id: str | None = None
    parent_span_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    sensitive_encoding: bool | None = None
    idempotency_key: str | None = None


class CreateSpan(Keyed, frozen=True, kw_only=True):
    """Body of span create."""

    details: SpanDetails


class SpanTarget(Keyed, frozen=True, kw_only=True):
    """A body about one span; single calls name it in the path instead."""

    agent_span_id: str | None = None


class FinishSpan(SpanTarget, frozen=True, kw_only=True):
    """Body of a span's finish; flat, a ``details`` wrapper is an unknown field."""

    status: FinishStatus | None = None
    result_payload: Raw = ABSENT
    timestamp: datetime | None = None
    sensitive_encoding: bool | None = None


class ShowSpan(SpanTarget, frozen=True, kw_only=True):
    """Query of a span read."""

    redacted: bool = True


class ListSpans(Listing, frozen=True, kw_only=True):
    """Query of the list of spans."""

    agent_instance_id: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    include_summaries: bool = False


class AgentForCreate(msgspec.Struct, frozen=True, kw_only=True):
    """The ``details`` of agent create."""

    name: str
    description: str | None = None
    external_identifier: str | None = None
    id: str | None = None
    owner_person_id: str | None = None
    risk_profile_id: str | None = None
    team_id: str | None = None


class CreateAgent(Keyed, frozen=True, kw_only=True):
    """Body of agent create."""

    details: AgentForCreate


class AgentForUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The ``details`` of agent update; absent keeps, null clears."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    owner_person_id: str | UnsetType | None = UNSET
    risk_profile_id: str | UnsetType | None = UNSET
    team_id: str | UnsetType | None = UNSET


class AgentTarget(Keyed, frozen=True, kw_only=True):
    """A body about one agent; single calls name it in the path instead."""

    agent_id: str | None = None


class UpdateAgent(AgentTarget, frozen=True, kw_only=True):
    """Body of agent update."""

    details: AgentForUpdate


class ShowAgent(AgentTarget, frozen=True, kw_only=True):
    """Query of an agent read."""

    external_identifier: str | None = None


class ListAgents(Listing, frozen=True, kw_only=True):
    """Query of the list of agents."""

    risk_profile_id: str | None = None
    team_id: str | None = None
    owner_person_id: str | None = None


class GeneratePfids(msgspec.Struct, frozen=True, kw_only=True):
    """Body of pfid/generate."""

    count: int = 1
    account_id: str | None = None


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a bulk request, its items unread."""

    items: list[Raw]


class ItemHead(msgspec.Struct, frozen=True, kw_only=True):
    """What every bulk item must have."""

    type: str = msgspec.field(name="_type")
    idempotency_key: str
