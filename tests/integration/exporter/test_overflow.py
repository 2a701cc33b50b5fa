"""A full queue loses what the policy says, counts it, and leaves no tree in pieces."""

import threading

import pytest

from prefactor_exporter._core import pace
from tests.integration.exporter.conftest import names, parents, total, until

pytestmark = pytest.mark.slow

ROOM = 50


def settle(server, exporter):
    """Bring the server back and wait until all is settled."""
    server.resume()
    report = exporter.flush(25)
    assert report.pending == 0


def test_drop_newest_keeps_the_first_and_counts_the_rest(server, make):
    server.pause()
    drops = []
    exporter = make(max_queue_items=ROOM, on_drop=lambda event, reason: drops.append(reason))
    for n in range(200):
        exporter.record_span("a", {"n": n})
    settle(server, exporter)

    stats = exporter.stats()
    arrived = names(server)
    assert arrived == list(range(len(arrived)))
    assert len(arrived) == ROOM - 2
    assert stats.dropped_reasons == {"queue_full": 200 - len(arrived)}
    assert stats.dead == 0
    assert stats.recorded == total(stats) == 202
    until(lambda: len(drops) == stats.dropped, "the last on_drop")
    assert set(drops) == {"queue_full"}


def test_drop_oldest_keeps_the_last_and_the_run_they_belong_to(server, make):
    """The registration is the oldest event of all, and must stay: everything builds on it."""
    server.pause()
    exporter = make(max_queue_items=ROOM, overflow="drop_oldest")
    for n in range(200):
        exporter.record_span("a", {"n": n})
    settle(server, exporter)

    stats = exporter.stats()
    arrived = names(server)
    # What was in flight when the server came back is older, and arrived as well.
    assert arrived == sorted(arrived)
    assert arrived[2 - ROOM :] == list(range(202 - ROOM, 200))
    assert stats.dead == 0
    assert set(stats.dropped_reasons) == {"queue_full"}
    assert stats.recorded == total(stats) == 202


def test_drop_oldest_drops_what_the_worker_tried_in_vain(server, make):
    """What never reached the API may go: an outage keeps the newest spans, not the first."""
    server.pause()
    drops = []
    exporter = make(
        max_queue_items=ROOM,
        overflow="drop_oldest",
        on_drop=lambda event, reason: drops.append(event["id"]),
    )
    ids = [exporter.record_span("a", {"n": n}) for n in range(ROOM - 2)]
    until(lambda: exporter.stats().last_error, "the first refused connection")
    for n in range(20):
        ids.append(exporter.record_span("a", {"n": 1000 + n}))
        exporter.flush(0)
        until(lambda: not exporter._queue.items, "the worker's intake")
    settle(server, exporter)

    stats = exporter.stats()
    assert names(server)[-20:] == [1000 + n for n in range(20)]
    assert stats.dead == 0
    assert stats.recorded == total(stats) == ROOM + 20
    assert len(drops) == stats.dropped
    assert set(drops) < set(ids)


def test_block_waits_for_room_and_loses_nothing_while_the_api_answers(server, make):
    exporter = make(max_queue_items=ROOM, overflow="block", block_timeout=20.0)
    for n in range(500):
        exporter.record_span("a", {"n": n})

    assert exporter.flush(25)
    assert names(server) == list(range(500))


def test_block_gives_up_after_its_timeout(server, make):
    server.pause()
    exporter = make(max_queue_items=ROOM, overflow="block", block_timeout=0.01)
    for n in range(60):
        exporter.record_span("a", {"n": n})
    settle(server, exporter)

    stats = exporter.stats()
    assert names(server) == list(range(ROOM - 2))
    assert stats.dropped_reasons == {"queue_full": 62 - ROOM}


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
def test_the_bound_in_bytes_holds_as_well(server, make, overflow):
    server.pause()
    exporter = make(max_queue_bytes=100_000, overflow=overflow, max_batch_bytes=50_000)
    most = 0
    for n in range(300):
        exporter.record_span("a", {"n": n, "text": "x" * 2_000})
        most = max(most, exporter.stats().queued_bytes)
    settle(server, exporter)

    stats = exporter.stats()
    arrived = names(server)
    assert 0 < len(arrived) < 60
    assert (0 in arrived) == (overflow == "drop_newest")
    # Under drop_oldest a batch in flight comes on top, and so may what closes the accepted.
    assert most < (100_000 if overflow == "drop_newest" else 150_000) * 1.1
    assert stats.dead == 0
    assert stats.recorded == total(stats) == 302


