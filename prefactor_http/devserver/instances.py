"""The life of an instance: register, start, finish, terminate, and its quality records."""

from typing import Any

import msgspec

from prefactor_http.devserver import stamps, templates
from prefactor_http.devserver.answers import Answer, single
from prefactor_http.devserver.backend import Backend, Call
from prefactor_http.devserver.errors import invalid, invalid_action, not_found
from prefactor_http.devserver.registration import register_versions
from prefactor_http.devserver.shapes import (
    FinishInstance,
    RecordQuality,
    RegisterInstance,
    StartInstance,
    TerminateInstance,
)

_COUNTED: tuple[str, ...] = ("pending", "active", "complete", "failed", "cancelled")
_FINISHED = frozenset({"complete", "failed", "cancelled"})
_PLAIN = (
    "id",
    "agent_id",
    "agent_version_id",
    "environment_id",
    "status",
    "purpose",
    "external_identifier",
    "termination_reason",
    "started_at",
    "finished_at",
    "inserted_at",
    "updated_at",
)


def register(call: Call, body: RegisterInstance, _target: str | None) -> Answer:
    """Create a pending instance, and versions that were not seen before."""
    backend, token = call.backend, call.token
    agent_id, environment_id = _owner(call, body)
    storage = backend.storage
    agent = storage.one("SELECT name, status FROM agents WHERE id = ? AND deleted = 0", (agent_id,))
    if agent is None or not token.sees(agent_id):
        raise not_found("agent")
    if agent["status"] == "retired":
        raise invalid_action("the agent is retired")
    if storage.one("SELECT 1 FROM environments WHERE id = ?", (environment_id,)) is None:
        raise not_found("environment")
    instance_id = backend.new_id(body.id)
    if storage.one("SELECT 1 FROM instances WHERE id = ?", (instance_id,)) is not None:
        raise invalid_action("an agent instance with this id exists already")
    if (
        body.external_identifier is not None
        and storage.one(
            "SELECT 1 FROM instances WHERE agent_id = ? AND external_identifier = ?",
            (agent_id, body.external_identifier),
        )
        is not None
    ):
        raise invalid("external_identifier", "is taken by another instance of the agent")
    versions = register_versions(call, body, agent_id, environment_id)
    storage.run(
        "INSERT INTO instances (id, agent_id, agent_name, agent_version_id, environment_id,"
        " deployment_id, schema_version_id, status, purpose, external_identifier, inserted_at,"
        " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?)",
        (
            instance_id,
            agent_id,
            body.agent_version.name or agent["name"],
            versions.agent_version_id,
            environment_id,
            versions.deployment_id,
            versions.schema_version["id"],
            body.purpose or "live",
            body.external_identifier,
            call.now,
            call.now,
        ),
    )
    storage.run(
        "UPDATE agents SET status = 'active' WHERE id = ? AND status IN ('pending', 'dormant')",
        (agent_id,),
    )
    return single(details(backend, instance_id), agent_schema_version=versions.schema_version)


def start(call: Call, body: StartInstance, target: str | None) -> Answer:
    """Turn a pending instance into an active one."""
    instance = call.backend.instance(call.token, target)
    if instance.status != "pending":
        raise invalid_action(f"agent instance must be pending to start, it is {instance.status}")
    moment = _moment(call, body)
    _change(call, instance.id, "status = 'active', started_at = ?", moment)
    return single(details(call.backend, instance.id))


def finish(call: Call, body: FinishInstance, target: str | None) -> Answer:
    """End an instance as complete, failed or cancelled."""
    backend = call.backend
    instance = backend.instance(call.token, target)
    status = body.status or "complete"
    moment = _moment(call, body)
    if instance.status == "pending":
        if status != "cancelled" and not backend.switches.finish_pending_instance:
            raise invalid_action("agent instance must be active to finish, it is pending")
        _change(
            call, instance.id, "status = ?, started_at = ?, finished_at = ?", status, moment, moment
        )
    elif instance.status == "active":
        if status == "cancelled" and backend.switches.strict_cancelled:
            raise invalid_action("agent instance must be pending to be cancelled, it is active")
        _change(call, instance.id, "status = ?, finished_at = ?", status, moment)
    else:
        raise invalid_action(f"agent instance is already finished: {instance.status}")
    if backend.switches.close_spans_on_finish:
        _close_spans(call, instance.id, moment)
    return single(details(backend, instance.id))


def terminate(call: Call, body: TerminateInstance, target: str | None) -> Answer:
    """Stop an active instance for good, on an operator's behalf."""
    if not body.reason:
        raise invalid("reason", "must not be empty")
    backend = call.backend
    instance = backend.instance(call.token, target)
    if instance.status != "active":
        raise invalid_action(f"agent instance must be active to terminate: {instance.status}")
    moment = _moment(call, body)
    _change(
        call,
        instance.id,
        "status = 'terminated', finished_at = ?, termination_reason = ?",
        moment,
        body.reason,
    )
    if backend.switches.close_spans_on_terminate:
        _close_spans(call, instance.id, moment)
    return single(details(backend, instance.id))


