"""The API may ask for a wait in any form: it gets it, within reason, and no event is lost."""

import http.client
import http.server
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from prefactor_exporter import HttpClientConfig
from tests.integration.exporter.conftest import names, until

pytestmark = pytest.mark.slow

BULK = "/api/v1/bulk"


class Gate(http.server.ThreadingHTTPServer):
    """Stands before the development server; answers the first bulk requests itself.

    ``answers`` are status and headers of those; ``moments`` is when each bulk request came.
    """

    daemon_threads = True

    def __init__(self, server):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = server.port
        self.answers = []
        self.moments = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == BULK:
            self.server.moments.append(time.monotonic())
            if self.server.answers:
                status, headers = self.server.answers.pop(0)
                self._answer(status, b'{"status":"error","code":"busy","message":"m"}', headers)
                return
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        behind.request("POST", self.path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        self._answer(answer.status, content, {})

    def _answer(self, status, content, headers):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def gate(server):
    with Gate(server) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def behind_gate(make, server, gate, **settings):
    exporter = make(**settings)
    exporter._pipeline.worker._http.api_url = gate.url
    assert isinstance(exporter._pipeline.worker._http, HttpClientConfig)
    return exporter


def in_http(seconds):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("hint", "least"),
    [
        (lambda: "1", 1.0),
        (lambda: "0.8", 0.8),
        (lambda: in_http(3), 1.0),
        (lambda: in_http(-3600), 0),
        (lambda: "0", 0),
        (lambda: "-1", 0),
        (lambda: "1e9", 0),
        (lambda: "9" * 400, 0),
        (lambda: "soon", 0),
        (lambda: "nan", 0),
        (lambda: "", 0),
        (lambda: None, 0),
    ],
    ids=[
        *["seconds", "fraction", "date", "past-date", "zero", "negative", "exponent", "endless"],
        *["junk", "nan", "empty", "missing"],
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_hint_is_the_least_wait_and_costs_nothing(  # noqa: PLR0917  # fixtures and parameters
    server, make, gate, status, hint, least
):
    exporter = behind_gate(make, server, gate)
    value = hint()
    gate.answers.append((status, {} if value is None else {"Retry-After": value}))
    for n in range(10):
        exporter.record_span("a", {"n": n})

    assert exporter.flush(25)
    assert names(server) == list(range(10))
    assert len(gate.moments) == 2
    assert gate.moments[1] - gate.moments[0] >= least
    assert exporter.stats().dropped == exporter.stats().dead == 0


@pytest.mark.parametrize("hint", ["999999999", "301"])
def test_a_hint_of_years_is_cut_and_keeps_everything(server, make, gate, hint):
    exporter = behind_gate(make, server, gate)
    gate.answers.append((429, {"Retry-After": hint}))
    exporter.record_span("a", {"n": 1})
    until(lambda: exporter.stats().last_error, "the answer")
    pace = exporter._pipeline.worker._pace

    assert 290 < pace.ready_at - time.monotonic() <= 300
    assert exporter.stats().queued == 3
    assert exporter.stats().state == "retrying"
    assert exporter.health().pending == 3
    report = exporter.shutdown(0.1)
    assert report.dropped == 4


def test_a_hint_holds_the_whole_destination_back(server, make, gate):
    """Not only the run whose request was refused."""
    exporter = behind_gate(make, server, gate, max_batch_items=12, max_in_flight=1, linger=60)
    gate.answers.append((429, {"Retry-After": "1"}))
    for _ in range(4):
        with exporter.instance() as run:
            for n in range(10):
                exporter.record_span("a", {"n": n}, instance_id=run.id)

    assert exporter.flush(25)
    assert len(names(server)) == 40
    assert len(gate.moments) >= 5
    assert gate.moments[1] - gate.moments[0] >= 1.0
