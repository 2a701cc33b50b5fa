"""Every choice the API's documentation leaves open, as one frozen value."""

import math
from collections.abc import Iterable
from typing import Any

import msgspec

_VALIDATION_STATUSES = (400, 422)
_CREATE_STATUSES = (200, 201)


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """How the server behaves where the API's documentation is silent or disagrees with itself.

    Attributes:
        refuse_client_ids: Answer ``validation_errors`` naming ``id`` to a register or a span
            create (agents too) that brings its own id.
        strict_cancelled: Finishing as ``cancelled`` is allowed from ``pending`` only, for
            instances and spans.
        unknown_parents_accepted: A parent that does not exist in the instance is stored as given.
        parent_must_be_open: A child of a finished parent is refused.
        unknown_schema_refused: A ``schema_name`` that was not declared is ``validation_errors``.
        pending_spans_accepted: Spans may be created as ``pending``.
        spans_on_pending: Spans are accepted before the instance is started.
        spans_on_finished: Spans are accepted after the instance is finished.
        finish_pending_instance: A pending instance may be finished as ``complete`` or ``failed``.
        close_spans_on_finish: Open spans become ``cancelled`` when their instance is finished.
        close_spans_on_terminate: The same when it is terminated.
        default_finished_at: A span created as finished without ``finished_at`` gets "now".
        refuse_finish_before_start: ``finished_at`` before ``started_at`` is ``validation_errors``.
        max_bulk_items: Most items in one bulk request, else 413; 0 for no limit.
        max_bulk_bytes: Most bytes in the body of one bulk request, else 413; 0 for no limit.
        max_body_bytes: Most bytes in the body of any request, else 413.
        max_key_length: Longest idempotency key of a bulk item.
        check_single_keys: Apply the length rule of bulk keys to single calls too.
        refused_bulk_types: Values of ``_type`` that are answered with ``bad_request``; on the
            command line separated by commas.
        validation_status: HTTP status of ``validation_errors``, 400 or 422.
        create_status: HTTP status of a successful create, 200 or 201.
        control_in_bulk: Bulk outputs of spans carry ``control``.
        malformed_control: ``control`` is a string instead of an object.
        deployment_reads_allowed: A deployment token may list and show; else it gets 401.
        deployment_polling_allowed: A deployment token may read one instance of its agent.
        refuse_ids_with_deployment_token: Register with a deployment token must not say
            ``agent_id`` or ``environment_id``.
        require_environment: Register with an account token must say ``environment_id``.
        idempotency_seconds: How long an answer is remembered; 0 forgets at once.
        remember_errors: Errors are remembered under their key as well.
        refuse_changed_body: A known key with another body is 409 ``idempotency_conflict``.
        honour_idempotency_header: The ``Idempotency-Key`` header counts as the key if the body
            has none.
        span_key_in_details: Span create also takes the key from inside ``details``.
        accept_gzip: Bodies with ``Content-Encoding: gzip`` are unpacked; else 400.
        span_counts_pending: ``span_counts`` has ``pending``.
        instance_sorting: Lists of instances and spans take ``sorting``; else it is refused.
        max_pfids: Most ids from one ``pfid/generate``.
        pfid_needs_account_token: A deployment token gets 401 from ``pfid/generate``.
    """

    refuse_client_ids: bool = False
    strict_cancelled: bool = False
    unknown_parents_accepted: bool = False
    parent_must_be_open: bool = False
    unknown_schema_refused: bool = False
    pending_spans_accepted: bool = True
    spans_on_pending: bool = True
    spans_on_finished: bool = False
    finish_pending_instance: bool = False
    close_spans_on_finish: bool = False
    close_spans_on_terminate: bool = False
    default_finished_at: bool = False
    refuse_finish_before_start: bool = False
    max_bulk_items: int = 0
    max_bulk_bytes: int = 0
    max_body_bytes: int = 32 * 1024 * 1024
    max_key_length: int = 128
    check_single_keys: bool = False
    refused_bulk_types: tuple[str, ...] = ()
    validation_status: int = 422
    create_status: int = 200
    control_in_bulk: bool = True
    malformed_control: bool = False
    deployment_reads_allowed: bool = False
    deployment_polling_allowed: bool = True
    refuse_ids_with_deployment_token: bool = False
    require_environment: bool = False
    idempotency_seconds: float = math.inf
    remember_errors: bool = False
    refuse_changed_body: bool = False
    honour_idempotency_header: bool = False
    span_key_in_details: bool = True
    accept_gzip: bool = False
    span_counts_pending: bool = False
    instance_sorting: bool = False
    max_pfids: int = 1000
    pfid_needs_account_token: bool = False

    def __post_init__(self) -> None:
        if self.validation_status not in _VALIDATION_STATUSES:
            raise ValueError(f"validation_status must be 400 or 422, got {self.validation_status}")
        if self.create_status not in _CREATE_STATUSES:
            raise ValueError(f"create_status must be 200 or 201, got {self.create_status}")


def parse_switches(assignments: Iterable[str]) -> Switches:
    """Build the switches from texts such as ``strict_cancelled=true``.

    Raises:
        ValueError: If a name is unknown or a value cannot be read; names the bad part.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if name not in Switches.__struct_fields__:
            known = ", ".join(Switches.__struct_fields__)
            raise ValueError(f"unknown switch {name!r}; the switches are: {known}")
        values[name] = _value(name, text if equals else "true")
    return Switches(**values)


def _value(name: str, text: str) -> Any:
    """Read *text* as a value of the switch *name*."""
    kind = Switches.__annotations__[name]
    if kind == tuple[str, ...]:
        return tuple(part for part in text.split(",") if part)
    try:
        if kind is float:
            return float(text)
        return msgspec.convert(text.lower(), kind, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a value of switch {name!r} ({kind.__name__})") from None
