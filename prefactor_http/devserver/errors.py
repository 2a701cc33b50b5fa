"""The failures of the API and the envelopes they travel in."""

import re
from typing import Any

import msgspec

_MISSING = re.compile(r"missing required field `(?P<field>\w+)`")
_PATH = re.compile(r" - at `(?P<path>[^`]*)`")
_WORD = re.compile(r"\w+")

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    422: "validation_errors",
    429: "rate_limited",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


class ApiError(Exception):
    """A request, or an item of a bulk request, that is answered with the error envelope.

    Attributes:
        code: The machine-readable word.
        message: The sentence for people.
        status: The HTTP status; None stands for the configured one of validation errors.
        errors: What is wrong with which field, or None.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None,
        errors: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.errors = errors

    def body(self) -> bytes:
        """Return the error envelope; it is a bulk output as well."""
        return envelope(self.code, self.message, self.errors)


def envelope(code: str, message: str, errors: dict[str, Any] | None = None, **more: Any) -> bytes:
    """Encode an error envelope, with *more* as additional fields."""
    body: dict[str, Any] = {"status": "error", "code": code, "message": message}
    if errors is not None:
        body["errors"] = errors
    return msgspec.json.encode(body | more)


def invalid(field: str, problem: str) -> ApiError:
    """Return the ``validation_errors`` that blames *field*."""
    return ApiError(
        "validation_errors", f"{field} {problem}", status=None, errors={field: [problem]}
    )


def bad_request(message: str) -> ApiError:
    """Return the error of a body that cannot be read at all."""
    return ApiError("bad_request", message, status=400)


def not_found(what: str) -> ApiError:
    """Return the error of something that is missing or belongs to somebody else."""
    return ApiError("not_found", f"{what} not found", status=404)


def invalid_action(message: str) -> ApiError:
    """Return the error of a transition the present state does not allow."""
    return ApiError("invalid_action", message, status=409)


def unauthorized(message: str) -> ApiError:
    """Return the error of a token that may not do this."""
    return ApiError("unauthorized", message, status=401)


def too_large(message: str) -> ApiError:
    """Return the error of a request beyond a limit."""
    return ApiError("payload_too_large", message, status=413)


def mismatch(error: Exception) -> ApiError:
    """Translate what msgspec says of a body of the wrong shape."""
    text = str(error)
    if (missing := _MISSING.search(text)) is not None:
        return invalid(missing["field"], "is required")
    path = _PATH.search(text)
    words = _WORD.findall(path["path"]) if path is not None else []
    field = next((word for word in reversed(words) if not word.isdigit()), "body")
    return invalid(field, _PATH.sub("", text))
