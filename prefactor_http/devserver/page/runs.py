"""The list of runs, newest first, and the head of one run."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from prefactor_http.devserver import templates
from prefactor_http.devserver.auth import DEFAULT_DEPLOYMENT_TOKEN
from prefactor_http.devserver.backend import Backend
from prefactor_http.devserver.errors import not_found
from prefactor_http.devserver.page.counts import Budget, Counts

_WINDOW = 10_000
"""Runs that one request looks through at most; a filter that finds little goes on from there."""
_ROWS = 20_000
"""Spans that one request counts at most."""
_MOST_NAMES = 500
_COLUMNS = (
    "seq",
    "id",
    "agent_id",
    "agent_name",
    "status",
    "purpose",
    "external_identifier",
    "termination_reason",
    "started_at",
    "finished_at",
    "inserted_at",
)
_SELECT = (
    f"SELECT {', '.join('instances.' + name for name in _COLUMNS)},"
    " agent_versions.external_identifier AS version"
)
_FROM = " FROM instances JOIN agent_versions ON agent_versions.id = agent_version_id"


class RunsWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Query of the list: filters, and below which number to go on; *agent* is a name."""

    status: str = ""
    agent: str = ""
    q: Annotated[str, Meta(max_length=200)] = ""
    before: Annotated[int, Meta(ge=1, lt=1 << 62)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 100


class RunWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Query of one run: there is nothing to choose."""


def listing(backend: Backend, counts: Counts, wanted: RunsWanted) -> dict[str, Any]:
    """Return runs, newest first, and the number to go on below; None when there are no more.

    The first page also says how many fit the filters, what the agents were called, and whether the
    well-known deployment token works.
    """
    storage = backend.storage
    newest = storage.one("SELECT coalesce(max(seq), 0) FROM instances")[0]
    before = newest + 1 if wanted.before is None else wanted.before
    floor = max(0, before - _WINDOW)
    where, values = _conditions(wanted, before, floor)
    rows = storage.rows(
        f"{_SELECT}{_FROM} WHERE {where} ORDER BY instances.seq DESC LIMIT ?",
        [*values, wanted.limit],
    )
    following = rows[-1]["seq"] if len(rows) == wanted.limit else floor
    budget = Budget(_ROWS)
    found: dict[str, Any] = {
        "runs": [_shown(row, counts, budget) for row in rows],
        "next": following if following > 1 else None,
    }
    if wanted.before is None:
        found["total"] = storage.one(
            f"SELECT count(*) {_FROM} WHERE {where}",
            values,
        )[0]
        found["more_than_total"] = floor > 1
        found["agents"] = [
            row["agent_name"]
            for row in storage.rows(
                "SELECT DISTINCT agent_name FROM instances WHERE seq >= ?"
                " ORDER BY agent_name LIMIT ?",
                (floor, _MOST_NAMES),
            )
        ]
        works = backend.tokens.works(DEFAULT_DEPLOYMENT_TOKEN)
        found["token"] = DEFAULT_DEPLOYMENT_TOKEN if works else None
    return found


def head(backend: Backend, counts: Counts, run_id: str) -> dict[str, Any]:
    """Return one run with its counts, the titles of its span types and its quality records.

    Raises:
        ApiError: 404 if there is no such run.
    """
    row = backend.storage.one(
        f"{_SELECT}, quality, environment_id, schema_version_id, schema_versions.body AS declared"
        f"{_FROM} JOIN schema_versions ON schema_versions.id = schema_version_id"
        " WHERE instances.id = ?",
        (run_id,),
    )
    if row is None:
        raise not_found("run")
    kinds = backend.span_types(row["schema_version_id"])
    schemas: dict[str, Any] = msgspec.json.decode(row["declared"])["quality_schemas"]
    quality: dict[str, Any] = msgspec.json.decode(row["quality"])
    return {
        "run": _shown(row, counts, Budget(_ROWS)) | {"environment_id": row["environment_id"]},
        "titles": {name: kind.title for name, kind in kinds.items()},
        "quality": [
            _quality(name, payload, schemas[name]) for name, payload in sorted(quality.items())
        ],
    }


def exists(backend: Backend, run_id: str) -> bool:
    """Say whether there is such a run."""
    found = backend.storage.one("SELECT 1 FROM instances WHERE id = ?", (run_id,))
    return found is not None


def _conditions(wanted: RunsWanted, before: int, floor: int) -> tuple[str, list[Any]]:
    """Return the filters as SQL, constants of this module, and what is bound to it."""
    conditions = ["instances.seq < ?", "instances.seq >= ?"]
    values: list[Any] = [before, floor]
    if wanted.status:
        conditions.append("instances.status = ?")
        values.append(wanted.status)
    if wanted.agent:
        conditions.append("agent_name = ?")
        values.append(wanted.agent)
    for word in wanted.q.split():
        conditions.append(
            "instances.id || ' ' || agent_name || ' ' ||"
            " coalesce(agent_versions.external_identifier, '') || ' ' ||"
            " coalesce(instances.external_identifier, '') || ' ' ||"
            " coalesce(instances.termination_reason, '') LIKE ? ESCAPE '\\'"
        )
        literal = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        values.append(f"%{literal}%")
    return " AND ".join(conditions), values


def _shown(row: Any, counts: Counts, budget: Budget) -> dict[str, Any]:
    """Return one run as the page reads it."""
    by_status, exact = counts.of(row["id"], budget)
    return {name: row[name] for name in (*_COLUMNS, "version")} | {
        "spans": by_status,
        "counted": exact,
    }


def _quality(name: str, payload: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Return one quality record with its summary."""
    return {
        "name": name,
        "title": schema["title"],
        "summary": templates.filled(schema["template"], payload),
        "payload": payload,
    }
