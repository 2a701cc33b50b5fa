"""What is recorded arrives, as it was recorded, under the right run and the right parent."""

import asyncio
import contextvars
import threading
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from prefactor_exporter import Exporter, SchemaRegistry, Sensitive
from tests.integration.exporter.conftest import bulk_requests, names, parents, total, until

pytestmark = pytest.mark.slow

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
MOMENT_NS = int(MOMENT.timestamp()) * 10**9 + 250_000_000


def test_a_recorded_span_arrives_in_a_run_of_the_process_which_ends_with_the_exporter(
    server, exporter
):
    """One line is enough: the run is registered, started and finished by itself."""
    span_id = exporter.record_span("agent:llm", {"n": 1}, result_payload={"text": "hi"})
    assert exporter.flush()
    (active,) = server.instances()
    report = exporter.shutdown()

    (instance,), (span,) = server.instances(), server.spans()
    assert active["status"] == "active"
    assert instance["status"] == "complete"
    assert instance["id"] == active["id"] == span["agent_instance_id"]
    assert span["id"] == span_id
    assert (span["schema_name"], span["status"]) == ("agent:llm", "complete")
    assert span["payload"] == {"n": 1}
    assert span["result_payload"] == {"text": "hi"}
    assert span["started_at"] == span["finished_at"] is not None
    assert span["mismatch"] is None
    assert report
    assert report.delivered == 4


def test_a_start_and_its_finish_travel_as_one_item_if_neither_was_sent(server, exporter):
    span_id = exporter.start_span("agent:llm", {"n": 1})
    exporter.finish_span(span_id, status="failed", result_payload={"error": "no"})
    assert exporter.flush()

    (span,) = server.spans()
    assert (span["status"], span["result_payload"]) == ("failed", {"error": "no"})
    assert span["finish_key"] is None
    stats = exporter.stats()
    assert (stats.recorded, stats.delivered, stats.merged) == (4, 4, 1)


def test_a_finish_follows_a_create_that_was_sent_before(server, exporter):
    span_id = exporter.start_span("agent:llm", {"n": 1})
    assert exporter.flush()
    (before,) = server.spans()
    exporter.finish_span(span_id, result_payload={"text": "late"})
    assert exporter.flush()

    (after,) = server.spans()
    assert before["status"] == "active"
    assert (after["status"], after["result_payload"]) == ("complete", {"text": "late"})
    assert after["finish_key"]
    assert exporter.stats().merged == 0


@pytest.mark.parametrize("status", ["complete", "failed", "cancelled"])
def test_a_run_can_be_handled_step_by_step(server, exporter, status):
    instance = exporter.register_instance(
        agent_version={"external_identifier": "v7"},
        agent_schema_version={"external_identifier": "s", "span_type_schemas": []},
        external_identifier="job-1",
        purpose="eval",
    )
    exporter.start_instance(instance, timestamp=MOMENT)
    exporter.record_span("agent:tool", {"n": 1}, instance_id=instance)
    exporter.finish_instance(instance, status=status, timestamp=MOMENT_NS + 10**9)
    assert exporter.flush()

    (stored,) = server.instances()
    assert stored["id"] == instance
    assert stored["status"] == status
    assert (stored["external_identifier"], stored["purpose"]) == ("job-1", "eval")
    assert stored["started_at"].startswith("2026-03-01T12:00:00.25")
    assert stored["finished_at"].startswith("2026-03-01T12:00:01.25")
    assert names(server, instance) == [1]


def test_times_are_taken_as_datetimes_of_any_zone_and_as_nanoseconds(server, exporter):
    tokyo = MOMENT.astimezone(timezone(timedelta(hours=9)))
    exporter.record_span("a", {"n": 1}, started_at=tokyo, finished_at=MOMENT_NS + 10**9)
    span_id = exporter.start_span("a", {"n": 2}, started_at=MOMENT_NS)
    assert exporter.flush()
    exporter.finish_span(span_id, timestamp=MOMENT + timedelta(seconds=1))
    assert exporter.flush()

    for span in server.spans():
        assert span["started_at"].startswith("2026-03-01T12:00:00.25")
        assert span["finished_at"].startswith("2026-03-01T12:00:01.25")


def test_no_span_that_leaves_as_one_item_ends_before_it_begins(server, exporter):
    earlier = MOMENT - timedelta(seconds=5)
    exporter.record_span("a", {"n": 1}, started_at=MOMENT, finished_at=earlier)
    merged = exporter.start_span("a", {"n": 2}, started_at=MOMENT)
    exporter.finish_span(merged, timestamp=earlier)
    assert exporter.flush()

    spans = server.spans()
    assert len(spans) == 2
    assert all(span["started_at"] == span["finished_at"] for span in spans)


