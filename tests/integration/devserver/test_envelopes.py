"""Promises about bad input: whatever comes, the answer is the documented envelope."""

import asyncio
import gzip
import json

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefactor_http.devserver import DevServer
from prefactor_http.devserver.app import _ROUTES, API
from prefactor_http.devserver.ids import Mint

MODELS = ["details", "agent_instance_id", "agent_span_id", "schema_name", "status", "payload",
          "id", "items", "_type", "idempotency_key", "timestamp", "result_payload", "name", "count",
          "agent_version", "agent_schema_version", "span_schemas", "reason", "started_at",
          "span_type_schemas", "params_schema", "sensitive_encoding", "agent_id"]  # fmt: skip
WORDS = ["active", "complete", "cancelled", "agent_spans/create", "agent_spans/finish",
         "long-enough-key",
         "2026-01-01T00:00:00Z", "agents/list", "$KNOWN", "$SPAN"]  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(WORDS)
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MODELS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def shared():
    """One server with a run and a span, for all examples."""
    with DevServer() as server:
        yield server


async def _prepare(session, server):
    mint, run, span = Mint(server.partition), "", ""
    run, span = mint(), mint()
    items = [
        {"_type": "agent_instances/register", "id": run, "agent_id": server.agent_id,
         "agent_version": {}, "agent_schema_version": {"span_schemas": {"a": {"required": ["x"]}}}},
        {"_type": "agent_instances/start", "agent_instance_id": run},
        {"_type": "agent_spans/create", "details": {"id": span, "agent_instance_id": run,
         "schema_name": "a", "status": "active", "payload": {}}},
    ]  # fmt: skip
    keyed = [item | {"idempotency_key": f"{run}{n}"} for n, item in enumerate(items)]
    async with session.post(f"{server.url}{API}/bulk", json={"items": keyed}) as response:
        assert response.status == 200
    return run, span


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=values, query=st.dictionaries(st.sampled_from([*MODELS, "pagination[offset]", "sorting",
       "sorting[field]", "start_time", "redacted"]), st.text(max_size=6), max_size=3))  # fmt: skip
def test_any_json_to_any_route_gets_an_envelope(shared, body, query):
    """Never a 500, never anything but a JSON object with ``status`` (or a context)."""

    async def everywhere():
        headers = {"Authorization": f"Bearer {shared.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            run, span = await _prepare(session, shared)
            text = json.dumps(body).replace("$KNOWN", run).replace("$SPAN", span)
            for method, path, _ in _ROUTES:
                target = (
                    path.replace("{agent_instance_id}", run)
                    .replace("{agent_span_id}", span)
                    .replace("{agent_id}", shared.agent_id)
                )
                async with session.request(
                    method, f"{shared.url}{API}{target}", data=text.encode(), params=query
                ) as response:
                    answer = await response.json()
                    assert response.status < 500, (path, answer)
                    assert "agent_context" in answer or answer["status"] in {"success", "error"}
                    if answer.get("status") == "error":
                        assert isinstance(answer["code"], str)
                        assert isinstance(answer["message"], str)
                        assert ("errors" in answer) == (answer["code"] == "validation_errors")

    asyncio.run(everywhere())


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"details": {"payload": NaN}}',
        b'{"a": "\xff"}',
        b"{} {}",
        b'{"items": ' + b"[" * 100_000,
        b'{"details": ' + b'{"a":' * 100_000,
    ],
)
async def test_malformed_json_is_a_bad_request(api, body):
    """Syntax, encoding, and nesting without end."""
    for path in ("/bulk", "/agent_spans", "/agent_instance/register", "/pfid/generate", "/agent"):
        status, answer = await api.post(path, body)

        assert (status, answer["code"]) == (400, "bad_request"), path


@pytest.mark.parametrize("body", [b"[]", b"3", b'"text"', b"null", b"true"])
async def test_a_body_must_be_an_object(api, body):
    """Well-formed JSON of another kind is a validation error."""
    for path in ("/bulk", "/agent_spans", "/agent_instance/register", "/pfid/generate"):
        status, answer = await api.post(path, body)

        assert (status, answer["code"]) == (422, "validation_errors")


@pytest.mark.parametrize("depth", [10, 600, 900])
async def test_a_sensitive_payload_nested_too_deeply_is_not_half_stored(api, depth):
    """It has to be rewritten, which has limits; beyond them it is refused as a whole."""
    instance_id = await api.instance()
    payload = '{"a":' * depth + "1" + "}" * depth
    body = (
        '{"details":{"agent_instance_id":"%s","schema_name":"x","status":"active",'
        '"sensitive_encoding":true,"payload":%s}}'
    )
    status, _ = await api.post("/agent_spans", (body % (instance_id, payload)).encode())

    assert status in ({200} if depth == 10 else {200, 400})
    assert len(api.server.spans()) == (1 if status == 200 else 0)


