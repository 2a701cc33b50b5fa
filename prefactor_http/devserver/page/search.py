"""Search what the spans of a run hold, a bounded piece at a time."""

import json
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from prefactor_http.devserver import sensitive
from prefactor_http.devserver.backend import Backend
from prefactor_http.devserver.page.spans import kinds_of
from prefactor_http.devserver.page.summary import summary

_MOST_SPANS = 500
_MOST_BYTES = 2 << 20


class SearchWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Query of a search: the text, and after which number to go on."""

    q: Annotated[str, Meta(min_length=1, max_length=200)]
    after: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0


def search(backend: Backend, run_id: str, wanted: SearchWanted) -> dict[str, Any]:
    """Return the numbers of spans whose payload, result, mismatch or summary has the text.

    Values that are hidden are not searched. ``next`` is where to go on, None at the end.
    """
    needles = _needles(wanted.q)
    sizes = backend.storage.rows(
        "SELECT seq, length(payload) + coalesce(length(result_payload), 0) FROM spans"
        " WHERE agent_instance_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (run_id, wanted.after, _MOST_SPANS),
    )
    size, last = 0, wanted.after
    for seq, length in sizes:
        last = seq
        size += length
        if size >= _MOST_BYTES:
            break
    rows = backend.storage.rows(
        "SELECT seq, schema_name, sensitive_encoding, payload, result_payload, mismatch FROM spans"
        " WHERE agent_instance_id = ? AND seq > ? AND seq <= ? ORDER BY seq",
        (run_id, wanted.after, last),
    )
    kinds = kinds_of(backend, run_id)
    found = [
        row["seq"]
        for row in rows
        if _holds(row, needles) or _has(needles, summary(kinds.get(row["schema_name"]), row))
    ]
    ended = not sizes or (last == sizes[-1][0] and len(sizes) < _MOST_SPANS)
    return {
        "seqs": found,
        "next": None if ended else last,
    }


def _needles(text: str) -> set[str]:
    """Return how *text* may stand in JSON: as JSON itself, or in a string, escaped as need be."""
    written = (json.dumps(text, ensure_ascii=escaped)[1:-1] for escaped in (False, True))
    return {needle.casefold() for needle in (text, *written)}


def _holds(row: Any, needles: set[str]) -> bool:
    """Say whether a span holds one of *needles*."""
    for name in ("payload", "result_payload", "mismatch"):
        value = row[name]
        if value is None:
            continue
        if isinstance(value, bytes):
            if row["sensitive_encoding"]:
                try:
                    value = sensitive.replaced(value, sensitive.HIDDEN)
                except RecursionError:
                    continue
            value = value.decode()
        if _has(needles, value):
            return True
    return False


def _has(needles: set[str], text: str) -> bool:
    """Say whether *text* has one of *needles*, in any case of letters."""
    folded = text.casefold()
    return any(needle in folded for needle in needles)
