"""Reading requests: bodies up to a limit, and query strings as objects."""

import re
import zlib
from typing import Any

import msgspec
from aiohttp import web

from prefactor_http.devserver.errors import bad_request, mismatch, too_large
from prefactor_http.devserver.switches import Switches

_BRACKETS = re.compile(r"(\w+)\[(\w+)\]")


async def read_body(request: web.Request, switches: Switches) -> bytes:
    """Return the body of *request*, unpacked if need be; it is UTF-8.

    Raises:
        ApiError: 413 beyond the limit, 400 if it cannot be unpacked or is not UTF-8.
    """
    limit = switches.max_body_bytes
    if (request.content_length or 0) > limit:
        raise too_large(f"a body has at most {limit} bytes")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > limit:
            raise too_large(f"a body has at most {limit} bytes")
        pieces.append(piece)
    body = b"".join(pieces)
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        if encoding != "gzip" or not switches.accept_gzip:
            raise bad_request(f"Content-Encoding {encoding} is not supported")
        body = _unpacked(body, limit)
    try:
        body.decode()
    except UnicodeDecodeError:
        raise bad_request("the body is not UTF-8") from None
    return body


def query_as(shape: type[Any], request: web.Request) -> Any:
    """Return the query string as a *shape*: ``a[b]=c`` is read as ``{"a": {"b": "c"}}``.

    Raises:
        ApiError: 422 naming the parameter that is missing or cannot be read.
    """
    found: dict[str, Any] = {}
    for name, value in request.query.items():
        match = _BRACKETS.fullmatch(name)
        if match is None:
            found[name] = value
        elif isinstance(nested := found.setdefault(match[1], {}), dict):
            nested[match[2]] = value
    try:
        return msgspec.convert(found, shape, strict=False)
    except msgspec.ValidationError as error:
        raise mismatch(error) from None


def _unpacked(body: bytes, limit: int) -> bytes:
    """Decompress a gzip body, never beyond *limit*."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise bad_request("the body is not gzip") from None
    if len(unpacked) > limit:
        raise too_large(f"a body has at most {limit} bytes")
    if not unpacker.eof:
        raise bad_request("the gzip body is cut short")
    return unpacked
