"""Own the calls about agent instances: one method for each route."""

from datetime import datetime
from typing import Any, overload

import msgspec

from prefactor_http.endpoints._transport import (
    Transport,
    encode,
    page,
    path_segment,
    plain,
    query,
    wire_time,
    write_key,
)
from prefactor_http.models.agent_instance import (
    AgentInstance,
    AgentInstanceRecordQuality,
    AgentInstanceSummary,
    AgentSchemaVersionForRegister,
    AgentVersionForRegister,
    FinishInstanceRequest,
    RegisterAgentInstanceRequest,
    TerminateInstanceRequest,
)
from prefactor_http.models.base import ApiResponse, ListResponse
from prefactor_http.models.types import FinishStatus, InstancePurpose, JsonObject

__all__ = ["AgentInstanceClient"]

_ROOT = "/api/v1/agent_instance"


class _ContextAnswer(msgspec.Struct):
    agent_context: JsonObject


_decode_one = msgspec.json.Decoder(ApiResponse[AgentInstance]).decode
_decode_list = msgspec.json.Decoder(ListResponse[AgentInstanceSummary]).decode
_decode_context = msgspec.json.Decoder(_ContextAnswer).decode


class AgentInstanceClient:
    """Register agent instances, move them through their states, and look at them.

    Every method raises what `PrefactorHttpClient.request` raises, and a
    `PrefactorResponseContractError` without status if the answer has the wrong shape. Writes carry
    an idempotency key: the caller's, or a fresh UUID4 if it is ``None``, so that repeating a failed
    attempt does nothing twice. A key of more than 64 characters is a `ValueError`.
    """

    def __init__(self, http_client: Transport) -> None:
        self._http = http_client

    @overload
    async def register(
        self,
        agent_id: str | None,
        agent_version: JsonObject | AgentVersionForRegister,
        agent_schema_version: JsonObject | AgentSchemaVersionForRegister,
        id: str | None = None,
        idempotency_key: str | None = None,
        update_current_version: bool = True,
        *,
        environment_id: str | None = None,
        purpose: InstancePurpose | None = None,
        external_identifier: str | None = None,
    ) -> AgentInstance: ...

    @overload
    async def register(
        self,
        *,
        agent_version: JsonObject | AgentVersionForRegister,
        agent_schema_version: JsonObject | AgentSchemaVersionForRegister,
        agent_id: str | None = None,
        environment_id: str | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
        update_current_version: bool = True,
        purpose: InstancePurpose | None = None,
        external_identifier: str | None = None,
    ) -> AgentInstance: ...

    async def register(  # noqa: PLR0917  # the documented order of arguments
        self,
        agent_id: str | None = None,
        agent_version: JsonObject | AgentVersionForRegister | None = None,
        agent_schema_version: JsonObject | AgentSchemaVersionForRegister | None = None,
        id: str | None = None,  # noqa: A002  # the name on the wire
        idempotency_key: str | None = None,
        update_current_version: bool = True,
        *,
        environment_id: str | None = None,
        purpose: InstancePurpose | None = None,
        external_identifier: str | None = None,
    ) -> AgentInstance:
        """Announce a run; versions the API has not seen are created.

        The order of arguments is that of the first releases; with keywords it does not matter.

        Args:
            agent_id: The agent; left out or ``None`` with a token that belongs to one deployment.
            agent_version: The version that runs; required. A dictionary is sent as it is.
            agent_schema_version: Its span types; required. A dictionary is sent as it is.
            id: An id of the caller's choice, a PFID in the partition of the account; ``None`` lets
                the API choose.
            idempotency_key: Names this call.
            update_current_version: Whether the version becomes the released one.
            environment_id: The environment; needed with a token of the account.
            purpose: Why it runs; the API takes ``live`` for ``None``.
            external_identifier: The caller's own id, unique within the agent.

        Returns:
            The instance, ``pending``.

        Raises:
            TypeError: If ``agent_version`` or ``agent_schema_version`` is left out.
        """
        if agent_version is None or agent_schema_version is None:
            raise TypeError("register() needs agent_version and agent_schema_version")
        request = RegisterAgentInstanceRequest(
            agent_id=agent_id,
            environment_id=environment_id,
            agent_version=plain(agent_version),
            agent_schema_version=plain(agent_schema_version),
            update_current_version=update_current_version,
            id=id,
            purpose=purpose,
            external_identifier=external_identifier,
            idempotency_key=write_key(idempotency_key),
        )
        return await self._write("register", "/register", request.model_dump(exclude_none=True))

    async def start(
        self,
        agent_instance_id: str,
        timestamp: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> AgentInstance:
        """Say that a registered run has begun.

        Args:
            agent_instance_id: The instance.
            timestamp: When; naive means UTC, ``None`` lets the API take its own clock.
            idempotency_key: Names this call.

        Returns:
            The instance, ``active``.
        """
        body = {"timestamp": wire_time(timestamp), "idempotency_key": write_key(idempotency_key)}
        return await self._act("start", agent_instance_id, body)

    async def finish(
        self,
        agent_instance_id: str,
        status: FinishStatus | None = None,
        timestamp: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> AgentInstance:
        """Say that a run is over. A run that is over already answers with status 409.

        Args:
            agent_instance_id: The instance.
            status: How it ended; the API takes ``complete`` for ``None``.
            timestamp: When; naive means UTC, ``None`` lets the API take its own clock.
            idempotency_key: Names this call.

        Returns:
            The instance in its last state.
        """
        request = FinishInstanceRequest(
            status=status,
            timestamp=wire_time(timestamp),
            idempotency_key=write_key(idempotency_key),
        )
        return await self._act("finish", agent_instance_id, request.model_dump(exclude_none=True))

    async def terminate(
        self,
        agent_instance_id: str,
        reason: str,
        timestamp: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> AgentInstance:
        """Stop a running instance from outside, for good; the agent learns it from a signal.

        Args:
            agent_instance_id: The instance; it must be active.
            reason: Why, for people; not empty.
            timestamp: When; naive means UTC, ``None`` lets the API take its own clock.
            idempotency_key: Names this call.

        Returns:
            The instance, ``terminated``.
        """
        request = TerminateInstanceRequest(
            reason=reason,
            timestamp=wire_time(timestamp),
            idempotency_key=write_key(idempotency_key),
        )
        return await self._act(
            "terminate", agent_instance_id, request.model_dump(exclude_none=True)
        )

    async def record_quality(
        self,
        agent_instance_id: str,
        name: str,
        payload: JsonObject | None = None,
        idempotency_key: str | None = None,
    ) -> AgentInstance:
        """Record a measure of quality; other measures stay. Works after the run is over too.

        Args:
            agent_instance_id: The instance.
            name: The measure, from ``quality_schemas`` of the registered schema version.
            payload: The value; ``None`` removes the recorded one.
            idempotency_key: Names this call.

        Returns:
            The instance.
        """
        quality = AgentInstanceRecordQuality(name=name, payload=payload)
        body = {**quality.model_dump(), "idempotency_key": write_key(idempotency_key)}
        return await self._act("record_quality", agent_instance_id, body)

    async def get(self, agent_instance_id: str) -> AgentInstance:
        """Return an instance. Needs a token of the account, as all reads do."""
        path = f"{_ROOT}/{path_segment(agent_instance_id, 'agent_instance_id')}"
        answer = await self._http.exchange(
            "GET", path, operation="agent_instances.get", decode=_decode_one
        )
        return answer.details

    async def show(
        self,
        *,
        agent_instance_id: str | None = None,
        external_identifier: str | None = None,
        include_counts: bool = False,
        include_costs: bool = False,
        include_risk_score: bool = False,
        include_alert_count: bool = False,
    ) -> AgentInstance:
        """Return an instance found by one of its two ids, with more about it if wanted.

        Args:
            agent_instance_id: Its id; exactly one of the two ids is given.
            external_identifier: The caller's own id of it.
            include_counts: Ask for the numbers of spans.
            include_costs: Ask for the costs.
            include_risk_score: Ask for the risk; the hosted API has answered this with status 500.
            include_alert_count: Ask for the number of alerts.

        Raises:
            ValueError: If none or both of the ids are given.
        """
        if (agent_instance_id is None) == (external_identifier is None):
            raise ValueError("give exactly one of agent_instance_id and external_identifier")
        params = query(
            agent_instance_id=agent_instance_id,
            external_identifier=external_identifier,
            include_counts=include_counts or None,
            include_costs=include_costs or None,
            include_risk_score=include_risk_score or None,
            include_alert_count=include_alert_count or None,
        )
        answer = await self._http.exchange(
            "GET",
            f"{_ROOT}/show",
            operation="agent_instances.show",
            decode=_decode_one,
            params=params,
        )
        return answer.details

    async def list_instances(
        self,
        *,
        agent_id: str | None = None,
        agent_version_id: str | None = None,
        offset: int | None = None,
        page_size: int | None = None,
    ) -> ListResponse[AgentInstanceSummary]:
        """Return one page of instances.

        Args:
            agent_id: Only those of this agent.
            agent_version_id: Only those of this version.
            offset: How many rows to skip; ``pagination.next_page_offset`` of the page before.
            page_size: Most rows, 1 to 100.
        """
        return await self._http.exchange(
            "GET",
            _ROOT,
            operation="agent_instances.list",
            decode=_decode_list,
            params=query(
                agent_id=agent_id, agent_version_id=agent_version_id, **page(offset, page_size)
            ),
        )

    async def agent_context(self, agent_instance_id: str) -> JsonObject:
        """Return what the API makes of a run as context for an agent: body, time, span count."""
        path = f"{_ROOT}/{path_segment(agent_instance_id, 'agent_instance_id')}/agent_context"
        answer = await self._http.exchange(
            "GET", path, operation="agent_instances.agent_context", decode=_decode_context
        )
        return answer.agent_context

    async def _act(
        self, action: str, agent_instance_id: str, body: dict[str, Any]
    ) -> AgentInstance:
        segment = path_segment(agent_instance_id, "agent_instance_id")
        return await self._write(action, f"/{segment}/{action}", body)

    async def _write(self, action: str, path: str, body: dict[str, Any]) -> AgentInstance:
        answer = await self._http.exchange(
            "POST",
            _ROOT + path,
            operation=f"agent_instances.{action}",
            decode=_decode_one,
            body=encode(body),
        )
        return answer.details
