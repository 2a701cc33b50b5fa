"""Compose bulk items: the one table of what each kind of event looks like on the wire.

Field names and their place (flat or under ``details``) are those of docs/wire.md, Items; a field
put in the wrong place is dropped by the API without a word, so nothing else may build items.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from prefactor_exporter._core.events import (
    FINISH,
    FINISH_INSTANCE,
    QUALITY,
    RECORD,
    REGISTER,
    SENSITIVE,
    START,
    START_INSTANCE,
    Event,
)
from prefactor_exporter._core.identity import Identity

__all__ = ["compose", "rfc3339"]

_encode = msgspec.json.Encoder().encode

_MAX_NAMES = 4096
_names: dict[str, str] = {}
_second: tuple[int, str] = (-1, "")

_CREATES_SPAN = frozenset({RECORD, START})
# One for each action: an id may name a run here and a span there (whoever brings ids of his own),
# and under one key the API would take the second for the first once more.
_KEY_SUFFIX = {
    FINISH: "-f",
    REGISTER: "-r",
    START_INSTANCE: "-s",
    FINISH_INSTANCE: "-e",
    QUALITY: "-q",
}


def rfc3339(ns: int) -> str:
    """Return *ns* (nanoseconds since the epoch) as a UTC timestamp with microseconds."""
    global _second  # noqa: PLW0603  # one cached value; a lost update only costs a second formatting
    seconds, rest = divmod(ns, 1_000_000_000)
    cached = _second
    if cached[0] != seconds:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        # strftime does not pad years below 1000 on every platform; such a clock is wrong anyway.
        _second = cached = (seconds, text)
    return f"{cached[1]}.{rest // 1000:06d}Z"


def _quoted(name: str) -> str:
    text = _names.get(name)
    if text is None:
        text = _encode(name).decode()
        if len(_names) < _MAX_NAMES:
            _names[name] = text
    return text


def compose(event: Event, identity: Identity) -> bool:
    """Set ``event.wire``, ``event.key`` and ``event.size``.

    Returns:
        False, and *event* is unchanged, if it refers to an id the API has yet to assign.
    """
    kind = event.kind
    key = event.id if kind in _CREATES_SPAN else event.id + _KEY_SUFFIX[kind]
    if event.revision:
        key = f"{key}.{event.revision}"
    wire = _COMPOSERS[kind](event, key, identity)
    if wire is None:
        return False
    event.key = key
    event.wire = wire
    event.size = len(wire)
    return True


def _create_span(  # noqa: C901  # for each span: calls would double its cost
    event: Event, key: str, identity: Identity
) -> bytes | None:
    known = identity.partition
    instance, parent, began = event.instance, event.parent, rfc3339(event.at)
    # Most ids are of this process and carry the partition already; asking costs more than looking.
    if instance[10:16] != known or identity.translating:
        translated = identity.translate(instance, instance)
        if translated is None:
            return None
        instance = _plain(translated)
    middle = ""
    if not identity.server_made:
        span = event.id
        if span[10:16] != known:
            span = identity.stamp(span)
        middle = f',"id":"{span}"'
    if parent is not None:
        if parent[10:16] != known or identity.translating:
            translated = identity.translate(event.instance, parent)
            if translated is None:
                return None
            parent = _plain(translated)
        middle = f'{middle},"parent_span_id":"{parent}"'
    ended = event.ended
    if ended:
        end = began if ended == event.at else rfc3339(ended)
        middle = f'{middle},"finished_at":"{end}"'
    if event.flags & SENSITIVE:
        middle += ',"sensitive_encoding":true'
    head = (
        f'{{"_type":"agent_spans/create","idempotency_key":"{key}","details":{{'
        f'"agent_instance_id":"{instance}","schema_name":{_quoted(event.name)},'
        f'"status":"{event.status}","started_at":"{began}"{middle},"payload":'
    ).encode()
    if event.result is None:
        return b"".join((head, event.payload, b"}}"))
    return b"".join((head, event.payload, b',"result_payload":', event.result, b"}}"))


def _finish_span(event: Event, key: str, identity: Identity) -> bytes | None:
    span = identity.translate(event.instance, event.id)
    if span is None:
        return None
    head = (
        f'{{"_type":"agent_spans/finish","idempotency_key":"{key}","agent_span_id":{_id(span)},'
        f'"status":"{event.status}","timestamp":"{rfc3339(event.at)}"'
    )
    if event.flags & SENSITIVE:
        head += ',"sensitive_encoding":true'
    if event.result is None:
        return head.encode() + b"}"
    return b'%b,"result_payload":%b}' % (head.encode(), event.result)


def _register(event: Event, key: str, identity: Identity) -> bytes | None:
    fields: dict[str, Any] = {"_type": "agent_instances/register", "idempotency_key": key}
    fields.update(event.details or {})
    if not identity.server_made:
        fields["id"] = identity.stamp(event.id)
    return _encode(fields)


def _start_instance(event: Event, key: str, identity: Identity) -> bytes | None:
    instance = identity.translate(event.instance, event.instance)
    if instance is None:
        return None
    return (
        f'{{"_type":"agent_instances/start","idempotency_key":"{key}",'
        f'"agent_instance_id":{_id(instance)},"timestamp":"{rfc3339(event.at)}"}}'
    ).encode()


def _finish_instance(event: Event, key: str, identity: Identity) -> bytes | None:
    instance = identity.translate(event.instance, event.instance)
    if instance is None:
        return None
    return (
        f'{{"_type":"agent_instances/finish","idempotency_key":"{key}",'
        f'"agent_instance_id":{_id(instance)},"status":"{event.status}",'
        f'"timestamp":"{rfc3339(event.at)}"}}'
    ).encode()


def _record_quality(event: Event, key: str, identity: Identity) -> bytes | None:
    instance = identity.translate(event.instance, event.instance)
    if instance is None:
        return None
    head = (
        f'{{"_type":"agent_instances/record_quality","idempotency_key":"{key}",'
        f'"agent_instance_id":{_id(instance)},"name":{_quoted(event.name)},"payload":'
    )
    return b"%b%b}" % (head.encode(), event.payload)


def _id(text: str) -> str:
    """Return *text* as a JSON string."""
    return f'"{_plain(text)}"'


def _plain(text: str) -> str:
    """Return *text* as it stands inside a JSON string; ids the API assigned may need escaping."""
    return text if text.isalnum() else _encode(text).decode()[1:-1]


_COMPOSERS = {
    RECORD: _create_span,
    START: _create_span,
    FINISH: _finish_span,
    REGISTER: _register,
    START_INSTANCE: _start_instance,
    FINISH_INSTANCE: _finish_instance,
    QUALITY: _record_quality,
}
