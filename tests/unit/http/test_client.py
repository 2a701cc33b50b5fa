"""The client: what it sends, what it makes of the answers, and the connections it keeps."""

import asyncio
import gc
import gzip
import warnings
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

import prefactor_http
from prefactor_http import HttpClientConfig
from prefactor_http._session import _bury
from prefactor_http.client import DEFAULT_SDK_HEADER, PrefactorHttpClient
from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorAuthError,
    PrefactorClientError,
    PrefactorNotFoundError,
    PrefactorResponseContractError,
    PrefactorRetryExhaustedError,
    PrefactorValidationError,
    is_transient_http_error,
)

OK = {"status": "success", "details": {}}


async def test_a_request_carries_the_documented_headers(api: Any, client: Any) -> None:
    """Token, JSON both ways, the package's name; no key unless one is given."""
    api.answer("GET", "/api/v1/ping", payload=OK)

    answer = await client.request("GET", "/api/v1/ping")

    assert answer == OK
    assert api.only_call.headers == {
        "Authorization": "Bearer a-very-secret-token",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "X-Prefactor-SDK": DEFAULT_SDK_HEADER,
    }
    assert api.only_call.raw is None
    assert f"prefactor-http@{prefactor_http.__version__}" == DEFAULT_SDK_HEADER


async def test_a_generic_request_sends_query_body_and_key(api: Any, client: Any) -> None:
    """The key goes into a header, since only the caller knows the body."""
    api.answer("POST", "/api/v1/agent?page=1", payload=OK)

    await client.request(
        "POST", "/api/v1/agent", params={"page": 1}, json_data={}, idempotency_key="key-key-key"
    )

    assert api.only_call.query == {"page": 1}
    assert api.only_call.body == {}
    assert api.only_call.headers["Idempotency-Key"] == "key-key-key"


async def test_an_empty_key_is_not_sent_as_header(api: Any, client: Any) -> None:
    """An empty header would say nothing."""
    api.answer("POST", "/api/v1/agent", payload=OK)

    await client.request("POST", "/api/v1/agent", json_data={}, idempotency_key="")

    assert "Idempotency-Key" not in api.only_call.headers


@pytest.mark.parametrize("given", [None, "", "outer@1 prefactor-http@2"])
async def test_the_sdk_header_can_be_replaced(api: Any, config: Any, given: str | None) -> None:
    """A layer above names the whole chain; nothing given means this package."""
    api.answer("GET", "/api/v1/ping", payload=OK)

    async with PrefactorHttpClient(config, given) as client:
        await client.validate_token()

    assert api.only_call.headers["X-Prefactor-SDK"] == (given or DEFAULT_SDK_HEADER)


async def test_slashes_at_the_end_of_the_address_do_not_matter(api: Any) -> None:
    """The path brings its own."""
    api.answer("GET", "/api/v1/ping", payload=OK)

    async with PrefactorHttpClient(HttpClientConfig("https://api.test//", "token")) as client:
        await client.validate_token()

    assert api.only_call.path == "/api/v1/ping"


async def test_a_new_token_is_used_from_the_next_request_on(api: Any, client: Any) -> None:
    """Rotating a token needs no new client."""
    api.answer("GET", "/api/v1/ping", payload=OK, repeat=True)
    await client.validate_token()
    client.config.api_token = "fresh"
    await client.validate_token()

    assert [call.headers["Authorization"] for call in api.calls] == [
        "Bearer a-very-secret-token",
        "Bearer fresh",
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, PrefactorAuthError),
        (403, PrefactorAuthError),
        (404, PrefactorNotFoundError),
        (400, PrefactorValidationError),
        (422, PrefactorValidationError),
        (409, PrefactorApiError),
        (413, PrefactorApiError),
        (429, PrefactorApiError),
        (500, PrefactorApiError),
    ],
)
async def test_each_status_has_its_error(
    api: Any, client: Any, wire: Any, status: int, kind: type[PrefactorApiError]
) -> None:
    """The body gives code and message, the status the class."""
    api.answer("GET", "/api/v1/ping", status=status, payload=wire("errors", "plain"))

    with pytest.raises(PrefactorApiError) as caught:
        await client.validate_token()

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.status_code) == ("bad_authtoken", status)
    assert caught.value.message == str(caught.value) == "Token is not valid"


