"""The errors carry what a caller needs, and know whether they may pass."""

import pickle
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorAuthError,
    PrefactorClientError,
    PrefactorHttpError,
    PrefactorNotFoundError,
    PrefactorResponseContractError,
    PrefactorRetryExhaustedError,
    PrefactorValidationError,
    is_permanent_http_error,
    is_transient_http_error,
    was_never_sent,
)


def connector_error() -> aiohttp.ClientConnectorError:
    key: Any = SimpleNamespace(host="h", port=1, ssl=None, is_ssl=False)
    return aiohttp.ClientConnectorError(key, OSError("refused"))


def api_error(status: int) -> PrefactorApiError:
    return PrefactorApiError("text", "code", status)


def contract_error(status: int | None) -> PrefactorResponseContractError:
    return PrefactorResponseContractError("text", status_code=status)


@pytest.mark.parametrize(
    "error",
    [
        PrefactorHttpError("text"),
        PrefactorApiError("text", "code", 409),
        PrefactorAuthError("text", "code", 401),
        PrefactorNotFoundError("text", "code", 404),
        PrefactorValidationError("text", "code", 422, {"name": ["short"]}),
        PrefactorRetryExhaustedError("text"),
        PrefactorClientError("text"),
        PrefactorResponseContractError("text"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_text_of_an_error_is_its_message(error: PrefactorHttpError) -> None:
    """Whatever else it carries, ``str()`` gives the message."""
    assert str(error) == "text"
    assert isinstance(error, PrefactorHttpError)


def test_an_api_error_carries_message_code_status_and_hint() -> None:
    """All parts are attributes; there is no hint unless one was given."""
    plain = PrefactorApiError("text", "code", 409)
    hinted = PrefactorValidationError("text", "code", 422, {"a": 1}, retry_after=2.5)

    assert (plain.message, plain.code, plain.status_code, plain.retry_after) == (
        "text",
        "code",
        409,
        None,
    )
    assert (hinted.errors, hinted.retry_after) == ({"a": 1}, 2.5)


def test_the_other_errors_carry_their_attributes() -> None:
    """The contract error and the exhausted retries default to knowing nothing."""
    cause = ValueError("x")
    contract = PrefactorResponseContractError(
        "text", status_code=502, body_snippet="<html>", cause=cause, retry_after=1.0
    )
    bare = PrefactorResponseContractError("text")

    assert (contract.status_code, contract.body_snippet) == (502, "<html>")
    assert (contract.cause, contract.retry_after) == (cause, 1.0)
    assert (bare.status_code, bare.body_snippet, bare.cause, bare.retry_after) == (None,) * 4
    assert PrefactorRetryExhaustedError("text", cause).last_error is cause
    assert PrefactorRetryExhaustedError("text").last_error is None


def test_an_api_error_survives_pickling() -> None:
    """Errors cross process borders in worker pools."""
    error = PrefactorValidationError("text", "code", 422, {"a": 1}, retry_after=2.5)

    copied = pickle.loads(pickle.dumps(error))

    assert type(copied) is PrefactorValidationError
    assert str(copied) == "text"
    assert vars(copied) == vars(error)


@pytest.mark.parametrize(
    ("error", "transient", "permanent"),
    [
        (api_error(429), True, False),
        (api_error(500), True, False),
        (api_error(599), True, False),
        (api_error(400), False, True),
        (api_error(404), False, True),
        (api_error(499), False, True),
        (api_error(302), False, False),
        (contract_error(429), True, False),
        (contract_error(503), True, False),
        (contract_error(200), False, True),
        (contract_error(404), False, True),
        (contract_error(None), False, True),
        (aiohttp.ClientConnectionError(), True, False),
        (aiohttp.ServerTimeoutError(), True, False),
        (TimeoutError(), True, False),
        (PrefactorClientError("closed"), False, False),
        (ValueError("x"), False, False),
        (PrefactorRetryExhaustedError("text"), False, False),
        (PrefactorRetryExhaustedError("of 503", api_error(503)), True, False),
        (PrefactorRetryExhaustedError("of 404", api_error(404)), False, True),
    ],
    ids=lambda value: f"{value!r}-{getattr(value, 'status_code', '')}",
)
def test_each_error_knows_whether_it_may_pass(
    error: Exception, transient: bool, permanent: bool
) -> None:
    """An error is transient, permanent, or neither; never both."""
    assert is_transient_http_error(error) is transient
    assert is_permanent_http_error(error) is permanent


def test_only_a_refused_connection_means_that_nothing_was_sent() -> None:
    """After any other failure the API may have acted."""
    assert was_never_sent(connector_error())
    assert not was_never_sent(aiohttp.ServerDisconnectedError())
    assert not was_never_sent(TimeoutError())
