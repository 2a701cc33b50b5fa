"""Own the shapes of spans: what creates one, what ends one, what the API says of one."""

from datetime import datetime
from typing import Literal

import msgspec

from prefactor_http.models._model import Model
from prefactor_http.models.types import AgentStatus, FinishStatus, JsonObject

__all__ = ["AgentSpan", "AgentSpanSummary", "CreateAgentSpanRequest", "FinishSpanRequest"]


class AgentSpan(Model, kw_only=True):
    """One timed step of an instance.

    Attributes:
        parent_span_id: The step it is part of, ``None`` at the top.
        schema_name: The span type.
        schema_title: Its name for people.
        payload: What went in.
        result_payload: What came out, ``None`` while it runs.
        summary: The line its template renders; lists carry it on request only.
        started_at: When it began, ``None`` while it is pending.
        finished_at: When it ended, ``None`` while it runs.
        sensitive_encoding: Whether its payloads wrap sensitive values.
        payload_byte_size_estimate: About how large its payloads are, in bytes.
        purpose: ``activity``, ``quality`` or ``alert``.
        data_risk: What the step may do and see, as its span type says.
    """

    type: Literal["agent_span"]
    id: str
    account_id: str | None = None
    agent_id: str | None = None
    agent_instance_id: str
    parent_span_id: str | None = None
    schema_name: str
    schema_title: str | None = None
    status: AgentStatus
    payload: JsonObject = msgspec.field(default_factory=dict)
    result_payload: JsonObject | None = None
    summary: str | None = None
    started_at: datetime | None = None
    inserted_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    sensitive_encoding: bool | None = None
    payload_byte_size_estimate: int | None = None
    purpose: str | None = None
    data_risk: JsonObject | None = None


class AgentSpanSummary(AgentSpan, kw_only=True):
    """A span as lists show it.

    Attributes:
        risk_level: ``low``, ``medium``, ``high`` or ``critical``.
        risk_score: The same as a number.
    """

    risk_level: str | None = None
    risk_score: float | None = None


class CreateAgentSpanRequest(Model, kw_only=True):
    """What describes a new span; ``None`` is not sent.

    Attributes:
        agent_instance_id: The instance it belongs to.
        schema_name: The span type, declared when the instance was registered.
        status: ``active`` for a running step; a finish status for one that is over.
        payload: What went in.
        result_payload: What came out, for a step that is over.
        id: An id of the caller's choice, a PFID in the partition of the account.
        parent_span_id: The step it is part of, ``None`` at the top.
        started_at: When it began, in ISO 8601; the API takes its own clock if nothing is said.
        finished_at: When it ended, in ISO 8601.
        idempotency_key: Names this creation, so that a repetition does nothing.
        sensitive_encoding: Whether the payloads wrap sensitive values.
    """

    agent_instance_id: str
    schema_name: str
    status: AgentStatus
    payload: JsonObject = msgspec.field(default_factory=dict)
    result_payload: JsonObject | None = None
    id: str | None = None
    parent_span_id: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    idempotency_key: str | None = None
    sensitive_encoding: bool | None = None


class FinishSpanRequest(Model, kw_only=True):
    """What ends a span; ``None`` is not sent.

    Attributes:
        status: How it ended; the API takes ``complete`` if nothing is said.
        result_payload: What came out.
        timestamp: When it ended, in ISO 8601; the API takes its own clock if nothing is said.
        idempotency_key: Names this finish, so that a repetition does nothing.
        sensitive_encoding: Whether ``result_payload`` wraps sensitive values.
    """

    status: FinishStatus | None = None
    result_payload: JsonObject | None = None
    timestamp: str | None = None
    idempotency_key: str | None = None
    sensitive_encoding: bool | None = None
