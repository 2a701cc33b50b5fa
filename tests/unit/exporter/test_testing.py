"""The test kit shows what would have been sent, and lets nothing out of the machine."""

import asyncio
import inspect
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter import (
    Exporter,
    ExporterConfig,
    HttpClientConfig,
    InvalidEventError,
    Redaction,
    SchemaRegistry,
    Sensitive,
    TerminationSignal,
)
from prefactor_exporter import testing as kit
from prefactor_exporter.testing import (
    InMemoryExporter,
    ManualClock,
    RecordedSpan,
    TelemetryGuard,
    TelemetryRefusedError,
    record_in_memory,
)
from prefactor_exporter.testing.diversion import end_with_block
from prefactor_exporter.testing.guard import is_loopback
from prefactor_exporter.testing.recorded import nest

REAL = "https://app.prefactorai.com"
AN_ID = "0" * 32
ROOT = Path(__file__).parents[3]
HANG = 30.0
START = datetime(2026, 1, 1, tzinfo=UTC)


def config(url=REAL, **settings):
    return ExporterConfig(
        http=HttpClientConfig(url, "token"), **{"flush_at_exit": False} | settings
    )


@pytest.fixture
def exporter():
    return InMemoryExporter()


# -- the same as the real one ----------------------------------------------------------------


