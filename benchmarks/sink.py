"""Own the other end: a process that takes what exporters send, and costs next to nothing itself.

It speaks the bulk endpoint of Prefactor (every item answered with success and the whole span, as
the API does), the single calls of prefactor-core, OTLP/HTTP, and answers whatever else the other
exporters send with what they take for success. Raw bytes on asyncio protocols; what need not be
understood to answer is only kept, and counted when the report is asked for, after the measurement.
Only the standard library is needed.

As a program it prints its address as one line of JSON and runs until its standard input ends.
"""

import argparse
import asyncio
import contextlib
import gzip
import importlib
import json
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from workload import MARK

__all__ = ["AGENT_ID", "break_down", "report", "reset", "sink"]

AGENT_ID = "01m883j30ns24wkz9amctgvtdfra7jw4"
_ACCOUNT_ID = "01m883j30ns24wkzhwsmsbned65amqjm"
_OWN = "/_sink/"
_PATIENCE = 120.0


@contextlib.contextmanager
def sink(*, keep: bool = False, effort: int = 1, python: str | Path | None = None) -> Iterator[str]:
    """Run a sink in a process of its own for as long as the block lasts; yield its address.

    Args:
        keep: Whether bulk requests are kept too, so that the report knows when each span arrived.
        effort: How many times it does its work for each bulk request; with 2 it shows whether the
            sink matters.
        python: The interpreter; None for this one. Another environment's may know how to unpack
            what that environment packs.
    """
    command = [str(python or sys.executable), __file__, "--effort", str(effort)]
    command += ["--keep"] if keep else []
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with process.stdin, process.stdout:
            yield url
    finally:
        process.terminate()
        process.wait()


def report(url: str, *, arrivals: bool = False) -> dict[str, Any]:
    """Return what arrived at the sink at *url* since it was reset.

    ``requests``, ``bytes`` of bodies, ``spans`` (different ones, by their marks, or counted in bulk
    requests that were not kept), ``cpu`` seconds of the sink itself, and with *arrivals* the
    monotonic nanoseconds of each span's arrival, by mark.
    """
    found: dict[str, Any] = json.loads(_ask(url, f"report?{int(arrivals)}"))
    return found


def reset(url: str) -> None:
    """Have the sink at *url* forget what arrived."""
    _ask(url, "reset")


def break_down(url: str, how: str) -> None:
    """Have the sink at *url* stop working: ``hole`` never answers again, ``refuse`` hangs up."""
    _ask(url, how)


