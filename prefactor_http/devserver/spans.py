"""The life of a span: create, finish, and forgetting its sensitive values."""

import sqlite3
from typing import Any

import msgspec
from msgspec import Raw

from prefactor_http.devserver import sensitive, stamps
from prefactor_http.devserver.answers import Answer
from prefactor_http.devserver.backend import Call, KnownInstance
from prefactor_http.devserver.decoding import decode_stored
from prefactor_http.devserver.errors import ApiError, invalid, invalid_action, not_found
from prefactor_http.devserver.shapes import CreateSpan, FinishSpan, SpanDetails, SpanTarget

_OPEN = frozenset({"active", "pending"})
_HEAD = b'{"status":"success","details":'
_PAYLOAD = b',"payload":'
_OBJECT = ord("{")
_NULL = ord("n")
_ENCODE = msgspec.json.Encoder().encode


class SpanHead(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="agent_span"):
    """A span as the API shows it, without its payloads."""

    id: str
    account_id: str
    agent_id: str
    agent_instance_id: str
    parent_span_id: str | None
    schema_name: str
    schema_title: str
    status: str
    summary: str | None
    started_at: str | None
    inserted_at: str
    updated_at: str
    finished_at: str | None
    sensitive_encoding: bool
    payload_byte_size_estimate: int
    purpose: str
    data_risk: dict[str, Any] | None


def create(call: Call, body: CreateSpan, _target: str | None) -> Answer:
    """Store a span, open or already finished."""
    span = body.details
    backend = call.backend
    instance = backend.instance(call.token, span.agent_instance_id)
    _check_instance(call, instance)
    span_id = backend.new_id(span.id)
    _check_parent(call, span)
    payload = _object(span.payload, "payload")
    if payload is None:
        raise invalid("payload", "must be an object")
    started_at, finished_at = _moments(call, span)
    result = _object(span.result_payload, "result_payload")
    if span.status in _OPEN:
        result = None
    hidden = bool(span.sensitive_encoding)
    problems = _problems(call, instance, span.schema_name, payload, result)
    known = instance.span_types.get(span.schema_name)
    head = SpanHead(
        id=span_id,
        account_id=backend.account_id,
        agent_id=instance.agent_id,
        agent_instance_id=instance.id,
        parent_span_id=span.parent_span_id,
        schema_name=span.schema_name,
        schema_title=span.schema_name if known is None else known.title,
        status=span.status,
        summary=None,
        started_at=started_at,
        inserted_at=call.now,
        updated_at=call.now,
        finished_at=finished_at,
        sensitive_encoding=hidden,
        payload_byte_size_estimate=payload.nbytes,
        purpose="activity",
        data_risk=None if known is None else known.data_risk,
    )
    answer = span_answer(call, head, payload, result, instance)
    try:
        backend.storage.run(
            "INSERT INTO spans (id, agent_instance_id, parent_span_id, schema_name, status,"
            " started_at, finished_at, inserted_at, updated_at, sensitive_encoding, mismatch,"
            " create_key, payload, result_payload) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                span_id,
                span.agent_instance_id,
                span.parent_span_id,
                span.schema_name,
                span.status,
                started_at,
                finished_at,
                call.now,
                call.now,
                hidden,
                _ENCODE(problems).decode() if problems else None,
                call.key,
                payload,
                result,
            ),
        )
    except sqlite3.IntegrityError:
        raise invalid_action("an agent span with this id exists already") from None
    return answer


