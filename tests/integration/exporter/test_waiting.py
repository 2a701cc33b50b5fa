"""Flush and shutdown wait for delivery, as long as they are told and no longer."""

import asyncio
import itertools
import threading

import pytest

from prefactor_exporter import Exporter
from prefactor_exporter._delivery.worker import Worker
from tests.integration.exporter.conftest import bulk_requests, names, total, until

pytestmark = pytest.mark.slow


def test_a_flush_with_nothing_recorded_starts_nothing(exporter):
    before = threading.active_count()
    report = exporter.flush()

    assert report
    assert (report.delivered, report.pending, report.timed_out) == (0, 0, False)
    assert threading.active_count() == before


@pytest.mark.parametrize("rule", ["black_hole", "status=503", "status=429 retry_after=300"])
def test_a_flush_returns_when_its_time_is_up_and_says_what_is_pending(server, make, rule):
    server.faults.add(rule)
    exporter = make()
    exporter.record_span("a", {"n": 1})
    report = exporter.flush(0.2)

    assert not report
    assert (report.delivered, report.pending, report.timed_out) == (0, 3, True)


async def test_an_awaited_flush_returns_when_its_time_is_up_too(server, make):
    server.faults.add("black_hole")
    exporter = make()
    exporter.record_span("a", {"n": 1})
    report = await exporter.flush_async(0.2)

    assert (report.delivered, report.pending, report.timed_out) == (0, 3, True)


async def test_an_awaited_flush_leaves_the_loop_free(server, make):
    """The loop goes on turning, and many flushes wait for the same delivery."""
    server.faults.add("latency=0.3 times=1 path=/bulk")
    exporter = make()
    exporter.record_span("a", {"n": 1})
    flushes = [asyncio.create_task(exporter.flush_async(25)) for _ in range(200)]
    turns = 0
    while not all(task.done() for task in flushes):
        turns += 1
        await asyncio.sleep(0.001)

    assert all(task.result() for task in flushes)
    assert turns > 10
    assert bulk_requests(server) == 1


async def test_a_cancelled_flush_is_forgotten(server, make):
    """Nobody waits any more, so nothing is counted for it and batches fill up again."""
    server.faults.add("black_hole")
    exporter = make()
    exporter.record_span("a", {"n": 1})
    task = asyncio.create_task(exporter.flush_async(25))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not exporter._pipeline.ledger.flushing


def test_flushes_of_many_threads_all_return(server, exporter):
    reports = []

    def work(n):
        exporter.record_span("a", {"n": n})
        reports.append(exporter.flush(25))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(reports) == 20 and all(reports)
    assert sorted(names(server)) == list(range(20))


def test_a_flush_reports_only_what_was_recorded_before_it(server, make):
    exporter = make()
    exporter.record_span("a", {"n": 1})
    first = exporter.flush()
    exporter.record_span("a", {"n": 2})
    second = exporter.flush()

    assert (first.delivered, second.delivered) == (3, 4)


def test_callbacks_may_flush_stop_and_record(server, make):
    """They run in the worker's thread, which must not wait for itself."""
    reports = []
    finished = threading.Event()

    def on_terminate(instance, reason):
        reports.append(exporter.flush(20))
        exporter.record_span("a", {"n": "from the callback"}, instance_id=instance)
        reports.append(exporter.shutdown(20))
        finished.set()

    exporter = make()
    exporter.on_terminate(on_terminate)
    with exporter.instance() as run:
        exporter.record_span("a", {"n": 1})
        assert exporter.flush()
        server.terminate(run.id, "enough")
        exporter.record_span("a", {"n": 2})
        exporter.flush(20)

    assert finished.wait(25)
    assert len(reports) == 2
    exporter.shutdown()
    stats = exporter.stats()
    assert stats.recorded == total(stats)


def test_a_shutdown_delivers_and_says_so(server, make):
    exporter = make(linger=60.0)
    for n in range(300):
        exporter.record_span("a", {"n": n})
    report = exporter.shutdown(25)

    assert report
    assert report.delivered == 303
    assert names(server) == list(range(300))
    assert exporter.stats().state == "closed"


def test_a_second_shutdown_returns_the_same_report(server, exporter):
    exporter.record_span("a", {"n": 1})

    assert exporter.shutdown() is exporter.shutdown(0)


def test_an_exporter_that_recorded_nothing_is_shut_down_at_once(exporter):
    assert exporter.shutdown()
    assert exporter.stats().state == "closed"


async def test_a_shutdown_can_be_awaited(server, make):
    exporter = make()
    exporter.record_span("a", {"n": 1})
    reports = await asyncio.gather(*(exporter.shutdown_async() for _ in range(3)))

    assert all(reports)
    assert names(server) == [1]


