"""Fixtures for the tests of the client: sample bodies, a mocked API, a raw server."""

import contextlib
import json
import re
import socket
import socketserver
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import aioresponses.core
import pytest
from aioresponses import aioresponses as AioResponses  # noqa: N812  # a class with a function's name

from prefactor_http import HttpClientConfig
from prefactor_http.client import PrefactorHttpClient

WIRE = Path(__file__).parents[2] / "wire"
URL = "https://api.test"
TOKEN = "a-very-secret-token"


class _PatchedResponse(aiohttp.ClientResponse):
    """aiohttp 3.14 asks for an argument aioresponses does not know yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


class Api:
    """A mocked API that remembers what it was asked."""

    def __init__(self, mock: AioResponses) -> None:
        self.mock = mock

    def answer(self, method: str, path: str, **answer: Any) -> None:
        self.mock.add(URL + path, method, **answer)

    @property
    def calls(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                method=method,
                path=url.raw_path,
                query=dict(call.kwargs["params"] or {}),
                headers=call.kwargs["headers"],
                raw=call.kwargs["data"],
                body=None if call.kwargs["data"] is None else json.loads(call.kwargs["data"]),
                kwargs=call.kwargs,
            )
            for (method, url), calls in self.mock.requests.items()
            for call in calls
        ]

    @property
    def only_call(self) -> SimpleNamespace:
        (call,) = self.calls
        return call


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(aioresponses.core, "ClientResponse", _PatchedResponse)
    with AioResponses() as mock:
        yield Api(mock)


@pytest.fixture
def wire() -> Any:
    """Return the reader of sample bodies: ``wire("agent_spans", "create", "request")``."""

    def read(family: str, *keys: str) -> Any:
        value = json.loads((WIRE / f"{family}.json").read_text())
        for key in keys:
            value = value[key]
        return value

    return read


@pytest.fixture
def config() -> HttpClientConfig:
    return HttpClientConfig(URL, TOKEN, max_retries=0)


@pytest.fixture
async def client(config: HttpClientConfig) -> AsyncIterator[PrefactorHttpClient]:
    async with PrefactorHttpClient(config) as opened:
        yield opened


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the retry handler's waiting by a list of the seconds it asked for."""
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    fake = SimpleNamespace(sleep=sleep)
    monkeypatch.setattr("prefactor_http.retry.asyncio", fake)
    return asked


class RawServer(socketserver.ThreadingTCPServer):
    """An HTTP server as plain as can be: it answers every request with the same bytes.

    It runs in threads, so that it outlives any event loop of a test.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RawHandler)
        self.connections: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.answer = b""
        self.answer_with("200 OK", b'{"status":"success","details":{}}')

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def answer_with(self, status: str, body: bytes, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        self.answer = "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class _RawHandler(socketserver.StreamRequestHandler):
    server: RawServer

    def handle(self) -> None:
        self.server.connections.append(self.request)
        while True:
            head = b""
            while (line := self.rfile.readline()) not in {b"", b"\r\n"}:
                head += line
            if not head:
                return
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = self.rfile.read(int(length[1])) if length else b""
            self.server.requests.append(head + b"\r\n" + body)
            self.wfile.write(self.server.answer)


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    with RawServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        for connection in server.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()
