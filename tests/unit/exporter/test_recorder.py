"""The record calls take everything, raise only what strict mode promises, and count the rest."""

import asyncio
import logging
import threading
from collections import Counter
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction

import pytest

from prefactor_exporter import (
    Exporter,
    ExporterConfig,
    HttpClientConfig,
    InvalidEventError,
    TerminationSignal,
)
from prefactor_exporter._delivery.pipeline import Pipeline
from prefactor_exporter.testing import InMemoryExporter

NOWHERE = HttpClientConfig("http://127.0.0.1:1", "token")
AN_ID = "0" * 32


def make(**settings):
    return Exporter(ExporterConfig(http=NOWHERE, flush_at_exit=False, **settings))


class Hostile(str):
    """Everything of it that may be asked fails."""

    __slots__ = ()

    def fail(self, *args):
        raise RuntimeError("the application's own")

    __repr__ = __str__ = __eq__ = __ne__ = __hash__ = __len__ = __bool__ = __format__ = fail


class Nowhere(tzinfo):
    def utcoffset(self, moment):
        raise RuntimeError("the application's own")


class Name(str):
    """A string of the application's own kind, as libraries for markup and arrays have them."""

    __slots__ = ()

    def __hash__(self):
        raise RuntimeError("the application's own")


ILLEGAL = {
    "status": lambda e, bad: e.record_span("a", status=bad),
    "schema_name": lambda e, bad: e.record_span(bad),
    "schema_name of start": lambda e, bad: e.start_span(bad),
    "instance_id": lambda e, bad: e.record_span("a", instance_id=bad),
    "instance_id of start": lambda e, bad: e.start_span("a", instance_id=bad),
    "parent_span_id": lambda e, bad: e.record_span("a", parent_span_id=bad),
    "span_id": lambda e, bad: e.record_span("a", span_id=bad),
    "started_at": lambda e, bad: e.record_span("a", started_at=bad),
    "finished_at": lambda e, bad: e.record_span("a", finished_at=bad),
    "finished span": lambda e, bad: e.finish_span(bad),
    "status of finish": lambda e, bad: e.finish_span(AN_ID, status=bad),
    "timestamp of finish": lambda e, bad: e.finish_span(AN_ID, timestamp=bad),
    "started instance": lambda e, bad: e.start_instance(bad),
    "finished instance": lambda e, bad: e.finish_instance(bad),
    "status of instance": lambda e, bad: e.finish_instance(AN_ID, status=bad),
    "registered id": lambda e, bad: e.register_instance(instance_id=bad),
    "purpose": lambda e, bad: e.register_instance(purpose=bad),
    "agent_id": lambda e, bad: e.register_instance(agent_id=bad),
    "environment_id": lambda e, bad: e.register_instance(environment_id=bad),
    "external_identifier": lambda e, bad: e.register_instance(external_identifier=bad),
    "quality": lambda e, bad: e.record_quality(bad, {}, instance_id=AN_ID),
    "instance_id of quality": lambda e, bad: e.record_quality("q", {}, instance_id=bad),
}


@pytest.mark.parametrize("what", ILLEGAL)
@pytest.mark.parametrize(
    "bad",
    [[], object(), "\ud800", datetime(2026, 1, 1, tzinfo=Nowhere())],
    ids=["unhashable", "unknown", "no-unicode", "a time without a zone"],
)
def test_an_illegal_value_is_dropped_and_counted_and_never_raises(what, bad):
    exporter = make(linger=60.0)
    ILLEGAL[what](exporter, bad)
    stats = exporter.stats()
    exporter.shutdown(0)

    assert stats.dropped_reasons == {"invalid": 1}


@pytest.mark.parametrize("what", ILLEGAL)
@pytest.mark.parametrize(
    "bad",
    [[], object(), "\ud800", datetime(2026, 1, 1, tzinfo=Nowhere())],
    ids=["unhashable", "unknown", "no-unicode", "a time without a zone"],
)
def test_an_illegal_value_raises_in_strict_mode(what, bad):
    exporter = make(strict=True)
    with pytest.raises(InvalidEventError):
        ILLEGAL[what](exporter, bad)
    exporter.shutdown(0)


@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), -1, 2**70, 1.5, True, "now"])  # noqa: DTZ001  # the naive one is the point
def test_what_is_no_point_in_time_is_refused(moment):
    exporter = make(strict=True)
    with pytest.raises(ValueError, match="started_at"):
        exporter.record_span("a", started_at=moment)
    exporter.shutdown(0)


