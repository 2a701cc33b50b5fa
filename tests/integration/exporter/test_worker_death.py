"""Nothing that goes wrong inside the worker, or in the application's callbacks, ends delivery."""

import sys
import threading

import pytest

from prefactor_exporter import Redaction
from tests.integration.exporter.conftest import names, total, until

pytestmark = pytest.mark.slow


def worker_thread(exporter):
    return exporter._pipeline.worker._thread


def kill(exporter):
    """Raise SystemExit in the worker's thread, from its event loop."""
    exporter._pipeline.worker._loop.call_soon_threadsafe(sys.exit)


def told(caplog, event):
    return [r.getMessage() for r in caplog.records if r.getMessage().split()[0] == event]


def test_events_outlive_the_death_of_the_worker(server, make, caplog):
    """What waited, what was in flight, and what is recorded afterwards; nobody flushes."""
    server.faults.add("path=/api/v1/bulk late=0.5 times=1")
    exporter = make(max_batch_items=50)
    for n in range(200):
        exporter.record_span("a", {"n": n})
    until(lambda: server.faults.hits, "the first request")
    kill(exporter)
    until(lambda: told(caplog, "worker_died"), "the death")
    for n in range(200, 300):
        exporter.record_span("a", {"n": n})
    until(lambda: len(names(server)) == 300, "delivery")

    assert names(server) == list(range(300))
    assert server.changed_bodies == []
    assert exporter.flush(25)
    stats = exporter.stats()
    assert stats.recorded == stats.delivered == total(stats)
    assert exporter.shutdown(25)


def test_a_worker_that_dies_while_it_waits_delivers_what_it_held(server, make, caplog):
    server.pause()
    exporter = make()
    for n in range(20):
        exporter.record_span("a", {"n": n})
    until(lambda: exporter.stats().last_error, "the first refused connection")
    kill(exporter)
    until(lambda: told(caplog, "worker_died"), "the death")
    server.resume()
    report = exporter.shutdown(25)

    assert report
    assert names(server) == list(range(20))


def test_a_worker_that_keeps_dying_is_told_once_and_nothing_hangs(make, monkeypatch, caplog):
    exporter = make()

    def fail():
        raise RuntimeError("the worker's own")

    monkeypatch.setattr(exporter._pipeline.worker, "_rest", fail)
    exporter.record_span("a", {"n": 1})
    until(lambda: told(caplog, "worker_died"), "the death")
    report = exporter.flush(0.3)
    stopped = exporter.shutdown(0.5)

    assert report.pending + report.delivered == 3
    assert stopped.pending == 0
    assert len(told(caplog, "worker_died")) == 1
    stats = exporter.stats()
    assert stats.recorded == total(stats)


def test_a_failing_round_costs_nothing(server, make, monkeypatch):
    exporter = make()
    launch = exporter._pipeline.worker._launch
    failures = iter(range(3))

    def fail_at_first():
        for _ in failures:
            raise RuntimeError("the worker's own")
        return launch()

    monkeypatch.setattr(exporter._pipeline.worker, "_launch", fail_at_first)
    for n in range(20):
        exporter.record_span("a", {"n": n})
        until(lambda: not exporter._queue.items, "the worker's intake")

    assert exporter.flush(25)
    assert names(server) == list(range(20))


def test_rounds_that_keep_failing_are_a_problem_until_they_work_again(server, make, monkeypatch):
    exporter = make()
    worker = exporter._pipeline.worker
    launch = worker._launch

    def fail():
        raise RuntimeError("the worker's own")

    monkeypatch.setattr(worker, "_launch", fail)
    for n in range(20):
        exporter.record_span("a", {"n": n})
        until(lambda: not exporter._queue.items, "the worker's intake")
    until(lambda: not exporter.health(), "the problem")
    [problem] = exporter.health().problems
    monkeypatch.setattr(worker, "_launch", launch)

    assert "RuntimeError: the worker's own" in problem
    assert exporter.flush(25)
    assert exporter.health()
    assert names(server) == list(range(20))


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, RuntimeError, GeneratorExit])
def test_callbacks_that_exit_or_fail_end_no_delivery(server, make, error):
    """Such as a callback for stop signals that calls sys.exit, in what is not its thread."""
    called = []

    def fail(*args):
        called.append(args)
        raise error

    exporter = make(on_drop=fail, redact=Redaction(hook=lambda p: fail() if p.get("n") == 2 else p))
    exporter.on_terminate(fail)
    server.faults.add("schema_name=poison item_error=validation_errors")
    with exporter.instance() as run:
        exporter.record_span("a", {"n": 1})
        exporter.record_span("poison", {"n": "poison"})
        exporter.record_span("a", {"n": 2})
        exporter.flush(25)
        server.terminate(run.id, "enough")
        exporter.record_span("a", {"n": 3})
        exporter.flush(25)
        until(lambda: len(called) == 3, "the callbacks")
    with exporter.instance():
        exporter.record_span("a", {"n": 4})
    report = exporter.flush(25)

    assert report.pending == 0
    assert {1, 4} <= set(names(server))
    assert run.should_stop
    assert worker_thread(exporter).is_alive()
    stats = exporter.stats()
    assert stats.recorded == total(stats)


def test_a_thread_that_cannot_be_started_now_is_started_later(server, make, monkeypatch):
    """The limit of threads may be reached for a while; what is recorded meanwhile waits."""
    exporter = make()
    start = threading.Thread.start

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    exporter.record_span("a", {"n": 1})
    report = exporter.flush(5)
    monkeypatch.setattr(threading.Thread, "start", start)
    exporter.record_span("a", {"n": 2})
    until(lambda: names(server) == [1, 2], "delivery by itself")

    assert (report.pending, report.timed_out) == (3, True)


def test_a_flush_by_a_signal_handler_at_the_very_start_starts_no_second_worker(
    server, make, monkeypatch
):
    """It may strike while the first record waits for its thread to come to life."""
    exporter = make()
    started = []
    start = threading.Thread.start

    def strike(thread):
        started.append(thread.name)
        if started == ["prefactor-exporter"]:
            exporter.flush(0)  # as a handler would
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", strike)
    exporter.record_span("a", {"n": 1})
    assert exporter.flush(25)

    assert started.count("prefactor-exporter") == 1
    assert names(server) == [1]


def test_a_black_hole_a_dead_worker_and_a_second_close_all_return_in_time(server, make):
    server.faults.add("black_hole")
    exporter = make()
    exporter.record_span("a", {"n": 1})
    until(lambda: server.faults.hits, "the first request")
    kill(exporter)
    first = exporter.flush(0.2)
    reports = [exporter.shutdown(0.2), exporter.shutdown(0.2)]
    server.faults.clear()
    again = make()
    again.record_span("a", {"n": 2})

    assert first.timed_out
    assert reports[0] is reports[1]
    assert reports[0].dropped == 3 + 1
    assert again.flush(25)
    assert 2 in names(server)
