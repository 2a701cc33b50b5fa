"""A development server, exporters that talk to it, and child processes that do."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig
from prefactor_http.devserver import DevServer

HANG = 30.0
"""Seconds after which a wait counts as a hang; nothing that works comes near it."""
ROOT = Path(__file__).parents[3]

PREAMBLE = """
import os, signal, sys, threading
from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig

def config(**settings):
    return ExporterConfig(
        http=HttpClientConfig(os.environ["PREFACTOR_API_URL"], os.environ["PREFACTOR_API_TOKEN"]),
        agent=AgentInfo(agent_id=os.environ["PREFACTOR_AGENT_ID"], version="v1"),
        **{"shutdown_timeout": 20.0, "linger": 0.01} | settings,
    )

"""

_EXPECTED_WARNING = "ignore:This process:DeprecationWarning"
"""Python 3.12 on warns of every fork beside threads; that such a fork works is what is shown."""


def until(condition, what="the condition"):
    """Wait until *condition* holds; a hang is a failure that says *what* did not happen."""
    pause = threading.Event()
    for _ in range(int(HANG / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail(f"{what} did not happen within {HANG} s")


def total(stats):
    """Return the sum of the columns in which an event can be."""
    return (
        stats.delivered
        + stats.queued
        + stats.in_flight
        + stats.spooled
        + stats.dead
        + stats.dropped
    )


def names(server, instance_id=None):
    """Return the ``n`` of the payloads of all stored spans, in order of arrival."""
    return [span["payload"].get("n") for span in server.spans(instance_id)]


def parents(server):
    """Return the ``n`` of each stored span to the ``n`` of its parent, None for roots."""
    by_id = {span["id"]: span["payload"]["n"] for span in server.spans()}
    return {
        span["payload"]["n"]: by_id[span["parent_span_id"]] if span["parent_span_id"] else None
        for span in server.spans()
    }


def bulk_requests(server):
    """Return how many bulk requests the server has answered."""
    return server.requests.count("/api/v1/bulk")


@pytest.fixture
def server():
    with DevServer() as running:
        yield running


@pytest.fixture
def configured(server):
    """Return a maker of configurations for the server."""

    def configured(**settings):
        token = settings.pop("token", server.token)
        agent = settings.pop("agent", AgentInfo(agent_id=server.agent_id, version="v1"))
        defaults = {"strict": True, "linger": 0.01, "flush_at_exit": False}
        return ExporterConfig(
            http=HttpClientConfig(server.url, token), agent=agent, **defaults | settings
        )

    return configured


@pytest.fixture
def make(configured):
    """Return a maker of exporters; at the end all are stopped, and the books must balance."""
    made = []

    def make(**settings):
        exporter = Exporter(configured(**settings))
        made.append(exporter)
        return exporter

    yield make
    for exporter in made:
        exporter.shutdown(timeout=0)
        stats = exporter.stats()
        assert stats.recorded == total(stats)
        assert stats.queued == stats.in_flight == 0


@pytest.fixture
def exporter(make):
    return make()


class Child:
    """A Python process that records."""

    def __init__(self, server, code, first="", *, again=False, **environ):
        script = "\n".join([first, PREAMBLE, textwrap.dedent(code)])
        self.process = subprocess.Popen(
            [sys.executable, "-W", _EXPECTED_WARNING, "-c", script, *([script] if again else [])],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={
                **os.environ,
                "PREFACTOR_API_URL": server.url,
                "PREFACTOR_API_TOKEN": server.token,
                "PREFACTOR_AGENT_ID": server.agent_id,
                **environ,
            },
        )

    def hear(self, line):
        """Wait until the process prints *line*."""
        for heard in self.process.stdout:
            if heard.strip() == line:
                return
        pytest.fail(f"the child never said {line!r}: {self.process.stderr.read()}")

    def end(self):
        """Wait for the end; return exit status, further standard output and standard error."""
        try:
            out, err = self.process.communicate(timeout=HANG)
        except subprocess.TimeoutExpired:
            _, err = self.kill()
            pytest.fail(f"the child process did not end; it said: {err}")
        return self.process.returncode, out, err

    def kill(self):
        """End the process and what it has forked; return what they said last."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        try:
            # A descendant in a session of its own may hold the pipes open: nobody waits for it.
            return self.process.communicate(timeout=1)
        except subprocess.TimeoutExpired as left:
            return left.output, left.stderr
        except ValueError:  # they were read and closed
            return "", ""


@pytest.fixture
def child(server):
    """Return what starts a child process; ``config(**settings)`` is ready for its code.

    ``first`` is run before anything of ours is imported; with ``again`` the script is an argument
    of itself, so that it can start itself anew.
    """
    children = []

    def child(code, first="", *, again=False, **environ):
        started = Child(server, code, first, again=again, **environ)
        children.append(started)
        return started

    yield child
    for started in children:
        started.kill()