def record_quality(call: Call, body: RecordQuality, target: str | None) -> Answer:
    """Record or, with null, remove one named quality payload; allowed in every state."""
    backend = call.backend
    instance = backend.instance(call.token, target)
    row = backend.storage.one(
        "SELECT quality, body FROM instances JOIN schema_versions"
        " ON schema_versions.id = schema_version_id WHERE instances.id = ?",
        (instance.id,),
    )
    if body.name not in msgspec.json.decode(row["body"])["quality_schemas"]:
        raise invalid("name", "is not a quality schema of the registered schema version")
    quality: dict[str, Any] = msgspec.json.decode(row["quality"])
    if body.payload is None:
        quality.pop(body.name, None)
    else:
        quality[body.name] = body.payload
    _change(call, instance.id, "quality = ?", msgspec.json.encode(quality))
    return single(details(backend, instance.id))


def summary(backend: Backend, row: Any) -> dict[str, Any]:
    """Return the part of an instance that lists show."""
    shown = {name: row[name] for name in _PLAIN}
    last = backend.storage.one(
        "SELECT inserted_at FROM spans WHERE seq ="
        " (SELECT max(seq) FROM spans WHERE agent_instance_id = ?)",
        (row["id"],),
    )
    return {
        "type": "agent_instance",
        "account_id": backend.account_id,
        **shown,
        "last_activity_span_at": None if last is None else last[0],
        "raised_alert_count": 0,
        "risk_score": None,
    }


def details(backend: Backend, instance_id: str) -> dict[str, Any]:
    """Return an instance in full."""
    row = backend.storage.one(
        "SELECT instances.*, schema_versions.body AS declared FROM instances"
        " JOIN schema_versions ON schema_versions.id = schema_version_id WHERE instances.id = ?",
        (instance_id,),
    )
    schemas: dict[str, Any] = msgspec.json.decode(row["declared"])["quality_schemas"]
    quality: dict[str, Any] = msgspec.json.decode(row["quality"])
    summaries = {
        name: templates.render(schemas[name]["template"], payload)
        for name, payload in quality.items()
        if schemas[name]["template"] is not None
    }
    by_status, by_name = _counts(backend, instance_id)
    return summary(backend, row) | {
        "agent_deployment_id": row["deployment_id"],
        "span_counts": by_status,
        "span_schema_counts": {"by_name": by_name},
        "quality_payloads": quality,
        "quality_summaries": summaries,
        "cost_breakdown": None,
    }


def _counts(backend: Backend, instance_id: str) -> tuple[dict[str, int], dict[str, int]]:
    """Count the spans of an instance by status and by schema."""
    by_status: dict[str, int] = dict.fromkeys(_COUNTED, 0)
    by_name: dict[str, int] = {}
    for status, name, count in backend.storage.rows(
        "SELECT status, schema_name, count(*) FROM spans WHERE agent_instance_id = ?"
        " GROUP BY status, schema_name",
        (instance_id,),
    ):
        by_status[status] += count
        by_name[name] = by_name.get(name, 0) + count
    total = sum(by_status.values())
    finished = sum(by_status[status] for status in _FINISHED)
    if not backend.switches.span_counts_pending:
        del by_status["pending"]
    return {"total": total, **by_status, "finished": finished}, by_name


def _owner(call: Call, body: RegisterInstance) -> tuple[str, str]:
    """Return agent and environment of a register, from the token if it is a deployment's."""
    token, switches = call.token, call.backend.switches
    if token.agent_id is not None and token.environment_id is not None:
        for field, given, own in (
            ("agent_id", body.agent_id, token.agent_id),
            ("environment_id", body.environment_id, token.environment_id),
        ):
            if given is None:
                continue
            if switches.refuse_ids_with_deployment_token:
                raise invalid(field, "must be omitted with a deployment token")
            if given != own:
                raise not_found(field.removesuffix("_id"))
        return token.agent_id, token.environment_id
    if body.agent_id is None:
        raise invalid("agent_id", "is required with an account token")
    if body.environment_id is None and switches.require_environment:
        raise invalid("environment_id", "is required with an account token")
    return body.agent_id, body.environment_id or call.backend.environment_id


def _moment(call: Call, body: StartInstance | FinishInstance | TerminateInstance) -> str:
    """Return the timestamp of *body*, or now."""
    return call.now if body.timestamp is None else stamps.written(body.timestamp, "timestamp")


def _change(call: Call, instance_id: str, assignments: str, *values: object) -> None:
    """Update columns of an instance; *assignments* is SQL written in this module."""
    call.backend.storage.run(
        f"UPDATE instances SET {assignments}, updated_at = ? WHERE id = ?",  # noqa: S608 - constants of this module
        (*values, call.now, instance_id),
    )
    call.backend.changed(instance_id)


def _close_spans(call: Call, instance_id: str, moment: str) -> None:
    """Cancel the spans that are still open."""
    call.backend.storage.run(
        "UPDATE spans SET status = 'cancelled', finished_at = ?, updated_at = ?,"
        " started_at = coalesce(started_at, ?)"
        " WHERE agent_instance_id = ? AND status IN ('active', 'pending')",
        (moment, call.now, moment, instance_id),
    )
