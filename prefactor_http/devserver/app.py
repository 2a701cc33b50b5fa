"""The routes: request in, action, response out; every failure in the envelope of the API."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from prefactor_http.devserver import bulk, misbehaviour, reads, shapes, stamps
from prefactor_http.devserver.actions import ACTIONS, check_key, perform
from prefactor_http.devserver.auth import Token, require_account
from prefactor_http.devserver.backend import Backend, Call
from prefactor_http.devserver.decoding import decode
from prefactor_http.devserver.errors import (
    CODES,
    ApiError,
    envelope,
    invalid,
    not_found,
)
from prefactor_http.devserver.faults import Facts, FaultRule, FaultScript, Plan
from prefactor_http.devserver.intake import query_as, read_body
from prefactor_http.devserver.journal import Journal
from prefactor_http.devserver.page import add_page

API = "/api/v1"
ITEMS = web.RequestKey("prefactor_devserver_items", int)

_READ_BUFFER = 1 << 20
_LOGGER = logging.getLogger(__name__)
_A_BUG = "the development server has a bug here"
_PFIDS = msgspec.json.Decoder(shapes.GeneratePfids)
_JSON = "application/json"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CREATES = frozenset({"agent_instances/register", "agent_spans/create", "agents/create"})
_INSTANCE = "/agent_instance/{agent_instance_id}"
_SPAN = "/agent_spans/{agent_span_id}"
_AGENT = "/agent/{agent_id}"
_ROUTES = (
    ("POST", "/agent_instance/register", "agent_instances/register"),
    ("POST", _INSTANCE + "/start", "agent_instances/start"),
    ("POST", _INSTANCE + "/finish", "agent_instances/finish"),
    ("POST", _INSTANCE + "/record_quality", "agent_instances/record_quality"),
    ("POST", _INSTANCE + "/terminate", "agent_instances/terminate"),
    ("GET", "/agent_instance", "agent_instances/list"),
    ("GET", "/agent_instance/show", "agent_instances/show"),
    ("GET", _INSTANCE, "agent_instances/show"),
    ("GET", _INSTANCE + "/agent_context", "agent_context"),
    ("POST", "/agent_spans", "agent_spans/create"),
    ("GET", "/agent_spans", "agent_spans/list"),
    ("POST", _SPAN + "/finish", "agent_spans/finish"),
    ("GET", _SPAN, "agent_spans/show"),
    ("POST", _SPAN + "/discard_sensitive", "agent_spans/discard_sensitive"),
    ("POST", "/agent", "agents/create"),
    ("GET", "/agent", "agents/list"),
    ("GET", "/agent/show", "agents/show"),
    ("GET", _AGENT, "agents/show"),
    ("PUT", _AGENT, "agents/update"),
    ("DELETE", _AGENT, "agents/delete"),
    ("POST", _AGENT + "/retire", "agents/retire"),
    ("POST", _AGENT + "/reinstate", "agents/reinstate"),
    ("POST", "/bulk", "bulk"),
    ("GET", "/ping", "ping"),
    ("POST", "/pfid/generate", "pfid"),
)


class Reply(NamedTuple):
    """What goes back."""

    status: int
    body: bytes


class Connection(web.RequestHandler):
    """One connection; what is sent over it and is no request gets the envelope, too."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # what aiohttp takes for none at all
            read_bufsize=_READ_BUFFER,
            auto_decompress=False,
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read, or what failed outside of the routes, and close."""
        problem = "the request is no HTTP, or its address or one of its headers is too long"
        if status >= web.HTTPInternalServerError.status_code:
            super().handle_error(request, status, exc, message)  # logs it
            problem = _A_BUG
        response = _json(Reply(status, envelope(CODES.get(status, "bad_request"), problem)))
        response.force_close()
        return response


class Api:
    """Answers requests from one backend, misbehaving as scripted."""

    def __init__(self, backend: Backend, faults: FaultScript, journal: Journal) -> None:
        self._backend = backend
        self._faults = faults
        self._journal = journal

    def application(self) -> web.Application:
        """Return the application with all routes; one for each time the server listens."""
        app = web.Application(middlewares=[self._guard])
        for method, path, name in _ROUTES:
            app.router.add_route(method, API + path, self._route(name))
        add_page(app, self._backend)
        return app

    def _route(self, name: str) -> _Handler:
        """Return the handler of one route."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, name)

        return handle

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Turn every failure into the envelope of the API, and keep the journal."""
        request[ITEMS] = 0
        request[misbehaviour.CUT] = False
        try:
            response = await handler(request)
        except ApiError as error:
            response = _json(Reply(self._status_of(error), error.body()))
        except web.HTTPException as error:
            response = _routing_error(error)
        except (RecursionError, UnicodeError):
            message = "the request is nested too deeply, or holds bytes that are no text"
            response = _json(Reply(400, envelope("bad_request", message)))
        except (ConnectionError, asyncio.CancelledError):
            self._journal.note(request, request[ITEMS], 0)
            raise
        except Exception:
            _LOGGER.exception("devserver_bug")
            response = _json(Reply(500, envelope("internal_error", _A_BUG)))
        status = 0 if request[misbehaviour.CUT] else response.status
        self._journal.note(request, request[ITEMS], status)
        return response

    async def _answer(self, request: web.Request, name: str) -> web.StreamResponse:
        """Answer one request of the API, or misbehave."""
        body = await read_body(request, self._backend.switches)
        items = _items(body) if name == "bulk" else None
        request[ITEMS] = len(items) if isinstance(items, list) else 0
        plan = self._plan(request, body, items)
        if plan.latency:
            await asyncio.sleep(plan.latency)
        rule = plan.rule
        if rule is not None:
            if rule.black_hole:
                await asyncio.Event().wait()
            if (response := misbehaviour.instead(request, rule)) is not None:
                return response
        reply = self._reply(request, name, body, items, rule)
        if plan.late:
            await asyncio.sleep(plan.late)
        if rule is not None and rule.reset == "after":
            return misbehaviour.cut(request)
        if rule is not None and rule.cut_json:
            reply = reply._replace(body=reply.body[: len(reply.body) // 2])
        return _json(reply)

    def _plan(
        self, request: web.Request, body: bytes, items: list[bulk.Item] | ApiError | None
    ) -> Plan:
        """Ask the fault script about a request."""
        if self._faults.empty:
            return Plan()
        facts = None
        if isinstance(items, list):
            facts = [misbehaviour.facts_of(item) for item in items]
        return self._faults.plan(Facts(request.method, request.path, len(body), facts))

    def _reply(
        self,
        request: web.Request,
        name: str,
        body: bytes,
        items: list[bulk.Item] | ApiError | None,
        rule: FaultRule | None,
    ) -> Reply:
        """Run what the request asks for."""
        token = self._backend.tokens.bearer(request.headers.get("Authorization"))
        call = Call(self._backend, token, stamps.now(), in_bulk=False, key=None)
        if isinstance(items, ApiError):
            raise items
        if items is not None:
            return self._bulk(call._replace(in_bulk=True), items, len(body), rule)
        match name:
            case "ping":
                return Reply(200, b'{"status":"success","details":{}}')
            case "pfid":
                return self._pfids(token, body)
            case "agent_context":
                target = request.match_info["agent_instance_id"]
                with self._backend.transaction():
                    answer = reads.agent_context(call, shapes.ShowInstance(), target)
                return Reply(200, answer.body())
            case _:
                return self._single(request, call, name, body)

    def _single(self, request: web.Request, call: Call, name: str, body: bytes) -> Reply:
        """Run one action."""
        action = ACTIONS[name]
        target = next(iter(request.match_info.values()), None)
        reading = request.method == "GET"
        raw = b"" if reading else body or b"{}"
        parsed: Any = query_as(action.shape, request) if reading else decode(action.decoder, raw)
        if not reading:
            call = call._replace(key=self._key(request, parsed))
        with self._backend.transaction():
            outcome = perform(call, name, raw, target, parsed)
        if outcome.status is not None:
            return Reply(outcome.status, outcome.body)
        created = name in _CREATES
        return Reply(self._backend.switches.create_status if created else 200, outcome.body)

    def _key(self, request: web.Request, body: Any) -> str | None:
        """Return the idempotency key of a single call, None if there is none."""
        switches = self._backend.switches
        key: str | None = body.idempotency_key
        if key is None and isinstance(body, shapes.CreateSpan) and switches.span_key_in_details:
            key = body.details.idempotency_key
        if key is None and switches.honour_idempotency_header:
            key = request.headers.get("Idempotency-Key")
        if key is not None and switches.check_single_keys:
            check_key(key, switches.max_key_length)
        return key or None

    def _bulk(self, call: Call, items: list[bulk.Item], size: int, rule: FaultRule | None) -> Reply:
        """Run a bulk request, with what a fault does to its items."""
        bulk.check(call, items, size)
        if rule is not None and rule.reset == "after" and rule.nth is not None:
            items = items[: rule.nth]
        with self._backend.transaction():
            outputs = bulk.execute(call, items, misbehaviour.refusal_of_items(rule))
        if rule is not None:
            misbehaviour.disturb_outputs(rule, outputs, self._backend.mint())
        return Reply(200, bulk.answer(outputs))

    def _pfids(self, token: Token, body: bytes) -> Reply:
        """Make ids."""
        if self._backend.switches.pfid_needs_account_token:
            require_account(token)
        wanted = decode(_PFIDS, body or b"{}")
        if wanted.account_id not in {None, token.account_id}:
            raise not_found("account")
        most = self._backend.switches.max_pfids
        if not 1 <= wanted.count <= most:
            raise invalid("count", f"must be between 1 and {most}")
        pfids = [self._backend.mint() for _ in range(wanted.count)]
        answer = {"status": "success", "account_id": token.account_id, "pfids": pfids}
        return Reply(200, msgspec.json.encode(answer))

    def _status_of(self, error: ApiError) -> int:
        """Return the HTTP status of *error*."""
        if error.status is None:
            return self._backend.switches.validation_status
        return error.status


def _items(body: bytes) -> list[bulk.Item] | ApiError:
    """Read the items of a bulk request; an error waits until the token is checked."""
    try:
        return bulk.read(body)
    except ApiError as error:
        return error


def _json(reply: Reply) -> web.Response:
    """Return *reply* as an HTTP response."""
    return web.Response(status=reply.status, body=reply.body, content_type=_JSON)


def _routing_error(error: web.HTTPException) -> web.Response:
    """Return the envelope of a path or method that does not exist."""
    code = CODES.get(error.status, "bad_request")
    message = error.reason or "the request cannot be answered"
    response = _json(Reply(error.status, envelope(code, message)))
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
