"""A run that sends nothing still learns that it should stop."""

import pytest

from prefactor_exporter._delivery import termination
from tests.integration.exporter.conftest import until

pytestmark = pytest.mark.slow


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
    """The poll ends at the first refusal; delivery goes on and is not suspended."""
    monkeypatch.setattr(termination, "_POLL_EVERY", 0.01)
    server.switches = type(server.switches)(deployment_polling_allowed=False)
    exporter = make(token=server.deployment_token)
    with exporter.instance() as run:
        assert exporter.flush()
        path = f"/api/v1/agent_instance/{server.instances()[0]['id']}"
        until(lambda: server.requests.count(path) == 1, "the poll")
        run.span("a").__enter__().__exit__(None, None, None)
        report = exporter.flush()

    assert report
    assert server.requests.count(path) == 1
    assert exporter.stats().state in {"idle", "delivering"}
