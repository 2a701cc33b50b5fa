"""Own whether a failed request is tried again, and after how many seconds."""

import asyncio
import logging
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import backoff

from prefactor_http._log import get_logger
from prefactor_http.config import DEFAULT_RETRY_STATUS_CODES, HttpClientConfig
from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorResponseContractError,
    PrefactorRetryExhaustedError,
    is_transient_http_error,
)

__all__ = ["RetryHandler", "describe", "full_jitter", "parse_retry_after", "retry_decision"]

_LEAST_JITTER = 0.75
_MOST_JITTER = 1.25
_MOST_MILLISECONDS = 1e12
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def full_jitter(ceiling: float) -> float:
    """Return a random wait between 0 and *ceiling* seconds, so that clients do not come in step."""
    return float(backoff.full_jitter(ceiling))


class RetryHandler:
    """Repeat an operation while its failures may pass.

    Attributes:
        config: Where the number of repetitions and the delays come from; read at every use.
    """

    def __init__(self, config: HttpClientConfig) -> None:
        self.config = config

    async def execute(
        self,
        operation: Callable[..., Any],
        is_retryable: Callable[[Exception], bool],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Await ``operation(*args, **kwargs)`` up to ``max_retries + 1`` times, until it succeeds.

        Args:
            operation: An asynchronous function.
            is_retryable: Says of an error whether another attempt makes sense; if not, the error
                is raised at once, as it is.
            *args: For the operation.
            **kwargs: For the operation.

        Returns:
            What the operation returned.

        Raises:
            prefactor_http.exceptions.PrefactorRetryExhaustedError: If the last attempt failed in a
                way that may pass. With ``max_retries`` 0 its error is raised instead.
        """
        attempt = 0
        while True:
            try:
                return await operation(*args, **kwargs)
            except Exception as error:
                if not is_retryable(error) or self.config.max_retries == 0:
                    raise
                if attempt >= self.config.max_retries:
                    raise PrefactorRetryExhaustedError(
                        f"Operation failed after {attempt + 1} attempts: {describe(error)}", error
                    ) from error
                delay = self._delay_after(attempt, error)
                if logging.getLogger(__name__).isEnabledFor(logging.DEBUG):
                    get_logger(__name__).debug(
                        "request_retried",
                        attempt=attempt + 1,
                        delay=delay,
                        error=type(error).__name__,
                    )
            await asyncio.sleep(delay)
            attempt += 1

    def _delay_after(self, attempt: int, error: Exception) -> float:
        """Return the seconds to wait after *error*: ours or the server's, whichever is longer."""
        hint: float | None = getattr(error, "retry_after", None)
        delay = self._calculate_delay(attempt)
        return min(max(delay, hint or 0.0), self.config.max_retry_delay)

    def _calculate_delay(self, attempt: int) -> float:
        """Return the seconds to wait after failed *attempt*, counted from zero, with jitter.

        The growth stops where even the shortest jitter reaches the ceiling, so that no number of
        attempts overflows.
        """
        ceiling = self.config.max_retry_delay
        steps = backoff.expo(
            base=self.config.retry_multiplier,
            factor=self.config.initial_retry_delay,
            max_value=ceiling / _LEAST_JITTER,
        )
        next(steps)  # the generator's first yield carries nothing
        delay = next(steps)
        for _ in range(attempt):
            delay = next(steps)
        jitter = random.uniform(_LEAST_JITTER, _MOST_JITTER)  # noqa: S311  # spreads load, hides nothing
        return min(delay * jitter, ceiling)


def describe(error: Exception | None) -> str:
    """Return the text of *error*, or its type if it has no text, as timeouts do."""
    return str(error) or type(error).__name__


def retry_decision(config: HttpClientConfig) -> Callable[[Exception], bool]:
    """Return the function that says of an error whether another attempt makes sense.

    Errors of the connection always may pass. Of the statuses, 429 and all from 500 on may, unless
    ``config.retry_on_status_codes`` differs from its default: then exactly those it lists.
    """
    statuses = tuple(config.retry_on_status_codes)
    if statuses == DEFAULT_RETRY_STATUS_CODES:
        return is_transient_http_error

    def is_listed(error: Exception) -> bool:
        if isinstance(error, PrefactorApiError | PrefactorResponseContractError):
            return error.status_code in statuses
        return is_transient_http_error(error)

    return is_listed


def parse_retry_after(
    header: str | None, milliseconds: Any = None, *, now: datetime | None = None
) -> float | None:
    """Return the seconds the server asks to wait, ``None`` if it asks for nothing sensible.

    Args:
        header: The ``Retry-After`` header, seconds or an HTTP date.
        milliseconds: The body's ``retry_after_ms``. If both make sense, the longer one counts.
        now: The present, for dates; ``None`` for the system's clock.
    """
    hints = [
        hint
        for hint in (
            _header_seconds(header, now or datetime.now(UTC)) if header else None,
            _body_seconds(milliseconds),
        )
        if hint is not None and hint > 0
    ]
    return max(hints, default=None)


def _header_seconds(header: str, now: datetime) -> float | None:
    text = header.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return (date - now).total_seconds()


def _body_seconds(milliseconds: Any) -> float | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    return milliseconds / 1000 if 0 < milliseconds < _MOST_MILLISECONDS else None