def _ask(url: str, what: str) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    request = f"GET {_OWN}{what} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection((host, int(port)), timeout=_PATIENCE) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            length = 0
            while (line := answer.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name == b"Content-Length":
                    length = int(value)
            return answer.read(length)


class _Request(NamedTuple):
    arrived: int
    encoding: str
    body: bytes


class _Books:
    """What arrived."""

    def __init__(self, *, keep: bool, effort: int) -> None:
        self.keep = keep
        self.effort = effort
        self.hole = False
        self.refuse = asyncio.Event()
        self.open: set[asyncio.Transport] = set()
        self.reset()

    def reset(self) -> None:
        self.requests = self.bytes = self.spans = 0
        self.cpu = time.process_time()
        self.kept: list[_Request] = []

    def report(self, *, arrivals: bool) -> bytes:
        cpu = time.process_time() - self.cpu
        marks: dict[bytes, int] = {}
        for request in self.kept:
            for mark in MARK.findall(_unpacked(request)):
                marks.setdefault(mark, request.arrived)
        found = {
            "requests": self.requests,
            "bytes": self.bytes,
            # Bulk requests were counted when they came, unless they are among the kept ones.
            "spans": len(marks) if self.keep else self.spans + len(marks),
            "cpu": cpu,
            "arrivals": {mark.decode(): at for mark, at in marks.items()} if arrivals else {},
        }
        return json.dumps(found).encode()


def _unpacked(request: _Request) -> bytes:
    if request.encoding == "gzip":
        return gzip.decompress(request.body)
    if request.encoding == "deflate":
        return zlib.decompress(request.body)
    if request.encoding == "zstd":
        # Found where the sender packed with it.
        zstandard: Any = importlib.import_module("zstandard")
        unpacked: bytes = zstandard.ZstdDecompressor().decompressobj().decompress(request.body)
        return unpacked
    return request.body


class _Connection(asyncio.Protocol):
    """One connection: requests in, answers out, in order."""

    def __init__(self, books: _Books) -> None:
        self._books = books
        self._waiting = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._books.open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._books.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._books.hole:
            return
        self._waiting += data
        while (taken := _take(self._waiting)) is not None:
            head, body, length = taken
            del self._waiting[:length]
            self._transport.write(_answer(self._books, head, body))


def _take(waiting: bytearray) -> tuple[bytes, bytes, int] | None:
    """Return head, body and whole length of the first request in *waiting*, None if incomplete."""
    end = waiting.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(waiting[:end]).lower()
    start = end + 4
    if b"transfer-encoding: chunked" in head:
        return _take_chunked(waiting, head, start)
    length = start + int(_header(head, b"content-length") or 0)
    if len(waiting) < length:
        return None
    with memoryview(waiting) as view:
        return head, bytes(view[start:length]), length


def _take_chunked(waiting: bytearray, head: bytes, at: int) -> tuple[bytes, bytes, int] | None:
    pieces: list[bytes] = []
    while (line := waiting.find(b"\r\n", at)) >= 0:
        size = int(bytes(waiting[at:line]).partition(b";")[0], 16)
        at = line + 2 + size + 2
        if len(waiting) < at:
            break
        if size == 0:
            return head, b"".join(pieces), at
        pieces.append(bytes(waiting[line + 2 : at - 2]))
    return None


def _header(head: bytes, name: bytes) -> bytes:
    """Return the value of header *name* in *head* (in lower case); empty if missing."""
    begin = head.find(b"\r\n" + name + b":")
    if begin < 0:
        return b""
    begin += len(name) + 3
    end = head.find(b"\r\n", begin)
    return head[begin : end if end >= 0 else None].strip()


def _answer(books: _Books, head: bytes, body: bytes) -> bytes:
    path = head.split(b" ", 2)[1].decode()
    if path.startswith(_OWN):
        return _json(_about_itself(books, path))
    books.requests += 1
    books.bytes += len(body)
    bulk = path.endswith("/api/v1/bulk")
    if books.keep or not bulk:
        encoding = _header(head, b"content-encoding").decode()
        books.kept.append(_Request(time.monotonic_ns(), encoding, body))
    if not bulk:
        return _other(path)
    for _ in range(books.effort - 1):
        _json(_bulk(body)[0])
    content, spans = _bulk(body)
    books.spans += spans
    return _json(content)


def _about_itself(books: _Books, path: str) -> bytes:
    if path.startswith(f"{_OWN}report"):
        return books.report(arrivals=path.endswith("?1"))
    if path == f"{_OWN}hole":
        books.hole = True
    elif path == f"{_OWN}refuse":
        books.refuse.set()
    else:
        books.reset()
    return b"{}"


def _json(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )


_ITEM = b'{"_type":"'
_KEY = b'"idempotency_key":"'
_PAYLOAD = b'"payload":'
_SPAN_HEAD = (
    b'":{"status":"success","details":{"type":"agent_span","id":"01m883j318s24wkzdvxzphvqga2bw7g8",'
    b'"account_id":"%b","agent_id":"%b","agent_instance_id":"01m883j310s24wkzfdytp0p3cj7trwea",'
    b'"parent_span_id":null,"schema_name":"agent:llm","schema_title":"agent:llm",'
    b'"status":"complete","summary":null,"started_at":"2026-01-01T00:00:00.000000Z",'
    b'"inserted_at":"2026-01-01T00:00:00.000000Z","updated_at":"2026-01-01T00:00:00.000000Z",'
    b'"finished_at":"2026-01-01T00:00:00.000000Z","sensitive_encoding":false,'
    b'"payload_byte_size_estimate":1800,"purpose":"activity","data_risk":null,'
    % (_ACCOUNT_ID.encode(), AGENT_ID.encode())
)
_OTHER_ITEM = b'":{"status":"success","details":{"account_id":"%b"}}' % _ACCOUNT_ID.encode()


def _bulk(body: bytes) -> tuple[bytes, int]:
    """Answer every item of a bulk request with success, and spans with themselves; count those."""
    find, view, spans = body.find, memoryview(body), 0
    parts: list[bytes | memoryview] = [b'{"status":"success","outputs":{"']
    begin = find(_ITEM) + len(_ITEM)
    last = len(body) - 2
    while begin < last:
        end = find(b"," + _ITEM, begin)
        if end < 0:
            end = last
        key = find(_KEY, begin) + len(_KEY)
        parts.append(view[key : find(b'"', key)])
        if body.startswith(b"agent_spans/create", begin):
            spans += 1
            # What follows the head closes the details and the item, as it did in the request.
            parts += (_SPAN_HEAD, view[find(_PAYLOAD, key) : end], b',"')
        else:
            parts += (_OTHER_ITEM, b',"')
        begin = end + 1 + len(_ITEM)
    parts[-1] = b"}}"
    return b"".join(parts), spans


def _other(path: str) -> bytes:
    if "/api/v1/agent" in path:
        return _json(_single_call(path))
    if path.endswith("/v1/traces"):
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
        )
    if "/traces" in path:
        return _json(b'{"rate_by_service":{"service:,env:":1}}')
    if path.startswith("/info"):
        return _json(b'{"endpoints":["/v0.4/traces","/v0.5/traces"],"version":"7.60.0"}')
    return _json(b"{}")


