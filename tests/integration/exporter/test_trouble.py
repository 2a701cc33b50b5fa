"""Ordinary trouble on the way costs time, never a span: all arrive, once, under their parents."""

import threading

import pytest

from prefactor_exporter import (
    AgentInfo,
    Exporter,
    ExporterConfig,
    HttpClientConfig,
    SchemaRegistry,
)
from prefactor_exporter._delivery import worker
from prefactor_http.devserver import DevServer, Switches
from tests.integration.exporter.conftest import bulk_requests, names, parents, total, until

pytestmark = pytest.mark.slow

SPANS = 60
EVENTS = SPANS + 2 + SPANS // 3
DEPLOYED = AgentInfo(version="v1")


def work(exporter, *, count=SPANS):
    """Record a three-level tree for each three spans: one nested, started and finished."""
    for n in range(0, count, 3):
        with exporter.span("agent:step", {"n": n}):
            exporter.record_span("agent:llm", {"n": n + 1})
            exporter.record_span("agent:tool", {"n": n + 2})


def assert_all_arrived(server, exporter, *, count=SPANS):
    """Each span once, in order, under its parent, and the books say so."""
    assert exporter.flush(25)

    assert names(server) == list(range(count))
    assert parents(server) == {n: n - n % 3 if n % 3 else None for n in range(count)}
    assert {span["status"] for span in server.spans()} == {"complete"}
    assert server.changed_bodies == []
    stats = exporter.stats()
    assert stats.recorded == stats.delivered == total(stats) == count + 2 + count // 3


def test_an_api_that_is_slow_gets_larger_batches(server, make):
    """Only these get a run through, each of whose requests waits for the one before."""
    server.faults.add("latency=1 times=1 path=/bulk")  # meanwhile all of it is recorded
    server.faults.add("latency=0.06 path=/bulk")
    exporter = make(linger=60.0, max_batch_items=300)
    work(exporter, count=1_998)

    # 100, 200, and six times 300 hold what twenty of 100 would; one more before the first is full.
    assert_all_arrived(server, exporter, count=1_998)
    assert bulk_requests(server) <= 10


def begun(exporter):
    run = exporter.register_instance()
    exporter.start_instance(run)
    return run


@pytest.fixture
def beside_one_that_hangs(server, make):
    """Return an exporter, a run of it whose request hangs, and another run."""
    exporter = make(linger=0.1)
    hanging, other = begun(exporter), begun(exporter)
    assert exporter.flush(25)
    server.faults.add("black_hole schema_name=hang")
    exporter.record_span("hang", {"n": 0}, instance_id=hanging)
    until(lambda: server.faults.hits, "the request that hangs")
    return exporter, hanging, other


def test_a_request_that_hangs_holds_back_no_other_run(server, beside_one_that_hangs):
    """What that records waits for company, not for the answer."""
    exporter, _, other = beside_one_that_hangs
    exporter.record_span("a", {"n": 1}, instance_id=other)
    until(lambda: server.spans(other), "the other one")

    assert exporter.stats().retries == 0


def test_the_backlog_of_a_run_whose_request_hangs_holds_back_no_other_run(
    server, monkeypatch, beside_one_that_hangs
):
    """The worker waits for an answer before it takes more in, but no more than once."""
    monkeypatch.setattr(worker, "_MOMENT", 1.0)
    exporter, hanging, other = beside_one_that_hangs
    for n in range(40_000):
        exporter.record_span("hang", {"n": n}, instance_id=hanging)
    exporter.record_span("a", {"n": 1}, instance_id=other)
    until(lambda: server.spans(other), "the other one")

    assert exporter.stats().retries == 0


