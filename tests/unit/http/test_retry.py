"""Retrying: what is tried again, how often, and after how many seconds."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_http import HttpClientConfig
from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorResponseContractError,
    PrefactorRetryExhaustedError,
    is_transient_http_error,
)
from prefactor_http.retry import RetryHandler, parse_retry_after, retry_decision

NOW = datetime(2026, 7, 20, 9, 0, tzinfo=UTC)


def handler(**settings: Any) -> RetryHandler:
    return RetryHandler(HttpClientConfig("https://api.test", "token", **settings))


class Flaky:
    """Fails with the given errors, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def __call__(self, *args: Any, **kwargs: Any) -> str:
        self.calls.append((args, kwargs))
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_success_needs_one_attempt_and_no_waiting(waits: list[float]) -> None:
    """The arguments reach the operation and its result comes back."""
    operation = Flaky()

    result = await handler().execute(operation, is_transient_http_error, 1, two=2)

    assert result == "done"
    assert operation.calls == [((1,), {"two": 2})]
    assert waits == []


async def test_failures_that_pass_are_waited_out(waits: list[float]) -> None:
    """Each failed attempt is followed by a longer wait, until one succeeds."""
    operation = Flaky(TimeoutError(), PrefactorApiError("busy", "busy", 503))

    result = await handler().execute(operation, is_transient_http_error)

    assert result == "done"
    assert 0.75 <= waits[0] < 1.25
    assert 1.5 <= waits[1] < 2.5
    assert len(waits) == 2


async def test_a_failure_that_does_not_pass_is_raised_as_it_is(waits: list[float]) -> None:
    """Even after failures that were retried, it is not wrapped."""
    refusal = PrefactorApiError("no", "no", 409)
    operation = Flaky(TimeoutError(), refusal)

    with pytest.raises(PrefactorApiError) as caught:
        await handler().execute(operation, is_transient_http_error)

    assert caught.value is refusal
    assert len(waits) == 1


async def test_after_the_last_attempt_the_retries_are_exhausted(waits: list[float]) -> None:
    """The error counts the attempts and carries the last failure."""
    last = TimeoutError("late")
    operation = Flaky(TimeoutError(), TimeoutError(), last)

    with pytest.raises(PrefactorRetryExhaustedError, match="failed after 3 attempts") as caught:
        await handler(max_retries=2).execute(operation, is_transient_http_error)

    assert caught.value.last_error is last
    assert caught.value.__cause__ is last
    assert len(waits) == 2


async def test_without_retries_the_error_is_not_wrapped(waits: list[float]) -> None:
    """``max_retries`` 0 means one attempt and its own error."""
    with pytest.raises(TimeoutError):
        await handler(max_retries=0).execute(Flaky(TimeoutError()), is_transient_http_error)

    assert waits == []


async def test_cancellation_passes_at_once(waits: list[float]) -> None:
    """A cancelled operation is not asked about and not repeated."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await handler().execute(cancelled, lambda _: True)

    assert waits == []


async def test_the_servers_wish_is_a_minimum(waits: list[float]) -> None:
    """A longer hint replaces our delay, a shorter one does not, and the ceiling holds."""
    operation = Flaky(
        PrefactorApiError("busy", "busy", 429, retry_after=7.0),
        PrefactorApiError("busy", "busy", 429, retry_after=0.1),
        PrefactorResponseContractError("html", status_code=503, retry_after=3600.0),
    )

    await handler(max_retry_delay=30.0).execute(operation, is_transient_http_error)

    assert waits[0] == 7.0
    assert waits[1] >= 1.5
    assert waits[2] == 30.0


@given(attempt=st.integers(0, 3000), multiplier=st.floats(1, 10))
def test_a_delay_stays_between_its_bounds_at_any_attempt(attempt: int, multiplier: float) -> None:
    """No number of attempts overflows, undercuts the first delay or passes the ceiling."""
    delay = handler(retry_multiplier=multiplier)._calculate_delay(attempt)

    assert 0.75 <= delay <= 60.0


def test_delays_follow_the_formula() -> None:
    """Delay, multiplier and jitter give the documented ranges."""
    retries = handler()

    for attempt, (low, high) in enumerate([(0.75, 1.25), (1.5, 2.5), (3.0, 5.0)]):
        assert all(low <= retries._calculate_delay(attempt) < high for _ in range(50))
    assert retries._calculate_delay(9) == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("status", "by_default", "when_listed"),
    [(429, True, False), (500, True, False), (599, True, False), (409, False, True)],
)
def test_a_changed_list_of_statuses_is_taken_literally(
    status: int, by_default: bool, when_listed: bool
) -> None:
    """The default means 429 and every 5xx; any other list means what it says."""
    error = PrefactorApiError("text", "code", status)
    config = HttpClientConfig("https://api.test", "token")
    picky = HttpClientConfig("https://api.test", "token", retry_on_status_codes=(409,))

    assert retry_decision(config)(error) is by_default
    assert retry_decision(picky)(error) is when_listed


def test_errors_of_the_connection_are_retried_whatever_the_list_says() -> None:
    """The list is about statuses only."""
    config = HttpClientConfig("https://api.test", "token", retry_on_status_codes=())

    assert retry_decision(config)(TimeoutError())
    assert not retry_decision(config)(ValueError())


@pytest.mark.parametrize(
    ("header", "milliseconds", "seconds"),
    [
        (None, None, None),
        ("7", None, 7.0),
        (" 1.5 ", None, 1.5),
        ("Mon, 20 Jul 2026 09:00:30 GMT", None, 30.0),
        ("Mon, 20 Jul 2026 08:59:30 GMT", None, None),
        ("Mon, 20 Jul 2026 09:00:30 -0000", None, 30.0),
        ("-3", None, None),
        ("0", None, None),
        ("soon", None, None),
        ("inf", None, None),
        ("9" * 400, None, None),
        (None, 1500, 1.5),
        (None, -1, None),
        (None, True, None),
        (None, "1500", None),
        (None, 10**400, None),
        (None, float("nan"), None),
        ("1", 1500, 1.5),
        ("2", 1500, 2.0),
    ],
)
def test_only_sensible_wishes_of_the_server_count(
    header: str | None, milliseconds: Any, seconds: float | None
) -> None:
    """Seconds, dates and milliseconds are read; the past and nonsense are ignored."""
    assert parse_retry_after(header, milliseconds, now=NOW) == seconds


def test_the_present_is_the_default_for_dates() -> None:
    """A date in the distant future asks for a long wait."""
    assert (parse_retry_after("Fri, 31 Dec 2999 23:59:59 GMT") or 0) > 1e9
