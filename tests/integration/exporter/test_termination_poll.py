"""A run that sends nothing still learns that it should stop."""

import pytest

from prefactor_exporter._delivery import termination
from prefactor_http.devserver import Switches
from tests.integration.exporter.conftest import until

pytestmark = pytest.mark.slow


def poll_of(server):
    """Return the path under which the only run is asked about."""
    return f"/api/v1/agent_instance/{server.instances()[0]['id']}"


@pytest.mark.parametrize("token", ["account", "deployment"])
def test_an_idle_run_is_told_by_the_poll(server, make, monkeypatch, token):
    """No span is answered any more, so the signal can only come from asking for the run."""
    monkeypatch.setattr(termination, "_POLL_EVERY", 0.05)
    exporter = make() if token == "account" else make(token=server.deployment_token)
    told = []
    exporter.on_terminate(lambda instance, reason: told.append((instance, reason)))
    with exporter.instance() as run:
        assert exporter.flush()
        server.terminate(server.instances()[0]["id"], "too dear")
        until(lambda: run.should_stop, "the signal")

    assert told == [(run.id, "too dear")]
    assert run.termination is not None
    assert run.termination.reason == "too dear"


def test_a_token_that_may_not_read_costs_nothing(server, make, monkeypatch):
    """The poll rests after two refusals; delivery goes on and is not suspended."""
    monkeypatch.setattr(termination, "_POLL_EVERY", 0.01)
    server.switches = Switches(deployment_polling_allowed=False)
    exporter = make(token=server.deployment_token)
    with exporter.instance() as run:
        assert exporter.flush()
        path = poll_of(server)
        until(lambda: server.requests.count(path) == 2, "the poll")
        for _ in range(20):
            run.span("a").__enter__().__exit__(None, None, None)
            assert exporter.flush()

    assert server.requests.count(path) == 2
    assert exporter.stats().state in {"idle", "delivering"}


def test_the_next_token_may_read_again(server, make, monkeypatch):
    monkeypatch.setattr(termination, "_POLL_EVERY", 0.01)
    server.switches = Switches(deployment_polling_allowed=False)
    exporter = make(token=server.deployment_token)
    with exporter.instance() as run:
        assert exporter.flush()
        until(lambda: server.requests.count(poll_of(server)) == 2, "the poll")
        server.terminate(server.instances()[0]["id"], "too dear")
        exporter.set_token(server.token)
        until(lambda: run.should_stop, "the signal")


@pytest.mark.parametrize("rule", ["times=1 status=401", "times=1 status=403"])
def test_one_refusal_is_not_the_end_of_asking(server, make, monkeypatch, rule):
    monkeypatch.setattr(termination, "_POLL_EVERY", 0.01)
    exporter = make()
    with exporter.instance() as run:
        assert exporter.flush()
        server.faults.add(f"{rule} path={poll_of(server)}")
        until(lambda: server.faults.hits, "the refusal")
        server.terminate(server.instances()[0]["id"], "too dear")
        until(lambda: run.should_stop, "the signal")


def test_asking_goes_on_when_a_suspended_token_is_good_again(server, make, monkeypatch):
    """Nothing was recorded meanwhile, so nothing else noticed."""
    monkeypatch.setattr(termination, "_POLL_EVERY", 0.01)
    exporter = make()
    with exporter.instance() as run:
        assert exporter.flush()
        server.set_token_state(server.token, "suspended")
        before = server.requests.count(poll_of(server))
        until(lambda: server.requests.count(poll_of(server)) > before + 3, "refusals")
        server.set_token_state(server.token, "active")
        server.terminate(server.instances()[0]["id"], "too dear")
        until(lambda: run.should_stop, "the signal")