def public(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


@pytest.mark.parametrize("name", sorted(public(Exporter) | {"__enter__", "__aenter__"}))
def test_every_call_has_the_signature_of_the_real_one(name):
    real, ours = getattr(Exporter, name), getattr(InMemoryExporter, name)

    assert inspect.signature(ours) == inspect.signature(real)


def test_it_adds_nothing_but_what_a_test_asks():
    assert public(InMemoryExporter) - public(Exporter) == {"spans", "runs", "items", "terminate"}
    assert set(vars(InMemoryExporter)) & public(Exporter) == set()


def test_construction_takes_what_the_real_one_takes():
    real = inspect.signature(Exporter).parameters
    ours = inspect.signature(InMemoryExporter).parameters

    assert list(ours)[: len(real)] == list(real)
    assert [ours[name].kind for name in real] == [real[name].kind for name in real]


def test_it_is_made_from_the_environment_too():
    assert InMemoryExporter.from_env({}).record_span("a")
    named = InMemoryExporter.from_env({"PREFACTOR_API_TOKEN": "t", "PREFACTOR_AGENT_NAME": "Ann"})
    named.record_span("a")

    assert named.runs[0].agent_version["name"] == "Ann"


def test_no_thread_no_file(tmp_path):
    spool = tmp_path / "spool"
    before = threading.active_count()
    exporter = InMemoryExporter(config(spool_dir=spool, flush_at_exit=True))
    exporter.record_span("a")

    assert exporter.flush()
    assert len(exporter.spans) == 1
    assert exporter.shutdown()
    assert threading.active_count() == before
    assert not spool.exists()


# -- what was recorded -----------------------------------------------------------------------


def test_spans_are_plain_and_nested(exporter):
    with exporter.instance() as run:
        with run.span("agent:llm", {"question": "?"}) as span:
            inner = exporter.record_span("tool:search", {"q": 1}, result_payload={"hits": []})
            span.set_result({"answer": 42})
        with pytest.raises(ZeroDivisionError), run.span("agent:step"):
            1 / 0  # noqa: B018

    llm, search, step = exporter.spans
    assert (llm.schema_name, llm.status, llm.payload, llm.result) == (
        "agent:llm",
        "complete",
        {"question": "?"},
        {"answer": 42},
    )
    assert (llm.id, llm.instance_id, llm.parent_id) == (span.id, run.id, None)
    assert (search.id, search.parent_id, search.result) == (inner, span.id, {"hits": []})
    assert llm.children == (search,)
    assert step.status == "failed"
    assert step.result["error_type"] == "ZeroDivisionError"
    assert exporter.spans.roots == [llm, step]
    assert exporter.runs[0].spans == (llm, step)


def test_what_is_seen_is_frozen(exporter):
    exporter.record_span("a")
    with pytest.raises(AttributeError):
        exporter.spans[0].status = "failed"


def test_redaction_snapshot_and_trimming_are_those_of_production():
    exporter = InMemoryExporter(
        config(
            max_payload_bytes=2_000,
            redact=Redaction(keys=("salary",), hook=lambda payload: payload | {"hooked": True}),
        )
    )
    payload = {"api_key": "k", "salary": 1, "pin": Sensitive("1234"), "odd": {1, 2}, "n": [1]}
    exporter.record_span("a", payload, result_payload={"text": "x" * 10_000})
    payload["n"].append(2)

    span = exporter.spans.one("a")
    assert span.payload == {
        "api_key": "[redacted]",
        "salary": "[redacted]",
        "pin": {"$sensitive": "string", "value": "1234"},
        "odd": [1, 2],
        "n": [1],
        "hooked": True,
    }
    assert span.sensitive
    assert len(span.result["text"]) < 2_000


def test_a_sensitive_result_marks_the_span(exporter):
    span_id = exporter.start_span("a")
    exporter.flush()
    exporter.finish_span(span_id, result_payload={"pin": Sensitive(1)})

    assert exporter.spans.one().sensitive


def test_a_span_is_active_until_it_is_finished(exporter):
    span_id = exporter.start_span("a")
    spans = exporter.spans
    before = spans[0]
    exporter.finish_span(span_id, status="cancelled", result_payload={"x": 1})

    assert (before.status, before.result, before.finished_at, before.duration) == (
        "active",
        None,
        None,
        None,
    )
    assert (spans[0].status, spans[0].result) == ("cancelled", {"x": 1})
    assert spans[0].duration >= 0


def test_runs_say_how_they_were_registered_and_how_they_went(exporter):
    schemas = SchemaRegistry()
    schemas.add("agent:llm", {"type": "object"})
    schemas.quality("score", {"type": "object"})
    schemas.quality("gone", {"type": "object"})
    with exporter.instance(
        agent_version={"external_identifier": "v1"},
        agent_schema_version=schemas,
        agent_id="agent",
        environment_id="environment",
        external_identifier="job-7",
        purpose="eval",
    ) as run:
        active = exporter.runs[0].status
        run.record_quality("score", {"value": 1})
        run.record_quality("gone", {"value": 1})
        run.record_quality("gone", None)
        run.fail()

    (seen,) = exporter.runs
    assert active == "active"
    assert (seen.id, seen.registered, seen.status) == (run.id, True, "failed")
    assert (seen.agent_id, seen.environment_id) == ("agent", "environment")
    assert (seen.external_identifier, seen.purpose) == ("job-7", "eval")
    assert seen.agent_version["external_identifier"] == "v1"
    assert seen.agent_schema_version["span_type_schemas"][0]["name"] == "agent:llm"
    assert seen.qualities == {"score": {"value": 1}}
    assert seen.started_at <= seen.finished_at
    assert seen.spans == ()


def test_a_quality_that_was_not_declared_is_refused_as_the_api_would(exporter):
    with exporter.instance() as run:
        run.record_quality("score", {"value": 1})
    report = exporter.flush()

    assert not report
    assert exporter.stats().dead_reasons == {"validation_errors": 1}
    assert "'score' is not a quality schema" in exporter.stats().last_error
    assert exporter.runs[0].qualities == {}


def test_a_registered_run_is_pending(exporter):
    exporter.register_instance()

    assert [run.status for run in exporter.runs] == ["pending"]


def test_what_belongs_to_a_run_of_another_process_is_kept(exporter):
    exporter.record_span("a", instance_id=AN_ID)
    exporter.finish_span("1" * 32, instance_id=AN_ID)
    exporter.record_quality("q", {}, instance_id=AN_ID)

    (run,) = exporter.runs
    assert (run.id, run.registered, run.status, run.qualities) == (
        AN_ID,
        False,
        "active",
        {"q": {}},
    )
    assert [span.schema_name for span in exporter.spans] == ["a"]
    assert [item["_type"] for item in exporter.items] == [
        "agent_spans/create",
        "agent_spans/finish",
        "agent_instances/record_quality",
    ]


def test_spans_of_runs_side_by_side_keep_the_order_of_recording(exporter):
    first, second = exporter.instance(), exporter.instance()
    with first, second:
        for n in range(3):
            exporter.record_span("a", {"n": n}, instance_id=first.id)
            exporter.record_span("b", {"n": n}, instance_id=second.id)

    assert [(s.schema_name, s.payload["n"]) for s in exporter.spans] == [
        (name, n) for n in range(3) for name in "ab"
    ]


def test_the_own_run_declares_the_types_in_use_as_it_does_in_production(exporter):
    exporter.record_span("a")
    exporter.record_span("b")
    declared = exporter.runs[0].agent_schema_version["span_type_schemas"]
    exporter.shutdown()

    assert [entry["name"] for entry in declared] == ["a", "b"]
    assert exporter.runs[0].status == "complete"


def test_open_spans_are_closed_at_the_end(exporter):
    with exporter:
        outer = exporter.start_span("outer")
        exporter.start_span("inner", parent_span_id=outer)

    assert [(s.schema_name, s.status) for s in exporter.spans] == [
        ("outer", "cancelled"),
        ("inner", "cancelled"),
    ]


def test_a_burst_needs_no_memory_beyond_a_batch(exporter):
    for n in range(1_000):
        exporter.record_span("a", {"n": n})
        assert len(exporter._queue.items) <= exporter.config.max_batch_items

    assert [span.payload["n"] for span in exporter.spans] == list(range(1_000))


def test_a_trace_of_any_depth_can_be_seen(exporter):
    parent = None
    for _ in range(3_000):
        parent = exporter.record_span("a", parent_span_id=parent)

    assert sum(1 for _ in exporter.runs[0].walk()) == 3_000
    assert len(exporter.spans.tree().splitlines()) == 3_000


def test_a_forked_child_begins_with_nothing(exporter):
    exporter.record_span("a")
    exporter.restart_in_child()

    assert list(exporter.spans) == []
    exporter.record_span("b")
    assert [span.schema_name for span in exporter.spans] == ["b"]


# -- the books -------------------------------------------------------------------------------


def total(stats):
    return (
        stats.delivered
        + stats.queued
        + stats.in_flight
        + stats.spooled
        + stats.dead
        + stats.dropped
    )


def test_the_sum_law_holds_and_looking_delivers(exporter):
    exporter.finish_span(exporter.start_span("a"))
    stats = exporter.stats()

    assert stats.recorded == stats.delivered == total(stats) == 4
    assert (stats.merged, stats.requests, stats.state) == (1, 0, "idle")
    assert exporter.health()


def test_flush_and_shutdown_report_the_truth():
    exporter = InMemoryExporter(strict=False)
    exporter.record_span("a")
    assert exporter.flush()
    exporter.record_span("a", status="done")
    report = exporter.flush()
    assert not report
    assert report.dropped == 1
    assert not exporter.shutdown()
    exporter.record_span("late")

    stats = exporter.stats()
    assert stats.dropped_reasons == {"invalid": 1, "shutdown": 1}
    assert (stats.state, stats.recorded) == ("closed", total(stats))
    assert len(exporter.spans) == 1


async def test_it_can_be_awaited():
    async with InMemoryExporter() as exporter:
        async with exporter.instance() as run, run.span("a"):
            await asyncio.sleep(0)
        assert await exporter.flush_async()

    assert await exporter.shutdown_async()
    assert exporter.spans.one("a").status == "complete"


def test_mistakes_raise_unless_asked_not_to():
    with pytest.raises(InvalidEventError):
        InMemoryExporter(config()).record_span("a", status="done")
    assert InMemoryExporter(strict=False).record_span("a", status="done")


def test_the_bounds_of_a_configuration_hold():
    """A loss wakes the worker, in memory as in production, and then there is room again."""
    dropped = []
    exporter = InMemoryExporter(
        config(max_queue_items=3, on_drop=lambda event, reason: dropped.append(event["name"]))
    )
    for name in "abc":
        exporter.record_span(name)
    stats = exporter.stats()

    assert stats.dropped_reasons == {"queue_full": 1}
    assert dropped == ["b"]
    assert [span.schema_name for span in exporter.spans] == ["a", "c"]
    assert stats.recorded == total(stats)


def test_callbacks_may_record_flush_and_look():
    seen = []

    def hook(payload):
        if payload.get("n") == 1:
            exporter.record_span("inner", {"n": 2})
            seen.append(bool(exporter.flush()))
            seen.append(len(exporter.spans))
        return payload

    exporter = InMemoryExporter(config(redact=Redaction(hook=hook)))
    exporter.record_span("outer", {"n": 1})

    assert [span.schema_name for span in exporter.spans] == ["outer", "inner"]
    assert seen == [False, 0]
    assert exporter.flush()


def test_it_may_be_used_from_many_threads(exporter):
    def record():
        with exporter.instance() as run:
            for n in range(50):
                with run.span("a", {"n": n}):
                    exporter.record_span("b")
                if n % 10 == 0:
                    assert exporter.flush()

    threads = [threading.Thread(target=record) for _ in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert all(span.schema_name == "b" for s in exporter.spans for span in s.children)
        threads[0].join(0.01)

    assert [len(list(run.walk())) for run in exporter.runs] == [100] * 6
    assert [len(run.find("b", status="complete")) for run in exporter.runs] == [50] * 6
    assert exporter.stats().delivered == exporter.stats().recorded


def test_a_record_call_does_not_wait_for_a_hook_in_another_thread():
    entered, leave = threading.Event(), threading.Event()

    def hook(payload):
        if payload.get("slow"):
            entered.set()
            leave.wait(HANG)
        return payload

    exporter = InMemoryExporter(config(max_batch_items=1, redact=Redaction(hook=hook)))
    exporter.record_span("first")
    slow = threading.Thread(target=exporter.record_span, args=("slow", {"slow": True}))
    slow.start()
    entered.wait(HANG)
    exporter.record_span("quick")
    waiting = threading.Thread(target=exporter.flush, args=(HANG,))
    waiting.start()
    held = len(exporter._queue.items)
    leave.set()
    slow.join(HANG)
    waiting.join(HANG)

    assert held
    assert not slow.is_alive()
    assert not waiting.is_alive()
    assert [span.schema_name for span in exporter.spans] == ["first", "slow", "quick"]


def test_what_comes_in_the_last_moment_of_a_delivery_is_not_left_behind():
    """Another thread records while the turn is still taken, and relies on who has it."""

    class Turn:
        def __init__(self):
            self.lock = threading.RLock()
            self.acquire = self.lock.acquire
            self.late = ["late"]

        def release(self):
            while self.late:
                thread = threading.Thread(target=exporter.record_span, args=(self.late.pop(),))
                thread.start()
                thread.join(HANG)
            self.lock.release()

    exporter = InMemoryExporter(config(max_batch_items=1))
    exporter.record_span("first")
    exporter._pipeline.worker._turn = Turn()
    exporter.record_span("a")

    assert not exporter._queue.items
    assert [span.schema_name for span in exporter.spans] == ["first", "a", "late"]


def test_set_token_is_taken(exporter):
    exporter.set_token("another")
    with pytest.raises(ValueError, match="empty"):
        exporter.set_token("")


# -- the operator ----------------------------------------------------------------------------


def test_an_operator_can_terminate_a_run(exporter):
    heard = []
    exporter.on_terminate(lambda *signal: heard.append(signal))
    with exporter.instance() as other, exporter.instance() as run:
        exporter.terminate(run.id, "enough")
        signal = run.termination
        assert run.should_stop
        assert not other.should_stop
        run.cancel()

    assert signal == TerminationSignal(instance_id=run.id, reason="enough")
    assert heard == [(run.id, "enough")]
    assert [(r.status, r.termination) for r in exporter.runs] == [
        ("complete", None),
        ("cancelled", signal),
    ]


def test_without_an_id_every_active_run_is_terminated(exporter):
    with exporter.instance():
        pass
    with exporter.instance() as first, exporter.instance() as second:
        exporter.terminate()
        assert first.should_stop
        assert second.should_stop

    assert [run.termination is not None for run in exporter.runs] == [False, True, True]


def test_only_an_active_run_can_be_terminated(exporter):
    with pytest.raises(ValueError, match="none is"):
        exporter.terminate()
    with exporter.instance() as run, pytest.raises(ValueError, match=run.id):
        exporter.terminate(AN_ID)


# -- finding and showing -----------------------------------------------------------------------


@pytest.fixture
def spans(exporter):
    with exporter.instance() as run:
        with run.span("agent:llm", {"model": {"name": "large", "size": 7}, "n": 1}) as span:
            with run.span("tool:search", {"q": "a"}) as tool:
                tool.fail({"error": "away"})
            with run.span("tool:search", {"q": "b"}):
                pass
            span.set_result({"text": "x" * 200})
        with run.span("agent:llm"):
            pass
    return exporter.spans


def test_find_takes_everything_that_matches(spans):
    def found(*args, **criteria):
        return [spans.index(span) for span in spans.find(*args, **criteria)]

    assert found() == [0, 1, 2, 3]
    assert found("tool:search") == [1, 2]
    assert found("tool:search", status="failed") == [1]
    assert found(payload={"model": {"name": "large"}}) == [0]
    assert found(payload={"model": {"name": "small"}}) == []
    assert found(result={"error": "away"}) == [1]
    assert found(result={}) == [0, 1]
    assert [s.payload["q"] for s in spans[0].find("tool:search")] == ["a", "b"]
    assert spans[0].find("agent:llm") == []


def test_one_takes_exactly_one_or_shows_what_there_is(spans):
    assert spans.one("tool:search", status="failed").payload == {"q": "a"}
    with pytest.raises(AssertionError) as none:
        spans.one("tool:write", payload={"q": "a"})
    with pytest.raises(AssertionError) as two:
        spans.one("tool:search")

    text = str(none.value)
    assert "schema_name='tool:write', payload={'q': 'a'}, found 0" in text
    assert '  tool:search failed {"q":"a"} -> {"error":"away"}' in text.splitlines()
    assert "found 2" in str(two.value)


def test_one_of_nothing_says_so(exporter):
    with pytest.raises(AssertionError, match=r"one span with anything, found 0.*\nnothing"):
        exporter.spans.one()


def test_the_tree_is_the_same_each_time(spans):
    assert spans.tree(payloads=False).splitlines() == [
        "agent:llm complete",
        "  tool:search failed",
        "  tool:search complete",
        "agent:llm complete",
    ]
    assert str(spans) == spans.tree()
    assert max(map(len, str(spans).splitlines())) < 200
    assert spans[0].tree(payloads=False).count("\n") == 2
    assert spans.runs[0].tree(payloads=False).splitlines()[:2] == [
        "run complete",
        "  agent:llm complete",
    ]


def test_times_are_shown_when_asked_for():
    clock = ManualClock()
    exporter = InMemoryExporter(clock=clock)
    with exporter.span("a"):
        clock.advance(0.0125)

    assert exporter.spans.tree(times=True) == "a complete 12.5 ms"


def test_short_forms_are_short(spans, exporter):
    assert repr(spans[1]) == '<RecordedSpan tool:search failed {"q":"a"} -> {"error":"away"}>'
    assert repr(spans) == (
        "<RecordedSpans 4: agent:llm complete, tool:search failed, tool:search complete, "
        "agent:llm complete>"
    )
    exporter.record_span("a")
    assert repr(spans).endswith(", ...>")
    assert repr(InMemoryExporter().spans) == "<RecordedSpans 0: none>"
    assert repr(exporter) == "<InMemoryExporter 5 spans>"
    assert repr(exporter.runs[0]).endswith("complete, 4 spans>")


def test_spans_are_a_sequence_that_compares(spans):
    assert spans == list(spans) == spans[:]
    assert spans != []
    assert spans != 7
    assert InMemoryExporter().spans == []
    assert spans[-1] is spans[3]
    with pytest.raises(TypeError):
        hash(spans)


@given(st.lists(st.integers(-1, 12), max_size=12))
def test_every_span_has_one_place_in_the_tree(parents):
    """Whatever claims to be the parent of what, nothing is lost or shown twice."""
    flat = {
        str(n): RecordedSpan(
            id=str(n),
            instance_id="r",
            schema_name="a",
            started_at=START,
            parent_id=str(parent) if parent >= 0 else None,
        )
        for n, parent in enumerate(parents)
    }
    nested = nest(flat)
    below = {child.id for span in nested.values() for child in span.children}
    reached = [s.id for root in nested.values() if root.id not in below for s in root.walk()]

    assert list(nested) == list(flat)
    assert sorted(reached) == sorted(flat)
    assert all(c.parent_id == s.id for s in nested.values() for c in s.children)


# -- the clock -------------------------------------------------------------------------------


def test_the_clock_moves_by_hand_alone():
    clock = ManualClock()
    exporter = InMemoryExporter(clock=clock)
    with exporter.span("a"):
        clock.advance(2.5)
        clock.pause(0.5)

    span = exporter.spans.one("a")
    assert span.started_at == START
    assert span.finished_at == clock.now() == datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)
    assert span.duration == clock.monotonic() == 3.0


def test_a_jump_moves_the_wall_clock_alone():
    clock = ManualClock(START)
    clock.advance(1)
    clock.jump(0)

    assert (clock.time_ns(), clock.monotonic()) == (0, 1.0)
    clock.jump(START)
    assert clock.time_ns() == ManualClock(clock.time_ns()).time_ns() == 1_767_225_600_000_000_000
    assert repr(clock) == "<ManualClock 2026-01-01T00:00:00+00:00>"


def test_the_clock_says_what_is_wrong():
    with pytest.raises(ValueError, match="jump"):
        ManualClock().advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001  # the naive one is the point


# -- exporters that the code makes itself --------------------------------------------------------


def test_exporters_made_in_the_block_record_into_memory():
    with record_in_memory() as kept:
        made = Exporter(config())
        made.record_span("a")
        with made.instance() as run:
            kept.terminate(run.id, "enough")
            assert run.should_stop
        with pytest.raises(InvalidEventError):
            made.record_span("a", status="done")
    before = threading.active_count()
    made.record_span("b")
    made.restart_in_child()
    made.record_span("c")

    assert [span.schema_name for span in kept.spans] == ["a", "b", "c"]
    assert made.flush()
    assert threading.active_count() == before
    assert [run.termination is not None for run in kept.runs][:2] == [False, True]


def test_exporters_of_this_machine_and_disabled_ones_are_left_alone():
    mine = InMemoryExporter()
    with record_in_memory(mine) as kept:
        local = Exporter(config("http://127.0.0.1:1"))
        local.record_span("a")
        Exporter.from_env({}).record_span("a")
    local.shutdown(0)

    assert kept is mine
    assert kept.spans == []


def test_exporters_made_after_the_block_are_real_again():
    with record_in_memory() as kept:
        pass
    after = Exporter(config("http://127.0.0.1:1"))
    after.record_span("a")
    after.shutdown(0)

    assert kept.spans == []
    assert after.stats().dropped_reasons == {"shutdown": 4}


def test_exporters_of_a_server_end_with_it():
    with end_with_block("http://127.0.0.1:1", timeout=0):
        its = Exporter(config("http://127.0.0.1:1"))
        other = Exporter(config("http://127.0.0.1:2"))
        Exporter.from_env({})

    assert (its.stats().state, other.stats().state) == ("closed", "idle")


# -- the guard -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "http://127.8.8.8",
        "http://[::1]:1",
        "http://localhost",
        "http://a.localhost:1",
    ],
)
def test_this_machine_is_recognised(url):
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        REAL,
        "http://10.0.0.1",
        "http://localhost.example",
        "http://0.0.0.0",
        "127.0.0.1",
        "http://[::",
        "",
    ],
)
def test_everything_else_is_not_this_machine(url):
    assert not is_loopback(url)


