"""A real Chromium, a development server, and recordings for its page to show.

Playwright's synchronous interface keeps an event loop running in its thread, which asynchronous
tests of the same session could not bear. It has a thread of its own, and the tests that use a page
run in it.
"""

import http.client
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect, sync_playwright

from prefactor_exporter import AgentInfo, Exporter, ExporterConfig, HttpClientConfig
from prefactor_http.devserver import DevServer, Switches
from prefactor_http.devserver.ids import Mint

PATIENCE = 20_000
"""Milliseconds after which a wait of the browser counts as a hang."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
BEGAN = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
SCHEMA = {
    "span_type_schemas": [
        {
            "name": "agent:llm",
            "title": "Model call",
            "params_schema": {"type": "object", "required": ["messages"]},
            "result_schema": {"type": "object"},
            "template": "asked {{ model }}",
        },
        {
            "name": "agent:tool",
            "title": "Tool call",
            "params_schema": {"type": "object"},
            "result_schema": {"type": "object"},
        },
    ],
    "quality_schemas": [{"name": "score", "schema": {}, "template": "{{ value }} of 10"}],
}

_THREAD = ThreadPoolExecutor(1, "playwright")


def pytest_pyfunc_call(pyfuncitem):
    """Run tests that use a page in the thread of the browser."""
    if "browser" not in pyfuncitem.fixturenames:
        return None
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    _THREAD.submit(pyfuncitem.obj, **wanted).result()
    return True


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        reason = "no chromium or chromium-browser on the PATH; Debian's package chromium has one"
        if os.environ.get("PREFACTOR_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    def start():
        playwright = sync_playwright().start()
        return playwright, playwright.chromium.launch(executable_path=path, args=ARGUMENTS)

    playwright, chromium = _THREAD.submit(start).result()
    yield chromium
    _THREAD.submit(chromium.close).result()
    _THREAD.submit(playwright.stop).result()


class Complaints(list):
    """What the browser complained of: errors, refused content, dialogs that nobody asked for."""

    expected = ""

    def hear(self, page):
        page.on("pageerror", self.fail)
        page.on("dialog", self.dismiss)
        page.on("console", self.note)

    def fail(self, error):
        self.append(f"error: {error} {error.stack}")

    def dismiss(self, dialog):
        self.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note(self, message):
        expected = self.expected and self.expected in message.text
        if message.type in {"error", "warning"} and not expected:
            self.append(f"console: {message.text}")


@pytest.fixture
def complaints():
    return Complaints()


@pytest.fixture
def page(browser, server, complaints):
    """A page of its own, gone before the server is; nothing may make the browser complain."""

    def open_page():
        context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page = context.new_page()
        complaints.hear(page)
        return page

    page = _THREAD.submit(open_page).result()
    yield page
    _THREAD.submit(page.context.close).result()
    assert complaints == []


@pytest.fixture
def server():
    with DevServer(
        switches=Switches(unknown_parents_accepted=True, spans_on_finished=True)
    ) as running:
        yield running


@pytest.fixture
def recording(server):
    return Recording(server)


@pytest.fixture
def exporter(server):
    config = ExporterConfig(
        http=HttpClientConfig(server.url, server.token),
        agent=AgentInfo(agent_id=server.agent_id, version="v7"),
        linger=0.01,
        flush_at_exit=False,
        strict=True,
    )
    exporter = Exporter(config)
    yield exporter
    exporter.shutdown(timeout=5)


def listed(page):
    """Return the rows of the list of runs, without its header."""
    return page.get_by_role("row").filter(has=page.get_by_role("gridcell"))


def until(condition):
    """Wait until *condition* holds, asking as often as the browser answers."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"


def at(seconds):
    """Return the moment *seconds* after the beginning of every recorded run."""
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


class Recording:
    """Runs and spans, recorded through the API as an agent would do it."""

    def __init__(self, server):
        self.server = server
        self.mint = Mint(server.partition)

    def send(self, items):
        """Run *items* as bulk requests; all must succeed."""
        for start in range(0, len(items), 1000):
            part = [
                {"idempotency_key": f"test-{self.mint()}"} | item for item in items[start:][:1000]
            ]
            connection = http.client.HTTPConnection(self.server.host, self.server.port)
            headers = {"Authorization": f"Bearer {self.server.token}"}
            connection.request("POST", "/api/v1/bulk", json.dumps({"items": part}), headers)
            outputs = json.load(connection.getresponse())["outputs"]
            connection.close()
            assert all(output["status"] == "success" for output in outputs.values()), outputs
            assert len(outputs) == len(part)

    def run(self, *, name="Travel agent", version="1.4.0", status="active", seconds=60, agent=None):
        """Record a run in *status*; return its id."""
        run = self.mint()
        self.send(self.run_items(run, name, version, status, seconds, agent=agent))
        return run

    def run_items(self, run, name, version, status, seconds=0, *, agent=None, label=None):
        """Return the items of a run, *label* being its external identifier."""
        about = {"agent_instance_id": run}
        items = [
            {
                "_type": "agent_instances/register",
                "id": run,
                "agent_id": agent or self.server.agent_id,
                "external_identifier": label,
                "agent_version": {"name": name, "external_identifier": version},
                "agent_schema_version": SCHEMA,
            }
        ]
        if status != "pending":
            items.append({"_type": "agent_instances/start", "timestamp": at(0)} | about)
        if status == "terminated":
            ended = {"_type": "agent_instances/terminate", "reason": "too dear"}
            items.append(ended | {"timestamp": at(seconds)} | about)
        elif status not in {"pending", "active"}:
            ended = {"_type": "agent_instances/finish", "status": status}
            items.append(ended | {"timestamp": at(seconds)} | about)
        return items

    def agent(self, name):
        """Create another agent; return its id."""
        agent = self.mint()
        self.send([{"_type": "agents/create", "details": {"id": agent, "name": name}}])
        return agent

    def span(self, run, name="agent:tool", **fields):
        """Record a span; return its id."""
        span = self.mint()
        self.send([self.span_item(run, name, id=span, **fields)])
        return span

    def span_item(self, run, name="agent:tool", start=0.0, end=1.0, **fields):
        """Return the item of a span, complete unless *fields* say otherwise."""
        details = {
            "agent_instance_id": run,
            "schema_name": name,
            "status": "complete",
            "payload": {},
            "started_at": at(start),
            "finished_at": None if end is None else at(end),
        } | fields
        return {"_type": "agent_spans/create", "details": details}

    def finish(self, span, *, end=2.0, **fields):
        """Finish an open span."""
        item = {"_type": "agent_spans/finish", "agent_span_id": span, "timestamp": at(end)}
        self.send([item | {"status": "complete"} | fields])

    def quality(self, run, **payload):
        """Record a quality payload."""
        self.send(
            [
                {
                    "_type": "agent_instances/record_quality",
                    "agent_instance_id": run,
                    "name": "score",
                    "payload": payload,
                }
            ]
        )