def test_no_span_that_was_sent_before_its_end_ends_before_it_begins(server, exporter):
    """As when the system's clock was set back in between."""
    span_id = exporter.start_span("a", {"n": 1}, started_at=MOMENT)
    assert exporter.flush()
    exporter.finish_span(span_id, timestamp=MOMENT - timedelta(seconds=5))
    assert exporter.flush()

    (span,) = server.spans()
    assert span["started_at"] == span["finished_at"]


@pytest.mark.parametrize("first", [False, True])
def test_ids_of_the_caller_are_kept(server, make, first):
    """Ids made elsewhere, by another exporter with the same agent, and used by that as well."""
    ids = make()
    instance, parent, child = (ids.register_instance() for _ in range(3))
    if first:
        assert ids.flush()
    exporter = make()
    exporter.register_instance(instance_id=instance)
    exporter.start_instance(instance)
    exporter.record_span("a", {"n": 1}, instance_id=instance, span_id=parent)
    exporter.start_span("a", {"n": 2}, instance_id=instance, span_id=child, parent_span_id=parent)
    exporter.finish_span(child)
    assert exporter.flush()

    spans = server.spans(instance)
    assert [span["id"] for span in spans] == [parent, child]
    assert spans[1]["parent_span_id"] == parent


def test_a_span_of_another_process_is_finished_when_its_run_is_named(server, make):
    first, second = make(), make()
    span_id = first.start_span("a", {"n": 1})
    assert first.flush()
    (span,) = server.spans()
    second.finish_span(span_id, instance_id=span["agent_instance_id"])
    assert second.flush()

    assert server.spans()[0]["status"] == "complete"


def test_spans_inside_spans_are_their_children(server, exporter):
    with exporter.instance() as run, run.span("a", {"n": "root"}) as root:
        exporter.record_span("a", {"n": "leaf"})
        with exporter.span("a", {"n": "inner"}) as inner:
            exporter.record_span("a", {"n": "deep"})
            exporter.record_span("a", {"n": "top"}, parent_span_id=None)
            exporter.record_span("a", {"n": "aunt"}, parent_span_id=root.id)
        inner_id = inner.id
        exporter.record_span("a", {"n": "late"}, parent_span_id=inner_id)
    assert exporter.flush()

    assert parents(server) == {
        "root": None,
        "leaf": "root",
        "inner": "root",
        "deep": "inner",
        "top": None,
        "aunt": "root",
        "late": "inner",
    }
    (instance,) = server.instances()
    assert instance["status"] == "complete"


async def test_the_current_span_follows_await_tasks_and_copied_contexts(server, exporter):
    async def step(n):
        async with exporter.span("a", {"n": n}):
            await asyncio.sleep(0)
            exporter.record_span("a", {"n": f"{n}.leaf"})

    async with exporter.instance() as run, run.span("a", {"n": "root"}):
        await step("awaited")
        await asyncio.gather(*(step(f"task{i}") for i in range(3)))
        await asyncio.to_thread(exporter.record_span, "a", {"n": "to_thread"})
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(exporter.record_span, "a", {"n": "thread"})
        )
        thread.start()
        thread.join()
    assert await exporter.flush_async()

    found = parents(server)
    steps = ["awaited", "task0", "task1", "task2"]
    assert {n: found[n] for n in [*steps, "to_thread", "thread"]} == dict.fromkeys(
        [*steps, "to_thread", "thread"], "root"
    )
    assert {n: found[f"{n}.leaf"] for n in steps} == {n: n for n in steps}


async def test_two_runs_in_one_process_never_mix(server, exporter):
    async def agent(n):
        async with (
            exporter.instance(external_identifier=n) as run,
            run.span("a", {"n": f"{n}.root"}),
        ):
            for i in range(20):
                await asyncio.sleep(0)
                exporter.record_span("a", {"n": f"{n}.{i}"})
        return run.id

    runs = dict(zip("xyz", await asyncio.gather(*map(agent, "xyz")), strict=True))
    assert await exporter.flush_async()

    assert len(set(runs.values())) == 3
    for n, run in runs.items():
        assert names(server, run) == [f"{n}.root", *(f"{n}.{i}" for i in range(20))]
    assert {parent for n, parent in parents(server).items() if n.startswith("x.")} == {
        None,
        "x.root",
    }


