"""A development server in a thread of its own, for tests and for the command line."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Coroutine, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import msgspec
from aiohttp import web

from prefactor_http.devserver.actions import terminate_by_hand
from prefactor_http.devserver.app import Api, Connection
from prefactor_http.devserver.auth import (
    DEFAULT_DEPLOYMENT_TOKEN,
    DEFAULT_TOKEN,
    Scope,
    Token,
    TokenState,
)
from prefactor_http.devserver.backend import Backend
from prefactor_http.devserver.decoding import decode_stored
from prefactor_http.devserver.faults import FaultRule, FaultScript
from prefactor_http.devserver.journal import Journal
from prefactor_http.devserver.switches import Switches

__all__ = ["DEFAULT_DEPLOYMENT_TOKEN", "DEFAULT_TOKEN", "DevServer"]

_GRACE = 0.05
_PATIENCE = 10.0
_TURNS_TO_CONNECT = 3
"""Turns of the event loop from accepting a connection to having it: task, transport, protocol."""


class DevServer:
    """The API on 127.0.0.1, with everything it stores open to inspection.

    Use it as ``with DevServer() as server:`` or ``async with``; both run it in its own thread.
    All methods are safe from any thread.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one, the same one after `pause` and `resume`.
        db: Database file; None keeps everything in memory. A file keeps its tokens as well.
        token: An account token that works.
        deployment_token: A token of the default agent in the default environment that works.
        partition: Partition of a new account; None for a random one.
        switches: Behaviour where the API's documentation is silent.
        faults: Rules of misbehaviour to start with, or a whole script.

    Raises:
        StorageError: If the database cannot be used.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        db: str | Path | None = None,
        token: str = DEFAULT_TOKEN,
        deployment_token: str = DEFAULT_DEPLOYMENT_TOKEN,
        partition: int | None = None,
        switches: Switches | None = None,
        faults: FaultScript | Iterable[str | FaultRule] = (),
    ) -> None:
        self.faults = faults if isinstance(faults, FaultScript) else FaultScript(*faults)
        self._backend = Backend(
            db, partition=partition, switches=Switches() if switches is None else switches
        )
        self.host = host
        self.port = port
        self.token = token
        self.deployment_token = deployment_token
        self.account_id = self._backend.account_id
        self.agent_id = self._backend.agent_id
        self.environment_id = self._backend.environment_id
        self.partition = self._backend.mint.partition
        self.requests = Journal()
        self.add_token(token)
        self.add_token(deployment_token, agent_id=self.agent_id, environment_id=self.environment_id)
        self._api = Api(self._backend, self.faults, self.requests)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._held: list[socket.socket] = []

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def exposure(self) -> str | None:
        """What to warn of: other machines may come in with a token that everybody knows.

        None if the server listens on this machine only, or if no such token works. A database file
        keeps its tokens, so one may work that was given to an earlier server.
        """
        known = (DEFAULT_TOKEN, DEFAULT_DEPLOYMENT_TOKEN)
        working = [token for token in known if self._backend.tokens.works(token)]
        if _is_loopback(self.host) or not working:
            return None
        return (
            f"{self.host} is open to other machines, and tokens work that everybody knows"
            f" ({', '.join(working)}): choose others with --token and --deployment-token"
            "; a database file keeps its old ones"
        )

    @property
    def switches(self) -> Switches:
        """The behaviour in force; assign another value at any time."""
        return self._backend.switches

    @switches.setter
    def switches(self, switches: Switches) -> None:
        self._backend.switches = switches

    @property
    def changed_bodies(self) -> list[str]:
        """Idempotency keys that came again with another body, in order of arrival."""
        return list(self._backend.changed_bodies)

    def start(self) -> None:
        """Start listening; a server runs once and cannot be started again after `stop`.

        Raises:
            OSError: If the address cannot be listened on.
        """
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=loop.run_forever, name="prefactor-devserver", daemon=True
        )
        self._thread.start()
        try:
            self._wait(self._listen())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop listening, end the thread and close the database; a second call does nothing."""
        if self._loop is not None and self._thread is not None:
            self._wait(self._unlisten())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_PATIENCE)
            self._loop.close()
            self._loop = self._thread = None
        self._backend.storage.close()

    def pause(self) -> None:
        """Refuse connections and cut those that are open, as if the API were down.

        The port stays this server's own.
        """
        self._wait(self._unlisten(keep_port=True))

    def resume(self) -> None:
        """Listen again on the same port."""
        self._wait(self._listen())

    def add_token(
        self, token: str, *, agent_id: str | None = None, environment_id: str | None = None
    ) -> None:
        """Add a token: of a deployment if an agent and an environment are given, else account."""
        scope: Scope = "account" if agent_id is None else "agent_deployment"
        self._backend.tokens.add(
            Token(
                token=token,
                scope=scope,
                state="active",
                account_id=self.account_id,
                agent_id=agent_id,
                environment_id=environment_id,
            )
        )

    def set_token_state(self, token: str, state: TokenState) -> None:
        """Suspend, revoke or re-activate a token.

        Raises:
            KeyError: If there is no such token.
            ValueError: If it is revoked, which is final.
        """
        self._backend.tokens.set_state(token, state)

    def instances(self) -> list[dict[str, Any]]:
        """Return the stored columns of all instances, in order of arrival."""
        return [
            dict(row) | {"quality": msgspec.json.decode(row["quality"])}
            for row in self._backend.storage.rows("SELECT * FROM instances ORDER BY seq")
        ]

    def spans(self, instance_id: str | None = None) -> list[dict[str, Any]]:
        """Return the stored columns of all spans, or of one instance's, in order of arrival.

        Payloads are decoded and not redacted; ``seq`` is the number of arrival, ``mismatch`` says
        where a span breaks what was declared, ``create_key`` and ``finish_key`` are the
        idempotency keys.
        """
        rows = self._backend.storage.rows(
            "SELECT * FROM spans WHERE ? IS NULL OR agent_instance_id = ? ORDER BY seq",
            (instance_id, instance_id),
        )
        return [_span(row) for row in rows]

    def terminate(self, instance_id: str, reason: str) -> None:
        """Terminate an active instance, as an operator would.

        Raises:
            ValueError: If there is no such instance or it is not active.
        """
        outcome = terminate_by_hand(self._backend, instance_id, reason)
        if outcome.status is not None:
            raise ValueError(msgspec.json.decode(outcome.body)["message"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    async def _listen(self) -> None:
        """Open the port."""
        if self._runner is not None:
            return
        runner = web.AppRunner(
            self._api.application(), handler_cancellation=True, shutdown_timeout=_GRACE
        )
        await runner.setup()
        server, loop = cast("web.Server", runner.server), asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(
                lambda: Connection(server, loop),
                self.host,
                self.port,
                reuse_address=True,
            )
        except BaseException:
            await runner.cleanup()
            raise
        self._let_go_of_port()
        self._runner = runner
        if self.port == 0:
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _unlisten(self, *, keep_port: bool = False) -> None:
        """Close the port and all connections."""
        if not keep_port:
            self._let_go_of_port()
        runner, self._runner = self._runner, None
        listener, self._listener = self._listener, None
        if runner is None or listener is None:
            return
        # A connection accepted a moment ago must come into being before the listener is closed:
        # asyncio forgets it otherwise, and complains when it is collected.
        for listening in listener.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        addresses = [(listening.family, listening.getsockname()) for listening in listener.sockets]
        for _ in range(_TURNS_TO_CONNECT):
            await asyncio.sleep(0)
        listener.close()
        if keep_port:
            self._held = [_bound(family, address) for family, address in addresses]
        for connection in runner.server.connections if runner.server is not None else ():
            if connection.transport is not None:  # pragma: no branch - None once it has gone
                connection.transport.abort()
        await runner.cleanup()

    def _let_go_of_port(self) -> None:
        for held in self._held:
            held.close()
        self._held = []

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* in the server's loop and wait for it."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the server is not running; use 'with DevServer() as server'")
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)


def _bound(family: int, address: Any) -> socket.socket:
    """Return a socket that has the port and refuses connections, because it does not listen."""
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(address)
    return bound


def _is_loopback(host: str) -> bool:
    """Say whether only this machine reaches *host*, which of names is sure for localhost only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _span(row: Any) -> dict[str, Any]:
    """Decode what a stored span holds as JSON."""
    decoded = {
        name: None if row[name] is None else decode_stored(row[name])
        for name in ("payload", "result_payload", "mismatch")
    }
    return dict(row) | decoded | {"sensitive_encoding": bool(row["sensitive_encoding"])}
