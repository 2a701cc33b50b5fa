"""Own the calls about spans: one method for each route."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from prefactor_http.endpoints._control import ControlSignalCallback, watch_control
from prefactor_http.endpoints._transport import (
    Transport,
    encode,
    page,
    path_segment,
    query,
    wire_time,
    write_key,
)
from prefactor_http.models.agent_span import (
    AgentSpan,
    AgentSpanSummary,
    CreateAgentSpanRequest,
    FinishSpanRequest,
)
from prefactor_http.models.base import ApiResponse, ListResponse
from prefactor_http.models.types import AgentStatus, FinishStatus, JsonObject

__all__ = ["AgentSpanClient"]

_ROOT = "/api/v1/agent_spans"

_decode_one = msgspec.json.Decoder(ApiResponse[AgentSpan]).decode
_decode_list = msgspec.json.Decoder(ListResponse[AgentSpanSummary]).decode


class AgentSpanClient:
    """Create and finish spans, and look at them.

    Every method raises what `PrefactorHttpClient.request` raises, and a
    `PrefactorResponseContractError` without status if the answer has the wrong shape. Writes carry
    an idempotency key: the caller's, or a fresh UUID4 if it is ``None``, so that repeating a failed
    attempt does nothing twice. A key of more than 64 characters is a `ValueError`.
    """

    def __init__(self, http_client: Transport) -> None:
        self._http = http_client

    async def create(  # noqa: PLR0917  # the documented order of arguments
        self,
        agent_instance_id: str,
        schema_name: str,
        status: AgentStatus,
        payload: JsonObject | None = None,
        result_payload: JsonObject | None = None,
        id: str | None = None,  # noqa: A002  # the name on the wire
        parent_span_id: str | None = None,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
        idempotency_key: str | None = None,
        control_signal_callback: ControlSignalCallback | None = None,
        *,
        sensitive_encoding: bool | None = None,
    ) -> AgentSpan:
        """Record a step that runs, or one that is over.

        Args:
            agent_instance_id: The instance it belongs to.
            schema_name: The span type, declared when the instance was registered.
            status: ``active`` for a running step; a finish status for one that is over.
            payload: What went in; ``None`` sends an empty object.
            result_payload: What came out, for a step that is over.
            id: An id of the caller's choice, a PFID in the partition of the account; ``None`` lets
                the API choose.
            parent_span_id: The step it is part of, ``None`` at the top.
            started_at: When it began; naive means UTC, ``None`` lets the API take its own clock.
            finished_at: When it ended; give both times for a step that is over.
            idempotency_key: Names this call.
            control_signal_callback: Called with the reason if the API asks the agent to stop,
                before the rest of the answer is read. What it raises reaches the caller.
            sensitive_encoding: Whether the payloads wrap sensitive values; ``None`` is not sent.

        Returns:
            The span.

        Raises:
            ValueError: If an argument is not what the API takes; nothing is sent then.
        """
        request = CreateAgentSpanRequest(
            agent_instance_id=agent_instance_id,
            schema_name=schema_name,
            status=status,
            payload=payload or {},
            result_payload=result_payload,
            id=id,
            parent_span_id=parent_span_id,
            started_at=wire_time(started_at),
            finished_at=wire_time(finished_at),
            sensitive_encoding=sensitive_encoding,
        )
        body = {
            "details": request.model_dump(exclude_none=True),
            "idempotency_key": write_key(idempotency_key),
        }
        return await self._write(
            "create", _ROOT, body, watch_control(_decode_one, control_signal_callback)
        )

    async def finish(  # noqa: PLR0917  # the documented order of arguments
        self,
        agent_span_id: str,
        status: FinishStatus | None = None,
        result_payload: JsonObject | None = None,
        timestamp: datetime | None = None,
        idempotency_key: str | None = None,
        control_signal_callback: ControlSignalCallback | None = None,
        *,
        sensitive_encoding: bool | None = None,
    ) -> AgentSpan:
        """Record that a step is over. One that is over already answers with status 409.

        Args:
            agent_span_id: The span.
            status: How it ended; the API takes ``complete`` for ``None``.
            result_payload: What came out; ``None`` is not sent.
            timestamp: When; naive means UTC, ``None`` lets the API take its own clock.
            idempotency_key: Names this call.
            control_signal_callback: Called with the reason if the API asks the agent to stop,
                before the rest of the answer is read. What it raises reaches the caller.
            sensitive_encoding: Whether the result wraps sensitive values; ``None`` is not sent.

        Returns:
            The span in its last state.

        Raises:
            ValueError: If an argument is not what the API takes; nothing is sent then.
        """
        request = FinishSpanRequest(
            status=status,
            result_payload=result_payload,
            timestamp=wire_time(timestamp),
            idempotency_key=write_key(idempotency_key),
            sensitive_encoding=sensitive_encoding,
        )
        return await self._write(
            "finish",
            f"{_ROOT}/{path_segment(agent_span_id, 'agent_span_id')}/finish",
            request.model_dump(exclude_none=True),
            watch_control(_decode_one, control_signal_callback),
        )

    async def discard_sensitive(
        self, agent_span_id: str, idempotency_key: str | None = None
    ) -> AgentSpan:
        """Delete the sensitive values stored with a span, for good.

        Args:
            agent_span_id: The span.
            idempotency_key: Names this call.

        Returns:
            The span without them.
        """
        return await self._write(
            "discard_sensitive",
            f"{_ROOT}/{path_segment(agent_span_id, 'agent_span_id')}/discard_sensitive",
            {"idempotency_key": write_key(idempotency_key)},
            _decode_one,
        )

    async def get(self, agent_span_id: str, redacted: bool | None = None) -> AgentSpan:
        """Return a span. Needs a token of the account, as all reads do.

        Args:
            agent_span_id: The span.
            redacted: Whether sensitive values are hidden; ``None`` leaves it to the API.
        """
        answer = await self._http.exchange(
            "GET",
            f"{_ROOT}/{path_segment(agent_span_id, 'agent_span_id')}",
            operation="agent_spans.get",
            decode=_decode_one,
            params=query(redacted=redacted),
        )
        return answer.details

    async def list_spans(
        self,
        agent_instance_id: str,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        include_summaries: bool = False,
        offset: int | None = None,
        page_size: int | None = None,
    ) -> ListResponse[AgentSpanSummary]:
        """Return one page of the spans of an instance.

        Args:
            agent_instance_id: The instance.
            start_time: Only spans from then on; naive means UTC.
            end_time: Only spans until then; naive means UTC.
            include_summaries: Ask for the line each span's template renders.
            offset: How many rows to skip; ``pagination.next_page_offset`` of the page before.
            page_size: Most rows, 1 to 100.
        """
        return await self._http.exchange(
            "GET",
            _ROOT,
            operation="agent_spans.list",
            decode=_decode_list,
            params=query(
                agent_instance_id=agent_instance_id,
                start_time=wire_time(start_time),
                end_time=wire_time(end_time),
                include_summaries=include_summaries or None,
                **page(offset, page_size),
            ),
        )

    async def _write(
        self,
        action: str,
        path: str,
        body: dict[str, Any],
        decode: Callable[[bytes], ApiResponse[AgentSpan]],
    ) -> AgentSpan:
        answer = await self._http.exchange(
            "POST", path, operation=f"agent_spans.{action}", decode=decode, body=encode(body)
        )
        return answer.details
