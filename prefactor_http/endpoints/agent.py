"""Own the calls about agents: one method for each route."""

from typing import Any

import msgspec

from prefactor_http.endpoints._transport import (
    Transport,
    encode,
    page,
    path_segment,
    query,
    write_key,
)
from prefactor_http.models.agent import Agent, AgentForCreate, AgentForUpdate, AgentSummary
from prefactor_http.models.base import ApiResponse, ListResponse

__all__ = ["AgentClient"]

_ROOT = "/api/v1/agent"

_decode_one = msgspec.json.Decoder(ApiResponse[Agent]).decode
_decode_list = msgspec.json.Decoder(ListResponse[AgentSummary]).decode


class AgentClient:
    """Create agents, change them, retire them, and look at them.

    Every method raises what `PrefactorHttpClient.request` raises, and a
    `PrefactorResponseContractError` without status if the answer has the wrong shape. Writes carry
    an idempotency key: the caller's, or a fresh UUID4 if it is ``None``. A key of more than 64
    characters is a `ValueError`.
    """

    def __init__(self, http_client: Transport) -> None:
        self._http = http_client

    async def create(self, details: AgentForCreate, idempotency_key: str | None = None) -> Agent:
        """Create an agent.

        Args:
            details: What describes it.
            idempotency_key: Names this call.
        """
        body = {
            "details": details.model_dump(exclude_none=True),
            "idempotency_key": write_key(idempotency_key),
        }
        return await self._write("POST", "create", "", body)

    async def get(self, agent_id: str) -> Agent:
        """Return an agent."""
        answer = await self._http.exchange(
            "GET",
            f"{_ROOT}/{path_segment(agent_id, 'agent_id')}",
            operation="agents.get",
            decode=_decode_one,
        )
        return answer.details

    async def update(
        self, agent_id: str, details: AgentForUpdate, idempotency_key: str | None = None
    ) -> Agent:
        """Change an agent.

        Args:
            agent_id: The agent.
            details: What changes; a field that is left out keeps its value.
            idempotency_key: Names this call.
        """
        body = {"details": details.changes(), "idempotency_key": write_key(idempotency_key)}
        return await self._write("PUT", "update", f"/{path_segment(agent_id, 'agent_id')}", body)

    async def list_agents(  # noqa: PLR0917  # the documented order of arguments
        self,
        risk_profile_id: str | None = None,
        team_id: str | None = None,
        owner_person_id: str | None = None,
        sorting: str | None = None,
        offset: int | None = None,
        page_size: int | None = None,
    ) -> list[AgentSummary]:
        """Return one page of agents; ``None`` leaves a choice to the API.

        Args:
            risk_profile_id: Only those held to this risk profile.
            team_id: Only those of this team.
            owner_person_id: Only those of this person.
            sorting: A field, with ``-`` before it for the opposite order.
            offset: How many rows to skip.
            page_size: Most rows, 1 to 100.
        """
        answer = await self._http.exchange(
            "GET",
            _ROOT,
            operation="agents.list_agents",
            decode=_decode_list,
            params=query(
                risk_profile_id=risk_profile_id,
                team_id=team_id,
                owner_person_id=owner_person_id,
                sorting=sorting,
                **page(offset, page_size),
            ),
        )
        return answer.summaries

    async def show(
        self,
        *,
        agent_id: str | None = None,
        external_identifier: str | None = None,
        environment_id: str | None = None,
        include_counts: bool = False,
        include_risk_rollup: bool = False,
    ) -> Agent:
        """Return an agent found by one of its two ids, with more about it if wanted.

        Args:
            agent_id: Its id; exactly one of the two ids is given.
            external_identifier: The caller's own id of it.
            environment_id: Count in this environment only.
            include_counts: Ask for the numbers of instances.
            include_risk_rollup: Ask for the risk of its instances.

        Raises:
            ValueError: If none or both of the ids are given.
        """
        if (agent_id is None) == (external_identifier is None):
            raise ValueError("give exactly one of agent_id and external_identifier")
        answer = await self._http.exchange(
            "GET",
            f"{_ROOT}/show",
            operation="agents.show",
            decode=_decode_one,
            params=query(
                agent_id=agent_id,
                external_identifier=external_identifier,
                environment_id=environment_id,
                include_counts=include_counts or None,
                include_risk_rollup=include_risk_rollup or None,
            ),
        )
        return answer.details

    async def retire(self, agent_id: str, idempotency_key: str | None = None) -> Agent:
        """Take an agent out of service."""
        return await self._act("retire", agent_id, idempotency_key)

    async def reinstate(self, agent_id: str, idempotency_key: str | None = None) -> Agent:
        """Put a retired agent back into service."""
        return await self._act("reinstate", agent_id, idempotency_key)

    async def delete(self, agent_id: str, idempotency_key: str | None = None) -> Agent:
        """Delete an agent and return what it was."""
        body = {"idempotency_key": write_key(idempotency_key)}
        return await self._write("DELETE", "delete", f"/{path_segment(agent_id, 'agent_id')}", body)

    async def _act(self, action: str, agent_id: str, idempotency_key: str | None) -> Agent:
        path = f"/{path_segment(agent_id, 'agent_id')}/{action}"
        body = {"idempotency_key": write_key(idempotency_key)}
        return await self._write("POST", action, path, body)

    async def _write(self, method: str, action: str, path: str, body: dict[str, Any]) -> Agent:
        answer = await self._http.exchange(
            method,
            _ROOT + path,
            operation=f"agents.{action}",
            decode=_decode_one,
            body=encode(body),
        )
        return answer.details
