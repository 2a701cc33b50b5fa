"""With a deployment token alone the account's number is found out, whatever the API makes of it."""

import pytest

from prefactor_exporter import AgentInfo
from prefactor_http.devserver import Switches
from tests.integration.exporter.conftest import bulk_requests, names, parents, total, until

pytestmark = pytest.mark.slow

DEPLOYED = AgentInfo(version="v1")
ASKED = "/api/v1/pfid/generate"
CALLS = 3
DEPTH = 3
EVENTS = 2 + 2 * CALLS * DEPTH
TREE = {n: n - 1 if n % DEPTH else None for n in range(CALLS * DEPTH)}


@pytest.fixture
def deployed(server, make):
    """Return a maker of exporters that know nothing but a deployment token."""
    return lambda **settings: make(token=server.deployment_token, agent=DEPLOYED, **settings)


def nest(exporter, n, depth=DEPTH):
    """Record a span in a span in a span; return their ids."""
    with exporter.span("agent:step", {"n": n}) as span:
        inner = nest(exporter, n + 1, depth - 1) if depth > 1 else []
        return [span.id, *inner]


def work(exporter):
    """Record several nested calls; return what tells their ids, wherever they were made."""
    made = [span for call in range(CALLS) for span in nest(exporter, call * DEPTH)]
    return [span[:10] + span[16:] for span in made]


def known(server):
    """Return the ids of the spans the API has, without the account's number in them."""
    return [span["id"][:10] + span["id"][16:] for span in server.spans()]


def assert_all_arrived(server, exporter):
    """Each span once, under its parent, and the books say so."""
    assert exporter.flush(25)

    assert sorted(names(server)) == list(range(CALLS * DEPTH))
    assert parents(server) == TREE
    assert {span["status"] for span in server.spans()} == {"complete"}
    assert server.changed_bodies == []
    stats = exporter.stats()
    assert stats.recorded == stats.delivered == total(stats) == EVENTS


@pytest.mark.parametrize(
    "rule",
    [
        "times=1 cut_json",
        "times=1 html status=200",
        "times=1 html status=404",
        "times=2 html status=502",
        "times=1 status=409",
        "times=1 status=404 code=unknown",
        "times=3 status=408",
        "times=3 status=503 retry_after=0.01",
    ],
)
def test_an_answer_that_says_nothing_of_ids_is_asked_for_again(rule, server, deployed, caplog):
    """The ids of the caller are those of the API, and nested spans share a request."""
    server.faults.add(f"{rule} path={ASKED}")
    exporter = deployed()
    ids = work(exporter)

    assert_all_arrived(server, exporter)
    assert sorted(known(server)) == sorted(ids)
    assert bulk_requests(server) <= 2
    assert server.requests.count(ASKED) == server.faults.hits + 1
    assert "server_made_ids" not in caplog.text


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("status=404", 1),
        ("status=405", 1),
        ("status=400", 1),
        ("status=422", 1),
        ("html status=404", 3),
        ("status=409", 3),
        ("cut_json", 3),
    ],
)
def test_where_no_id_can_be_had_the_first_run_tells_the_number(rule, asked, server, deployed):
    """What is not of the API's own words, or no answer to the question, has to repeat."""
    server.faults.add(f"{rule} path={ASKED}")
    exporter = deployed()
    ids = work(exporter)

    assert_all_arrived(server, exporter)
    assert sorted(known(server)) == sorted(ids)
    assert bulk_requests(server) <= 3
    assert server.requests.count(ASKED) == asked


def test_a_token_that_may_not_have_ids_made_delivers(server, deployed, caplog):
    """One run gets its id from the API; everything after it is named here."""
    server.switches = Switches(pfid_needs_account_token=True)
    exporter = deployed()
    ids = work(exporter)

    assert_all_arrived(server, exporter)
    assert sorted(known(server)) == sorted(ids)
    assert bulk_requests(server) <= 3
    assert caplog.text == ""
    with exporter.instance() as run, run.span("a", {"n": "later"}) as span:
        pass
    assert exporter.flush()

    assert run.id in {instance["id"] for instance in server.instances()}
    assert server.spans(run.id)[0]["id"] == span.id


def test_runs_that_were_begun_before_the_number_was_known_are_whole(server, deployed):
    """Though one of them got its id from the API, and another failed at first."""
    server.switches = Switches(pfid_needs_account_token=True)
    server.faults.add("times=1 reset=after path=/bulk")
    exporter = deployed(linger=60.0)
    for n in range(3):
        with exporter.instance() as run, run.span("a", {"n": 10 * n}):
            run.span("a", {"n": 10 * n + 1}).__enter__().__exit__(None, None, None)

    assert exporter.flush(25)
    assert parents(server) == {0: None, 1: 0, 10: None, 11: 10, 20: None, 21: 20}
    assert [instance["status"] for instance in server.instances()] == ["complete"] * 3


def test_a_run_named_by_the_api_goes_on_with_the_next_process(server, deployed, tmp_path):
    """What it left in the spool refers to ids that the API does not know as such."""
    server.switches = Switches(pfid_needs_account_token=True)
    spool = {"spool_dir": tmp_path, "spool_interval": 0.01, "shutdown_timeout": 0}
    first = deployed(**spool)
    outer = first.start_span("a", {"n": "outer"})
    assert first.flush()
    server.pause()
    first.record_span("a", {"n": "inner"}, parent_span_id=outer)
    first.shutdown()
    server.resume()
    second = deployed(spool_dir=tmp_path)
    second.record_span("a", {"n": "next"})
    until(lambda: "inner" in names(server), "delivery of what the first left")
    assert second.flush()

    assert parents(server) == {"outer": None, "inner": "outer", "next": None}


def test_an_api_that_refuses_ids_after_all_makes_them(server, deployed, caplog):
    """It tells its number, and then takes none with it."""
    server.switches = Switches(pfid_needs_account_token=True, refuse_client_ids=True)
    exporter = deployed()
    work(exporter)

    assert_all_arrived(server, exporter)
    assert "the API refuses ids made by clients" in caplog.text


def test_runs_side_by_side_are_whole_though_the_api_refuses_the_first_ids(server, deployed):
    """It told the number by what it made, and then wants to make all ids itself."""
    server.switches = Switches(pfid_needs_account_token=True, refuse_client_ids=True)
    exporter = deployed()
    runs = [exporter.register_instance() for _ in range(6)]
    for run in runs:
        exporter.start_instance(run)
        for n in range(100):
            exporter.record_span("a", {"n": n}, instance_id=run)
    assert exporter.flush(25)

    assert sorted(names(server)) == sorted([*range(100)] * 6)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_good_either_suspends_until_another_one_is_set(
    status, server, deployed
):
    server.faults.add(f"status={status} path={ASKED}")
    server.faults.add(f"status={status} path=/api/v1/ping")
    exporter = deployed()
    work(exporter)
    until(lambda: exporter.stats().state == "suspended", "the suspension")
    assert exporter.stats().requests == 0
    server.faults.clear()
    exporter.set_token(server.deployment_token)

    assert_all_arrived(server, exporter)


def test_an_error_of_our_own_says_nothing_of_the_api(server, deployed, caplog):
    """A token that no header can hold does not mean that ids are refused."""
    exporter = deployed()
    exporter._http.api_token = "not\na token"
    ids = work(exporter)
    until(lambda: exporter.stats().last_error, "the error")
    exporter.set_token(server.deployment_token)

    assert_all_arrived(server, exporter)
    assert sorted(known(server)) == sorted(ids)
    assert "server_made_ids" not in caplog.text