@pytest.mark.parametrize(
    "rule",
    [
        "every=3 status=503 path=/bulk",
        "times=2 status=500 path=/bulk",
        "times=2 status=429 retry_after=0.05 path=/bulk",
        "times=2 status=429 retry_after_ms=40 path=/bulk",
        "times=1 status=408 path=/bulk",
        "times=2 html path=/bulk",
        "times=1 html status=200 path=/bulk",
        "times=2 cut_json path=/bulk",
        "times=2 reset=before path=/bulk",
        "times=2 reset=after path=/bulk",
        "times=1 drop_output path=/bulk",
        "times=1 alien_output path=/bulk",
        "latency=0.02 path=/bulk",
        "over_items=7 status=413 path=/bulk",
        "over_bytes=3000 status=413 path=/bulk",
        "times=1 status=401 code=unauthorized path=/bulk",
        "times=3 item_error=internal_server_error path=/bulk",
    ],
)
@pytest.mark.timeout(60)
def test_all_spans_arrive_once_in_spite_of(rule, server, make):
    server.faults.add(rule)
    exporter = make(max_batch_items=20)
    work(exporter)
    if "401" in rule:
        until(lambda: server.faults.hits == 1, "the refusal")
        exporter.set_token(server.token)

    assert_all_arrived(server, exporter)
    assert server.faults.hits


@pytest.mark.parametrize("token", ["account", "deployment"])
def test_spans_recorded_while_the_api_is_away_arrive_when_it_is_back(server, make, token):
    """With a deployment token even the partition of the ids is unknown until then."""
    server.pause()
    deployed = {"token": server.deployment_token, "agent": DEPLOYED}
    exporter = make(**(deployed if token == "deployment" else {}))
    work(exporter)
    until(lambda: exporter.stats().last_error, "the first refused connection")
    state = exporter.stats().state
    server.resume()

    assert state == "retrying"
    assert_all_arrived(server, exporter)


def test_spans_recorded_before_the_api_ever_started_arrive(tmp_path):
    """The exporter is told an address where nobody listens yet."""
    with DevServer(db=tmp_path / "api.db") as first:
        port, agent_id = first.port, first.agent_id
        config = ExporterConfig(
            http=HttpClientConfig(first.url, first.token),
            agent=AgentInfo(agent_id=agent_id, version="v1"),
            linger=0.01,
            flush_at_exit=False,
        )
    exporter = Exporter(config)
    work(exporter)
    until(lambda: exporter.stats().last_error, "the first refused connection")
    with DevServer(db=tmp_path / "api.db", port=port) as second, exporter:
        assert_all_arrived(second, exporter)


@pytest.mark.parametrize("known", [True, False], ids=["agent-known", "deployment-token"])
def test_an_api_that_makes_the_ids_itself_gets_the_same_tree(server, make, known):
    """No span twice, and each below its parent, though the ids here are not those there."""
    server.switches = Switches(refuse_client_ids=True)
    server.pause()
    exporter = make() if known else make(token=server.deployment_token, agent=DEPLOYED)
    work(exporter)
    until(lambda: exporter.stats().last_error, "the first refused connection")
    server.resume()

    assert exporter.flush(25)
    found = names(server)
    assert sorted(found) == list(range(SPANS))
    assert parents(server) == {n: n - n % 3 if n % 3 else None for n in range(SPANS)}
    stats = exporter.stats()
    assert stats.recorded == stats.delivered == EVENTS


def test_open_spans_and_runs_are_finished_under_the_ids_the_api_made(server, make):
    server.switches = Switches(refuse_client_ids=True)
    exporter = make()
    schema = SchemaRegistry().quality("score", {"type": "object"})
    with exporter.instance(agent_schema_version=schema) as run:
        with run.span("a", {"n": 0}):
            assert exporter.flush()
            exporter.record_span("a", {"n": 1})
            assert exporter.flush()
        run.record_quality("score", {"value": 1})
    assert exporter.flush()

    assert parents(server) == {0: None, 1: 0}
    assert {span["status"] for span in server.spans()} == {"complete"}
    (instance,) = server.instances()
    assert instance["status"] == "complete"
    assert instance["quality"] == {"score": {"value": 1}}


