"""The spans of one run without their payloads, summaries of some, and one span in full."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from prefactor_http.devserver import sensitive
from prefactor_http.devserver.backend import Backend, SpanType
from prefactor_http.devserver.errors import bad_request, not_found
from prefactor_http.devserver.page.summary import filled, summary

_SHOWN = ("seq", "id", "parent_span_id", "schema_name", "status", "started_at", "finished_at")
_SELECT = (
    "SELECT seq, id, parent_span_id, schema_name, status, started_at, finished_at,"
    " (mismatch IS NOT NULL) * 1 + sensitive_encoding * 2 AS flags FROM spans WHERE "
)
_MOST_NAMED = 400
_MOST_BYTES = 1 << 20
"""Payloads that one request for summaries reads at most, give or take one."""


class SpansWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Query of the spans: after which number to go on, and which ones were open."""

    after: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    limit: Annotated[int, Meta(ge=0, le=2000)] = 500
    open: str = ""


class SummariesWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Query of summaries: the numbers of the spans."""

    seqs: str


class SpanWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Query of one span."""

    reveal: bool = False


def listing(backend: Backend, run_id: str, wanted: SpansWanted) -> dict[str, Any]:
    """Return spans in order of arrival, and what became of those that were open.

    Each is a list, because there may be many: number, id, parent, name, status, start, end, flags.
    """
    rows = backend.storage.rows(
        _SELECT + "agent_instance_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (run_id, wanted.after, wanted.limit + 1),
    )
    changed = backend.storage.rows(
        _SELECT + "seq IN (SELECT value FROM json_each(?))"  # noqa: S608 - constants of this module
        " AND agent_instance_id = ? AND status NOT IN ('active', 'pending')",
        (_numbers(wanted.open), run_id),
    )
    return {
        "spans": [tuple(row) for row in rows[: wanted.limit]],
        "changed": [tuple(row) for row in changed],
        "more": len(rows) > wanted.limit,
    }


def summaries(backend: Backend, run_id: str, wanted: SummariesWanted) -> dict[str, Any]:
    """Return the summaries of some spans by number; what is missing was too much for once."""
    rows = backend.storage.rows(
        "SELECT seq, schema_name, length(payload) + coalesce(length(result_payload), 0)"
        " FROM spans WHERE seq IN (SELECT value FROM json_each(?)) AND agent_instance_id = ?"
        " ORDER BY seq",
        (_numbers(wanted.seqs), run_id),
    )
    kinds = kinds_of(backend, run_id)
    texts: dict[str, str] = {}
    size = 0
    for seq, name, length in rows:
        if size >= _MOST_BYTES:
            break
        size += length
        row = backend.storage.one("SELECT payload, result_payload FROM spans WHERE seq = ?", (seq,))
        texts[str(seq)] = summary(kinds.get(name), row)
    return {"summaries": texts}


def details(backend: Backend, span_id: str, wanted: SpanWanted) -> dict[str, Any]:
    """Return one span with its payloads; sensitive values are hidden unless asked for.

    Raises:
        ApiError: 404 if there is no such span; 400 if its payload nests too deeply to hide values.
    """
    row = backend.storage.one("SELECT * FROM spans WHERE id = ?", (span_id,))
    if row is None:
        raise not_found("span")
    kinds = kinds_of(backend, row["agent_instance_id"])
    kind = kinds.get(row["schema_name"])
    hidden = bool(row["sensitive_encoding"]) and not wanted.reveal
    mismatch = row["mismatch"]
    return {
        **{name: row[name] for name in _SHOWN},
        "agent_instance_id": row["agent_instance_id"],
        "title": row["schema_name"] if kind is None else kind.title,
        "data_risk": None if kind is None else kind.data_risk,
        "mismatch": None if mismatch is None else msgspec.Raw(mismatch.encode()),
        "sensitive": bool(row["sensitive_encoding"]),
        "hidden": hidden,
        "summary": filled(kind, row),
        "payload": _raw(row["payload"], hidden=hidden),
        "result_payload": _raw(row["result_payload"], hidden=hidden),
    }


def _raw(body: bytes | None, *, hidden: bool) -> msgspec.Raw | None:
    """Return the JSON *body* as it came, or without its sensitive values."""
    if body is None:
        return None
    try:
        return msgspec.Raw(sensitive.replaced(body, sensitive.HIDDEN) if hidden else body)
    except RecursionError:
        raise bad_request("this payload is nested too deeply to hide values in it") from None


def kinds_of(backend: Backend, run_id: str) -> dict[str, SpanType]:
    """Return the span types of a run, none if there is no such run."""
    row = backend.storage.one("SELECT schema_version_id FROM instances WHERE id = ?", (run_id,))
    return {} if row is None else backend.span_types(row[0])


def _numbers(text: str) -> str:
    """Return comma-separated numbers as a JSON list, at most as many as one request may name."""
    numbers = [int(word) for word in text.split(",")[:_MOST_NAMED] if word.isdecimal()]
    return msgspec.json.encode(numbers).decode()
