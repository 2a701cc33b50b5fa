"""The bulk endpoint: many actions in one request, one after the other, up to the first error."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import Raw

from prefactor_http.devserver.actions import ACTIONS, check_key, perform
from prefactor_http.devserver.backend import Call
from prefactor_http.devserver.decoding import decode
from prefactor_http.devserver.errors import ApiError, bad_request, invalid, too_large
from prefactor_http.devserver.shapes import Bulk, ItemHead

_BODY = msgspec.json.Decoder(Bulk)
_HEAD = msgspec.json.Decoder(ItemHead)
_ENCODE = msgspec.json.Encoder().encode


class Item(NamedTuple):
    """One item of a bulk request, its head read."""

    type: str
    key: str
    raw: Raw


def read(body: bytes) -> list[Item]:
    """Read the items of a bulk request.

    Raises:
        ApiError: If the request as a whole is malformed.
    """
    raws = decode(_BODY, body).items
    heads = [decode(_HEAD, raw) for raw in raws]
    return [
        Item(head.type, head.idempotency_key, raw) for head, raw in zip(heads, raws, strict=True)
    ]


def check(call: Call, items: list[Item], size: int) -> None:
    """Refuse a bulk request as a whole.

    Raises:
        ApiError: 413 beyond a limit; 422 without items, or with keys of the wrong length or twice.
    """
    switches = call.backend.switches
    if switches.max_bulk_bytes and size > switches.max_bulk_bytes:
        raise too_large(f"a bulk request has at most {switches.max_bulk_bytes} bytes, not {size}")
    if switches.max_bulk_items and len(items) > switches.max_bulk_items:
        raise too_large(f"a bulk request has at most {switches.max_bulk_items} items")
    if not items:
        raise invalid("items", "must not be empty")
    for item in items:
        check_key(item.key, switches.max_key_length)
    if len({item.key for item in items}) != len(items):
        raise invalid("idempotency_key", "must be unique within the request")


def execute(
    call: Call, items: list[Item], refuse: Callable[[int, Item], ApiError | None]
) -> list[tuple[str, bytes]]:
    """Run *items* in order until one fails; return the outputs by key.

    All of them share one transaction for speed. That cannot be observed: an action checks before
    it writes, so one that fails has written nothing, and those before it are kept.

    Args:
        call: By whom and when.
        items: What to run.
        refuse: Told the one-based position and the item; returns an error to fail it with.
    """
    outputs: list[tuple[str, bytes]] = []
    refused = call.backend.switches.refused_bulk_types
    for position, item in enumerate(items, start=1):
        error = refuse(position, item)
        if error is None and (item.type not in ACTIONS or item.type in refused):
            error = bad_request(f"unknown _type {item.type!r}")
        if error is not None:
            outputs.append((item.key, error.body()))
            break
        outcome = perform(call._replace(key=item.key), item.type, item.raw, None)
        outputs.append((item.key, outcome.body))
        if outcome.status is not None:
            break
    return outputs


def answer(outputs: list[tuple[str, bytes]]) -> bytes:
    """Encode the outputs."""
    pieces = [b'{"status":"success","outputs":{']
    for position, (key, body) in enumerate(outputs):
        if position:
            pieces.append(b",")
        pieces += (_ENCODE(key), b":", body)
    pieces.append(b"}}")
    return b"".join(pieces)
