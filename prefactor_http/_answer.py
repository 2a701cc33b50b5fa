"""Own what an answer means: the value in it, or the error it stands for. No I/O."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorAuthError,
    PrefactorNotFoundError,
    PrefactorResponseContractError,
    PrefactorValidationError,
)
from prefactor_http.models.types import JsonObject
from prefactor_http.retry import parse_retry_after

__all__ = ["Answer", "raise_for_failure", "read_object", "read_value", "too_large"]

T = TypeVar("T")

_SNIPPET_LENGTH = 200
_decode_any = msgspec.json.Decoder().decode

# What decoding raises: text that is not JSON, a wrong shape, bytes that are not UTF-8, and brackets
# nested deeper than the stack.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Answer(msgspec.Struct, frozen=True):
    """One complete HTTP answer.

    Attributes:
        where: Method and path of the request, for messages.
        status: The HTTP status.
        content: The body.
        retry_after: The ``Retry-After`` header, ``None`` if there was none.
        location: The ``Location`` header, ``None`` if there was none.
    """

    where: str
    status: int
    content: bytes
    retry_after: str | None = None
    location: str | None = None


def raise_for_failure(answer: Answer) -> None:
    """Raise what *answer* stands for if its status is 400 or above.

    The body counts before the status: an error page that is not JSON breaks the contract, whatever
    its status is.

    Raises:
        prefactor_http.exceptions.PrefactorAuthError: For 401 and 403.
        prefactor_http.exceptions.PrefactorNotFoundError: For 404.
        prefactor_http.exceptions.PrefactorValidationError: For 400 and 422.
        prefactor_http.exceptions.PrefactorApiError: For every other status.
        prefactor_http.exceptions.PrefactorResponseContractError: If the body is not a JSON object.
    """
    if answer.status < HTTPStatus.BAD_REQUEST:
        return
    body = read_object(answer)
    code = body.get("code")
    code = code if isinstance(code, str) else "unknown"
    message = body.get("message")
    message = message if isinstance(message, str) else f"HTTP {answer.status}"
    retry_after = parse_retry_after(answer.retry_after, body.get("retry_after_ms"))
    match answer.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise PrefactorAuthError(message, code, answer.status, retry_after=retry_after)
        case HTTPStatus.NOT_FOUND:
            raise PrefactorNotFoundError(message, code, answer.status, retry_after=retry_after)
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
            errors = body.get("errors")
            raise PrefactorValidationError(
                message,
                code,
                answer.status,
                errors if isinstance(errors, dict) else {},
                retry_after=retry_after,
            )
        case _:
            raise PrefactorApiError(message, code, answer.status, retry_after=retry_after)


def read_object(answer: Answer) -> JsonObject:
    """Return the JSON object in the body of *answer*, whatever its status.

    Raises:
        prefactor_http.exceptions.PrefactorResponseContractError: If there is none.
    """
    try:
        body: Any = _decode_any(answer.content)
    except _UNREADABLE as error:
        raise _contract_error(answer, "is not JSON", error) from error
    if not isinstance(body, dict):
        raise _contract_error(answer, f"is JSON but not an object ({type(body).__name__})")
    return body


def read_value(answer: Answer, decode: Callable[[bytes], T], operation: str) -> T:
    """Return what *decode* makes of a successful *answer*.

    The body is decoded once, straight into the value; it is looked at again only to say what is
    wrong with it.

    Args:
        answer: An answer with a status below 400.
        decode: The decoder of the value.
        operation: The name of the call, for the message.

    Raises:
        prefactor_http.exceptions.PrefactorResponseContractError: If the body does not fit.
    """
    try:
        return decode(answer.content)
    except _UNREADABLE as error:
        read_object(answer)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _contract_error(answer, "does not have the promised shape", error) from error
        raise PrefactorResponseContractError(
            f"{operation}: the answer does not have the promised shape: {error}", cause=error
        ) from error


def too_large(where: str, status: int, limit: int) -> PrefactorResponseContractError:
    """Return the error of an answer with more than *limit* bytes."""
    return PrefactorResponseContractError(
        f"{where}: the answer with status {status} has more than {limit >> 20} MiB",
        status_code=status,
    )


def _contract_error(
    answer: Answer, problem: str, cause: Exception | None = None
) -> PrefactorResponseContractError:
    snippet = _snippet(answer.content)
    if answer.location is not None and answer.status < HTTPStatus.BAD_REQUEST:
        target = _snippet(answer.location.partition("?")[0].encode())
        problem = f"redirects to {target}, which is not followed (is api_url right?), and {problem}"
    message = f"{answer.where}: the answer with status {answer.status} {problem}"
    return PrefactorResponseContractError(
        f"{message}: {snippet}" if snippet else message,
        status_code=answer.status,
        body_snippet=snippet,
        cause=cause,
        retry_after=parse_retry_after(answer.retry_after),
    )


def _snippet(content: bytes) -> str | None:
    """Return the beginning of *content* on one line, ``None`` if there is nothing to show."""
    text = " ".join(content.decode(errors="replace").split())
    if len(text) > _SNIPPET_LENGTH:
        return text[:_SNIPPET_LENGTH] + "..."
    return text or None
