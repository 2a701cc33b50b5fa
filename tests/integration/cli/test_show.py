"""``show`` and ``tail``: a run as the server knows it, whole or as it happens."""

import json
import signal
import sys
import threading

import pytest

from prefactor_exporter import HttpClientConfig
from prefactor_exporter.cli.connection import with_client
from prefactor_exporter.cli.reading import newest_run, spans_of
from prefactor_exporter.cli.tail import tail
from prefactor_http.devserver import Switches
from tests.integration.exporter.conftest import until

pytestmark = pytest.mark.slow


@pytest.fixture
def recorded(record):
    """A run with a tool below a call of the model, both over, one of them badly."""
    exporter = record()
    with exporter.instance() as run, run.span("agent:llm", {"question": "[bold]why?"}) as llm:
        exporter.record_span("tool:find", {"q": "\x1b[31mx"}, status="failed")
        llm.set_result({"answer": 42})
    assert exporter.flush()
    return run.id


@pytest.fixture
def going_on(record):
    """A run that goes on: its exporter, its id, and an open span."""
    exporter = record()
    run = exporter.register_instance()
    exporter.start_instance(run)
    span = exporter.start_span("agent:llm", {"n": 0}, instance_id=run)
    assert exporter.flush()
    return exporter, run, span


# -- show ------------------------------------------------------------------------------------


def test_show_draws_the_tree(call, reach, recorded):
    """The newest run is shown with durations, statuses and what each span was about."""
    done = call("show", *reach)
    head, agent, llm, tool = done.stdout.splitlines()

    assert (done.exit_code, done.stderr) == (0, "")
    assert head.startswith(f"run {recorded}  complete  ")
    assert head.endswith("  2 spans (1 failed)")
    assert agent.startswith("agent ") and ", started 20" in agent
    assert llm.startswith("└── agent:llm  complete  ") and llm.endswith("  [bold]why? → 42")
    assert tool.startswith("    └── tool:find  failed  0 ms  \\x1b[31mx")


def test_poor_terminals_get_what_they_can_show(run, reach, recorded):
    """An encoding without boxes and arrows is no reason to fail."""
    done = run("show", recorded, *reach, PYTHONIOENCODING="ascii")

    assert (done.returncode, done.stderr) == (0, "")
    assert "`-- agent:llm  complete" in done.stdout


def test_show_prints_payloads_when_asked(call, reach, recorded):
    """With ``--payloads`` what went in and came out stands below each span."""
    done = call("show", recorded, *reach, "--payloads")

    assert done.exit_code == 0
    assert '    payload {\n      "question": "[bold]why?"\n    }' in done.stdout
    assert '    result {\n      "answer": 42\n    }' in done.stdout


def test_show_is_readable_for_machines(call, reach, recorded):
    """The JSON has the run and its spans in the order of the tree."""
    done = call("show", recorded, *reach, "--json")
    told = json.loads(done.stdout)

    assert (done.exit_code, done.stderr) == (0, "")
    assert (told["run"]["id"], told["run"]["status"]) == (recorded, "complete")
    assert [(span["schema_name"], span["depth"]) for span in told["spans"]] == [
        ("agent:llm", 0),
        ("tool:find", 1),
    ]
    assert told["spans"][0]["result_payload"] == {"answer": 42}
    assert told["spans"][1]["seconds"] == 0.0


def test_show_reads_every_page(call, record, reach):
    """A run of many pages is shown whole."""
    exporter = record()
    with exporter.instance():
        for n in range(250):
            exporter.record_span("a", {"n": n})
    assert exporter.flush()
    done = call("show", *reach, "--json")

    assert sorted(span["payload"]["n"] for span in json.loads(done.stdout)["spans"]) == [
        *range(250)
    ]


def test_show_names_the_reason_of_a_termination(call, server, reach, going_on):
    """A terminated run says why."""
    _, run, _ = going_on
    server.terminate(run, "too \x1b[2J expensive")
    done = call("show", run, *reach)

    assert f"run {run}  terminated" in done.stdout
    assert "terminated: too \\x1b[2J expensive\n" in done.stdout


@pytest.mark.parametrize("command", ["show", "tail"])
@pytest.mark.parametrize("run", ["01m8849znmqfdz9zhj5n9fs94byyn96f", "what/ever", ".."])
def test_unknown_run_is_one_line(call, server, reach, command, run):
    """A run that is not there is named, with the way out."""
    done = call(command, run, *reach)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: there is no run {run} at {server.url}: without an id, the newest run is taken\n"
    )


