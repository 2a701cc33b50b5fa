"""Agents: create, update, read, retire, reinstate, delete."""

from typing import Any

from msgspec import UNSET

from prefactor_http.devserver.answers import Answer, single
from prefactor_http.devserver.auth import require_account
from prefactor_http.devserver.backend import Call
from prefactor_http.devserver.errors import invalid, invalid_action, not_found, unauthorized
from prefactor_http.devserver.lists import Query, page
from prefactor_http.devserver.shapes import (
    AgentForUpdate,
    AgentTarget,
    CreateAgent,
    ListAgents,
    ShowAgent,
    UpdateAgent,
)

_SORTING = ("name", "id", "status", "inserted_at", "updated_at")
_STATUSES: tuple[str, ...] = ("pending", "active", "complete", "failed", "cancelled", "terminated")
_UPDATED = ("name", "description", "owner_person_id", "risk_profile_id", "team_id")
_SUMMARY = (
    "id",
    "name",
    "status",
    "description",
    "external_identifier",
    "owner_person_id",
    "team_id",
    "inserted_at",
    "updated_at",
)


def create(call: Call, body: CreateAgent, _target: str | None) -> Answer:
    """Create a pending agent."""
    require_account(call.token)
    agent = body.details
    if not agent.name:
        raise invalid("name", "must not be empty")
    storage = call.backend.storage
    agent_id = call.backend.new_id(agent.id)
    if storage.one("SELECT 1 FROM agents WHERE id = ?", (agent_id,)) is not None:
        raise invalid_action("an agent with this id exists already")
    if (
        agent.external_identifier is not None
        and storage.one(
            "SELECT 1 FROM agents WHERE external_identifier = ?", (agent.external_identifier,)
        )
        is not None
    ):
        raise invalid("external_identifier", "is taken by another agent")
    storage.run(
        "INSERT INTO agents (id, name, description, external_identifier, status, owner_person_id,"
        " risk_profile_id, team_id, inserted_at, updated_at)"
        " VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?)",
        (
            agent_id,
            agent.name,
            agent.description,
            agent.external_identifier,
            agent.owner_person_id,
            agent.risk_profile_id,
            agent.team_id,
            call.now,
            call.now,
        ),
    )
    return single(_details(call, agent_id))


def update(call: Call, body: UpdateAgent, target: str | None) -> Answer:
    """Change what is given, clear what is null, keep the rest."""
    require_account(call.token)
    row = _find(call, target)
    if body.details.name == "":
        raise invalid("name", "must not be empty")
    changes = _changes(body.details)
    # The column names come from the constant above, never from the request.
    columns = "".join(f"{column} = ?, " for column in changes)
    call.backend.storage.run(
        f"UPDATE agents SET {columns}updated_at = ? WHERE id = ?",  # noqa: S608 - constants, see above
        (*changes.values(), call.now, row["id"]),
    )
    return single(_details(call, row["id"]))


def show(call: Call, body: ShowAgent, target: str | None) -> Answer:
    """Return one agent, by exactly one of id and external identifier."""
    _refuse_reads(call)
    if (target is None) == (body.external_identifier is None):
        raise invalid("agent_id", "or external_identifier is required, and not both")
    if target is None:
        row = call.backend.storage.one(
            "SELECT id FROM agents WHERE external_identifier = ?", (body.external_identifier,)
        )
        if row is None:
            raise not_found("agent")
        target = row["id"]
    return single(_details(call, _find(call, target)["id"]))


def listing(call: Call, body: ListAgents, _target: str | None) -> Answer:
    """Return a page of agents."""
    _refuse_reads(call)
    query = Query("agents", ["deleted = 0"], [], _SORTING)
    for column, value in (
        ("risk_profile_id", body.risk_profile_id),
        ("team_id", body.team_id),
        ("owner_person_id", body.owner_person_id),
        ("id", call.token.agent_id),
    ):
        if value is not None:
            query.conditions.append(f"{column} = ?")
            query.values.append(value)
    return page(call, body, query, lambda row: _summary(call, row))