def finish(call: Call, body: FinishSpan, target: str | None) -> Answer:
    """End an open span."""
    backend = call.backend
    row, instance = find(call, target)
    status = body.status or "complete"
    moment = call.now if body.timestamp is None else stamps.written(body.timestamp, "timestamp")
    _check_finish(call, row, status, moment)
    result = _object(body.result_payload, "result_payload")
    started_at = row["started_at"] or moment
    hidden = bool(row["sensitive_encoding"] or body.sensitive_encoding)
    problems: dict[str, str] = (
        {} if row["mismatch"] is None else msgspec.json.decode(row["mismatch"])
    )
    if result is not None:
        problems |= _result_problems(instance, row["schema_name"], result)
    changed = dict(row) | {
        "status": status,
        "started_at": started_at,
        "finished_at": moment,
        "updated_at": call.now,
        "sensitive_encoding": hidden,
    }
    head = head_of(call, changed, instance)
    answer = span_answer(call, head, row["payload"], result, instance)
    backend.storage.run(
        "UPDATE spans SET status = ?, started_at = ?, finished_at = ?, updated_at = ?,"
        " sensitive_encoding = ?, mismatch = ?, finish_key = ?, result_payload = ? WHERE seq = ?",
        (
            status,
            started_at,
            moment,
            call.now,
            hidden,
            _ENCODE(problems).decode() if problems else None,
            call.key,
            result,
            row["seq"],
        ),
    )
    return answer


def discard_sensitive(call: Call, _body: SpanTarget, target: str | None) -> Answer:
    """Forget the sensitive values of a span for good."""
    row, instance = find(call, target)
    changed = dict(row)
    if row["sensitive_encoding"]:
        for column in ("payload", "result_payload"):
            if row[column] is not None:
                changed[column] = sensitive.replaced(row[column], sensitive.FORGOTTEN)
        call.backend.storage.run(
            "UPDATE spans SET payload = ?, result_payload = ?, updated_at = ? WHERE seq = ?",
            (changed["payload"], changed["result_payload"], call.now, row["seq"]),
        )
        changed["updated_at"] = call.now
    head = head_of(call, changed, instance)
    return span_answer(call, head, changed["payload"], changed["result_payload"], None)


def find(call: Call, span_id: str | None) -> tuple[Any, KnownInstance]:
    """Return the row of a span and its instance.

    Raises:
        ApiError: 404 if the token sees no such span; 422 if *span_id* is None.
    """
    if span_id is None:
        raise invalid("agent_span_id", "is required")
    row = call.backend.storage.one("SELECT * FROM spans WHERE id = ?", (span_id,))
    if row is None:
        raise not_found("agent span")
    try:
        return row, call.backend.instance(call.token, row["agent_instance_id"])
    except ApiError:
        raise not_found("agent span") from None


def head_of(call: Call, row: Any, instance: KnownInstance, summary: str | None = None) -> SpanHead:
    """Show a stored span, without its payloads."""
    known = instance.span_types.get(row["schema_name"])
    return SpanHead(
        id=row["id"],
        account_id=call.backend.account_id,
        agent_id=instance.agent_id,
        agent_instance_id=row["agent_instance_id"],
        parent_span_id=row["parent_span_id"],
        schema_name=row["schema_name"],
        schema_title=row["schema_name"] if known is None else known.title,
        status=row["status"],
        summary=summary,
        started_at=row["started_at"],
        inserted_at=row["inserted_at"],
        updated_at=row["updated_at"],
        finished_at=row["finished_at"],
        sensitive_encoding=bool(row["sensitive_encoding"]),
        payload_byte_size_estimate=len(row["payload"]),
        purpose="activity",
        data_risk=None if known is None else known.data_risk,
    )


def span_answer(
    call: Call, head: SpanHead, payload: Any, result: Any, instance: KnownInstance | None
) -> Answer:
    """Put an answer together; *instance* is given if a termination is to be signalled."""
    tail = b"}}" if instance is None else b"}" + _control(call, instance) + b"}"
    text = _HEAD + _ENCODE(head)[:-1] + _PAYLOAD
    if not head.sensitive_encoding:
        return Answer(text, tail, head.id, payload, result)
    shown = sensitive.replaced(bytes(payload), sensitive.HIDDEN)
    ended = None if result is None else sensitive.replaced(bytes(result), sensitive.HIDDEN)
    return Answer(Answer(text, tail, head.id, shown, ended).body())