async def test_details_of_a_refusal_are_kept_as_they_came(api: Any, client: Any, wire: Any) -> None:
    """Both shapes the API uses for a field pass through."""
    body = wire("errors", "detailed")
    api.answer("POST", "/api/v1/agent", status=422, payload=body)

    with pytest.raises(PrefactorValidationError) as caught:
        await client.request("POST", "/api/v1/agent", json_data={})

    assert caught.value.errors == body["errors"]


@pytest.mark.parametrize("body", [{}, {"code": 7, "message": None, "errors": ["x"]}])
async def test_an_error_without_words_gets_default_ones(
    api: Any, client: Any, body: dict[str, Any]
) -> None:
    """Code ``unknown``, message ``HTTP <status>``, no errors."""
    api.answer("GET", "/api/v1/ping", status=400, payload=body)

    with pytest.raises(PrefactorValidationError, match="HTTP 400") as caught:
        await client.validate_token()

    assert (caught.value.code, caught.value.errors) == ("unknown", {})


async def test_the_servers_wish_to_wait_reaches_the_caller_uncapped(
    api: Any, client: Any, wire: Any
) -> None:
    """Header and body are both read, the longer wish counts."""
    api.answer(
        "GET",
        "/api/v1/ping",
        status=429,
        payload=wire("errors", "busy"),
        headers={"Retry-After": "900"},
    )

    with pytest.raises(PrefactorApiError) as caught:
        await client.validate_token()

    assert caught.value.retry_after == 900.0


@pytest.mark.parametrize("status", [200, 302, 404, 503])
async def test_a_body_that_is_not_json_breaks_the_contract_whatever_the_status(
    api: Any, client: Any, status: int
) -> None:
    """The body counts before the status: a proxy's 404 page is not the API's 404."""
    api.answer("GET", "/api/v1/ping", status=status, body=b"<html>\n  <b>\tno</b> ")

    with pytest.raises(PrefactorResponseContractError, match="/api/v1/ping") as caught:
        await client.validate_token()

    assert caught.value.status_code == status
    assert caught.value.body_snippet == "<html> <b> no</b>"
    assert str(caught.value).endswith("<html> <b> no</b>")
    assert isinstance(caught.value.cause, ValueError)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b'{"a": "\xff"}', b"[" * 100_000, b"{"])
async def test_unreadable_bodies_break_the_contract(api: Any, client: Any, body: bytes) -> None:
    """Nothing the decoder may raise escapes."""
    api.answer("GET", "/api/v1/ping", status=200, body=body)

    with pytest.raises(PrefactorResponseContractError) as caught:
        await client.validate_token()

    assert caught.value.cause is not None
    assert len(caught.value.body_snippet or "") <= 203
    assert (caught.value.body_snippet is None) == (body == b"")


@pytest.mark.parametrize("status", [200, 500])
async def test_json_that_is_no_object_breaks_the_contract(
    api: Any, client: Any, status: int
) -> None:
    """A list is JSON, and still not an answer."""
    api.answer("GET", "/api/v1/ping", status=status, payload=["x" * 300])

    with pytest.raises(PrefactorResponseContractError) as caught:
        await client.validate_token()

    assert (caught.value.status_code, caught.value.cause) == (status, None)
    assert caught.value.body_snippet == '["' + "x" * 198 + "..."


async def test_a_transient_failure_is_retried_with_the_same_request(
    api: Any, waits: list[float]
) -> None:
    """Body and key do not change between attempts; the hint is a minimum."""
    api.answer("POST", "/api/v1/agent", status=503, payload={}, headers={"Retry-After": "5"})
    api.answer("POST", "/api/v1/agent", exception=aiohttp.ClientConnectionError("cut"))
    api.answer("POST", "/api/v1/agent", payload=OK)

    async with PrefactorHttpClient(HttpClientConfig("https://api.test", "token")) as client:
        answer = await client.request(
            "POST", "/api/v1/agent", json_data={"a": 1}, idempotency_key="key-key-key"
        )

    assert answer == OK
    assert [call.body for call in api.calls] == [{"a": 1}] * 3
    assert {call.headers["Idempotency-Key"] for call in api.calls} == {"key-key-key"}
    assert waits[0] == 5.0