def retire(call: Call, _body: AgentTarget, target: str | None) -> Answer:
    """Take an agent out of service: it cannot register any more."""
    return _move(call, target, "retire", "retired")


def reinstate(call: Call, _body: AgentTarget, target: str | None) -> Answer:
    """Put a retired agent back into service."""
    return _move(call, target, "reinstate", None)


def delete(call: Call, _body: AgentTarget, target: str | None) -> Answer:
    """Delete an agent that is retired or was never used; its runs stay."""
    require_account(call.token)
    row = _find(call, target)
    if not _actions(call, row)["delete"]:
        raise invalid_action("agent must be retired before it is deleted")
    answer = single(_details(call, row["id"]))
    call.backend.storage.run(
        "UPDATE agents SET deleted = 1, external_identifier = NULL, updated_at = ? WHERE id = ?",
        (call.now, row["id"]),
    )
    return answer


def _move(call: Call, target: str | None, action: str, status: str | None) -> Answer:
    """Change the status of an agent; None stands for what its instances say."""
    require_account(call.token)
    row = _find(call, target)
    if not _actions(call, row)[action]:
        raise invalid_action(f"agent is {row['status']}, which does not allow {action}")
    if status is None:
        status = "active" if sum(_counts(call, row["id"]).values()) else "pending"
    call.backend.storage.run(
        "UPDATE agents SET status = ?, updated_at = ? WHERE id = ?", (status, call.now, row["id"])
    )
    return single(_details(call, row["id"]))


def _find(call: Call, agent_id: str | None) -> Any:
    """Return the row of an agent the token sees."""
    if agent_id is None:
        raise invalid("agent_id", "is required")
    row = call.backend.storage.one("SELECT * FROM agents WHERE id = ? AND deleted = 0", (agent_id,))
    if row is None or not call.token.sees(agent_id):
        raise not_found("agent")
    return row


def _changes(agent: AgentForUpdate) -> dict[str, Any]:
    """Return the columns an update names."""
    given = {column: getattr(agent, column) for column in _UPDATED}
    return {column: value for column, value in given.items() if value is not UNSET}


def _counts(call: Call, agent_id: str) -> dict[str, int]:
    """Count the instances of an agent by status."""
    rows = call.backend.storage.rows(
        "SELECT status, count(*) FROM instances WHERE agent_id = ? GROUP BY status", (agent_id,)
    )
    counts: dict[str, int] = dict.fromkeys(_STATUSES, 0)
    return counts | {row[0]: row[1] for row in rows}


def _actions(call: Call, row: Any) -> dict[str, bool]:
    """Return what may be done with an agent now."""
    retired = row["status"] == "retired"
    unused = not sum(_counts(call, row["id"]).values())
    return {
        "update": True,
        "retire": not retired,
        "reinstate": retired,
        "delete": retired or unused,
    }


def _summary(call: Call, row: Any) -> dict[str, Any]:
    """Return the part of an agent that lists show."""
    return {
        "type": "agent",
        "account_id": call.backend.account_id,
        **{column: row[column] for column in _SUMMARY},
        "available_actions": _actions(call, row),
    }


def _details(call: Call, agent_id: str) -> dict[str, Any]:
    """Return an agent in full."""
    row = call.backend.storage.one("SELECT * FROM agents WHERE id = ?", (agent_id,))
    counts = _counts(call, agent_id)
    total = sum(counts.values())
    finished = total - counts["pending"] - counts["active"]
    return _summary(call, row) | {
        "risk_profile_id": row["risk_profile_id"],
        "instance_counts": {"total": total, **counts, "finished": finished},
    }


def _refuse_reads(call: Call) -> None:
    """Refuse a deployment token, as the live API does."""
    if call.token.scope != "account" and not call.backend.switches.deployment_reads_allowed:
        raise unauthorized("a deployment token may not read")
