"""Reading instances and spans back."""

from typing import Any

import msgspec

from prefactor_http.devserver import instances, sensitive, spans, stamps, templates
from prefactor_http.devserver.answers import Answer, single
from prefactor_http.devserver.backend import Call, KnownInstance
from prefactor_http.devserver.decoding import decode_stored
from prefactor_http.devserver.errors import not_found, unauthorized
from prefactor_http.devserver.lists import Query, page
from prefactor_http.devserver.shapes import ListInstances, ListSpans, ShowInstance, ShowSpan

_INSTANCE_SORTING = ("id", "inserted_at", "started_at", "finished_at", "status")
_SPAN_SORTING = ("id", "inserted_at", "started_at", "finished_at", "status")
_CONTEXT_SPANS = 100


def show_instance(call: Call, body: ShowInstance, target: str | None) -> Answer:
    """Return one instance, by id or by external identifier."""
    if target is None and body.external_identifier is not None:
        _refuse_reads(call)
        row = call.backend.storage.one(
            "SELECT id FROM instances WHERE external_identifier = ? ORDER BY seq DESC",
            (body.external_identifier,),
        )
        if row is None:
            raise not_found("agent instance")
        target = row["id"]
    elif not call.backend.switches.deployment_polling_allowed:
        _refuse_reads(call)
    instance = call.backend.instance(call.token, target)
    return single(instances.details(call.backend, instance.id))


def list_instances(call: Call, body: ListInstances, _target: str | None) -> Answer:
    """Return a page of instances, oldest first."""
    _refuse_reads(call)
    query = Query("instances", [], [], _sortable(call, _INSTANCE_SORTING))
    _narrow(query, "agent_id", body.agent_id)
    _narrow(query, "agent_id", call.token.agent_id)
    _narrow(query, "agent_version_id", body.agent_version_id)
    return page(call, body, query, lambda row: instances.summary(call.backend, row))


def agent_context(call: Call, _body: ShowInstance, target: str | None) -> Answer:
    """Return what an agent may want to know of its own run; the one answer without ``status``."""
    _refuse_reads(call)
    instance = call.backend.instance(call.token, target)
    details = instances.details(call.backend, instance.id)
    rows = call.backend.storage.rows(
        "SELECT * FROM spans WHERE agent_instance_id = ? ORDER BY seq DESC LIMIT ?",
        (instance.id, _CONTEXT_SPANS),
    )
    context = {
        "body": {
            "agent_instance": details,
            "agent_spans": [_span(call, row, instance, summaries=True) for row in rows],
        },
        "generated_at": call.now,
        "span_count": details["span_counts"]["total"],
    }
    return Answer(msgspec.json.encode({"agent_context": context}))


def show_span(call: Call, body: ShowSpan, target: str | None) -> Answer:
    """Return one span with its summary, redacted unless asked otherwise."""
    _refuse_reads(call)
    row, instance = spans.find(call, target)
    return single(_span(call, row, instance, summaries=True, redacted=body.redacted))


def list_spans(call: Call, body: ListSpans, _target: str | None) -> Answer:
    """Return a page of the spans of one instance, in order of arrival."""
    _refuse_reads(call)
    instance = call.backend.instance(call.token, body.agent_instance_id)
    query = Query("spans", [], [], _sortable(call, _SPAN_SORTING))
    _narrow(query, "agent_instance_id", instance.id)
    for field, comparison, moment in (
        ("start_time", "started_at >= ?", body.start_time),
        ("end_time", "started_at <= ?", body.end_time),
    ):
        if moment is not None:
            query.conditions.append(comparison)
            query.values.append(stamps.written(moment, field))
    return page(
        call, body, query, lambda row: _span(call, row, instance, summaries=body.include_summaries)
    )


def _span(
    call: Call, row: Any, instance: KnownInstance, *, summaries: bool, redacted: bool = True
) -> dict[str, Any]:
    """Show a span with its payloads."""
    payload, result = row["payload"], row["result_payload"]
    if row["sensitive_encoding"] and redacted:
        payload = sensitive.replaced(payload, sensitive.HIDDEN)
        result = None if result is None else sensitive.replaced(result, sensitive.HIDDEN)
    summary = None
    known = instance.span_types.get(row["schema_name"])
    if summaries and known is not None and known.template is not None:
        variables = decode_stored(payload)
        if result is not None:
            variables |= decode_stored(result)
        summary = templates.render(known.template, variables)
    head: dict[str, Any] = msgspec.to_builtins(spans.head_of(call, row, instance, summary))
    return head | {
        "risk_level": None,
        "risk_score": None,
        "payload": msgspec.Raw(payload),
        "result_payload": None if result is None else msgspec.Raw(result),
    }


def _refuse_reads(call: Call) -> None:
    """Refuse a deployment token, as the live API does."""
    if call.token.scope != "account" and not call.backend.switches.deployment_reads_allowed:
        raise unauthorized("a deployment token may not read")


def _sortable(call: Call, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return what may be sorted by; nothing, as the live API does, unless switched on."""
    return columns if call.backend.switches.instance_sorting else ()


def _narrow(query: Query, column: str, value: str | None) -> None:
    """Keep only rows with *value*, if there is one."""
    if value is not None:
        query.conditions.append(f"{column} = ?")
        query.values.append(value)
