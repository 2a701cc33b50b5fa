"""Decoding bodies, with every failure as an error of the API."""

import json
from typing import Any, TypeVar

import msgspec

from prefactor_http.devserver.errors import bad_request, mismatch

Shape = TypeVar("Shape")

_STORED = msgspec.json.Decoder()
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)


def decode(decoder: msgspec.json.Decoder[Shape], raw: Any) -> Shape:
    """Decode *raw*.

    Raises:
        ApiError: 400 if it is not JSON, 422 naming the field if it has the wrong shape.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        # The decoder stops at the first wrong field; what follows may not even be JSON.
        _check_syntax(raw)
        raise mismatch(error) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_request(f"the body cannot be read: {error}") from None


def decode_stored(body: Any) -> Any:
    """Decode a payload that was stored as it came.

    Payloads are not decoded on arrival, so some hold what only a lenient decoder takes: a number
    beyond every float.
    """
    try:
        return _STORED.decode(body)
    except msgspec.DecodeError:
        return json.loads(bytes(body))


def _check_syntax(raw: Any) -> None:
    """Refuse what is not JSON from beginning to end."""
    try:
        _SYNTAX.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_request(f"the body cannot be read: {error}") from None