@pytest.mark.parametrize("command", ["show", "tail"])
def test_no_run_at_all_is_one_line(call, server, reach, command):
    """An empty server is said to be empty."""
    done = call(command, *reach)

    assert done.exit_code == 1
    assert done.stderr == (f"error: there is no run at {server.url} yet: record something first\n")


@pytest.mark.parametrize("command", ["show", "tail"])
@pytest.mark.parametrize("token", ["wrong", "dev-deployment-token"])
def test_refused_token_is_one_line(call, server, command, token, recorded):
    """A token that is wrong, or may not read, is told as such and not shown."""
    done = call(command, "--url", server.url, "--token", token)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {server.url} refuses the token (")
    assert "needs a token of the account" in done.stderr
    assert done.stderr.count("\n") == 1
    assert token not in done.stderr


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("html", "what answers at {url} does not speak the Prefactor API ("),
        ("status=503", "{url} answered: this request was chosen to fail"),
        ("reset=before", "no connection to {url} (Server disconnected"),
    ],
)
def test_api_that_fails_is_one_line(call, server, reach, fault, problem):
    """Whatever answers, the user gets one line and no traceback."""
    server.faults.add(fault)
    done = call("show", *reach)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: " + problem.format(url=server.url))
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("token", ["a\nb", " a", "ä"])
def test_token_that_can_be_none_is_wrong_usage(call, token):
    """What was copied with something around it is not sent."""
    done = call("show", "--token", token)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the token has spaces, line breaks or other characters")


def test_nobody_there_is_one_line(call):
    """Without a server the command says how to start one."""
    done = call("show", "--url", "http://127.0.0.1:1")

    assert done.exit_code == 1
    assert done.stderr == (
        "error: no connection to http://127.0.0.1:1 (Connect call failed ('127.0.0.1', 1)): "
        "start it with 'prefactor-exporter serve', or check --url or PREFACTOR_API_URL\n"
    )


def test_an_encrypted_address_on_a_plain_port_is_named_as_such(call, server):
    """A server that runs already need not be started."""
    url = server.url.replace("http:", "https:")
    done = call("show", "--url", url, "--token", server.token)

    assert done.exit_code == 1
    assert "whether the address begins with http:// or https://" in done.stderr
    assert "start it" not in done.stderr


def test_what_a_terminal_would_cut_is_whole_in_a_pipe(call, record, reach):
    """Whoever searches the output finds what is there."""
    exporter = record()
    exporter.record_span("a", {"question": "x" * 500}, result_payload={"answer": "y" * 500})
    exporter.flush()
    done = call("show", *reach)

    assert f"{'x' * 500} → {'y' * 500}" in done.stdout


def test_newest_run_is_found_behind_many_pages(server, record):
    """Lists begin with the oldest run; the newest is on the last page."""
    exporter = record()
    runs = [exporter.register_instance() for _ in range(130)]
    assert exporter.flush()
    http = HttpClientConfig(server.url, server.token)
    found = with_client(http, newest_run)

    assert found.id == server.instances()[-1]["id"]
    assert {run["id"] for run in server.instances()} == set(runs)


# -- tail ------------------------------------------------------------------------------------


def test_tail_follows_a_run_to_its_end(start, server, going_on, reach):
    """Spans are told when they begin and when they end, nested, until the run ends."""
    exporter, run, span = going_on
    child = start("tail", *reach, "--interval", 0.1, "--json")
    began = json.loads(child.stdout.readline())
    inner = exporter.start_span("tool:find", {"n": 1}, instance_id=run, parent_span_id=span)
    exporter.flush()
    below = json.loads(child.stdout.readline())
    exporter.finish_span(inner, status="failed")
    exporter.finish_span(span)
    exporter.finish_instance(run)
    exporter.flush()
    output, errors = child.communicate()
    *ended, last = map(json.loads, output.splitlines())

    assert child.returncode == 0
    assert errors == f"run {run} is active; following\n"
    assert (began["happened"], began["span"]["id"], began["depth"]) == ("began", span, 0)
    assert (below["happened"], below["span"]["id"], below["depth"]) == ("began", inner, 1)
    assert [(row["happened"], row["span"]["status"]) for row in ended] == [
        ("ended", "failed"),
        ("ended", "complete"),
    ]
    assert (last["happened"], last["run"]["status"]) == ("run_ended", "complete")


