"""``demo``: every span of the agent arrives in its place, or the command fails."""

import json
import signal
import socket
import sys
from urllib.parse import urlsplit

import pytest

from prefactor_exporter import ExporterStats
from prefactor_exporter.cli.demo import demo


def flat(spans, parent=None):
    for span in spans:
        yield span["type"], span["status"], parent
        yield from flat(span["children"], span["type"])


RUN = sorted(
    [
        ("agent:task", "complete", ""),
        ("agent:llm", "complete", "agent:task"),
        ("agent:retrieval", "complete", "agent:task"),
        ("agent:embedding", "complete", "agent:retrieval"),
        ("tool:weather", "failed", "agent:task"),
        ("tool:weather", "complete", "agent:task"),
        ("tool:routes", "complete", "agent:task"),
        ("agent:llm", "complete", "agent:task"),
    ]
)


@pytest.mark.slow
def test_demo_shows_the_tree_and_the_sums(run):
    """The demo ends well, with a tree that has the failed tool, and the sums."""
    done = run("demo")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("agent:task") == 2
    assert done.stdout.count("WeatherServiceError") == 2
    assert "delivered" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "faults",
    [
        [],
        ["every=5 status=503", "every=7 reset=after", "every=9 status=429 retry_after_ms=10"],
    ],
    ids=["no faults", "faults"],
)
def test_every_span_arrives_in_its_place(run, faults):
    """All runs have all spans under the right parents, whatever the server does."""
    rules = [argument for fault in faults for argument in ("--fault", fault)]
    done = run("demo", "--spans", 400, "--json", *rules)
    told = json.loads(done.stdout)

    assert (done.returncode, done.stderr, told["problems"]) == (0, "", [])
    assert told["stats"]["recorded"] == told["stats"]["delivered"]
    assert len(told["runs"]) == 50
    for told_run in told["runs"]:
        found = sorted((kind, status, up or "") for kind, status, up in flat(told_run["spans"]))
        assert found == RUN


@pytest.mark.slow
def test_refused_span_is_a_problem(run):
    """What the server refuses for good is named, and the demo fails."""
    done = run("demo", "--fault", "schema_name=tool:routes item_error=validation_errors")

    assert done.returncode == 1
    assert "missing step 5 tool:routes complete below step 1" in done.stderr
    assert "events were not delivered: 2 validation_errors" in done.stderr


def test_fault_that_cannot_be_read_is_wrong_usage(run):
    """A mistake in a rule is one line that names it."""
    done = run("demo", "--fault", "evry=3")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown word 'evry' in fault rule 'evry=3'; allowed: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_keep_serving_leaves_the_server_up_until_it_is_told(start):
    """With ``--keep-serving`` the runs can be looked at until Ctrl-C, which is no failure."""
    child = start("demo", "--json", "--keep-serving")
    told = json.loads(child.stdout.readline())
    line = child.stderr.readline()
    url = urlsplit(line.split()[4].rstrip(";"))
    socket.create_connection((url.hostname, url.port)).close()
    child.send_signal(signal.SIGINT)

    assert (told["complete"], child.wait()) == (True, 0)


def test_ctrl_c_of_a_server_left_up_is_no_failure(monkeypatch, capsys):
    """The end of ``--keep-serving`` is Ctrl-C, and the exit status that of the demo."""

    def interrupted():
        raise KeyboardInterrupt

    module = sys.modules[demo.__module__]
    monkeypatch.setattr(module, "_record", lambda *_, **__: ({}, ExporterStats()))
    monkeypatch.setattr(module, "until_stopped", interrupted)
    demo(spans=1, as_json=True, keep_serving=True)

    output, errors = capsys.readouterr()
    assert json.loads(output)["complete"]
    assert errors.startswith("The server stays on http://127.0.0.1:")