def test_finishes_of_accepted_spans_find_room_when_spans_do_not(server, make):
    server.pause()
    exporter = make(max_queue_items=ROOM)
    with exporter.instance() as run:
        spans = [exporter.start_span("a", {"n": n}) for n in range(40)]
        for n in range(100):
            exporter.record_span("a", {"n": 1000 + n})
        for span_id in spans:
            exporter.finish_span(span_id)
    settle(server, exporter)

    stored = {span["payload"]["n"]: span["status"] for span in server.spans(run.id)}
    assert {n: stored[n] for n in range(40)} == dict.fromkeys(range(40), "complete")
    assert server.instances()[0]["status"] == "complete"
    stats = exporter.stats()
    assert stats.dead == 0
    assert set(stats.dropped_reasons) == {"queue_full"}


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
@pytest.mark.parametrize("pace", ["burst", "outage"])
def test_no_finish_arrives_for_a_span_that_was_dropped(server, make, overflow, pace):
    """It goes with its create; and children of a dropped span hang below the next ancestor."""
    exporter = make(max_queue_items=ROOM, overflow=overflow, linger=60.0)
    run = exporter.register_instance()
    exporter.start_instance(run)
    root = exporter.start_span("a", {"n": "root"}, instance_id=run, parent_span_id=None)
    assert exporter.flush()
    server.pause()
    for n in range(100):
        middle = exporter.start_span("a", {"n": n}, instance_id=run, parent_span_id=root)
        exporter.record_span("a", {"n": f"{n}.leaf"}, instance_id=run, parent_span_id=middle)
        exporter.finish_span(middle)
        if pace == "outage":
            exporter.flush(0)
            until(lambda: not exporter._queue.items, "the worker's intake")
    exporter.finish_span(root)
    exporter.finish_instance(run)
    settle(server, exporter)

    found = parents(server)
    stats = exporter.stats()
    assert stats.dead_reasons == {}
    assert stats.recorded == total(stats)
    assert {span["status"] for span in server.spans()} == {"complete"}
    assert server.instances()[0]["status"] == "complete"
    for n, parent in found.items():
        if str(n).endswith("leaf"):
            middle = int(n.removesuffix(".leaf"))
            assert parent == (middle if middle in found else "root")