@pytest.mark.parametrize("what", ILLEGAL)
def test_a_value_that_resists_every_question_never_raises(what):
    """Whether it is legal or not is found out without asking it."""
    exporter = make(linger=60.0)
    ILLEGAL[what](exporter, Hostile("x"))
    stats = exporter.stats()
    exporter.shutdown(0)

    assert stats.recorded >= 1
    assert stats.dropped_reasons in ({"invalid": 1}, {})


def test_strings_of_another_kind_are_taken_for_what_they_say():
    exporter = InMemoryExporter()
    run = exporter.register_instance(
        agent_id=Name("agent"), external_identifier=Name("job"), instance_id=Name(AN_ID)
    )
    exporter.start_instance(Name(AN_ID))
    span = exporter.start_span(Name("a"), instance_id=Name(AN_ID))
    exporter.record_span("b", instance_id=AN_ID, parent_span_id=Name(span))
    exporter.finish_span(Name(span), status=Name("failed"))
    exporter.finish_instance(Name(AN_ID), status=Name("cancelled"))

    assert (run, type(run)) == (AN_ID, str)
    assert exporter.spans.tree(payloads=False) == "a failed\n  b complete"
    assert [(r.id, r.agent_id, r.external_identifier, r.status) for r in exporter.runs] == [
        (AN_ID, "agent", "job", "cancelled")
    ]
    assert exporter.terminated(Name(AN_ID)) is None


def test_the_same_mistake_is_logged_once(caplog):
    exporter = make()
    for _ in range(50):
        exporter.record_span("a", status="done")
    dropped = exporter.stats().dropped_reasons
    exporter.shutdown(0)

    assert sum("event_invalid" in r.getMessage() for r in caplog.records) == 1
    assert dropped == {"invalid": 50}


def test_a_disabled_exporter_does_nothing_and_says_so_once(caplog):
    before = threading.active_count()
    with caplog.at_level(logging.WARNING):
        exporter = Exporter.from_env({"PREFACTOR_API_TOKEN": ""})
        with exporter.instance() as run, run.span("a", {"x": 1}) as span:
            span.set_result({"y": 2})
            assert len(exporter.record_span("a")) == 32
            exporter.finish_span(exporter.start_span("a"))
            run.record_quality("q", {})
            assert run.should_stop is False
            assert exporter.terminated(run.id) is None

        @exporter.trace("a")
        def double(n):
            return 2 * n

        assert double(2) == 4
        exporter.set_token("t")
        assert exporter.flush()
        assert exporter.shutdown()

    stats = exporter.stats()
    assert (stats.state, stats.recorded) == ("disabled", 0)
    assert threading.active_count() == before
    assert len(caplog.records) == 1


async def test_a_disabled_exporter_can_be_awaited():
    async with Exporter(None) as exporter:
        async with exporter.instance() as run, run.span("a"):
            await asyncio.sleep(0)
        assert await exporter.flush_async()
    assert await exporter.shutdown_async()


def test_an_empty_token_is_refused():
    exporter = make()
    with pytest.raises(ValueError, match="token"):
        exporter.set_token("")


