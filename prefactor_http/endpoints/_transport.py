"""Own what every endpoint needs: the seam to the client, and how arguments reach the wire."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote
from uuid import uuid4

import msgspec

from prefactor_http.models._model import Model
from prefactor_http.models.types import JsonObject

__all__ = [
    "Transport",
    "encode",
    "page",
    "path_segment",
    "plain",
    "query",
    "wire_time",
    "write_key",
]

T = TypeVar("T")

_LONGEST_KEY = 64

encode = msgspec.json.Encoder().encode


class Transport(Protocol):
    """What an endpoint asks of the client it belongs to."""

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        decode: Callable[[bytes], T],
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> T:
        """Send a request and return what *decode* makes of the answer."""
        ...


def path_segment(value: str, name: str) -> str:
    """Return *value* escaped, so that it stays one segment of a path whatever it holds.

    Raises:
        ValueError: If it is empty or a dot segment, which would address something else.
    """
    if value in {"", ".", ".."}:
        raise ValueError(f"{name} must be an id, got {value!r}")
    return quote(value, safe="")


def write_key(idempotency_key: str | None) -> str:
    """Return the idempotency key of a write, a fresh UUID4 in hexadecimal if there is none.

    Raises:
        ValueError: If it has more than 64 characters.
    """
    if idempotency_key is None:
        return uuid4().hex
    if len(idempotency_key) > _LONGEST_KEY:
        raise ValueError(
            f"idempotency_key must have at most {_LONGEST_KEY} characters, "
            f"got {len(idempotency_key)}"
        )
    return idempotency_key


def wire_time(moment: datetime | None) -> str | None:
    """Return *moment* in ISO 8601 with an offset; a naive one is taken to be UTC."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def query(**parameters: Any) -> dict[str, str | int] | None:
    """Return the query parameters that are not ``None``, flags as text; ``None`` for no query."""
    given: dict[str, str | int] = {}
    for name, value in parameters.items():
        if isinstance(value, bool):
            given[name] = "true" if value else "false"
        elif value is not None:
            given[name] = value
    return given or None


def page(offset: int | None, page_size: int | None) -> dict[str, int | None]:
    """Return the query parameters that choose a page, for `query`."""
    return {"pagination[offset]": offset, "pagination[page_size]": page_size}


def plain(value: JsonObject | Model) -> JsonObject:
    """Return *value* as a dictionary with the names of the wire; a model loses what is ``None``."""
    if isinstance(value, Model):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return value