async def test_exhausted_retries_name_the_path_and_the_attempts(
    api: Any, waits: list[float]
) -> None:
    """The last error is at hand."""
    api.answer("GET", "/api/v1/ping", exception=TimeoutError(), repeat=True)
    config = HttpClientConfig("https://api.test", "token", max_retries=2)

    async with PrefactorHttpClient(config) as client:
        with pytest.raises(
            PrefactorRetryExhaustedError,
            match="GET /api/v1/ping failed after 3 attempts: TimeoutError",
        ) as caught:
            await client.validate_token()

    assert isinstance(caught.value.last_error, TimeoutError)
    assert len(waits) == 2


async def test_a_listed_status_is_retried(api: Any, waits: list[float]) -> None:
    """A changed list is honoured, in place of the default."""
    api.answer("GET", "/api/v1/ping", status=409, payload={})
    api.answer("GET", "/api/v1/ping", status=500, payload={})
    config = HttpClientConfig("https://api.test", "token", retry_on_status_codes=(409,))

    async with PrefactorHttpClient(config) as client:
        with pytest.raises(PrefactorApiError) as caught:
            await client.validate_token()

    assert caught.value.status_code == 500
    assert len(waits) == 1


async def test_what_json_cannot_express_is_refused_before_sending(api: Any, client: Any) -> None:
    """Such a value is the caller's mistake and no reason to retry."""
    with pytest.raises(TypeError):
        await client.request("POST", "/api/v1/agent", json_data={"a": object()})

    assert api.calls == []


async def test_closing_twice_or_before_use_is_safe_and_a_later_call_opens_anew(
    api: Any, config: HttpClientConfig
) -> None:
    """The client can be used without ``async with``."""
    api.answer("GET", "/api/v1/ping", payload=OK)
    client = PrefactorHttpClient(config)
    await client.close()
    async with client as entered:
        first = client._session
    await client.close()
    answer = await client.validate_token()
    second = client._session
    await client.close()

    assert entered is client
    assert answer == OK
    assert first is not None
    assert first.closed
    assert second is not first


async def test_an_attempt_without_session_says_so(config: HttpClientConfig) -> None:
    """That happens if the client is closed while a retry waits."""
    with pytest.raises(PrefactorClientError, match="closed"):
        await PrefactorHttpClient(config)._make_request("GET", "/api/v1/ping")


async def test_endpoint_clients_are_made_once(client: Any) -> None:
    """The same object every time."""
    for name in ("agent_instances", "agent_spans", "agents", "bulk", "pfids"):
        assert getattr(client, name) is getattr(client, name)


async def test_the_token_is_in_no_text(api: Any, client: Any) -> None:
    """Neither in the client's own text nor in that of an error."""
    api.answer("GET", "/api/v1/ping", exception=aiohttp.ClientConnectionError("cut"))

    with pytest.raises(aiohttp.ClientConnectionError) as caught:
        await client.validate_token()

    assert "a-very-secret-token" not in repr(client) + str(client) + repr(caught.value)


async def test_one_connection_serves_many_requests(raw_server: Any) -> None:
    """Connections are kept alive."""
    async with PrefactorHttpClient(HttpClientConfig(raw_server.url, "token")) as client:
        for _ in range(3):
            await client.validate_token()

    assert len(raw_server.requests) == 3
    assert len(raw_server.connections) == 1


@pytest.mark.parametrize("status", ["301 Moved", "307 Temporary Redirect"])
async def test_a_redirect_is_an_ordinary_answer(raw_server: Any, status: str) -> None:
    """Following it could lose the body of a ``POST``."""
    raw_server.answer_with(status, b'{"moved": true}', f"Location: {raw_server.url}/elsewhere")

    async with PrefactorHttpClient(HttpClientConfig(raw_server.url, "token")) as client:
        answer = await client.request("POST", "/api/v1/agent", json_data={})

    assert answer == {"moved": True}
    assert len(raw_server.requests) == 1


async def test_a_redirect_that_is_no_answer_says_where_it_leads(raw_server: Any) -> None:
    """The usual reason is an ``api_url`` without its ``s``."""
    where = "Location: https://api.test/api/v1/ping?token=secret"
    answers = (b"<html>moved</html>", b"", b"{}")

    async with PrefactorHttpClient(HttpClientConfig(raw_server.url, "token")) as client:
        for body in answers:
            raw_server.answer_with("301 Moved", body, where)
            with pytest.raises(
                PrefactorResponseContractError, match=r"redirects to https://api.test/api/v1/ping,"
            ) as caught:
                await client.agent_instances.get("a")

            assert caught.value.status_code == 301
            assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("status", "transient"), [("200 OK", False), ("503 Busy", True)])