def test_a_span_of_a_run_that_is_not_the_enclosing_one_has_no_parent_there(server, exporter):
    with exporter.instance() as outer, outer.span("a", {"n": 1}), exporter.instance() as inner:
        exporter.record_span("a", {"n": 2})
        exporter.record_span("a", {"n": 3}, instance_id=outer.id)
        exporter.record_span("a", {"n": 4}, instance_id=inner.id)
    assert exporter.flush()

    assert names(server, inner.id) == [2, 4]
    assert sorted(names(server, outer.id)) == [1, 3]
    assert {n: p for n, p in parents(server).items() if n in {2, 4}} == {2: None, 4: None}


def test_two_exporters_never_mix(server, make):
    first, second = make(), make()
    with first.instance() as one, one.span("a", {"n": 1}):
        second.record_span("a", {"n": 2})
        with second.instance() as two, two.span("a", {"n": 3}):
            first.record_span("a", {"n": 4})
    assert first.flush() and second.flush()

    found = parents(server)
    assert 1 in names(server, one.id)
    assert names(server, two.id) == [3]
    assert found[2] is None and found[3] is None
    assert found[4] in {None, 1}


def test_the_exception_inside_a_run_is_told_and_goes_on(server, exporter):
    with pytest.raises(KeyError), exporter.instance() as run, run.span("a", {"n": 1}):
        raise KeyError("missing")
    assert exporter.flush()

    assert server.instances()[0]["status"] == "failed"
    (span,) = server.spans()
    assert span["status"] == "failed"
    assert span["result_payload"]["error_type"] == "KeyError"


async def test_a_cancelled_task_leaves_a_cancelled_run(server, exporter):
    entered = asyncio.Event()

    async def agent():
        async with exporter.instance() as run, run.span("a", {"n": 1}):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(agent())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await exporter.flush_async()

    assert server.instances()[0]["status"] == "cancelled"
    assert server.spans()[0]["status"] == "cancelled"


def test_a_span_ends_as_its_block_says(server, exporter):
    with exporter.span("a", {"n": 1}) as span:
        span.set_result({"ok": True})
    with exporter.span("a", {"n": 2}) as span:
        span.fail({"why": "x"})
    with exporter.span("a", {"n": 3}) as span:
        span.cancel()
    assert exporter.flush()

    told = {s["payload"]["n"]: (s["status"], s["result_payload"]) for s in server.spans()}
    assert told[1] == ("complete", {"ok": True})
    assert told[2] == ("failed", {"why": "x"})
    assert told[3][0] == "cancelled"


def test_what_is_recorded_is_what_it_was_at_that_moment(server, exporter):
    """The agent goes on changing its message list; the span keeps the old one."""
    messages = [{"role": "user", "content": "one"}]
    payload = {"n": 1, "messages": messages}
    span_id = exporter.start_span("a", payload)
    messages.append({"role": "assistant", "content": "two"})
    payload["n"] = 99
    result = {"tags": ["x"]}
    exporter.finish_span(span_id, result_payload=result)
    result["tags"].clear()
    assert exporter.flush()

    (span,) = server.spans()
    assert span["payload"] == {"n": 1, "messages": [{"role": "user", "content": "one"}]}
    assert span["result_payload"] == {"tags": ["x"]}


def test_sensitive_values_travel_in_the_wrapper_of_the_api(server, exporter):
    exporter.record_span(
        "a", {"n": 1, "name": Sensitive("Ada")}, result_payload={"deep": [{"v": Sensitive(7)}]}
    )
    exporter.record_span("a", {"n": 2})
    span_id = exporter.start_span("a", {"n": 3})
    assert exporter.flush()
    exporter.finish_span(span_id, result_payload={"ok": 1})
    assert exporter.flush()

    spans = {span["payload"]["n"]: span for span in server.spans()}
    assert spans[1]["sensitive_encoding"] is True
    assert spans[1]["payload"]["name"] == {"$sensitive": "string", "value": "Ada"}
    assert spans[1]["result_payload"]["deep"][0]["v"]["value"] == 7
    assert spans[2]["sensitive_encoding"] is False


class Question(msgspec.Struct):
    n: int


def test_declared_span_types_are_registered(server, exporter):
    schema = SchemaRegistry().add("agent:ask", Question, title="Ask", template="{{ n }}")
    schema.quality("score", {"type": "object"})
    with exporter.instance(agent_schema_version=schema) as run:
        exporter.record_span("agent:ask", {"n": 1})
        exporter.record_span("agent:ask", {"n": "no number"})
        run.record_quality("score", {"value": 0.5})
    assert exporter.flush()

    good, bad = server.spans()
    assert good["mismatch"] is None
    assert bad["mismatch"]
    assert server.instances()[0]["quality"] == {"score": {"value": 0.5}}


