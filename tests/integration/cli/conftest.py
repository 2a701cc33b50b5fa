"""The command line as a user has it: a child process, its streams and its exit status."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig
from prefactor_exporter.cli import app
from prefactor_http.devserver import DevServer

COMMAND = [sys.executable, "-m", "prefactor_exporter"]


def environment(**variables):
    """The variables of a user who has set nothing of ours, on a wide and plain terminal."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFACTOR_")}
    return ours | {"COLUMNS": "200", "NO_COLOR": "1"} | variables


@pytest.fixture
def run():
    """Run a command to its end and return what it said."""

    def call(*arguments, stdin=None, **variables):
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=environment(**variables),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )

    return call


@pytest.fixture
def start():
    """Start a command that goes on; what still runs is ended with the test."""
    children = []

    def call(*arguments, **variables):
        child = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield call
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def server():
    with DevServer() as server:
        yield server


@pytest.fixture
def call(monkeypatch):
    """Run a command in this process, as a user who has set nothing of ours."""
    for name in os.environ:
        if name.startswith("PREFACTOR_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments, stdin=None, **variables):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, str(value))
            return CliRunner().invoke(app, [*map(str, arguments)], input=stdin)

    return call


@pytest.fixture
def reach(server):
    """The options that lead to the server, with a token that may read."""
    return ["--url", server.url, "--token", server.token]


@pytest.fixture
def record(server):
    """Return a maker of exporters for the server, in which nothing ends by itself."""
    made = []

    def record(**settings):
        defaults = {
            "http": HttpClientConfig(server.url, server.token),
            "agent": AgentInfo(agent_id=server.agent_id, version="v1"),
            "linger": 0.01,
            "flush_at_exit": False,
            "close_open": False,
            "strict": True,
        }
        exporter = Exporter(ExporterConfig(**defaults | settings))
        made.append(exporter)
        return exporter

    yield record
    for exporter in made:
        exporter.shutdown(timeout=0)
