"""``serve``: says how to record into it, ends when told, and explains why it cannot start."""

import json
import shlex
import signal
import socket
from urllib.parse import urlsplit

import pytest

from prefactor_exporter import Exporter


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_cleanly_when_told(start, stop):
    """Ctrl-C and SIGTERM are the usual end and no failure."""
    child = start("serve", "--port", 0, "--json")
    told = json.loads(child.stdout.readline())
    url = urlsplit(told["url"])
    socket.create_connection((url.hostname, url.port)).close()
    child.send_signal(stop)
    _, errors = child.communicate()

    assert child.returncode == 0
    assert errors == f"Development server on {told['url']}, in memory; Ctrl-C ends it.\n"


@pytest.mark.slow
def test_what_serve_prints_is_all_an_exporter_needs(start):
    """The printed variables, pasted, make an exporter that delivers."""
    child = start("serve", "--port", 0, "--token", "it's a token")
    lines = [child.stdout.readline() for _ in range(4)]
    variables = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    with Exporter.from_env(variables) as exporter:
        exporter.record_span("agent:llm", {"model": "m"})
        report = exporter.flush()
    child.send_signal(signal.SIGTERM)

    assert all(line.startswith("export PREFACTOR_") for line in lines)
    assert variables["PREFACTOR_API_TOKEN"] == "it's a token"
    assert report
    assert child.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokens", "warnings"), [([], 1), (["--token", "mine", "--deployment-token", "its"], 0)]
)
def test_serve_warns_of_tokens_that_everybody_knows(start, tokens, warnings):
    """Where other machines can reach it, in one line."""
    child = start("serve", "--host", "0.0.0.0", "--port", 0, "--json", *tokens)
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate()

    assert child.returncode == 0
    assert errors.count("\n") == 1 + warnings
    assert errors.count("warning: 0.0.0.0 is open to other machines") == warnings


@pytest.mark.slow
def test_taken_port_is_one_line_that_says_what_to_do(run):
    """A port in use is named, with the way out."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("serve", "--port", port)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: port {port} of 127.0.0.1 is taken: stop what listens there, "
        "or choose another with --port (0 takes a free one)\n"
    )


def test_address_of_another_machine_is_one_line(run):
    """An address that is not this machine's is named."""
    done = run("serve", "--host", "192.0.2.1", "--port", 0)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: cannot listen on 192.0.2.1:0: ")
    assert done.stderr.count("\n") == 1


def test_unusable_database_is_one_line(run, tmp_path):
    """A file that is no database of ours is refused in one line."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look at" * 100)
    done = run("serve", "--port", 0, "--db", path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--switch", "nonsense=1"], "unknown switch 'nonsense'"),
        (["--fault", "status=teapot"], "'status=teapot' in fault rule"),
    ],
)
def test_rules_that_cannot_be_read_are_wrong_usage(run, arguments, problem):
    """A mistake in a switch or a rule is one line that names it."""
    done = run("serve", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {problem}")
    assert done.stderr.count("\n") == 1