@pytest.mark.parametrize("token", ["hush\n", "\rhush", "hu\0sh"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(token):
    exporter = make()
    with pytest.raises(ValueError, match="control character") as told:
        exporter.set_token(token)
    assert "hush" not in str(told.value)


@pytest.mark.parametrize("token", [5, None, b"hush"])
def test_a_token_that_is_no_text_is_refused(token):
    for exporter in (make(), Exporter(None)):
        with pytest.raises(TypeError, match="must be text"):
            exporter.set_token(token)


def test_construction_starts_nothing():
    before = threading.active_count()
    exporter = make()
    exporter.stats()

    assert threading.active_count() == before
    assert exporter.shutdown()


def test_no_token_in_the_repr():
    exporter = Exporter(
        ExporterConfig(http=HttpClientConfig("http://127.0.0.1:1", "hush"), flush_at_exit=False)
    )

    assert "hush" not in repr(exporter) + repr(exporter.config)


def test_the_same_stop_is_told_once():
    exporter, told = make(), []
    exporter.on_terminate(lambda *args: told.append(args))
    exporter.on_terminate(lambda *args: 1 / 0)
    exporter._note_terminated(AN_ID, "why")
    exporter._note_terminated(AN_ID, "again")

    assert told == [(AN_ID, "why")]
    assert exporter.terminated(AN_ID) == TerminationSignal(instance_id=AN_ID, reason="why")


def test_a_stop_that_was_told_before_is_told_to_who_comes_later():
    """At once, and no second time; what fails in there is the callback's own affair."""
    exporter, told = make(), []
    exporter._note_terminated(AN_ID, "why")
    exporter.on_terminate(lambda *args: 1 / 0)
    exporter.on_terminate(lambda *args: told.append((*args, threading.current_thread())))
    exporter._note_terminated(AN_ID, "again")

    assert told == [(AN_ID, "why", threading.current_thread())]


def test_each_stop_is_told_once_while_callbacks_come():
    """Whichever of the two threads is first."""
    exporter, told = make(), []
    ids = [f"{n:032}" for n in range(2_000)]
    worker = threading.Thread(target=lambda: [exporter._note_terminated(run, None) for run in ids])
    worker.start()
    for _ in range(20):
        exporter.on_terminate(lambda run, _: told.append(run))
    worker.join()

    assert Counter(told) == dict.fromkeys(ids, 20)


def test_an_earlier_stop_may_be_told_inside_the_telling_of_another():
    exporter, told = make(), []
    exporter.on_terminate(lambda *_: exporter.on_terminate(lambda run, _: told.append(run)))
    exporter._note_terminated(AN_ID, None)

    assert told == [AN_ID]


WAITS = {
    "flush": lambda e, wait: e.flush(wait),
    "flush_async": lambda e, wait: asyncio.run(e.flush_async(wait)),
    "shutdown": lambda e, wait: e.shutdown(wait),
    "shutdown_async": lambda e, wait: asyncio.run(e.shutdown_async(wait)),
    "invocation": lambda e, wait: e.invocation(wait),
}


@pytest.mark.parametrize("exporter", [make(), Exporter(None)], ids=["enabled", "disabled"])
@pytest.mark.parametrize("call", WAITS)
@pytest.mark.parametrize("wait", ["5", b"x", True, [], timedelta(seconds=1), Decimal(1)])
def test_a_wait_that_is_no_number_is_refused_at_the_call(exporter, call, wait):
    with pytest.raises(TypeError, match=r"(timeout|deadline) must be a number of seconds, got"):
        WAITS[call](exporter, wait)
    assert exporter.stats().state in {"idle", "disabled"}


@pytest.mark.parametrize("exporter", [make(), Exporter(None)], ids=["enabled", "disabled"])
@pytest.mark.parametrize("call", WAITS)
def test_a_wait_that_is_not_a_number_is_refused_at_the_call(exporter, call):
    with pytest.raises(ValueError, match=r"(timeout|deadline) must be a number of seconds, got"):
        WAITS[call](exporter, float("nan"))
    assert exporter.stats().state in {"idle", "disabled"}


@pytest.mark.parametrize("call", WAITS)
@pytest.mark.parametrize("wait", [0, 0.5, Fraction(1, 2), float("inf"), 10**400])
@pytest.mark.parametrize("sign", [1, -1])
def test_any_number_is_a_wait_and_what_is_left_of_a_past_deadline_is_none(call, wait, sign):
    exporter = make()
    WAITS[call](exporter, sign * wait)
    exporter.shutdown(0)


@pytest.mark.parametrize("call", ["flush", "flush_async", "shutdown", "shutdown_async"])
def test_no_wait_given_is_the_default_one(call, monkeypatch):
    waits = []

    async def wait_async(self, seconds):
        waits.append(seconds)

    monkeypatch.setattr(Pipeline, "flush", lambda self, seconds: waits.append(seconds))
    monkeypatch.setattr(Pipeline, "flush_async", wait_async)
    monkeypatch.setattr(Pipeline, "stop", lambda self, seconds: waits.append(seconds))
    monkeypatch.setattr(Pipeline, "stop_async", wait_async)
    WAITS[call](make(shutdown_timeout=3.0), None)

    assert waits == [3.0 if "shutdown" in call else 10.0]


def test_an_invocation_needs_a_deadline():
    with pytest.raises(TypeError, match="deadline"):
        make().invocation(None)
    with pytest.raises(ValueError, match="deadline"):
        make().invocation(float("nan"))


@pytest.mark.parametrize("deadline", [-0.3, -1, float("-inf")])
def test_a_deadline_that_has_passed_leaves_the_handler_alone(deadline):
    """It is what a platform has left less a margin, and the handler has to do its work."""
    with make().invocation(deadline) as invocation:
        assert invocation.remaining == 0
    assert not invocation.report.timed_out
