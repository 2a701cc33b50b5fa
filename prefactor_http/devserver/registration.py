"""What a register creates beside the instance: agent version, schema version, deployment."""

from typing import Any, NamedTuple

import msgspec

from prefactor_http.devserver.backend import Call
from prefactor_http.devserver.shapes import AgentSchemaVersion, AgentVersion, RegisterInstance


class Versions(NamedTuple):
    """What an instance is registered with; *schema_version* as the API shows it."""

    agent_version_id: str
    deployment_id: str
    schema_version: dict[str, Any]


def register_versions(
    call: Call, body: RegisterInstance, agent_id: str, environment_id: str
) -> Versions:
    """Find or create the versions a register names."""
    version_id = _agent_version(call, body.agent_version, agent_id)
    schema_version = _schema_version(call, body.agent_schema_version, agent_id)
    deployment_id = _deployment(call, agent_id, environment_id)
    if body.update_current_version:
        call.backend.storage.run(
            "UPDATE deployments SET current_version_id = ? WHERE id = ?",
            (version_id, deployment_id),
        )
    return Versions(version_id, deployment_id, schema_version)


def _agent_version(call: Call, version: AgentVersion, agent_id: str) -> str:
    """Return the id of *version*; a name or description in it becomes the agent's."""
    storage = call.backend.storage
    for column, value in (("name", version.name), ("description", version.description)):
        if value is not None:
            storage.run(
                f"UPDATE agents SET {column} = ?, updated_at = ? WHERE id = ?",  # noqa: S608 - constants above
                (value, call.now, agent_id),
            )
    body = msgspec.json.encode(version, order="deterministic")
    row = storage.one(
        "SELECT id FROM agent_versions"
        " WHERE agent_id = ? AND external_identifier IS ? AND body = ?",
        (agent_id, version.external_identifier, body),
    )
    if row is not None:
        found: str = row["id"]
        return found
    version_id = call.backend.mint()
    storage.run(
        "INSERT INTO agent_versions VALUES (?, ?, ?, ?)",
        (version_id, agent_id, version.external_identifier, body),
    )
    return version_id


def _schema_version(call: Call, schema: AgentSchemaVersion, agent_id: str) -> dict[str, Any]:
    """Return the schema version with what *schema* declares, creating it if it is new."""
    storage = call.backend.storage
    declared = {"span_types": _span_types(schema), "quality_schemas": _quality_schemas(schema)}
    body = msgspec.json.encode(declared, order="deterministic")
    identifier = schema.external_identifier
    row = storage.one(
        "SELECT id, repeats, inserted_at FROM schema_versions"
        " WHERE agent_id = ? AND external_identifier IS ? AND body = ?",
        (agent_id, identifier, body),
    )
    if row is None:
        repeats = storage.one(
            "SELECT count(*) FROM schema_versions WHERE agent_id = ? AND external_identifier IS ?",
            (agent_id, identifier),
        )[0]
        row = {"id": call.backend.mint(), "repeats": repeats, "inserted_at": call.now}
        storage.run(
            "INSERT INTO schema_versions VALUES (?, ?, ?, ?, ?, ?)",
            (row["id"], agent_id, identifier, repeats, body, call.now),
        )
    return {
        "type": "agent_schema_version",
        "id": row["id"],
        "account_id": call.backend.account_id,
        "agent_id": agent_id,
        "external_identifier": identifier,
        "external_identifier_repeats": row["repeats"],
        "current_agent_deployment_refs": [],
        "inserted_at": row["inserted_at"],
        "span_type_schemas": declared["span_types"],
    }


def _span_types(schema: AgentSchemaVersion) -> dict[str, Any]:
    """Bring both forms of declaring span types into one; the full form wins."""
    if schema.span_type_schemas is not None:
        return {
            kind.name: msgspec.to_builtins(kind) | {"title": kind.title or kind.name}
            for kind in schema.span_type_schemas
        }
    results = schema.span_result_schemas or {}
    return {
        name: {
            "name": name,
            "title": name,
            "description": None,
            "template": None,
            "params_schema": params,
            "result_schema": results.get(name),
            "data_risk": None,
        }
        for name, params in (schema.span_schemas or {}).items()
    }


def _quality_schemas(schema: AgentSchemaVersion) -> dict[str, Any]:
    """Return the quality schemas by name."""
    return {
        quality.name: msgspec.to_builtins(quality) | {"title": quality.title or quality.name}
        for quality in schema.quality_schemas or []
    }


def _deployment(call: Call, agent_id: str, environment_id: str) -> str:
    """Return the id of the agent's deployment in the environment, creating it if need be."""
    call.backend.storage.run(
        "INSERT OR IGNORE INTO deployments VALUES (?, ?, ?, NULL)",
        (call.backend.mint(), agent_id, environment_id),
    )
    found: str = call.backend.storage.one(
        "SELECT id FROM deployments WHERE agent_id = ? AND environment_id = ?",
        (agent_id, environment_id),
    )["id"]
    return found
