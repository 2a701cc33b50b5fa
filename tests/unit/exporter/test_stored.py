"""What is on disk comes back as it was, and what is no event is never taken for one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter._core.events import Event
from prefactor_exporter._core.identity import Identity
from prefactor_exporter._core.ids import partition_text
from prefactor_exporter._core.stored import UNREADABLE, pack, unpack
from prefactor_exporter._core.wire import compose

counts = st.integers(0, 2**31)
texts = st.text(st.characters(exclude_categories=["Cs"]))
events = st.builds(
    Event,
    kind=st.integers(0, 6),
    instance=texts,
    id=texts,
    at=st.integers(0, 2**62),
    payload=st.binary(),
    parent=st.none() | texts,
    name=texts,
    status=texts,
    ended=st.integers(0, 2**62),
    result=st.none() | st.binary(),
    flags=st.integers(0, 3),
    details=st.none() | st.dictionaries(texts, texts | st.integers(-(2**31), 2**31) | st.none()),
    seq=counts,
    merged_seq=counts,
    revision=counts,
    attempts=counts,
    judged=counts,
)


@given(events)
def test_an_event_comes_back_as_it_was(event):
    found = unpack(pack(event))
    event.size = found.size  # an estimate

    assert found == event


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused_in_a_known_way(data):
    try:
        event = unpack(data)
    except UNREADABLE:
        return
    found = unpack(pack(event))
    event.size = found.size  # an estimate

    assert found == event


@given(events, st.data())
def test_a_torn_event_is_refused(event, data):
    body = pack(event)
    with pytest.raises(UNREADABLE):
        unpack(body[: data.draw(st.integers(0, len(body) - 1))])


@given(events, st.booleans())
def test_an_event_of_another_release_is_refused_and_never_misread(event, longer):
    fields = msgspec.msgpack.decode(pack(event))
    other = [*fields, "new"] if longer else fields[:-1]
    with pytest.raises(UNREADABLE):
        unpack(msgspec.msgpack.encode(other))


def test_the_same_item_is_composed_before_and_after_the_disk():
    identity = Identity(partition_text(7))
    event = Event(0, "r" * 32, "s" * 32, 5, b'{"a":1}', None, "a", "complete", 9, b"{}", revision=2)
    again = unpack(pack(event))
    assert compose(event, identity)
    assert compose(again, identity)

    assert (event.wire, event.key) == (again.wire, again.key)
