"""The routes of the page: its files, its questions, its events and its one button."""

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from prefactor_http.devserver.actions import terminate_by_hand
from prefactor_http.devserver.backend import Backend
from prefactor_http.devserver.decoding import decode
from prefactor_http.devserver.errors import not_found
from prefactor_http.devserver.intake import query_as, read_body
from prefactor_http.devserver.page import runs, search, spans
from prefactor_http.devserver.page.assets import SHELL, assets
from prefactor_http.devserver.page.counts import Counts
from prefactor_http.devserver.page.guard import (
    HEADERS,
    check_origin,
    check_reader,
    check_writer,
)
from prefactor_http.devserver.page.live import Live
from prefactor_http.devserver.shapes import TerminateInstance

_TERMINATE = msgspec.json.Decoder(TerminateInstance)
_RUN = "/page/runs/{id}"


def add_page(app: web.Application, backend: Backend) -> None:
    """Add the page to *app*. People on this machine need no token, others do."""
    counts = Counts(backend.storage)
    live = Live(backend.storage)

    async def list_page(request: web.Request) -> web.Response:
        check_reader(request, backend)
        return _asset(SHELL)

    async def run_page(request: web.Request) -> web.Response:
        check_reader(request, backend)
        known = runs.exists(backend, request.match_info["id"])
        return _asset(SHELL, status=200 if known else 404)

    async def asset(request: web.Request) -> web.Response:
        check_reader(request, backend)
        return _asset(request.match_info["name"])

    async def events(request: web.Request) -> web.StreamResponse:
        check_reader(request, backend)
        check_origin(request)
        return await live.stream(request)

    async def terminate(request: web.Request) -> web.Response:
        check_writer(request, backend)
        body = decode(_TERMINATE, await read_body(request, backend.switches))
        outcome = terminate_by_hand(backend, request.match_info["id"], body.reason)
        return _json(outcome.body, status=outcome.status or 200)

    def add_question(path: str, shape: type[Any], ask: Callable[[str, Any], Any]) -> None:
        """Add a question: *ask* gets the id in the path and the query, and returns what to say."""

        async def answer(request: web.Request) -> web.Response:
            check_reader(request, backend)
            check_origin(request)
            wanted = query_as(shape, request)
            return _json(msgspec.json.encode(ask(request.match_info.get("id", ""), wanted)))

        app.router.add_get(path, answer)

    app.router.add_get("/", list_page)
    app.router.add_get("/runs/{id}", run_page)
    app.router.add_get("/runs/{id}/{span}", run_page)
    app.router.add_get("/assets/{name}", asset)
    app.router.add_get("/page/events", events)
    app.router.add_post(_RUN + "/terminate", terminate)
    add_question(
        "/page/runs", runs.RunsWanted, lambda _, wanted: runs.listing(backend, counts, wanted)
    )
    add_question(_RUN, runs.RunWanted, lambda run, _: runs.head(backend, counts, run))
    add_question(
        _RUN + "/spans", spans.SpansWanted, lambda run, wanted: spans.listing(backend, run, wanted)
    )
    add_question(
        _RUN + "/summaries",
        spans.SummariesWanted,
        lambda run, wanted: spans.summaries(backend, run, wanted),
    )
    add_question(
        _RUN + "/search",
        search.SearchWanted,
        lambda run, wanted: search.search(backend, run, wanted),
    )
    add_question(
        "/page/spans/{id}",
        spans.SpanWanted,
        lambda span, wanted: spans.details(backend, span, wanted),
    )


def _asset(name: str, *, status: int = 200) -> web.Response:
    """Return one of the files."""
    found = assets().get(name)
    if found is None:
        raise not_found("file")
    return web.Response(
        status=status,
        body=found.body,
        content_type=found.content_type,
        charset="utf-8",
        headers=HEADERS,
    )


def _json(body: bytes, *, status: int = 200) -> web.Response:
    """Return JSON for the page."""
    return web.Response(status=status, body=body, content_type="application/json", headers=HEADERS)
