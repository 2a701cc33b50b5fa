"""What the page about sizes says of the queue is what the queue does."""

import threading

import pytest

from prefactor_exporter import Exporter, ExporterConfig, HttpClientConfig

HANG = 30.0
NEVER = 3600.0


def until(condition):
    pause = threading.Event()
    for _ in range(int(HANG / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail(f"it did not happen within {HANG} s")


@pytest.fixture
def make():
    made = []

    def make(**settings):
        http = HttpClientConfig("http://127.0.0.1:9", "token")
        made.append(Exporter(ExporterConfig(http=http, flush_at_exit=False, **settings)))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown(timeout=0)


def test_a_span_counts_its_payloads_and_400_bytes(make):
    exporter = make(linger=NEVER, max_batch_items=10_000)
    exporter.register_instance()
    first = exporter.stats().queued_bytes
    instance = exporter.register_instance()
    until(lambda: exporter.stats().queued_bytes == 2 * first)
    for _ in range(100):
        exporter.record_span(
            "a:b", {"t": "x" * 1292}, result_payload={"t": "x" * 392}, instance_id=instance
        )

    # The bytes of {"t":""} around them.
    until(lambda: exporter.stats().queued_bytes == 2 * first + 100 * 2_100)


def test_a_span_larger_than_the_queue_is_dropped(make):
    exporter = make(max_queue_bytes=100_000, max_payload_bytes=10_000)
    exporter.record_span("a:b", {"t": "x" * 100_000})

    assert exporter.stats().dropped_reasons == {"queue_full": 1}


@pytest.mark.parametrize("overflow", ["drop_oldest", "block"])
def test_whatever_the_policy(make, overflow):
    exporter = make(
        max_queue_bytes=100_000, max_payload_bytes=10_000, overflow=overflow, block_timeout=0.01
    )
    exporter.record_span("a:b", {"t": "x" * 200_000})

    assert exporter.stats().dropped_reasons["queue_full"] >= 1
    assert exporter.stats().queued_bytes < 100_000