async def test_bytes_that_are_no_text_are_a_bad_request(api):
    """In a header, where JSON's rules do not reach."""
    reader, writer = await asyncio.open_connection(api.server.host, api.server.port)
    writer.write(b"GET /api/v1/ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n")
    writer.write(b"Connection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 400")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "bad_request"


LONG = b"x" * 9000


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /api/v1/ping?" + LONG + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/ping HTTP/1.1\r\nHost: x\r\nX-Long: " + LONG + b"\r\n\r\n",
        b"GET /api/v1/ping HTTP/1.1\r\nHost x\r\n\r\n",
        b"POST /api/v1/bulk HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"POST /api/v1/bulk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"hello\r\n\r\n",
    ],
    ids=["address", "header", "colon", "length", "tls", "chunk", "no-http"],
)
async def test_what_is_no_request_is_a_bad_request(api, caplog, request_head):
    """Too long or no HTTP at all: the envelope, the end of the connection, and a quiet log."""
    answer = await exchange(api.server, request_head)

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert b"content-type: application/json" in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "bad_request"
    assert caplog.text == ""


async def exchange(server, request):
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_half_a_surrogate_pair_is_a_bad_request(api):
    """Such a text cannot be written as UTF-8."""
    text = b'{"details":{"agent_instance_id":"x","payload":{"a":"\\ud800"}}}'
    status, body = await api.post("/agent_spans", text)

    assert (status, body["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/environment", 404, "not_found"),
        ("GET", "/openapi", 404, "not_found"),
        ("GET", "/agent_spans/a/b/c", 404, "not_found"),
        ("GET", "/bulk", 405, "method_not_allowed"),
        ("PUT", "/agent_spans", 405, "method_not_allowed"),
        ("DELETE", "/agent_instance/x", 405, "method_not_allowed"),
    ],
)
async def test_unknown_paths_and_methods(api, method, path, status, code):
    """The same envelope as everything else."""
    answered, body = await api.send(method, path)

    assert (answered, body["status"], body["code"]) == (status, "error", code)


async def test_a_body_beyond_the_limit_is_too_large(api):
    """Announced or not."""
    api.switch(max_body_bytes=1000)

    async def chunks():
        for _ in range(20):
            yield b" " * 100

    announced = await api.post("/bulk", b" " * 2000)
    url = f"{api.server.url}/api/v1/bulk"
    async with api.session.post(url, data=chunks()) as response:
        streamed = await response.json()

    assert announced[0] == 413
    assert streamed["code"] == announced[1]["code"] == "payload_too_large"


async def test_gzip_is_taken_only_if_switched_on(api):
    """And never unpacked beyond the limit."""
    headers = {"Content-Encoding": "gzip"}
    body = gzip.compress(b'{"count": 2}')
    refused = await api.post("/pfid/generate", body, headers=headers)
    api.switch(accept_gzip=True)
    taken = await api.post("/pfid/generate", body, headers=headers)
    broken = await api.post("/pfid/generate", b"not gzip", headers=headers)
    cut = await api.post("/pfid/generate", body[:-4], headers=headers)
    bomb = await api.post("/pfid/generate", gzip.compress(bytes(40_000_000)), headers=headers)

    assert [answer[0] for answer in (refused, taken, broken, cut, bomb)] == [
        400,
        200,
        400,
        400,
        413,
    ]
    assert len(taken[1]["pfids"]) == 2


async def test_a_bug_in_the_server_is_a_500_without_a_traceback(api, monkeypatch, caplog):
    """The log has it, the answer has not."""
    monkeypatch.setattr("prefactor_http.devserver.app.stamps.now", lambda: 1 / 0)
    status, body = await api.get("/ping")

    assert (status, body["code"]) == (500, "internal_error")
    assert "division" not in str(body)
    assert "devserver_bug" in caplog.text


async def test_a_bug_outside_of_the_routes_is_one_too(api, monkeypatch, caplog):
    """Whatever fails, a client can read the answer."""
    monkeypatch.setattr("prefactor_http.devserver.journal.Journal.note", lambda *_: 1 / 0)
    status, body = await api.get("/ping")

    assert (status, body["code"]) == (500, "internal_error")
    assert "division" not in str(body)
    assert "ZeroDivisionError" in caplog.text