@pytest.mark.parametrize("poison", [[0], [7], [19], [3, 4, 5, 11], list(range(20))])
def test_one_bad_item_costs_nobody_else(server, make, poison):
    """The others of its batch arrive in order, with one more request for each bad item."""
    exporter = make(linger=60.0, max_batch_items=100)
    run = exporter.register_instance()
    exporter.start_instance(run)
    assert exporter.flush()
    before = bulk_requests(server)
    server.faults.add("schema_name=poison item_error=validation_errors")
    for n in range(20):
        name = "poison" if n in poison else "good"
        exporter.record_span(name, {"n": n}, instance_id=run)
    report = exporter.flush(25)

    assert names(server) == [n for n in range(20) if n not in poison]
    assert bulk_requests(server) - before <= len(poison) + 1
    assert (report.dead, report.pending, report.timed_out) == (len(poison), 0, False)
    stats = exporter.stats()
    assert stats.dead_reasons == {"validation_errors": len(poison)}
    assert stats.recorded == total(stats) == 22


def test_the_finish_of_a_refused_span_is_judged_with_it_and_its_children_live_on(server, make):
    server.faults.add("schema_name=poison item_error=validation_errors")
    exporter = make()
    with exporter.span("a", {"n": 0}), exporter.span("poison", {"n": 1}):
        assert not exporter.flush()
        exporter.record_span("a", {"n": 2})
    exporter.flush()

    assert parents(server) == {0: None, 2: 0}
    stats = exporter.stats()
    assert stats.dead == 2
    assert stats.recorded == total(stats) == 7


def test_a_refused_run_takes_its_own_spans_with_it_and_no_others(server, make):
    server.faults.add("type=agent_instances/register nth=1 times=1 item_error=validation_errors")
    exporter = make()
    with exporter.instance() as refused:
        exporter.record_span("a", {"n": 1})
        exporter.flush()
        exporter.record_span("a", {"n": 2})
    exporter.flush()
    with exporter.instance():
        exporter.record_span("a", {"n": 3})
    exporter.flush()

    assert names(server) == [3]
    assert server.spans(refused.id) == []
    stats = exporter.stats()
    assert stats.dead == 5
    assert stats.recorded == total(stats) == 9


@pytest.mark.parametrize("status", [400, 422])
def test_a_batch_refused_as_a_whole_is_halved_until_the_culprit_stands_alone(server, make, status):
    exporter = make(linger=60.0)
    run = exporter.register_instance()
    exporter.start_instance(run)
    assert exporter.flush()
    server.faults.add(f"schema_name=poison status={status}")
    for n in range(16):
        exporter.record_span("poison" if n == 5 else "good", {"n": n}, instance_id=run)
    report = exporter.flush(25)

    assert names(server) == [n for n in range(16) if n != 5]
    assert (report.dead, report.pending) == (1, 0)


def test_a_lone_item_that_is_too_large_is_cut_and_arrives(server, make):
    server.switches = Switches(max_bulk_bytes=100_000)
    exporter = make(redact=None)
    exporter.record_span("a", {"n": 0})
    exporter.record_span("a", {"n": 1, "text": "long " * 40_000})
    exporter.record_span("a", {"n": 2})

    assert exporter.flush(25)
    assert names(server) == [0, 1, 2]


def test_a_span_that_cannot_be_cut_enough_leaves_a_marker_in_its_place(server, make):
    """The trace keeps its shape: the child still hangs below it."""
    server.switches = Switches(max_bulk_bytes=1_500)
    exporter = make(redact=None, linger=0)
    wide = {f"{n}": "x" for n in range(1000)}
    with exporter.instance() as run, run.span("a", {"n": 0, **wide}) as outer:
        with run.span("a", {"n": 1}):
            pass
        outer.set_result({"text": "y" * 3000})

    assert exporter.flush(25)
    marked, child = sorted(server.spans(), key=lambda span: span["payload"].get("n", 0))
    assert marked["payload"].keys() == {"truncated"}
    assert marked["id"] == child["parent_span_id"] == outer.id
    assert marked["status"] == "complete"