def test_the_guard_refuses_each_event_and_sends_none_later():
    exporter = Exporter(config())
    before = threading.active_count()
    with TelemetryGuard():
        for _ in range(2):
            with pytest.raises(TelemetryRefusedError, match="recorded_spans") as refused:
                exporter.record_span("a")
        with pytest.raises(TelemetryRefusedError):
            exporter.flush()
    exporter.record_span("a")

    assert REAL in str(refused.value)
    assert not exporter.flush()
    assert threading.active_count() == before
    assert not exporter.shutdown()
    assert exporter.stats().delivered == exporter.stats().requests == 0


def test_the_guard_lets_through_what_stays_here():
    exporter = Exporter(config("http://127.0.0.1:1"))
    with TelemetryGuard():
        exporter.record_span("a")
    exporter.shutdown(0)

    assert exporter.stats().recorded == 4


def test_the_guard_hides_the_token(monkeypatch):
    monkeypatch.setenv("PREFACTOR_API_TOKEN", "secret")
    with TelemetryGuard() as guard:
        assert "PREFACTOR_API_TOKEN" not in os.environ
        with guard.allow():
            assert os.environ["PREFACTOR_API_TOKEN"] == "secret"
            with guard.allow(allowed=False):
                assert "PREFACTOR_API_TOKEN" not in os.environ
        assert "PREFACTOR_API_TOKEN" not in os.environ

    assert os.environ["PREFACTOR_API_TOKEN"] == "secret"


def test_the_guard_lets_through_what_is_asked_for(monkeypatch):
    monkeypatch.delenv("PREFACTOR_API_TOKEN", raising=False)
    exporter = Exporter(config("http://in-memory.invalid"))
    with TelemetryGuard() as guard, guard.allow():
        exporter.record_span("a")
        assert any(t.name == "prefactor-exporter" for t in threading.enumerate())
        exporter.shutdown(0)

    assert "PREFACTOR_API_TOKEN" not in os.environ


# -- what it costs ---------------------------------------------------------------------------


def test_all_is_sorted_and_true():
    assert kit.__all__ == sorted(kit.__all__, key=lambda name: (name.islower(), name))
    assert all(hasattr(kit, name) for name in kit.__all__)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("prefactor_exporter.testing", ["pytest", "aiohttp"]),
        ("prefactor_exporter.testing.plugin", ["aiohttp"]),
    ],
)
def test_importing_needs_neither_pytest_nor_the_network(module, without):
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in without)
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {blocked}; import {module}"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
