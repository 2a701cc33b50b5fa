"""Own what a run is registered with: what the caller says, else what the configuration says."""

import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from prefactor_exporter._core.declaration import AUTO_DECLARE
from prefactor_exporter._core.snapshot import snapshot
from prefactor_exporter.config import AgentInfo
from prefactor_exporter.schemas import SchemaRegistry
from prefactor_http._version import PACKAGE_NAME, PACKAGE_VERSION

__all__ = ["PURPOSES", "SDK_HEADER", "registration_details"]

SDK_HEADER: Final = f"prefactor-exporter@{PACKAGE_VERSION} {PACKAGE_NAME}@{PACKAGE_VERSION}"
"""Packages that a request went through, outermost first (docs/wire.md, Requests)."""
PURPOSES: Final = frozenset({"live", "smoke_test", "eval"})

_decode = msgspec.json.Decoder().decode


def registration_details(
    agent: AgentInfo | None,
    *,
    agent_version: object,
    agent_schema_version: object,
    agent_id: str | None,
    environment_id: str | None,
    external_identifier: str | None,
    purpose: str | None,
    update_current_version: bool,
) -> dict[str, Any]:
    """Return the fields of a registration (docs/wire.md, Items) as plain JSON data of our own.

    Arguments as for ``Recorder.register_instance``; *agent* fills in what is None.
    """
    agent = agent if agent is not None else AgentInfo()
    schema = agent_schema_version if agent_schema_version is not None else agent.schema
    fields: dict[str, Any] = {
        "agent_id": agent_id if agent_id is not None else agent.agent_id,
        "environment_id": environment_id if environment_id is not None else agent.environment_id,
        "agent_version": _plain(agent_version) if agent_version is not None else _version(agent),
        "agent_schema_version": _plain(schema) if schema is not None else {},
        "update_current_version": bool(update_current_version),
        "external_identifier": external_identifier,
        "purpose": purpose,
        # A caller who gives a schema means it; otherwise the types in use are added to it.
        AUTO_DECLARE: True if agent_schema_version is None else None,
    }
    return _without_none(fields)


def _version(agent: AgentInfo) -> dict[str, Any]:
    release = ".".join(map(str, sys.version_info[:3]))
    return _without_none(
        {
            "name": agent.name,
            "external_identifier": agent.version,
            "description": agent.description,
            "runtime_environment": {
                "os": sys.platform,
                "runtime": f"{sys.implementation.name}@{release}",
                "prefactor_sdk": SDK_HEADER.split(),
            },
        }
    )


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _plain(value: Any) -> dict[str, Any]:
    """Return a copy of *value* as plain JSON data."""
    if isinstance(value, SchemaRegistry):
        value = value.to_dict()
    elif not isinstance(value, Mapping) and hasattr(value, "model_dump"):
        value = value.model_dump(exclude_none=True)
    plain: dict[str, Any] = _decode(snapshot(value)[0])
    return plain