def _control(call: Call, instance: KnownInstance) -> bytes:
    """Return the signal that the run was terminated, or nothing."""
    switches = call.backend.switches
    if instance.status != "terminated" or (call.in_bulk and not switches.control_in_bulk):
        return b""
    if switches.malformed_control:
        return b',"control":"terminate"'
    signal = {"terminate": True, "reason": instance.termination_reason}
    return b',"control":' + _ENCODE(signal)


def _check_instance(call: Call, instance: KnownInstance) -> None:
    """Refuse spans the instance's state does not allow; a terminated one takes them."""
    switches = call.backend.switches
    if instance.status == "pending" and not switches.spans_on_pending:
        raise invalid_action("agent instance must be active to take spans, it is pending")
    if instance.status in {"complete", "failed", "cancelled"} and not switches.spans_on_finished:
        raise invalid_action(f"agent instance is already finished: {instance.status}")


def _check_parent(call: Call, span: SpanDetails) -> None:
    """Refuse a parent that does not exist in the same instance."""
    switches = call.backend.switches
    if span.parent_span_id is None or switches.unknown_parents_accepted:
        return
    row = call.backend.storage.one(
        "SELECT agent_instance_id, status FROM spans WHERE id = ?", (span.parent_span_id,)
    )
    if row is None or row[0] != span.agent_instance_id:
        raise invalid("parent_span_id", "is not a span of the same instance")
    if switches.parent_must_be_open and row[1] not in _OPEN:
        raise invalid("parent_span_id", "is finished")


def _check_finish(call: Call, row: Any, status: str, moment: str) -> None:
    """Refuse a finish the span's state does not allow."""
    switches = call.backend.switches
    if row["status"] not in _OPEN:
        raise invalid_action(f"agent span is already finished: {row['status']}")
    if row["status"] == "pending" and status != "cancelled":
        raise invalid_action("agent span must be active to finish, it is pending")
    if row["status"] == "active" and status == "cancelled" and switches.strict_cancelled:
        raise invalid_action("agent span must be pending to be cancelled, it is active")
    if switches.refuse_finish_before_start and row["started_at"] and moment < row["started_at"]:
        raise invalid("timestamp", "is before started_at")


def _moments(call: Call, span: SpanDetails) -> tuple[str | None, str | None]:
    """Return start and end of a new span."""
    switches = call.backend.switches
    if span.status == "pending":
        if not switches.pending_spans_accepted:
            raise invalid("status", "must not be pending")
        return None, None
    started_at = (
        call.now if span.started_at is None else stamps.written(span.started_at, "started_at")
    )
    if span.status == "active":
        return started_at, None
    if span.finished_at is None:
        return started_at, call.now if switches.default_finished_at else None
    finished_at = stamps.written(span.finished_at, "finished_at")
    if switches.refuse_finish_before_start and finished_at < started_at:
        raise invalid("finished_at", "is before started_at")
    return started_at, finished_at


def _object(raw: Raw, field: str) -> memoryview | None:
    """Return the bytes of a JSON object; None for null and for nothing."""
    view = memoryview(raw)
    if not view.nbytes or view[0] == _NULL:
        return None
    if view[0] != _OBJECT:
        raise invalid(field, "must be an object")
    return view


def _problems(
    call: Call, instance: KnownInstance, name: str, payload: memoryview, result: memoryview | None
) -> dict[str, str]:
    """Return where a new span breaks what was declared; it is stored all the same."""
    known = instance.span_types.get(name)
    if known is None:
        if call.backend.switches.unknown_schema_refused:
            raise invalid("schema_name", "is not declared in the schema version")
        return {"schema_name": "is not declared in the schema version"}
    problems: dict[str, str] = {}
    if known.check_payload is not None:
        problem = known.check_payload(decode_stored(payload))
        if problem is not None:
            problems["payload"] = problem
    if result is not None:
        problems |= _result_problems(instance, name, result)
    return problems


def _result_problems(instance: KnownInstance, name: str, result: memoryview) -> dict[str, str]:
    """Return where a result breaks what was declared."""
    known = instance.span_types.get(name)
    if known is None or known.check_result is None:
        return {}
    problem = known.check_result(decode_stored(result))
    return {} if problem is None else {"result_payload": problem}