def test_tail_of_a_run_that_is_over_shows_its_last_events(call, reach, recorded):
    """There is nothing to wait for; parents stand before their children."""
    done = call("tail", *reach)
    llm, tool, end = done.stdout.splitlines()

    assert done.exit_code == 0
    assert done.stderr == f"run {recorded} is complete\n"
    assert "  ✓ agent:llm  complete  " in llm
    assert "    ✗ tool:find  failed  " in tool
    assert end.startswith(f"run {recorded}  complete  ")
    assert call("tail", *reach, "--last", 0).stdout.splitlines() == [end]


def test_tail_shows_payloads_when_asked(call, reach, recorded):
    """With ``--payloads`` what went in and came out follows each line."""
    done = call("tail", recorded, *reach, "--payloads")

    assert '"question": "[bold]why?"' in done.stdout
    assert '"answer": 42' in done.stdout


def test_tail_waits_for_the_next_run(start, server, recorded, record, reach):
    """With ``--next`` earlier runs do not count."""
    child = start("tail", *reach, "--next", "--interval", 0.1)
    assert child.stderr.readline() == f"waiting for the next run at {server.url}\n"
    exporter = record()
    with exporter.instance() as run:
        exporter.record_span("a", {"n": 1})
    exporter.flush()
    output, _ = child.communicate()

    assert child.returncode == 0
    assert output.splitlines()[-1].startswith(f"run {run.id}  complete")


def test_tail_outlasts_trouble_and_says_why_a_run_was_terminated(call, server, reach, going_on):
    """A server that fails for a while is asked again, and is told once."""
    _, run, _ = going_on
    asked = threading.Event()

    def end():
        until(lambda: server.requests.by_path.get("/api/v1/agent_spans", 0) >= 1, "a look")
        server.faults.add("status=503 times=4 path=agent_spans")
        until(lambda: any(seen.status == 503 for seen in server.requests.recent), "trouble")
        server.terminate(run, "too expensive")
        asked.set()

    helper = threading.Thread(target=end)
    helper.start()
    done = call("tail", run, *reach, "--interval", 0.1)
    helper.join()

    assert asked.is_set()
    assert done.exit_code == 0
    assert done.stderr.splitlines()[1:] == [
        f"{server.url} answered: this request was chosen to fail; trying again"
    ]
    assert "terminated: too expensive" in done.stdout


def test_tail_reads_a_list_in_another_order_whole(call, server, reach, going_on, monkeypatch):
    """An API that lists the newest span first hides nothing."""
    exporter, run, span = going_on
    turned = []

    async def newest_first(client, run_id, *, offset=0, **_):
        spans, total = await spans_of(client, run_id)
        if not turned:
            exporter.finish_span(span)
            exporter.record_span("tool:late", {"n": 1}, instance_id=run)
            exporter.finish_instance(run)
            exporter.flush()
        turned.append(offset)
        return spans[::-1][offset:], total

    monkeypatch.setattr(sys.modules[tail.__module__], "spans_of", newest_first)
    done = call("tail", run, *reach, "--interval", 0.1)

    assert done.exit_code == 0
    assert "tool:late" in done.stdout
    assert "✓ agent:llm" in done.stdout


def test_ctrl_c_ends_tail_quietly(start, reach, going_on):
    """Whoever has seen enough gets no traceback, and the status shells have for it."""
    child = start("tail", *reach)
    assert "agent:llm" in child.stdout.readline()
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate()

    assert (child.returncode, output) == (130, "")
    assert errors == f"run {going_on[1]} is active; following\n"


def test_spans_are_asked_for_from_where_something_may_change(server, record, reach, call):
    """The beginning of a long run is read once."""
    exporter = record()
    run = exporter.register_instance()
    exporter.start_instance(run)
    for n in range(300):
        exporter.record_span("a", {"n": n}, instance_id=run)
    assert exporter.flush()

    def end():
        until(lambda: server.requests.by_path.get("/api/v1/agent_spans", 0) >= 6, "some looks")
        exporter.finish_instance(run)
        exporter.flush()

    helper = threading.Thread(target=end)
    helper.start()
    done = call("tail", run, *reach, "--interval", 0.1, "--last", 5)
    helper.join()

    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 5 + 1
    looks = server.requests.by_path[f"/api/v1/agent_instance/{run}"] - 1
    assert server.requests.by_path["/api/v1/agent_spans"] == 3 + (looks - 1)


def test_deployment_token_may_read_where_the_api_allows_it(call, server, recorded):
    """It is the API that decides, not the command."""
    server.switches = Switches(deployment_reads_allowed=True)
    done = call("show", "--url", server.url, "--token", server.deployment_token)

    assert done.exit_code == 0
