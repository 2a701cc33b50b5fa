"""The examples of the documents, run as a reader would run them, against a development server."""

import os
import subprocess
import sys
import textwrap

import pytest

from prefactor_http.devserver import DevServer
from tests.integration.exporter.conftest import _EXPECTED_WARNING, ROOT, Child

EXAMPLES = ROOT / "docs" / "examples"


class Example(Child):
    """A process that runs an example, or code beside the examples that imports one."""

    def __init__(self, server, arguments, **environ):
        self.process = subprocess.Popen(
            [sys.executable, "-W", _EXPECTED_WARNING, *arguments],
            cwd=EXAMPLES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={
                **os.environ,
                "PREFACTOR_API_URL": server.url,
                "PREFACTOR_API_TOKEN": server.deployment_token,
                "PREFACTOR_EXPORTER_SHUTDOWN_TIMEOUT": "20",
                **environ,
            },
        )


@pytest.fixture
def server():
    with DevServer() as running:
        yield running


@pytest.fixture
def example(server):
    """Return what starts an example: a file by its name, or ``code`` that imports from it."""
    started = []

    def example(*arguments, code=None, **environ):
        if code is not None:
            arguments = ("-c", textwrap.dedent(code))
        started.append(Example(server, arguments, **environ))
        return started[-1]

    yield example
    for process in started:
        process.kill()


def tree(server):
    """Return the name, status and parent's name of all spans, sorted."""
    names = {span["id"]: span["schema_name"] for span in server.spans()}
    return sorted(
        (span["schema_name"], span["status"], names.get(span["parent_span_id"], ""))
        for span in server.spans()
    )


def runs(server):
    """Return the statuses of all runs, in order of arrival."""
    return [run["status"] for run in server.instances()]
