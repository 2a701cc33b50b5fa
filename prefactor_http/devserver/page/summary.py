"""What a span was about in one line: its template filled in, else what went in and came out."""

from typing import Any

import msgspec

from prefactor_http.devserver import sensitive, templates
from prefactor_http.devserver.backend import SpanType
from prefactor_http.devserver.decoding import decode_stored

_LONGEST = 300
_LONGEST_VALUE = 40


def summary(kind: SpanType | None, row: Any) -> str:
    """Return the line of a span for a list, without sensitive values; empty if there is none."""
    try:
        went_in, came_out = _payloads(row)
        text = _filled(kind, went_in | came_out) or _glimpse(went_in, came_out)
    except RecursionError:
        return ""
    return text[:_LONGEST]


def filled(kind: SpanType | None, row: Any) -> str | None:
    """Return the filled template of *kind*, without sensitive values; None if it says nothing."""
    try:
        went_in, came_out = _payloads(row)
    except RecursionError:
        return None
    return _filled(kind, went_in | came_out)


def _payloads(row: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return payload and result with their sensitive values hidden."""
    bodies = (row["payload"], row["result_payload"])
    went_in, came_out = (
        {} if body is None else sensitive.without(decode_stored(body), sensitive.HIDDEN)
        for body in bodies
    )
    return went_in, came_out


def _filled(kind: SpanType | None, variables: dict[str, Any]) -> str | None:
    return None if kind is None else templates.filled(kind.template, variables)


def _glimpse(went_in: dict[str, Any], came_out: dict[str, Any]) -> str:
    """Write the beginnings of all values: those that went in, an arrow, those that came out."""
    parts = [_short(value) for value in went_in.values()]
    if came_out:
        parts += ["→", *(_short(value) for value in came_out.values())]
    return " ".join(parts)


def _short(value: Any) -> str:
    """Write *value* in a few characters; of messages, what the last one says."""
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        value = value[-1].get("content", value)
    if isinstance(value, dict) and "$sensitive" in value:
        value = value.get("value")
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
