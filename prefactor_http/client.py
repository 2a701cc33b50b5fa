"""Own the client: who asks, where, and what is repeated when it fails."""

from collections.abc import Callable, Mapping
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from prefactor_http._answer import Answer, raise_for_failure, read_object, read_value
from prefactor_http._session import Session
from prefactor_http._version import PACKAGE_NAME, PACKAGE_VERSION
from prefactor_http.config import HttpClientConfig
from prefactor_http.endpoints.agent import AgentClient
from prefactor_http.endpoints.agent_instance import AgentInstanceClient
from prefactor_http.endpoints.agent_span import AgentSpanClient
from prefactor_http.endpoints.bulk import BulkClient
from prefactor_http.endpoints.pfid import PfidClient
from prefactor_http.exceptions import PrefactorClientError, PrefactorRetryExhaustedError
from prefactor_http.retry import RetryHandler, describe, retry_decision

__all__ = ["DEFAULT_SDK_HEADER", "PrefactorHttpClient"]

T = TypeVar("T")

DEFAULT_SDK_HEADER = f"{PACKAGE_NAME}@{PACKAGE_VERSION}"

_encode = msgspec.json.Encoder().encode


class PrefactorHttpClient:
    """Speak to the Prefactor API.

    Use it with ``async with``, or call `close` when done. It opens its connections with the first
    request and keeps them alive. It belongs to one event loop at a time: used from another one, it
    opens new connections there and closes the old ones. It is not safe to use from two running
    loops at once. With uvloop, close it before its loop: that loop complains of open connections
    when it is closed.

    Attributes:
        config: The settings. A token assigned to ``config.api_token`` is used from the next request
            on.

    Args:
        config: The settings.
        sdk_header: What to send as ``X-Prefactor-SDK``, ``name@version`` entries with a space
            between them, outermost package first; ``None`` or an empty text sends this package's.
    """

    def __init__(self, config: HttpClientConfig, sdk_header: str | None = None) -> None:
        self.config = config
        self._sdk_header = sdk_header or DEFAULT_SDK_HEADER
        self._session: Session | None = None
        self._retry_handler = RetryHandler(config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config!r})"

    async def __aenter__(self) -> Self:
        await self._ensure_session()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @cached_property
    def agent_instances(self) -> AgentInstanceClient:
        """Calls about agent instances."""
        return AgentInstanceClient(self)

    @cached_property
    def agent_spans(self) -> AgentSpanClient:
        """Calls about spans."""
        return AgentSpanClient(self)

    @cached_property
    def agents(self) -> AgentClient:
        """Calls about agents."""
        return AgentClient(self)

    @cached_property
    def bulk(self) -> BulkClient:
        """Many actions in one request."""
        return BulkClient(self)

    @cached_property
    def pfids(self) -> PfidClient:
        """Ids made by the API."""
        return PfidClient(self)

    async def close(self) -> None:
        """Close the connections; safe to call twice or before use, and a later call opens anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        json_data: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Send a request, repeating it while its failures may pass.

        Args:
            method: The HTTP method.
            path: The path with its ``/api/v1`` prefix.
            params: The query; values are text or numbers.
            json_data: The body, ``None`` for none.
            idempotency_key: Sent as header ``Idempotency-Key`` if it is not empty. Whether the API
                honours the header is not documented: put keys into the body.

        Returns:
            The JSON object of an answer with a status below 400.

        Raises:
            prefactor_http.exceptions.PrefactorApiError: If the API answered with an error that does
                not pass; its subclasses tell which.
            prefactor_http.exceptions.PrefactorResponseContractError: If the answer is not a JSON
                object.
            prefactor_http.exceptions.PrefactorRetryExhaustedError: If every attempt failed. With
                ``max_retries`` 0 the error of the one attempt is raised instead.
            prefactor_http.exceptions.PrefactorClientError: If the client was closed meanwhile.
            TypeError: If ``json_data`` holds something JSON cannot express.
        """
        result: dict[str, Any] = await self._repeat(
            self._make_request,
            method,
            path,
            params=params,
            json_data=json_data,
            idempotency_key=idempotency_key,
        )
        return result

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
        """Send a request as `request` does, and decode the answer straight into a value.

        Args:
            method: The HTTP method.
            path: The path with its ``/api/v1`` prefix.
            operation: The name of the call, for messages.
            decode: Makes the value from the body of an answer with a status below 400.
            params: The query; values are text or numbers.
            body: The encoded body, ``None`` for none.

        Returns:
            What *decode* returned.

        Raises:
            prefactor_http.exceptions.PrefactorHttpError: As `request` does, and a
                `PrefactorResponseContractError` without status if the answer has the wrong shape.
        """
        answer: Answer = await self._repeat(self._attempt, method, path, params=params, body=body)
        return read_value(answer, decode, operation)

    async def validate_token(self) -> dict[str, Any]:
        """Ask the API whether the token is good.

        Returns:
            The answer, whose content is not specified.

        Raises:
            prefactor_http.exceptions.PrefactorAuthError: If the token is not good.
        """
        return await self.request("GET", "/api/v1/ping")

    async def _ensure_session(self) -> Session:
        """Return the session of the running loop, opened if need be; let go of another loop's."""
        session = self._session
        if session is not None and not session.closed and session.belongs_here():
            return session
        self._session = opened = Session(self.config)
        if session is not None:
            await session.close()
        return opened

    async def _repeat(
        self, operation: Callable[..., Any], method: str, path: str, **arguments: Any
    ) -> Any:
        """Run *operation* with retries, and say in the error what was asked for."""
        await self._ensure_session()
        try:
            return await self._retry_handler.execute(
                operation, retry_decision(self.config), method, path, **arguments
            )
        except PrefactorRetryExhaustedError as error:
            attempts = self.config.max_retries + 1
            raise PrefactorRetryExhaustedError(
                f"{method} {path} failed after {attempts} attempts: {describe(error.last_error)}",
                error.last_error,
            ) from error.last_error

    async def _make_request(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        json_data: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Make one attempt and return the object in the answer."""
        body = None if json_data is None else _encode(json_data)
        return read_object(
            await self._attempt(
                method, path, params=params, body=body, idempotency_key=idempotency_key
            )
        )

    async def _attempt(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None,
        body: bytes | None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Make one attempt and return the answer, raising if it stands for an error."""
        session = self._session
        if session is None or session.closed:
            raise PrefactorClientError(
                f"The client was closed during {method} {path}; close it after the last call"
            )
        headers = {
            "Authorization": f"Bearer {self.config.api_token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "X-Prefactor-SDK": self._sdk_header,
        }
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        answer = await session.send(
            method,
            self.config.api_url.rstrip("/") + path,
            where=f"{method} {path}",
            headers=headers,
            params=params,
            body=body,
        )
        raise_for_failure(answer)
        return answer