def test_many_threads_may_shut_down_at_once(server, make):
    exporter = make()
    for n in range(100):
        exporter.record_span("a", {"n": n})
    reports = []
    threads = [
        threading.Thread(target=lambda: reports.append(exporter.shutdown(25))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(reports) == 8 and all(reports)
    assert len(set(map(id, reports))) == 1
    assert names(server) == list(range(100))


def test_a_record_after_shutdown_is_counted_and_dropped(server, exporter):
    exporter.record_span("a", {"n": 1})
    exporter.shutdown()
    span_id = exporter.record_span("a", {"n": 2})
    other = exporter.start_span("a", {"n": 3})
    exporter.finish_span(other)
    report = exporter.flush()

    assert len(span_id) == 32
    stats = exporter.stats()
    assert stats.recorded == total(stats) == 7
    assert stats.dropped == 3
    assert stats.dropped_reasons["shutdown"] >= 2
    assert not report.pending
    assert names(server) == [1]


@pytest.mark.parametrize(
    "rule", ["black_hole", "status=503", "status=429 retry_after=300", "status=401"]
)
def test_a_shutdown_ends_in_the_middle_of_any_wait(server, make, rule):
    """What could not be delivered is counted; a new exporter starts afresh and delivers."""
    server.faults.add(rule)
    exporter = make()
    exporter.record_span("a", {"n": 1})
    until(lambda: server.faults.hits, "the first request")
    report = exporter.shutdown(0.2)
    stats = exporter.stats()
    server.faults.clear()
    second = make()
    second.record_span("a", {"n": 2})

    assert not report and report.pending == 0 and report.dropped == 4 and report.timed_out
    assert stats.dropped_reasons == {"shutdown": 4}
    assert stats.state == "closed"
    assert second.flush(25)
    assert names(server) == [2]


@pytest.mark.parametrize("rule", ["status=429 retry_after=300", "status=503 retry_after=200"])
@pytest.mark.parametrize("spooled", [False, True])
def test_a_shutdown_does_not_wait_for_what_the_api_forbids(server, make, tmp_path, rule, spooled):
    """No request is allowed before the deadline, however far away that is; a spool keeps all."""
    server.faults.add(rule)
    exporter = make(**{"spool_dir": tmp_path / "spool"} if spooled else {})
    exporter.record_span("a", {"n": 1})
    until(lambda: exporter.stats().last_error, "the first answer")
    exporter.shutdown(150)
    stats = exporter.stats()

    assert (stats.spooled, stats.dropped) == ((4, 0) if spooled else (0, 4))
    assert server.faults.hits == 1


def test_a_shutdown_without_time_ends_at_once(server, make):
    server.faults.add("black_hole")
    exporter = make()
    exporter.record_span("a", {"n": 1})
    report = exporter.shutdown(0)

    assert (report.delivered, report.pending, report.dropped) == (0, 0, 4)


def test_a_shutdown_during_a_backoff_tries_once_more(server, make):
    """A failure right before the end does not cost what one more request can deliver."""
    server.faults.add("times=1 status=503 path=/bulk")
    exporter = make()
    exporter.record_span("a", {"n": 1})
    until(lambda: server.faults.hits, "the failure")

    assert exporter.shutdown(25)
    assert names(server) == [1]


def test_the_end_of_a_with_block_shuts_down(server, configured):
    with Exporter(configured()) as exporter:
        exporter.record_span("a", {"n": 1})

    assert exporter.stats().state == "closed"
    assert names(server) == [1]
    assert server.instances()[0]["status"] == "complete"


async def test_the_end_of_an_async_with_block_shuts_down(server, configured):
    exporter = Exporter(configured())

    async def fail():
        async with exporter:
            exporter.record_span("a", {"n": 1})
            raise RuntimeError("the application's")

    with pytest.raises(RuntimeError):
        await fail()

    assert exporter.stats().state == "closed"
    assert names(server) == [1]
    assert server.instances()[0]["status"] == "failed"


def test_the_worker_s_thread_is_gone_after_shutdown(server, make):
    before = set(threading.enumerate())
    exporter = make()
    exporter.record_span("a", {"n": 1})
    exporter.shutdown()

    assert set(threading.enumerate()) == before


def test_the_end_of_an_invocation_delivers_what_its_handler_recorded(server, make):
    exporter = make(linger=60)
    with exporter.invocation(20) as invocation:
        exporter.record_span("a", {"n": 1})

    assert invocation.report
    assert names(server) == [1]


def test_a_handler_that_fails_is_delivered_too(server, make):
    exporter = make(linger=60)
    invocation = exporter.invocation(20)

    def handler():
        with invocation:
            exporter.record_span("a", {"n": 1})
            raise KeyError("the application's own")

    with pytest.raises(KeyError, match="own"):
        handler()
    assert invocation.report
    assert names(server) == [1]


async def test_the_end_of_an_async_invocation_leaves_the_loop_free(server, make):
    server.faults.add("latency=0.2")
    exporter = make(linger=60)
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with exporter.invocation(20) as invocation:
        exporter.record_span("a", {"n": 1})
        others = asyncio.create_task(turn())
        await asyncio.sleep(0)
        before = turns
    others.cancel()

    assert invocation.report
    assert turns > before + 10


def test_an_invocation_ends_at_its_deadline(server, make):
    server.faults.add("black_hole")
    exporter = make()
    with exporter.invocation(0.2) as invocation:
        exporter.record_span("a", {"n": 1})

    assert invocation.report.timed_out
    assert invocation.remaining == 0


def test_health_says_what_is_wrong_and_when_it_is_over(server, make):
    exporter = make()
    exporter.record_span("a", {"n": 1})
    assert exporter.flush()
    well = exporter.health()
    server.pause()
    exporter.record_span("a", {"n": 2})
    until(lambda: not exporter.health(), "the discovery")
    ill = exporter.health()
    server.resume()
    assert exporter.flush(25)

    assert well and well.problems == () and well.failing_for is None
    assert ill.state == "retrying" and ill.pending == 1
    assert "Cannot connect" in ill.problems[0]
    assert ill.failing_for >= 0
    assert exporter.health() == well


def test_a_refused_token_is_a_problem_with_its_remedy(server, make):
    exporter = make(token="wrong")
    exporter.record_span("a", {"n": 1})
    until(lambda: not exporter.health(), "the refusal")

    assert exporter.health().state == "suspended"
    assert "set_token" in exporter.health().problems[0]
    assert "wrong" not in exporter.health().problems[0]


def test_a_disabled_exporter_is_well():
    assert Exporter.from_env({}).health().state == "disabled"
    assert Exporter.from_env({}).health()


def test_a_shutdown_waits_for_nothing_when_the_last_event_needs_no_request(make):
    """The run was refused, so its finish is settled without one; the deadline is far away."""
    exporter = make(agent=None)
    exporter.record_span("a", {"n": 0})
    exporter.flush(25)
    exporter.shutdown(600)

    assert exporter.stats().dead_reasons == {"validation_errors": 1, "instance_refused": 3}


def test_the_worker_sleeps_while_it_waits_for_the_partition(server, make, monkeypatch):
    """Nothing can be sent before it is known, so there is nothing to look for meanwhile."""
    rounds = itertools.count()
    intake = Worker._intake
    monkeypatch.setattr(Worker, "_intake", lambda self: (next(rounds), intake(self))[1])
    server.faults.add("path=pfid black_hole")
    exporter = make(token=server.deployment_token, agent=None)
    exporter.record_span("a", {"n": 0})
    until(lambda: server.faults.hits, "the question")
    threading.Event().wait(0.5)

    assert next(rounds) < 50


ENDLESS = float("inf")


@pytest.mark.parametrize(
    "name", ["linger", "shutdown_timeout", "max_retry_age", "block_timeout", "spool_interval"]
)
def test_a_wait_without_end_is_as_good_as_any(server, make, tmp_path, name):
    settings = {"spool_dir": tmp_path / "spool"} if "spool" in name else {}
    exporter = make(**settings, **{name: ENDLESS})
    exporter.record_span("a", {"n": 1})
    assert exporter.flush(ENDLESS)
    exporter.record_span("a", {"n": 2})
    assert exporter.shutdown()

    assert names(server) == [1, 2]


async def test_an_awaited_wait_without_end_is_too(server, make):
    exporter = make(linger=ENDLESS, shutdown_timeout=ENDLESS)
    exporter.record_span("a", {"n": 1})
    assert await exporter.flush_async(ENDLESS)
    with exporter.invocation(ENDLESS):
        exporter.record_span("a", {"n": 2})
    exporter.record_span("a", {"n": 3})
    assert await exporter.shutdown_async()

    assert names(server) == [1, 2, 3]


def test_an_age_without_end_gives_nothing_up(server, make, tmp_path):
    server.faults.add("status=503")
    first = make(spool_dir=tmp_path / "spool", shutdown_timeout=0)
    first.record_span("a", {"n": 1})
    first.shutdown()
    server.faults.clear()
    second = make(spool_dir=tmp_path / "spool", max_spool_age=ENDLESS)
    second.record_span("a", {"n": 2})
    until(lambda: sorted(names(server)) == [1, 2], "delivery of what the first left")
    assert second.flush(25)
