"""Each kind of event decodes to the very item of docs/wire.md, fields in their places."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from prefactor_exporter._core.ids import Mint, partition_text
from prefactor_exporter._core.wire import compose, rfc3339

AT = 1_700_000_000_123_456_789
ENDED = AT + 1_500_000_000
STAMP, END_STAMP = "2023-11-14T22:13:20.123456Z", "2023-11-14T22:13:21.623456Z"
MINT = Mint(random=lambda n: bytes(byte % 256 for byte in range(n)), partition=7)
RUN, SPAN, PARENT = (MINT.mint(AT + n * 10**9) for n in range(3))
KNOWN = Identity(partition_text(7))


def composed(event, identity=KNOWN):
    assert compose(event, identity)
    assert event.wire is not None
    item = msgspec.json.decode(event.wire)
    assert item["idempotency_key"] == event.key
    assert 8 <= len(event.key) <= 64
    return item


@pytest.mark.parametrize("status", ["complete", "failed", "cancelled"])
def test_a_recorded_span(status):
    event = Event(RECORD, RUN, SPAN, AT, b'{"a":1}', PARENT, "agent:llm", status, ENDED, b'{"b":2}')
    assert composed(event) == {
        "_type": "agent_spans/create",
        "idempotency_key": SPAN,
        "details": {
            "agent_instance_id": RUN,
            "id": SPAN,
            "parent_span_id": PARENT,
            "schema_name": "agent:llm",
            "status": status,
            "started_at": STAMP,
            "finished_at": END_STAMP,
            "payload": {"a": 1},
            "result_payload": {"b": 2},
        },
    }


def test_a_root_that_has_begun_leaves_out_what_is_not_known():
    event = Event(START, RUN, SPAN, AT, b"{}", None, "agent:llm", "active")
    assert composed(event)["details"] == {
        "agent_instance_id": RUN,
        "id": SPAN,
        "schema_name": "agent:llm",
        "status": "active",
        "started_at": STAMP,
        "payload": {},
    }


@pytest.mark.parametrize("result", [None, b'{"b":2}'])
def test_the_end_of_a_span_is_flat(result):
    event = Event(FINISH, RUN, SPAN, ENDED, b"", None, "", "failed", 0, result)
    expected = {
        "_type": "agent_spans/finish",
        "idempotency_key": f"{SPAN}-f",
        "agent_span_id": SPAN,
        "status": "failed",
        "timestamp": END_STAMP,
    }
    assert composed(event) == expected | ({"result_payload": {"b": 2}} if result else {})


def test_sensitive_values_are_announced_where_the_api_looks():
    """Inside the details of a create, beside the id of a finish."""
    create = Event(RECORD, RUN, SPAN, AT, b"{}", None, "a", "complete", AT, None, SENSITIVE)
    finish = Event(FINISH, RUN, SPAN, AT, b"", None, "", "complete", 0, b"{}", SENSITIVE)

    assert composed(create)["details"]["sensitive_encoding"] is True
    assert composed(finish)["sensitive_encoding"] is True


def test_a_registration_is_flat():
    details = {"agent_id": PARENT, "agent_version": {"name": "n"}, "update_current_version": True}
    assert composed(Event(REGISTER, RUN, RUN, AT, details=details)) == {
        "_type": "agent_instances/register",
        "idempotency_key": f"{RUN}-r",
        "id": RUN,
        **details,
    }


def test_the_begin_and_the_end_of_a_run():
    start = composed(Event(START_INSTANCE, RUN, RUN, AT))
    finish = composed(Event(FINISH_INSTANCE, RUN, RUN, ENDED, status="cancelled"))
    assert start == {
        "_type": "agent_instances/start",
        "idempotency_key": f"{RUN}-s",
        "agent_instance_id": RUN,
        "timestamp": STAMP,
    }
    assert finish == {
        "_type": "agent_instances/finish",
        "idempotency_key": f"{RUN}-e",
        "agent_instance_id": RUN,
        "status": "cancelled",
        "timestamp": END_STAMP,
    }


@pytest.mark.parametrize("payload", [b"null", b'{"v":1}'])
def test_a_quality(payload):
    assert composed(Event(QUALITY, RUN, SPAN, AT, payload, name='odd "name"')) == {
        "_type": "agent_instances/record_quality",
        "idempotency_key": f"{SPAN}-q",
        "agent_instance_id": RUN,
        "name": 'odd "name"',
        "payload": msgspec.json.decode(payload),
    }


def test_no_two_actions_have_the_same_key_whatever_ids_they_are_about():
    """The API would take the second for a repetition of the first, and lose it."""
    kinds = (RECORD, FINISH, REGISTER, START_INSTANCE, FINISH_INSTANCE, QUALITY)
    events = [Event(kind, RUN, RUN, AT, status="complete", details={}) for kind in kinds]
    assert all(compose(event, KNOWN) for event in events)
    assert len({event.key for event in events}) == len(events)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
payloads = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers())


@given(names, payloads, st.integers(0, 253_402_300_799 * 10**9), st.integers(0, 99))
def test_any_name_payload_and_time_makes_a_valid_item(name, payload, at, revision):
    event = Event(RECORD, RUN, SPAN, at, msgspec.json.encode(payload), None, name, "complete", at)
    event.revision = revision
    item = composed(event)

    assert item["details"]["schema_name"] == name
    assert item["details"]["payload"] == payload
    moment = datetime.fromisoformat(item["details"]["started_at"])
    assert moment == datetime.fromtimestamp(at // 10**9, UTC).replace(
        microsecond=at // 1000 % 10**6
    )


@pytest.mark.parametrize(
    "event",
    [
        Event(RECORD, RUN, SPAN, AT, b"{}", PARENT, "a", "complete", AT),
        Event(FINISH, RUN, SPAN, AT, b"", status="complete"),
        Event(START_INSTANCE, RUN, RUN, AT),
        Event(FINISH_INSTANCE, RUN, RUN, AT, status="complete"),
        Event(QUALITY, RUN, SPAN, AT, b"{}", name="q"),
    ],
    ids=["span", "finish", "start", "end", "quality"],
)
def test_nothing_leaves_before_the_ids_it_refers_to_are_assigned(event):
    identity = Identity()
    identity.server_made = True
    for local in (RUN, SPAN, PARENT):
        identity.expect(RUN, local)
    assert not compose(event, identity)
    assert (event.wire, event.key) == (None, "")
    for local, assigned in ((RUN, "run!"), (SPAN, 'sp"an'), (PARENT, "parent")):
        identity.assign(RUN, local, assigned)
    item = composed(event, identity)

    text = str(item)
    assert "run!" in text or 'sp"an' in text
    assert RUN not in text.replace(event.key, "")


def test_ids_are_left_to_an_api_that_makes_them():
    identity = Identity()
    identity.server_made = True
    assert "id" not in composed(Event(REGISTER, RUN, RUN, AT, details={}), identity)
    assert "id" not in composed(Event(RECORD, RUN, SPAN, AT, name="a"), identity)["details"]


def test_ids_made_here_refer_to_what_the_api_named():
    """The first run has the name it was given; its spans have their own, and it need not wait."""
    identity = Identity(RUN[10:16])
    identity.assign(RUN, RUN, "theirs")
    identity.expect(RUN, PARENT)
    identity.assign(RUN, PARENT, "parent")
    details = composed(Event(RECORD, RUN, SPAN, AT, b"{}", PARENT, "a", "complete"), identity)[
        "details"
    ]

    assert details["agent_instance_id"] == "theirs"
    assert details["parent_span_id"] == "parent"
    assert details["id"] == SPAN


def test_the_same_event_has_the_same_bytes_and_another_form_another_key():
    first, again, restated = (
        Event(RECORD, RUN, SPAN, AT, b"{}", None, "a", "complete", ENDED) for _ in range(3)
    )
    restated.revision = 1
    for event in (first, again, restated):
        composed(event)

    assert (first.wire, first.key) == (again.wire, again.key)
    assert first.key != restated.key


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999, "1970-01-01T00:00:00.000000Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (253_402_300_799 * 10**9, "9999-12-31T23:59:59.000000Z"),
    ],
)
def test_times_are_in_utc_with_microseconds(ns, text):
    assert rfc3339(ns) == text
