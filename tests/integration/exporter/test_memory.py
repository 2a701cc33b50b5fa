"""What an exporter remembers is bounded, and is forgotten when it is over."""

import gc
import threading
import weakref

import pytest

from prefactor_exporter import Exporter
from prefactor_exporter._core import lanes, ledger, wire
from prefactor_http.devserver import Switches
from tests.integration.exporter.conftest import names, total, until

pytestmark = pytest.mark.slow

RSS = """
import gc
def rss():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

"""


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
def test_an_outage_costs_no_more_memory_than_allowed(server, child, overflow):
    """Twenty times as much is recorded as may wait."""
    server.faults.add("after=1 status=503")
    status, out, err = child(
        RSS
        + f"""
exporter = Exporter(config(
    max_queue_bytes=4_000_000, overflow={overflow!r}, shutdown_timeout=0, linger=0.001
))
def work():
    for n in range(100):
        exporter.record_span("a", {{"n": n, "text": str(n) * 3000}})
    exporter.flush(0.001)
exporter.record_span("a", {{"n": "first"}})
assert exporter.flush(25)
exporter.flush(0.001)
before = rss()
for _ in range(200):
    work()
print(rss() - before)
stats = exporter.stats()
assert stats.queued_bytes < 5_000_000, stats
assert stats.dropped > 10_000, stats
"""
    ).end()

    assert status == 0, err
    # What was recorded is 90; the bound, requests, the allocator's waste and a log line take a few.
    assert float(out) < 30


def test_a_long_life_leaves_memory_as_it_was(server, child):
    """Spans and runs come and go; what was delivered is forgotten."""
    status, out, err = child(
        RSS
        + """
exporter = Exporter(config())
def work(times):
    for r in range(times):
        with exporter.instance() as run:
            for n in range(100):
                with run.span("a", {"n": n}):
                    exporter.record_span("b", {"text": "x" * 500})
        if r % 10 == 9:
            assert exporter.flush(25)
    assert exporter.flush(25)
work(20)
before = rss()
work(50)
print(rss() - before)
"""
    ).end()

    assert status == 0, err
    assert float(out) < 6


def remembered(exporter):
    """Return the sizes of everything an exporter keeps by span, by run or by name."""
    worker = exporter._pipeline.worker
    lanes, spool = worker.lanes, worker.spool
    return {
        "open spans": len(exporter._open),
        "open runs": len(exporter._open_instances),
        "lost": len(exporter._pipeline.admission.lost),
        "queue": len(exporter._queue.items),
        "lanes": len(lanes),
        "ready lanes": len(lanes._ready),
        "delayed lanes": len(lanes._delayed),
        "ids": sum(map(len, lanes.identity._tables.values())) + len(lanes.identity._tables),
        "running": len(worker.termination.running),
        "flying": len(worker._flying),
        "bytes": worker.held_bytes,
        "flushes": len(exporter._pipeline.ledger._flushes),
        "fresh on disk": len(spool._fresh) + len(spool._stale) + len(spool._tail),
        "open on disk": len(spool._opened) + len(spool._saved_open),
        "rows": sum(file.rows for file in spool._held()),
    }


NOTHING = dict.fromkeys(
    [
        *["open spans", "open runs", "lost", "queue", "lanes", "ready lanes", "delayed lanes"],
        *["ids", "running", "flying", "bytes", "flushes", "fresh on disk", "open on disk", "rows"],
    ],
    0,
)


@pytest.mark.parametrize("spooled", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("ids", ["ours", "theirs"])
def test_nothing_is_kept_of_what_is_over(server, make, tmp_path, ids, spooled):
    """Whether it was delivered, refused, given up or terminated."""
    server.switches = Switches(refuse_client_ids=ids == "theirs")
    server.faults.add("schema_name=poison item_error=validation_errors")
    server.faults.add("type=agent_instances/register every=7 item_error=validation_errors")
    server.faults.add("type=agent_instances/finish every=5 item_error=not_found")
    settings = {"spool_dir": tmp_path / "spool", "spool_interval": 0.01} if spooled else {}
    exporter = make(**settings)
    for _ in range(30):
        with exporter.instance() as run:
            for n in range(5):
                with run.span("poison" if n == 3 else "a", {"n": n}):
                    exporter.record_span("b", {"n": n})
                    if n == 2:
                        exporter.flush(25)
        exporter.flush(25)

    report = exporter.flush(25)
    assert report.pending == 0
    assert report.dead > 30
    assert all(server.faults.counts.values()), server.faults.counts
    try:
        until(lambda: remembered(exporter) == NOTHING)
    finally:
        assert remembered(exporter) == NOTHING
    stats = exporter.stats()
    assert stats.recorded == total(stats)


def test_what_is_remembered_of_losses_is_bounded(server, make, monkeypatch):
    monkeypatch.setattr(lanes, "_REMEMBERED", 50)
    monkeypatch.setattr(ledger, "_REMEMBERED", 50)
    server.pause()
    exporter = make(max_queue_items=20, shutdown_timeout=0)
    for n in range(2000):
        exporter.record_span("a", {"n": n})
    until(lambda: not exporter._queue.items, "the worker's intake")

    assert len(exporter._pipeline.admission.lost) <= 50
    assert len(exporter._pipeline.worker.lanes._gaps.parents) <= 50
    assert len(exporter._open) == 0


def test_an_endless_number_of_names_costs_no_endless_memory(server, make, monkeypatch):
    monkeypatch.setattr(wire, "_MAX_NAMES", 100)
    monkeypatch.setattr(wire, "_names", {})
    monkeypatch.setattr("prefactor_exporter.recorder._MAX_REMEMBERED", 100)
    exporter = make()
    for n in range(500):
        exporter.record_span(f"type {n}", {"n": n})

    assert exporter.flush(25)
    assert names(server) == list(range(500))
    assert len(wire._names) <= 100
    assert len(exporter._names) <= 100


def test_an_exporter_can_be_collected_after_its_shutdown(configured):
    def use():
        exporter = Exporter(configured(flush_at_exit=True))
        with exporter, exporter.instance() as run, run.span("a", {"n": 1}):
            exporter.record_span("a", {"n": 2})
        return weakref.ref(exporter), weakref.ref(exporter._pipeline)

    exporter, pipeline = use()
    gc.collect()

    assert exporter() is None
    assert pipeline() is None


def test_an_exporter_that_was_never_used_can_be_collected(configured):
    exporter = weakref.ref(Exporter(configured(flush_at_exit=True)))
    gc.collect()

    assert exporter() is None


def test_an_exporter_nobody_holds_any_more_still_delivers(server, child):
    """One line is enough; its run is closed at the end of the process."""
    status, *said = child(
        """
        import gc
        Exporter(config(linger=60)).record_span("a", {"n": 1})
        gc.collect()
        """
    ).end()

    assert (status, *said) == (0, "", "")
    assert names(server) == [1]
    assert server.instances()[0]["status"] == "complete"


def test_many_exporters_one_after_the_other_leave_nothing_behind(server, configured):
    before = threading.active_count()
    made = []
    for n in range(20):
        with Exporter(configured(flush_at_exit=True)) as exporter:
            exporter.record_span("a", {"n": n})
        made.append(weakref.ref(exporter))
    del exporter
    gc.collect()

    assert names(server) == list(range(20))
    assert threading.active_count() == before
    assert [reference() for reference in made] == [None] * 20