@pytest.mark.parametrize("state", ["suspended", "revoked"])
def test_a_refused_token_suspends_delivery_until_another_one_is_set(server, make, caplog, state):
    """Nothing is lost in between, and the log says it once."""
    server.add_token("fresh")
    server.set_token_state(server.token, state)
    exporter = make()
    work(exporter)
    report = exporter.flush(0.3)
    stats = exporter.stats()
    exporter.set_token("fresh")

    assert not report and report.timed_out and report.pending == EVENTS
    assert stats.state == "suspended"
    assert_all_arrived(server, exporter)
    assert [r.getMessage().split()[0] for r in caplog.records].count("delivery_suspended") == 1
    assert exporter.stats().state == "idle"


def test_an_unreachable_api_is_told_once(server, make, caplog):
    server.pause()
    exporter = make()
    for n in range(5):
        exporter.record_span("a", {"n": n})
        exporter.flush(0.05)
    until(lambda: exporter.stats().requests >= 2, "a second try")
    server.resume()
    assert exporter.flush(25)

    told = [r.getMessage().split()[0] for r in caplog.records]
    assert told.count("delivery_degraded") == 1
    assert told.count("delivery_recovered") == 1
    assert server.token not in caplog.text


def test_nothing_overtakes_its_parent_or_its_create_whatever_fails(server, make):
    """Sixteen runs in different lanes, with every kind of failure at random."""
    server.faults.add("p=0.1 seed=1 status=503 path=/bulk")
    server.faults.add("p=0.1 seed=2 reset=after path=/bulk")
    server.faults.add("p=0.1 seed=3 item_error=internal_server_error path=/bulk")
    exporter = make(max_batch_items=10, max_in_flight=4)
    runs = []
    for r in range(8):
        with exporter.instance() as run:
            runs.append(run.id)
            for n in range(5):
                with run.span("a", {"n": f"{r}.{n}"}):
                    exporter.record_span("a", {"n": f"{r}.{n}.leaf"})
                    exporter.flush(0)
    assert exporter.flush(40)

    assert sorted(names(server)) == sorted(
        f"{r}.{n}{leaf}" for r in range(8) for n in range(5) for leaf in ("", ".leaf")
    )
    for r, run in enumerate(runs):
        assert names(server, run) == [f"{r}.{n}{leaf}" for n in range(5) for leaf in ("", ".leaf")]
    assert all(parent == n[:-5] for n, parent in parents(server).items() if n.endswith("leaf"))
    assert {i["status"] for i in server.instances()} == {"complete"}
    stats = exporter.stats()
    assert stats.recorded == stats.delivered == total(stats)


def test_on_drop_is_told_what_the_api_said(server, make):
    """Reason and message come from the API, and what was lost is named."""
    server.faults.add("item_error=bad_request message=because type=agent_spans/create times=1")
    drops = []
    exporter = make(on_drop=lambda event, reason: drops.append((event, reason)))
    span = exporter.record_span("a", {"n": 1})
    assert not exporter.flush()
    until(lambda: drops, "the call")

    ((event, reason),) = drops
    assert (event["kind"], event["id"], event["name"]) == ("span", span, "a")
    assert (reason, event["message"]) == ("bad_request", "because")


@pytest.mark.parametrize("poison", [[0], [10], [19], list(range(5, 15)), list(range(20))])
def test_each_bad_item_costs_exactly_one_more_request(server, make, poison):
    """First, in the middle, last, ten in a row, all; the others wait for nothing."""
    exporter = make(linger=60.0)
    run = exporter.register_instance()
    exporter.start_instance(run)
    assert exporter.flush()
    before = bulk_requests(server)
    server.faults.add("schema_name=poison item_error=validation_errors")
    for n in range(20):
        name = "poison" if n in poison else "good"
        exporter.record_span(name, {"n": n}, instance_id=run, parent_span_id=None)
    report = exporter.flush(25)

    assert (report.dead, report.pending) == (len(poison), 0)
    assert names(server) == [n for n in range(20) if n not in poison]
    # The request that finds the last poison at its end leaves nothing to send.
    assert bulk_requests(server) - before == len(poison) + (19 not in poison)
    assert exporter.stats().state == "idle"


