"""What a fault rule does to an answer, and what it needs to know of a request."""

import math
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import web

from prefactor_http.devserver.bulk import Item
from prefactor_http.devserver.errors import CODES, ApiError, envelope
from prefactor_http.devserver.faults import FaultRule, ItemFacts

CUT = web.RequestKey("prefactor_devserver_cut", bool)

_HTML = "<html><body><h1>{status}</h1><p>The upstream server is not available.</p></body></html>"


class _NamedDetails(msgspec.Struct):
    schema_name: str | None = None


class _NamedItem(msgspec.Struct):
    details: _NamedDetails = msgspec.field(default_factory=_NamedDetails)


_NAMED = msgspec.json.Decoder(_NamedItem)


def facts_of(item: Item) -> ItemFacts:
    """Return what fault rules may ask about *item*."""
    try:
        schema_name = _NAMED.decode(item.raw).details.schema_name
    except msgspec.DecodeError:
        schema_name = None
    return ItemFacts(item.type, schema_name)


def instead(request: web.Request, rule: FaultRule) -> web.Response | None:
    """Return the answer *rule* gives without applying the request, None to apply it."""
    if rule.reset == "before":
        return cut(request)
    if rule.html:
        status = rule.status or web.HTTPBadGateway.status_code
        return web.Response(
            status=status, text=_HTML.format(status=status), content_type="text/html"
        )
    return None if rule.status is None else _refusal(rule, rule.status)


def cut(request: web.Request) -> web.Response:
    """Cut the connection; the response returned goes nowhere."""
    request[CUT] = True
    if request.transport is not None:  # pragma: no branch - None once the client has left
        request.transport.abort()
    return web.Response()


def refusal_of_items(rule: FaultRule | None) -> Callable[[int, Item], ApiError | None]:
    """Return what decides which item of a bulk request fails, and with which error."""

    def refuse(position: int, item: Item) -> ApiError | None:
        if rule is None or rule.item_error is None or not rule.strikes(position, *facts_of(item)):
            return None
        message = rule.message or "this item was chosen to fail"
        errors = {"body": [message]} if rule.item_error == "validation_errors" else None
        return ApiError(rule.item_error, message, status=None, errors=errors)

    return refuse


def disturb_outputs(rule: FaultRule, outputs: list[tuple[str, bytes]], alien: str) -> None:
    """Leave an output out, or add one under the key *alien*."""
    if rule.drop_output and outputs:
        del outputs[min(rule.nth or len(outputs), len(outputs)) - 1]
    if rule.alien_output:
        outputs.append((alien, b'{"status":"success","details":{}}'))


def _refusal(rule: FaultRule, status: int) -> web.Response:
    """Return the scripted error, with the hints asked for."""
    more: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if rule.retry_after_ms is not None:
        more["retry_after_ms"] = rule.retry_after_ms
    if rule.retry_after is not None:
        headers["Retry-After"] = f"{rule.retry_after:g}"
    if rule.retry_after_date is not None:
        headers["Retry-After"] = formatdate(
            math.ceil(time.time() + rule.retry_after_date), usegmt=True
        )
    body = envelope(
        rule.code or CODES.get(status, "error"),
        rule.message or "this request was chosen to fail",
        **more,
    )
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
