"""Wherever it is called from, in whatever process: signal handlers, log handlers, other loops."""

import logging
import threading

import pytest

from prefactor_exporter import Exporter
from prefactor_exporter._delivery.clock import SystemClock
from tests.integration.exporter.conftest import names, parents, total, until

pytestmark = pytest.mark.slow

SILENT = ("", "")


def test_an_application_on_uvloop_delivers(server, child):
    status, *said = child(
        """
        import asyncio, uvloop
        exporter = Exporter(config())
        async def step(n):
            async with exporter.span("a", {"n": n}):
                await asyncio.sleep(0)
                exporter.record_span("a", {"n": f"{n}.leaf"})
        async def agent():
            await asyncio.gather(*(step(n) for n in range(50)))
            assert await exporter.flush_async(20)
        for _ in range(2):
            uvloop.run(agent())
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert len(names(server)) == 200
    assert all(parent == int(n[:-5]) for n, parent in parents(server).items() if "leaf" in str(n))


def test_a_process_without_standard_input_delivers(server, child):
    """Its first file gets the number zero, which not every event loop survives."""
    status, *said = child(
        """
        os.execv("/bin/sh", ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, '''
        from prefactor_exporter import Exporter
        exporter = Exporter.from_env()
        for n in range(10):
            exporter.record_span("a", {"n": n})
        '''.replace("\\n        ", "\\n")])
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert names(server) == list(range(10))


def test_signal_handlers_record_whatever_they_interrupt(server, child):
    status, *said = child(
        """
        exporter = Exporter(config(max_queue_items=1000, overflow="block", block_timeout=20.0))
        struck = 0
        def strike(number, frame):
            global struck
            struck += 1
            with exporter.span("signal", {"n": "signal"}):
                exporter.stats()
        signal.signal(signal.SIGALRM, strike)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for n in range(3000):
            exporter.finish_span(exporter.start_span("a", {"n": n, "odd": {1, 2}}))
            if n % 500 == 0:
                assert exporter.flush(20)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert exporter.flush(20)
        stats = exporter.stats()
        assert stats.recorded == stats.delivered == 2 + 2 * (3000 + struck), (stats, struck)
        assert struck > 10
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert [n for n in names(server) if n != "signal"] == list(range(3000))


def test_finalizers_record_in_the_middle_of_the_worker_s_own_work(server, child):
    """The worker's allocations start collections, and what is collected records."""
    status, *said = child(
        """
        import gc
        from prefactor_exporter import Redaction
        inside = 0
        class Thing:
            def __init__(self):
                self.itself = self
            def __del__(self):
                global inside
                inside += threading.current_thread().name == "prefactor-exporter"
                exporter.record_span("finalizer", {"n": "finalizer"})
                exporter.stats()
                exporter.flush(0)
        made = 0
        def litter(payload):
            global made
            if payload["n"] != "finalizer":
                made += 1
                Thing()
            return payload
        exporter = Exporter(config(redact=Redaction(hook=litter), on_drop=lambda *_: Thing()))
        gc.set_threshold(20, 2, 2)
        for n in range(2000):
            exporter.record_span("a", {"n": n})
        assert exporter.flush(20)
        gc.collect()
        assert exporter.flush(20)
        stats = exporter.stats()
        assert made == 2000
        assert stats.recorded == stats.delivered == 2 + 2 * made, stats
        assert inside > 100, inside
        """
    ).end()

    assert (status, *said) == (0, *SILENT)
    assert [n for n in names(server) if n != "finalizer"] == list(range(2000))


def test_a_log_handler_that_records_our_own_lines_comes_to_rest(server, make):
    """The worker logs while it settles a batch, and is called back in the middle of it."""
    heard = []

    class Recording(logging.Handler):
        def emit(self, record):
            heard.append(record.getMessage())
            exporter.record_span("log", {"n": record.getMessage()})
            exporter.record_span("log", status="no such status")
            exporter.flush(5 if len(heard) < 3 else 0)

    exporter = make(strict=False)
    handler = Recording()
    logger = logging.getLogger("prefactor_exporter")
    logger.addHandler(handler)
    try:
        server.faults.add("times=1 status=503 path=/bulk")
        server.faults.add("schema_name=poison item_error=validation_errors")
        for n in range(200):
            exporter.record_span("poison" if n == 3 else "a", {"n": n})
        until(lambda: any("delivery_recovered" in line for line in heard), "the recovery")
        report = exporter.flush(25)
    finally:
        logger.removeHandler(handler)

    assert report.pending == 0
    assert len(heard) < 20
    assert any("delivery_degraded" in n for n in names(server) if isinstance(n, str))
    stats = exporter.stats()
    assert stats.recorded == total(stats)


class Jumping(SystemClock):
    """A clock whose time of day jumps as it is told; what it waits by does not."""

    def __init__(self):
        self.offset = 0

    def time_ns(self):
        return SystemClock.time_ns() + self.offset


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_jump_of_the_system_clock_turns_nothing_around(server, configured, hours):
    """No span and no run ends before it began, children and waits are as they would be."""
    clock = Jumping()
    exporter = Exporter(configured(), clock=clock)
    server.faults.add("times=1 status=503 path=/bulk")
    with exporter, exporter.instance() as run, run.span("a", {"n": 0}):
        open_span = exporter.start_span("a", {"n": 1})
        began = clock.time_ns()
        clock.offset = hours * 3_600 * 10**9
        exporter.finish_span(open_span)
        exporter.record_span("a", {"n": 2}, started_at=began)
        exporter.start_span("a", {"n": 3})
        assert exporter.flush(25)
        clock.offset = 0

    spans = {span["payload"]["n"]: span for span in server.spans()}
    assert spans.keys() == {0, 1, 2, 3}
    assert all(span["finished_at"] >= span["started_at"] for span in spans.values())
    [instance] = server.instances()
    assert instance["finished_at"] >= instance["started_at"]
    assert instance["status"] == "complete"


def test_a_clock_that_steps_back_between_start_and_end_of_a_run_keeps_its_order(server, configured):
    clock = Jumping()
    exporter = Exporter(configured(), clock=clock)
    with exporter:
        with exporter.instance():
            clock.offset = -(10**12)
        exporter.record_span("a", {"n": 1})
        clock.offset = -2 * 10**12

    assert len(server.instances()) == 2
    for instance in server.instances():
        assert instance["finished_at"] >= instance["started_at"]


async def test_a_record_call_inside_a_loop_needs_no_turn_of_it(server, make):
    """The loop may be blocked for as long as it likes; delivery does not run on it."""
    exporter = make()
    exporter.record_span("a", {"n": 1})
    until(lambda: names(server) == [1], "delivery while the loop stands still")


def test_sixteen_threads_share_one_exporter(server, make):
    exporter = make()
    gate = threading.Barrier(16)

    def work(name):
        gate.wait()
        with exporter.instance() as run:
            for n in range(50):
                with run.span("a", {"n": f"{name}.{n}"}):
                    exporter.record_span("a", {"n": f"{name}.{n}.leaf"})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert exporter.flush(25)
    found = parents(server)
    assert len(found) == 1600
    assert all(parent == (n[:-5] if "leaf" in n else None) for n, parent in found.items())