@pytest.mark.parametrize(
    ("limit", "text", "most"),
    [
        ({"max_bulk_items": 10}, 10, 70),
        ({"max_bulk_bytes": 50_000}, 2_000, 30),
        ({"max_bulk_bytes": 1_000}, 10, 330),
    ],
    ids=["ten-items", "fifty-kilobytes", "one-kilobyte"],
)
def test_a_limit_of_the_server_is_found_and_remembered(server, make, limit, text, most):
    """Everything arrives; the second half needs no more requests than the limit demands."""
    exporter = make(linger=60.0)
    run = exporter.register_instance()
    exporter.start_instance(run)
    assert exporter.flush()
    server.switches = Switches(**limit)
    requests = []
    for half in (range(150), range(150, 300)):
        before = bulk_requests(server)
        for n in half:
            exporter.record_span("a", {"n": n, "text": "x" * text}, instance_id=run)
        assert exporter.flush(25)
        requests.append(bulk_requests(server) - before)

    assert names(server) == list(range(300))
    assert exporter.stats().dead == 0
    assert sum(requests) <= most
    assert requests[1] <= requests[0]


def test_a_giant_payload_arrives_cut_with_its_place_and_its_size(server, make):
    exporter = make()
    giant = "retrieved " * 2_000_000
    with exporter.span("a", {"n": 0}):
        span_id = exporter.record_span(
            "a", {"n": 1, "documents": [giant, "short"]}, result_payload={"text": giant}
        )
        exporter.record_span("a", {"n": 2})

    assert exporter.flush(25)
    assert parents(server) == {0: None, 1: 0, 2: 0}
    span = next(span for span in server.spans() if span["id"] == span_id)
    cut, short = span["payload"]["documents"]
    assert short == "short"
    assert cut.startswith("retrieved retrieved")
    assert f"{len(giant)}" in cut
    assert len(cut) < 300_000
    assert f"{len(giant)}" in span["result_payload"]["text"]
    assert exporter.stats().requests <= 2


def test_an_unknown_error_of_an_item_is_tried_again_within_a_budget(server, make):
    """Then it is given up like any other refused item, and the next ones have their turn."""
    server.faults.add("schema_name=odd item_error=moon_in_the_wrong_house")
    exporter = make(max_attempts=3)
    exporter.record_span("a", {"n": 0})
    exporter.record_span("odd", {"n": 1})
    exporter.record_span("a", {"n": 2})
    report = exporter.flush(25)

    assert (report.dead, report.pending) == (1, 0)
    assert names(server) == [0, 2]
    assert exporter.stats().dead_reasons == {"exhausted": 1}
    assert server.faults.hits == 3


def test_an_item_that_is_never_answered_is_given_up_after_a_few_tries(server, make):
    server.faults.add("drop_output schema_name=odd nth=1")
    exporter = make(max_attempts=3, max_batch_items=1)
    exporter.record_span("a", {"n": 0})
    exporter.record_span("odd", {"n": 1})
    exporter.record_span("a", {"n": 2})
    report = exporter.flush(25)

    assert (report.dead, report.pending) == (1, 0)
    assert exporter.stats().dead_reasons == {"unanswered": 1}
    assert {0, 2} <= set(names(server))
    assert len(names(server)) == len(set(names(server)))


def test_outputs_nobody_asked_for_change_nothing(server, make):
    server.faults.add("alien_output path=/bulk")
    exporter = make()
    work(exporter)

    assert_all_arrived(server, exporter)
    assert exporter.stats().retries == 0


def test_what_waits_for_longer_than_allowed_is_given_up_and_counted(server, make):
    """Without a disk an outage without end must not keep what nobody will want any more."""
    server.faults.add("status=503 path=/bulk")
    exporter = make(max_retry_age=0.05, max_batch_items=5)
    for n in range(10):
        exporter.record_span("a", {"n": n})
    report = exporter.flush(25)

    assert report.pending == 0
    assert report.dead == 12
    assert exporter.stats().dead_reasons.keys() == {"expired", "instance_refused"}


