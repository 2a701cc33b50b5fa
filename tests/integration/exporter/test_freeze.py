"""A process that is frozen and thawed, as serverless platforms do, goes on as if nothing were."""

import signal
import threading

import pytest

from tests.integration.exporter.conftest import names, until

pytestmark = pytest.mark.slow

SILENT = ("", "")
FROZEN = 2.0
"""Seconds; longer than every timeout of the requests under way."""


def freeze(running):
    running.process.send_signal(signal.SIGSTOP)
    threading.Event().wait(FROZEN)
    running.process.send_signal(signal.SIGCONT)


def test_what_a_guarded_call_recorded_is_there_before_the_freeze(server, child):
    """And the next call after the thaw finds connections that work."""
    running = child(
        """
        exporter = Exporter(config(linger=60))
        for call in range(2):
            with exporter.invocation(20) as invocation:
                for n in range(100):
                    exporter.record_span("a", {"n": f"{call}.{n}"})
            assert invocation.report, invocation.report
            print(f"returned {call}", flush=True)
            sys.stdin.readline()
        """
    )
    running.hear("returned 0")
    arrived = names(server)
    freeze(running)
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    running.hear("returned 1")
    again = names(server)
    status, *said = running.end()

    assert arrived == [f"0.{n}" for n in range(100)]
    assert again == arrived + [f"1.{n}" for n in range(100)]
    assert (status, *said) == (0, *SILENT)


def test_delivery_goes_on_after_a_freeze_in_the_middle_of_it(server, child):
    """The request under way has timed out meanwhile; nothing is lost, doubled or shouted about."""
    server.faults.add("path=/api/v1/bulk times=1 late=1.5")
    running = child(
        """
        import logging
        logging.basicConfig(level=logging.INFO)
        http = HttpClientConfig(
            os.environ["PREFACTOR_API_URL"], os.environ["PREFACTOR_API_TOKEN"],
            request_timeout=1.0, connect_timeout=1.0,
        )
        agent = AgentInfo(agent_id=os.environ["PREFACTOR_AGENT_ID"], version="v1")
        exporter = Exporter(ExporterConfig(http=http, agent=agent, max_batch_items=10))
        for n in range(200):
            exporter.record_span("a", {"n": n})
        print("ready", flush=True)
        sys.stdin.readline()
        assert exporter.flush(20)
        assert exporter.stats().requests < 40, exporter.stats()
        """
    )
    running.hear("ready")
    until(lambda: server.faults.hits, "the first request")
    freeze(running)
    status, out, err = running.end()

    assert (status, out) == (0, ""), err
    assert names(server) == list(range(200))
    assert server.changed_bodies == []
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2, err


def test_a_process_that_is_stopped_between_events_needs_no_new_start(server, child):
    running = child(
        """
        exporter = Exporter(config())
        exporter.record_span("a", {"n": 1})
        assert exporter.flush(20)
        print("ready", flush=True)
        sys.stdin.readline()
        exporter.record_span("a", {"n": 2})
        print("recorded", flush=True)
        sys.stdin.readline()
        """
    )
    running.hear("ready")
    server.pause()
    freeze(running)
    server.resume()
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    running.hear("recorded")
    until(lambda: names(server) == [1, 2], "delivery by itself")
    status, *said = running.end()

    assert (status, *said) == (0, *SILENT)
