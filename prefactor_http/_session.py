"""Own the aiohttp session: how it is opened, what it carries, how it is let go."""

import asyncio
import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp

from prefactor_http._answer import Answer, too_large
from prefactor_http.config import HttpClientConfig

__all__ = ["Session"]

# aiohttp warns of larger bodies that are bytes, since it would write them in one go.
_LARGEST_BYTES = 1 << 20
# What an answer may hold once it is unpacked: several times the longest list of the largest spans.
_LARGEST_ANSWER = 128 << 20
# Seconds; shorter than the minute after which many servers close an idle connection.
_KEEPALIVE = 50.0

_closing: set[asyncio.Task[None]] = set()


class Session:
    """A set of kept-alive connections to one API, bound to the event loop that opened it."""

    def __init__(self, config: HttpClientConfig) -> None:
        """Open a session on the running loop; nothing is connected yet."""
        self._loop = asyncio.get_running_loop()
        # One host, few requests at a time: look the name up rarely, keep idle connections long.
        self._connector = aiohttp.TCPConnector(
            limit=20, ttl_dns_cache=300, keepalive_timeout=_KEEPALIVE
        )
        self._inner = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=config.request_timeout, connect=config.connect_timeout
            ),
        )

    @property
    def closed(self) -> bool:
        """Whether the session can no longer send."""
        return self._inner.closed

    def belongs_here(self) -> bool:
        """Return whether the running loop is the one that opened the session."""
        return self._loop is asyncio.get_running_loop()

    async def send(
        self,
        method: str,
        url: str,
        *,
        where: str,
        headers: Mapping[str, str],
        params: Mapping[str, Any] | None,
        body: bytes | None,
    ) -> Answer:
        """Send one request and read the whole answer.

        Redirects are not followed: following one would turn a ``POST`` into a ``GET``.

        Raises:
            aiohttp.ClientError: If no complete answer arrived.
            TimeoutError: If it did not arrive in time.
            prefactor_http.exceptions.PrefactorResponseContractError: If it does not end in
                bearable size.
        """
        data = io.BytesIO(body) if body is not None and len(body) > _LARGEST_BYTES else body
        async with self._inner.request(
            method, url, params=params, data=data, headers=headers, allow_redirects=False
        ) as response:
            pieces: list[bytes] = []
            size = 0
            async for piece in response.content.iter_any():
                size += len(piece)
                if size > _LARGEST_ANSWER:
                    response.close()
                    raise too_large(where, response.status, _LARGEST_ANSWER)
                pieces.append(piece)
            return Answer(
                where=where,
                status=response.status,
                content=b"".join(pieces),
                retry_after=response.headers.get("Retry-After"),
                location=response.headers.get("Location"),
            )

    async def close(self) -> None:
        """Close the connections, from whatever loop; safe to call twice."""
        if self.closed:
            return
        if self.belongs_here():
            await self._inner.close()
        elif self._loop.is_closed():
            transports = self._transports()
            with suppress(RuntimeError):
                await self._inner.close()
            for transport in transports:
                _bury(transport)
        else:
            self._inner.detach()
            with suppress(RuntimeError):  # the loop may be closed at this very moment
                self._loop.call_soon_threadsafe(_close_on_its_loop, self._connector)

    def _transports(self) -> list[asyncio.Transport]:
        pools: Any = getattr(self._connector, "_conns", {})
        return [
            protocol.transport
            for pool in pools.values()
            for protocol, *_ in pool
            if protocol.transport is not None
        ]


def _close_on_its_loop(connector: aiohttp.TCPConnector) -> None:
    """Close *connector*; must run on the loop that owns it."""

    async def close() -> None:
        await connector.close()

    task = asyncio.get_running_loop().create_task(close())
    _closing.add(task)  # a loop refers to its tasks weakly
    task.add_done_callback(_closing.discard)


def _bury(transport: asyncio.Transport) -> None:
    """Close the socket of *transport*, whose loop is closed and cannot do it any more.

    asyncio offers no public way; without this the socket stays open until it is collected, with a
    `ResourceWarning`. Loops that close their own sockets have no such method and need none.
    """
    with suppress(RuntimeError):
        transport.abort()
    protocol: Any = getattr(transport, "_ssl_protocol", None)
    raw: Any = getattr(protocol, "_transport", None) or transport
    finish: Any = getattr(raw, "_call_connection_lost", None)
    if finish is not None:
        with suppress(RuntimeError):
            finish(None)