def test_a_run_whose_requests_always_fail_holds_nobody_back(server, make):
    """Such as one with a payload that breaks the server."""
    server.faults.add("schema_name=breaks status=500")
    exporter = make()
    with exporter.instance() as bad:
        exporter.record_span("breaks", {"n": "bad"})
        exporter.flush(0.2)
    for r in range(3):
        with exporter.instance():
            exporter.record_span("a", {"n": r})
    until(lambda: sorted(names(server)) == [0, 1, 2], "delivery of the others")

    assert exporter.stats().queued + exporter.stats().in_flight >= 2
    assert server.spans(bad.id) == []
    server.faults.clear()
    exporter.set_token(server.token)  # a nudge, to save the wait
    assert exporter.flush(40)
    assert names(server, bad.id) == ["bad"]


@pytest.mark.parametrize("state", [401, 403])
def test_a_flush_that_meets_a_refused_token_is_no_success(server, make, state):
    server.faults.add(f"status={state} path=/bulk")
    exporter = make()
    exporter.record_span("a", {"n": 1})
    report = exporter.flush(0.3)
    stopped = exporter.shutdown(0.1)

    assert not report
    assert (report.delivered, report.pending, report.timed_out) == (0, 3, True)
    assert not stopped
    assert stopped.dropped == 4


def test_a_token_refused_inside_a_bulk_answer_suspends_and_costs_nothing(server, make):
    server.faults.add("nth=3 times=1 item_error=unauthorized")
    exporter = make()
    work(exporter)
    until(lambda: exporter.stats().state == "suspended", "the refusal")
    pending = exporter.flush(0).pending
    exporter.set_token(server.token)

    assert pending
    assert_all_arrived(server, exporter)


@pytest.mark.parametrize("sent", ["at once", "before the end"])
@pytest.mark.parametrize("strict", [True, False])
def test_cancelled_spans_and_runs_arrive_whether_or_not_the_api_takes_the_word(
    server, make, strict, sent
):
    """The sources disagree whether what runs may be cancelled; "failed" always may."""
    server.switches = Switches(strict_cancelled=strict)
    exporter = make()
    run = exporter.register_instance()
    exporter.start_instance(run)
    span = exporter.start_span("a", {"n": 1}, instance_id=run)
    if sent == "before the end":
        assert exporter.flush(25)
    exporter.finish_span(span, status="cancelled", result_payload={"why": "stopped"})
    exporter.finish_instance(run, status="cancelled")

    assert exporter.flush(25)
    [stored] = server.spans()
    wanted = {"cancelled"} if not strict else {"cancelled", "failed"}
    assert stored["status"] in wanted
    assert stored["result_payload"] == {"why": "stopped"}
    assert server.instances()[0]["status"] in wanted
    assert stored["finished_at"] is not None
    assert exporter.stats().dead == 0


def test_eight_threads_on_one_run_keep_every_tree_in_order_whatever_fails(server, make):
    """The API refuses a finish before its create, and a child before its parent."""
    server.faults.add("p=0.1 seed=4 status=503 path=/bulk")
    server.faults.add("p=0.05 seed=5 status=429 retry_after=0.01 path=/bulk")
    server.faults.add("p=0.1 seed=6 reset=after path=/bulk")
    server.faults.add("over_items=13 status=413 path=/bulk")
    exporter = make(max_batch_items=20)
    with exporter.instance() as run:

        def work(name):
            for n in range(10):
                outer = exporter.start_span("a", {"n": f"{name}.{n}"}, instance_id=run.id)
                inner = exporter.start_span(
                    "a", {"n": f"{name}.{n}.in"}, instance_id=run.id, parent_span_id=outer
                )
                if n % 3 == 0:
                    exporter.flush(0.01)
                exporter.finish_span(inner, result_payload={"n": n})
                exporter.finish_span(outer)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert exporter.flush(40)

    found = parents(server)
    assert len(found) == len(names(server)) == 160
    assert all(parent == (n[:-3] if n.endswith(".in") else None) for n, parent in found.items())
    assert {span["status"] for span in server.spans()} == {"complete"}
    assert exporter.stats().dead == 0
    assert server.changed_bodies == []