def _single_call(path: str) -> bytes:
    """Answer a single call, as prefactor-core makes one for each step of a span."""
    if "span" not in path:
        return _INSTANCE
    return _FINISHED if path.endswith("/finish") else _CREATED


def _single(kind: str, status: str, **fields: object) -> bytes:
    now = "2026-01-01T00:00:00.000000Z"
    own = "01m883j310s24wkzfdytp0p3cj7trwea"
    details = {"type": kind, "id": own, "status": status, "account_id": _ACCOUNT_ID}
    times = dict.fromkeys(("started_at", "finished_at", "inserted_at", "updated_at"), now)
    return json.dumps(
        {"status": "success", "details": details | {"agent_id": AGENT_ID} | times | fields}
    ).encode()


_SPAN_FIELDS: dict[str, object] = {
    "agent_instance_id": "01m883j310s24wkzfdytp0p3cj7trwea",
    "parent_span_id": None,
    "schema_name": "agent:llm",
    "schema_title": "agent:llm",
    "payload": {},
    "result_payload": None,
    "summary": None,
}
_CREATED = _single("agent_span", "active", **_SPAN_FIELDS)
_FINISHED = _single("agent_span", "complete", **_SPAN_FIELDS)
_INSTANCE = _single(
    "agent_instance",
    "active",
    agent_version_id="01m883j310s24wkz2b6qabr5w2e4wvwp",
    agent_deployment_id="01m883j310s24wkz1fewm81v6bc4dgsa",
    environment_id="01m883j30ns24wkz7nhq2v9hnfnkp0ax",
)


async def _serve(*, keep: bool, effort: int) -> None:
    loop = asyncio.get_running_loop()
    books = _Books(keep=keep, effort=effort)
    server = await loop.create_server(lambda: _Connection(books), "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    refusing = loop.create_task(_refuse(books, server))
    # The one who started us holds the other end of our standard input, also if it is killed.
    await loop.run_in_executor(None, sys.stdin.read)
    refusing.cancel()


async def _refuse(books: _Books, server: asyncio.Server) -> None:
    """Hang up, once that is wanted: from then on the port is closed."""
    await books.refuse.wait()
    server.close()
    await asyncio.sleep(0)
    for transport in list(books.open):
        transport.close()


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep bulk requests too")
    parser.add_argument("--effort", type=int, default=1, help="times that bulk work is done (1)")
    chosen = parser.parse_args()
    asyncio.run(_serve(keep=chosen.keep, effort=chosen.effort))


if __name__ == "__main__":
    main()
