"""What holds the cost of a span down, in counts: wake-ups, encodings, requests, objects left."""

import sys

import pytest

from prefactor_exporter import recorder
from prefactor_exporter._core import lanes, redaction, snapshot, wire
from tests.integration.exporter.conftest import bulk_requests, names, until

MANY = 2_000

COUNTS = """
import gc, sys
from prefactor_exporter import Exporter

def record(number):
    for first in range(0, number, 10):
        with exporter.span("a", {"n": first}):
            for n in range(9):
                exporter.record_span("b", {"n": n}, result_payload={"n": n})

"""


def wake_ups(exporter):
    """Return a list that grows with each wake-up of the worker by a record call."""
    rung = []
    wake = exporter._queue.wake

    def noted():
        rung.append(None)
        return wake()

    exporter._queue.wake = noted
    return rung


@pytest.fixture
def calls(monkeypatch):
    """Return the names of the functions that encoded or decoded, a name for each call."""
    calls = []

    def note(module, name):
        function = getattr(module, name)

        def noted(value):
            calls.append(name)
            return function(value)

        monkeypatch.setattr(module, name, noted)

    note(recorder, "ENCODE")
    note(snapshot, "ENCODE")
    for module in (redaction, wire):
        note(module, "_encode")
    note(redaction, "_decode")
    return calls


def test_a_record_wakes_nobody_while_the_worker_waits_for_company(make):
    exporter = make(linger=60.0, max_batch_items=100)
    exporter.record_span("a", {"n": 0})
    until(lambda: 50 < exporter._queue.alarm < sys.maxsize, "the worker's rest")
    rung = wake_ups(exporter)
    for n in range(50):
        exporter.record_span("a", {"n": n})

    assert rung == []


def test_a_burst_wakes_the_worker_for_batches_not_for_records(server, make):
    exporter = make(linger=60.0, max_batch_items=100)
    rung = wake_ups(exporter)
    for n in range(MANY):
        exporter.record_span("a", {"n": n})
    assert exporter.flush(25)

    assert len(names(server)) == MANY
    assert len(rung) <= 2 * MANY / 100 + 2


def test_requests_are_as_many_as_full_batches_hold_the_events(server, make):
    exporter = make(linger=60.0, max_batch_items=100)
    for n in range(MANY):
        exporter.record_span("a", {"n": n})
    assert exporter.flush(25)

    assert len(names(server)) == MANY
    # One more for the registration of the run, which others wait for, and one for the rest.
    assert MANY / 100 <= bulk_requests(server) == exporter.stats().requests <= MANY / 100 + 2


def test_what_is_recorded_while_one_event_lingers_goes_along(server, make):
    exporter = make(linger=1.5)
    exporter.record_span("a", {"n": 0})
    until(lambda: 50 < exporter._queue.alarm < sys.maxsize, "the worker's rest")
    for n in range(1, 20):
        exporter.record_span("a", {"n": n})
    until(lambda: bulk_requests(server), "the end of the wait")

    assert exporter.flush(25)
    assert len(names(server)) == 20
    assert bulk_requests(server) == 1


def test_each_payload_is_encoded_once_and_never_decoded(server, make, calls):
    exporter = make()
    for n in range(100):
        exporter.record_span("a", {"n": n, "text": "words"}, result_payload={"n": n})
        with exporter.span("b", {"n": n}) as span:
            span.set_result({"n": n})
    assert exporter.flush(25)

    assert len(names(server)) == 200
    assert calls.count("ENCODE") == 400
    assert calls.count("_decode") == 0
    # Names of span types and the registration of the run.
    assert calls.count("_encode") < 10


def test_each_item_is_composed_once(server, make, monkeypatch):
    """Although what leaves next is composed while the answer to the last request is awaited."""
    composed = []

    def noted(event, identity):
        composed.append(event.id)
        return compose(event, identity)

    compose = lanes.compose
    monkeypatch.setattr(lanes, "compose", noted)
    exporter = make()
    for n in range(MANY):
        exporter.record_span("a", {"n": n})
    assert exporter.flush(25)

    assert len(names(server)) == MANY
    # The run has two items of its own; its registration is composed as late as it is sent.
    assert MANY + 2 <= len(composed) <= MANY + 4


def test_nothing_is_left_in_memory_for_each_delivered_span(server, child):
    """Counted in blocks of memory, of which anything that is kept takes one at least."""
    status, out, err = child(
        COUNTS
        + f"""
exporter = Exporter(config())
def blocks():
    record({MANY})
    assert exporter.flush(25)
    least = sys.maxsize
    for _ in range(20):  # the worker may hold the last batch for a moment
        threading.Event().wait(0.01)
        gc.collect()
        least = min(least, sys.getallocatedblocks())
    return least
with exporter.instance():
    blocks()
    before = blocks()
    print(blocks() - before)
"""
    ).end()

    assert status == 0, err
    assert int(out) < MANY / 10


def test_the_garbage_collector_does_not_see_what_waits(server, child):
    """So a long queue makes no collection slower, and causes none."""
    status, out, err = child(
        COUNTS
        + f"""
exporter = Exporter(config(linger=60.0, max_batch_items=100_000, shutdown_timeout=0))
with exporter.instance():
    record(100)
    assert exporter.flush(25)  # the worker has imported what it needs
    before = len(gc.get_objects())
    record({MANY})
    print(len(gc.get_objects()) - before, exporter.stats().queued)
"""
    ).end()

    assert status == 0, err
    seen, queued = map(int, out.split())
    assert queued > MANY
    assert seen < MANY / 10