async def test_an_answer_without_end_is_given_up(
    raw_server: Any, monkeypatch: pytest.MonkeyPatch, status: str, transient: bool
) -> None:
    """Also one that is small on the wire: nobody's memory is for the other side to fill."""
    monkeypatch.setattr("prefactor_http._session._LARGEST_ANSWER", 1 << 20)
    body = b'{"text":"' + b"x" * (1 << 20) + b'"}'
    config = HttpClientConfig(raw_server.url, "token", max_retries=0)

    async with PrefactorHttpClient(config) as client:
        for headers in ([], ["Content-Encoding: gzip"]):
            raw_server.answer_with(status, gzip.compress(body) if headers else body, *headers)
            with pytest.raises(PrefactorResponseContractError, match="more than 1 MiB") as caught:
                await client.validate_token()
            assert is_transient_http_error(caught.value) is transient
        raw_server.answer_with("200 OK", body[:9] + body[20:])
        assert len((await client.validate_token())["text"]) == (1 << 20) - 11


async def test_an_answer_may_come_packed_in_pieces_and_without_a_length(raw_server: Any) -> None:
    """As proxies send them."""
    body = b'{"status":"success","details":{"a":"\xc3\xa9"}}'
    packed = gzip.compress(body)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in packed) + b"0\r\n\r\n"

    async with PrefactorHttpClient(HttpClientConfig(raw_server.url, "token")) as client:
        for answer in (
            b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed),
            b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
        ):
            raw_server.answer = b"HTTP/1.1 200 OK\r\n" + answer
            assert (await client.validate_token())["details"] == {"a": "é"}


async def test_a_large_body_is_sent_whole(raw_server: Any) -> None:
    """Beyond a mebibyte aiohttp wants a stream; its length is still announced."""
    text = "x" * (3 << 20)

    async with PrefactorHttpClient(HttpClientConfig(raw_server.url, "token")) as client:
        await client.request("POST", "/api/v1/bulk", json_data={"text": text})

    assert raw_server.requests[0].endswith(text.encode() + b'"}')


def test_a_client_moves_to_another_loop_without_a_warning(raw_server: Any) -> None:
    """The first loop is closed with a live connection, whose socket must be closed too."""
    client = PrefactorHttpClient(HttpClientConfig(raw_server.url, "token", max_retries=0))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(client.validate_token())
        asyncio.run(client.validate_token())

        async def last() -> None:
            async with client:
                await client.validate_token()

        asyncio.run(last())
        gc.collect()

    assert [str(warning.message) for warning in caught] == []
    assert len(raw_server.requests) == 3
    assert len(raw_server.connections) == 3


def test_a_client_can_be_closed_from_another_loop(raw_server: Any) -> None:
    """Closing after the loop has gone is the same as before."""
    client = PrefactorHttpClient(HttpClientConfig(raw_server.url, "token", max_retries=0))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(client.validate_token())
        asyncio.run(client.close())
        gc.collect()

    assert [str(warning.message) for warning in caught] == []


def test_connections_of_a_living_loop_are_closed_on_that_loop(raw_server: Any) -> None:
    """A loop that runs again later closes what it was left with."""
    client = PrefactorHttpClient(HttpClientConfig(raw_server.url, "token", max_retries=0))
    first = asyncio.new_event_loop()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first.run_until_complete(client.validate_token())
        asyncio.run(client.close())
        first.run_until_complete(asyncio.sleep(0))
        first.run_until_complete(first.shutdown_asyncgens())
        first.close()
        gc.collect()

    assert [str(warning.message) for warning in caught] == []


def test_the_socket_under_tls_is_closed_too() -> None:
    """A closed loop refuses to close either layer, so the lower one is told directly."""
    told: list[Exception | None] = []

    class Raw:
        def _call_connection_lost(self, error: Exception | None) -> None:
            told.append(error)
            raise RuntimeError("Event loop is closed")

    class Wrapper:
        _ssl_protocol = SimpleNamespace(_transport=Raw())

        def abort(self) -> None:
            raise RuntimeError("Event loop is closed")

    _bury(cast("asyncio.Transport", Wrapper()))

    assert told == [None]
