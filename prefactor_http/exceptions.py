"""Own the tree of errors the client raises, and the verdict whether one may pass.

::

    PrefactorHttpError
    ├── PrefactorApiError                  the API answered with an error
    │   ├── PrefactorAuthError             401, 403
    │   ├── PrefactorNotFoundError         404
    │   └── PrefactorValidationError       400, 422
    ├── PrefactorResponseContractError     the answer is not what the API promises
    ├── PrefactorRetryExhaustedError       every attempt failed
    └── PrefactorClientError               the client was used in a way it cannot serve

Errors of the connection (``aiohttp.ClientError``, ``TimeoutError``) reach the caller as they are
when retries are off, and as ``last_error`` of `PrefactorRetryExhaustedError` otherwise.
"""

import sys
from http import HTTPStatus
from typing import Any

__all__ = [
    "PrefactorApiError",
    "PrefactorAuthError",
    "PrefactorClientError",
    "PrefactorHttpError",
    "PrefactorNotFoundError",
    "PrefactorResponseContractError",
    "PrefactorRetryExhaustedError",
    "PrefactorValidationError",
    "is_permanent_http_error",
    "is_transient_http_error",
]


class PrefactorHttpError(Exception):
    """Base of every error this package raises."""


class PrefactorApiError(PrefactorHttpError):
    """The API answered with an error; look at ``code`` and ``status_code`` to decide what to do.

    Attributes:
        message: What the API said, or ``HTTP <status>`` if it said nothing.
        code: The API's own word for the error, ``unknown`` if it gave none.
        status_code: The HTTP status of the answer.
        retry_after: How many seconds the API asked to wait before trying again, uncapped.
            ``None`` if it did not ask.
    """

    def __init__(
        self,
        message: str,
        code: str,
        status_code: int,
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status_code = status_code
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


class PrefactorAuthError(PrefactorApiError):
    """The token is unknown, expired, revoked, or not allowed to do this (401, 403)."""


class PrefactorNotFoundError(PrefactorApiError):
    """The object does not exist, or this token cannot see it (404)."""


class PrefactorValidationError(PrefactorApiError):
    """The API refused the content of the request (400, 422).

    Attributes:
        errors: What is wrong with each field, as the API said it. The shape of the values is not
            fixed; empty if the API gave no details.
    """

    def __init__(
        self,
        message: str,
        code: str,
        status_code: int,
        errors: dict[str, Any],
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code, status_code, retry_after=retry_after)
        self.errors = errors


class PrefactorRetryExhaustedError(PrefactorHttpError):
    """Every allowed attempt failed; ``last_error`` says how the last one did.

    Attributes:
        last_error: The error of the last attempt, ``None`` if it is not known.
    """

    def __init__(self, message: str, last_error: Exception | None = None) -> None:
        super().__init__(message)
        self.last_error = last_error


class PrefactorClientError(PrefactorHttpError):
    """The client cannot serve this call, for instance because it was closed in the middle of it."""


class PrefactorResponseContractError(PrefactorHttpError):
    """The answer is not JSON, not a JSON object, or not of the promised shape.

    After a status of 200 to 299 the action was carried out all the same: do not repeat it under a
    new idempotency key.

    Attributes:
        status_code: The HTTP status of the answer, ``None`` if the answer was a JSON object of the
            wrong shape.
        body_snippet: The beginning of the body on one line, ``None`` if there is nothing to show.
        cause: The error of the decoder, ``None`` if it had none.
        retry_after: How many seconds the API asked to wait before trying again, uncapped.
            ``None`` if it did not ask.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        body_snippet: str | None = None,
        cause: Exception | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.body_snippet = body_snippet
        self.cause = cause
        self.retry_after = retry_after


def is_transient_http_error(error: Exception) -> bool:
    """Return whether the same request may well succeed later.

    Args:
        error: Any error; exhausted retries are judged by their ``last_error``.

    Returns:
        True for errors of the connection, timeouts, and the statuses 429 and 500 and above.
    """
    if isinstance(error, PrefactorRetryExhaustedError):
        return error.last_error is not None and is_transient_http_error(error.last_error)
    if isinstance(error, PrefactorApiError | PrefactorResponseContractError):
        return error.status_code is not None and _is_transient_status(error.status_code)
    return is_connection_error(error)


def is_permanent_http_error(error: Exception) -> bool:
    """Return whether repeating the same request is pointless.

    Some errors are neither transient nor permanent, such as a `ValueError` or a
    `PrefactorClientError`: those say nothing about the API.

    Args:
        error: Any error; exhausted retries are judged by their ``last_error``.

    Returns:
        True for the statuses 400 to 499 except 429, and for an answer that breaks the contract
        unless its status is transient.
    """
    if isinstance(error, PrefactorRetryExhaustedError):
        return error.last_error is not None and is_permanent_http_error(error.last_error)
    if isinstance(error, PrefactorResponseContractError):
        return error.status_code is None or not _is_transient_status(error.status_code)
    if isinstance(error, PrefactorApiError):
        refused = error.status_code >= HTTPStatus.BAD_REQUEST
        return refused and not _is_transient_status(error.status_code)
    return False


def is_connection_error(error: Exception) -> bool:
    """Return whether *error* means that no complete answer arrived.

    aiohttp is looked up and not imported: an error of a library that was never loaded cannot exist.
    """
    if isinstance(error, TimeoutError):
        return True
    client_error: object = getattr(sys.modules.get("aiohttp"), "ClientError", None)
    return isinstance(client_error, type) and isinstance(error, client_error)


def was_never_sent(error: Exception) -> bool:
    """Return whether *error* means that no connection was made: nothing can have been applied."""
    connector_error: object = getattr(sys.modules.get("aiohttp"), "ClientConnectorError", None)
    return isinstance(connector_error, type) and isinstance(error, connector_error)


def _is_transient_status(status_code: int) -> bool:
    return (
        status_code == HTTPStatus.TOO_MANY_REQUESTS
        or status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _rebuild(
    kind: type[PrefactorHttpError], args: tuple[Any, ...], state: dict[str, Any]
) -> PrefactorHttpError:
    """Restore a pickled error without its constructor, which takes more than the message."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
