"""The table of actions, and running one of them under its idempotency key."""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from prefactor_http.devserver import agents, instances, reads, shapes, spans, stamps
from prefactor_http.devserver.answers import Answer, recall, remember, remember_error
from prefactor_http.devserver.auth import Token
from prefactor_http.devserver.backend import Backend, Call
from prefactor_http.devserver.decoding import decode
from prefactor_http.devserver.errors import ApiError, bad_request, invalid

MIN_KEY_LENGTH = 8

Handler = Callable[[Call, Any, str | None], Answer]


class Action(NamedTuple):
    """One thing the API does, the same alone and as a bulk item."""

    decoder: msgspec.json.Decoder[Any]
    shape: type[msgspec.Struct]
    handler: Handler
    target: str | None = None


class Outcome(NamedTuple):
    """How an action ended; *status* is None for a success."""

    body: bytes
    status: int | None


def _action(shape: type[msgspec.Struct], handler: Handler, target: str | None = None) -> Action:
    return Action(msgspec.json.Decoder(shape), shape, handler, target)


ACTIONS: dict[str, Action] = {
    "agent_instances/register": _action(shapes.RegisterInstance, instances.register),
    "agent_instances/start": _action(shapes.StartInstance, instances.start, "agent_instance_id"),
    "agent_instances/finish": _action(shapes.FinishInstance, instances.finish, "agent_instance_id"),
    "agent_instances/terminate": _action(
        shapes.TerminateInstance, instances.terminate, "agent_instance_id"
    ),
    "agent_instances/record_quality": _action(
        shapes.RecordQuality, instances.record_quality, "agent_instance_id"
    ),
    "agent_instances/show": _action(shapes.ShowInstance, reads.show_instance, "agent_instance_id"),
    "agent_instances/list": _action(shapes.ListInstances, reads.list_instances),
    "agent_spans/create": _action(shapes.CreateSpan, spans.create),
    "agent_spans/finish": _action(shapes.FinishSpan, spans.finish, "agent_span_id"),
    "agent_spans/discard_sensitive": _action(
        shapes.SpanTarget, spans.discard_sensitive, "agent_span_id"
    ),
    "agent_spans/show": _action(shapes.ShowSpan, reads.show_span, "agent_span_id"),
    "agent_spans/list": _action(shapes.ListSpans, reads.list_spans),
    "agents/create": _action(shapes.CreateAgent, agents.create),
    "agents/update": _action(shapes.UpdateAgent, agents.update, "agent_id"),
    "agents/show": _action(shapes.ShowAgent, agents.show, "agent_id"),
    "agents/list": _action(shapes.ListAgents, agents.listing),
    "agents/retire": _action(shapes.AgentTarget, agents.retire, "agent_id"),
    "agents/reinstate": _action(shapes.AgentTarget, agents.reinstate, "agent_id"),
    "agents/delete": _action(shapes.AgentTarget, agents.delete, "agent_id"),
}


def perform(call: Call, name: str, raw: Any, target: str | None, body: Any = None) -> Outcome:
    """Run the action *name*, or answer again what its key was answered with before.

    Args:
        call: By whom, when and under which key.
        name: A key of `ACTIONS`.
        raw: The body as it came.
        target: The id in the path; None to take it from the body.
        body: The decoded body, if the caller has it already.
    """
    fingerprint = zlib.crc32(raw, zlib.crc32(name.encode() + (target or "").encode()))
    try:
        if call.key is not None and (known := _known(call, fingerprint)) is not None:
            return known
        action = ACTIONS[name]
        if body is None:
            body = decode(action.decoder, raw)
        if target is None and action.target is not None:
            target = getattr(body, action.target)
        answer = action.handler(call, body, target)
    except ApiError as error:
        return _failed(call, error, fingerprint)
    except RecursionError:
        return _failed(call, bad_request("the body is nested too deeply"), fingerprint)
    if call.key is not None:
        remember(call, answer, fingerprint)
    return Outcome(answer.body(), None)


def terminate_by_hand(backend: Backend, instance_id: str, reason: str) -> Outcome:
    """Terminate an instance as an operator does, who needs no token."""
    operator = Token(
        token="",
        scope="account",
        state="active",
        account_id=backend.account_id,
        agent_id=None,
        environment_id=None,
    )
    call = Call(backend, operator, stamps.now(), in_bulk=False, key=None)
    body = shapes.TerminateInstance(reason=reason)
    with backend.transaction():
        return perform(call, "agent_instances/terminate", b"", instance_id, body)


def check_key(key: str, longest: int) -> None:
    """Refuse a key of the wrong length.

    Raises:
        ApiError: 422 naming ``idempotency_key``.
    """
    if not MIN_KEY_LENGTH <= len(key) <= longest:
        raise invalid("idempotency_key", f"must have {MIN_KEY_LENGTH} to {longest} characters")


def _known(call: Call, fingerprint: int) -> Outcome | None:
    """Return what the key of *call* was answered with before, None if it is new."""
    known = recall(call)
    if known is None:
        return None
    if known.fingerprint != fingerprint and call.key is not None:
        call.backend.changed_bodies.append(call.key)
        if call.backend.switches.refuse_changed_body:
            raise ApiError("idempotency_conflict", "this key came with another body", status=409)
    return Outcome(known.body, known.status or None)


def _failed(call: Call, error: ApiError, fingerprint: int) -> Outcome:
    """Return the failure, remembering it if that is asked for."""
    switches = call.backend.switches
    status = switches.validation_status if error.status is None else error.status
    if call.key is not None and switches.remember_errors and error.code != "idempotency_conflict":
        remember_error(call, error, status, fingerprint)
    return Outcome(error.body(), status)