def test_the_books_balance_while_threads_overflow_the_queue(server, make):
    server.pause()
    exporter = make(max_queue_items=ROOM, overflow="drop_oldest")
    ended = threading.Event()
    samples = []

    def watch():
        while not ended.wait(0.001):
            samples.append(exporter.stats())

    def record():
        for _ in range(300):
            exporter.finish_span(exporter.start_span("a", {"n": 0}))

    watcher = threading.Thread(target=watch)
    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in [watcher, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    settle(server, exporter)
    ended.set()
    watcher.join()

    assert all(s.recorded == total(s) for s in samples)
    counts = [s.recorded for s in samples]
    assert counts == sorted(counts)
    assert exporter.stats().recorded == 2402
    assert exporter.stats().dead == 0


@pytest.mark.parametrize("faults", [[], ["every=7 status=503", "every=11 reset=after"]])
@pytest.mark.parametrize("threads", [1, 16])
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "block"])
def test_a_burst_leaves_whole_trees_and_exact_sums(
    server, make, monkeypatch, *, overflow, threads, faults
):
    """Nothing that arrives lacks its other half or its parent, and nothing is sent in vain."""
    monkeypatch.setattr(pace, "backoff_delay", lambda *_, **__: 0.0)
    for fault in faults:
        server.faults.add(fault)
    exporter = make(max_queue_items=200, overflow=overflow, block_timeout=0.001)
    each = 8_000 // threads

    def record(k):
        for n in range(each):
            outer = exporter.start_span("a", {"n": [k, n]}, parent_span_id=None)
            inner = exporter.start_span("b", {"n": [k, n, "in"]}, parent_span_id=outer)
            exporter.finish_span(inner, result_payload={"r": 1})
            exporter.finish_span(outer)

    workers = [threading.Thread(target=record, args=(k,)) for k in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert exporter.flush(60).pending == 0

    stats, spans = exporter.stats(), server.spans()
    assert stats.dead_reasons == {}
    assert stats.recorded == total(stats) == 4 * threads * each + 2
    assert set(stats.dropped_reasons) <= {"queue_full", "create_dropped"}
    assert len(spans) > 0
    # Whoever is let wait may find that the worker keeps up.
    assert len(spans) < 2 * threads * each or overflow == "block"
    assert {span["status"] for span in spans} == {"complete"}
    assert stats.delivered == 2 * len(spans) + 2
    known = {span["id"] for span in spans} | {None}
    assert [span for span in spans if span["parent_span_id"] not in known] == []
    if overflow == "drop_oldest" and threads == 1:
        # However far the worker lags, it leaves room for a hundred events.
        newest = [[0, n] for n in range(each - 100 // 4 + 1, each)]
        arrived = [span["payload"]["n"] for span in spans]
        assert [n for n in newest if n not in arrived] == []
    until(lambda: not exporter._pipeline.worker._drops, "the last on_drop")
    assert exporter._open == {}
    assert not exporter._pipeline.ledger.gaps._begun
    assert not exporter._pipeline.worker.lanes._gaps._begun


def test_a_long_span_that_was_dropped_takes_its_finish_with_it_however_late(server, make):
    """After more losses than are remembered of others, and its children live on."""
    server.pause()
    exporter = make(max_queue_items=ROOM, overflow="drop_newest")
    for n in range(ROOM):
        exporter.record_span("a", {"n": n})
    dropped = exporter.start_span("a", {"n": "dropped"})
    for n in range(12_000):
        exporter.record_span("a", {"n": n})
    server.resume()
    exporter.flush(25)
    until(lambda: exporter._queue.room >= ROOM, "room again")
    exporter.record_span("a", {"n": "child"}, parent_span_id=dropped)
    exporter.finish_span(dropped)
    exporter.flush(25)

    stats = exporter.stats()
    assert parents(server)["child"] is None
    assert stats.dropped_reasons["create_dropped"] == 1
    assert set(stats.dropped_reasons) == {"queue_full", "create_dropped"}
    assert stats.dead_reasons == {}


def test_a_callback_that_raises_or_records_does_no_harm(server, make):
    server.pause()

    def on_drop(event, reason):
        exporter.record_span("a", {"n": "from on_drop"})
        raise RuntimeError("the application's")

    exporter = make(max_queue_items=ROOM, on_drop=on_drop)
    for n in range(60):
        exporter.record_span("a", {"n": n})
    server.resume()
    until(lambda: len(names(server)) >= ROOM - 2, "delivery")

    assert names(server)[: ROOM - 2] == list(range(ROOM - 2))


def test_a_callback_that_records_into_a_full_queue_is_not_called_for_that(server, make):
    """It would be called for ever."""
    server.faults.add("status=503")
    called = []

    def on_drop(event, reason):
        called.append(reason)
        exporter.record_span("a", {"n": "from on_drop"})

    exporter = make(max_queue_items=ROOM, on_drop=on_drop, shutdown_timeout=0)
    for n in range(60):
        exporter.record_span("a", {"n": n})
    until(lambda: exporter.stats().dropped == 12 + 12, "the calls")
    exporter.flush(0.2)

    assert called == ["queue_full"] * 12