def test_span_types_in_use_are_declared_when_their_run_is_registered(server, exporter):
    """Nothing was declared, and yet nothing is undeclared."""
    for n, name in enumerate(["agent:llm", "agent:tool", 'odd "name"']):
        exporter.record_span(name, {"n": n, "any": ["thing"]})
    assert exporter.flush()

    assert [span["mismatch"] for span in server.spans()] == [None, None, None]


def test_quality_is_taken_after_the_end_of_a_run(server, exporter):
    schema = SchemaRegistry().quality("score", {"type": "object"})
    with exporter.instance(agent_schema_version=schema) as run:
        pass
    assert exporter.flush()
    exporter.record_quality("score", {"value": 1}, instance_id=run.id)
    assert exporter.flush()

    assert server.instances()[0]["quality"] == {"score": {"value": 1}}


def test_a_run_learns_within_a_batch_that_it_should_stop(server, exporter):
    told = []
    exporter.on_terminate(lambda instance, reason: told.append((instance, reason)))
    with exporter.instance() as run:
        exporter.record_span("a", {"n": 1})
        assert exporter.flush()
        before = run.should_stop
        server.terminate(run.id, "too dear")
        exporter.record_span("a", {"n": 2})
        exporter.flush()

        assert before is False
        assert run.should_stop
        assert run.termination.reason == exporter.terminated(run.id).reason == "too dear"
        assert told == [(run.id, "too dear")]


def test_another_token_counts_from_the_next_request_on(server, make):
    server.add_token("second")
    exporter = make()
    exporter.record_span("a", {"n": 1})
    assert exporter.flush()
    server.set_token_state(server.token, "revoked")
    exporter.set_token("second")
    exporter.record_span("a", {"n": 2})

    assert exporter.flush()
    assert names(server) == [1, 2]


def test_an_exporter_from_the_environment_delivers(server):
    exporter = Exporter.from_env(
        {
            "PREFACTOR_API_URL": server.url,
            "PREFACTOR_API_TOKEN": server.token,
            "PREFACTOR_AGENT_ID": server.agent_id,
            "PREFACTOR_EXPORTER_FLUSH_AT_EXIT": "false",
        }
    )
    with exporter:
        exporter.record_span("agent:llm", {"n": 1})

    assert names(server) == [1]


def test_one_event_leaves_by_itself(server, exporter):
    """Nobody flushes; a long-lived process records once and waits."""
    exporter.record_span("a", {"n": 1})

    until(lambda: names(server) == [1], "delivery")


def test_a_burst_leaves_in_full_batches(server, make):
    exporter = make(linger=60.0, max_batch_items=100)
    for n in range(998):
        exporter.record_span("a", {"n": n})
    assert exporter.flush()

    assert names(server) == list(range(998))
    assert bulk_requests(server) <= 12


def test_the_books_balance_in_every_sample_while_threads_record(server, make):
    exporter = make()
    ended = threading.Event()
    samples = []

    def watch():
        while not ended.wait(0.001):
            samples.append(exporter.stats())

    def record(worker):
        for n in range(200):
            span_id = exporter.start_span("a", {"n": f"{worker}.{n}"})
            exporter.finish_span(span_id)

    watcher = threading.Thread(target=watch)
    watcher.start()
    recorders = [threading.Thread(target=record, args=(i,)) for i in range(4)]
    for thread in recorders:
        thread.start()
    for thread in recorders:
        thread.join()
    report = exporter.flush(30)
    ended.set()
    watcher.join()

    assert report
    assert exporter.stats().recorded == exporter.stats().delivered == 1602
    assert all(s.recorded == total(s) for s in samples)
    counts = [s.recorded for s in samples]
    assert counts == sorted(counts)
    assert all(min(s.queued, s.in_flight, s.delivered, s.queued_bytes) >= 0 for s in samples)
    assert len(set(names(server))) == len(names(server)) == 800


@pytest.mark.parametrize("name", ["agent:\ud800", "a" * 10_000, "\x00", "\N{SNOWMAN}"])
def test_a_strange_name_costs_no_other_span(server, make, name):
    """Such as half of a surrogate pair, which no encoder of JSON takes."""
    exporter = make(strict=False)
    exporter.record_span("a", {"n": 1})
    exporter.record_span(name, {"n": "strange"})
    exporter.record_quality(name, {})
    exporter.record_span("a", {"n": 2})
    report = exporter.flush(5)

    assert report.pending == 0
    assert [n for n in names(server) if n != "strange"] == [1, 2]
