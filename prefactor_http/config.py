"""Own the settings of the client and check them where they are built."""

from dataclasses import dataclass, fields

__all__ = ["DEFAULT_RETRY_STATUS_CODES", "HttpClientConfig"]

DEFAULT_RETRY_STATUS_CODES = (429, 500, 502, 503, 504)


@dataclass(repr=False)
class HttpClientConfig:
    """Where the API is, who asks, and how patient the client is.

    The settings are checked once, when the object is built. The client reads ``api_token`` anew for
    every request, so assigning a new token takes effect with the next one.

    Attributes:
        api_url: Address of the API without a path, such as ``https://app.prefactorai.com``.
        api_token: The bearer token; never shown in ``repr()``.
        request_timeout: Seconds one whole attempt may take. Default 30.
        connect_timeout: Seconds an attempt may wait for a connection. Default 10.
        max_retries: How often a failed attempt is repeated; 0 turns retries off and lets the
            original error through. Default 3.
        initial_retry_delay: Seconds before the first repetition, before jitter. Default 1.
        max_retry_delay: Longest wait in seconds, jitter and wishes of the server included.
            Default 60.
        retry_multiplier: By how much each wait is longer than the one before. Default 2.
        retry_on_status_codes: Statuses that are tried again. The default value stands for 429 and
            every status from 500 on; any other value is taken literally.
        default_idempotency_key: Kept for compatibility; nothing reads it.

    Raises:
        ValueError: If a setting is missing or out of its range.
    """

    api_url: str
    api_token: str
    request_timeout: float = 30.0
    connect_timeout: float = 10.0
    max_retries: int = 3
    initial_retry_delay: float = 1.0
    max_retry_delay: float = 60.0
    retry_multiplier: float = 2.0
    retry_on_status_codes: tuple[int, ...] = DEFAULT_RETRY_STATUS_CODES
    default_idempotency_key: str | None = None

    def __post_init__(self) -> None:
        if not self.api_url:
            raise ValueError("api_url is required")
        if not self.api_token:
            raise ValueError("api_token is required")
        if self.request_timeout <= 0:
            raise ValueError("request_timeout must be positive")
        if self.connect_timeout <= 0:
            raise ValueError("connect_timeout must be positive")
        if self.max_retries < 0:
            raise ValueError("max_retries must be non-negative")
        if self.initial_retry_delay <= 0:
            raise ValueError("initial_retry_delay must be positive")
        if self.max_retry_delay <= 0:
            raise ValueError("max_retry_delay must be positive")
        if self.initial_retry_delay > self.max_retry_delay:
            raise ValueError("initial_retry_delay must be <= max_retry_delay")
        if self.retry_multiplier < 1:
            raise ValueError("retry_multiplier must be >= 1")

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={'***' if field.name == 'api_token' else getattr(self, field.name)!r}"
            for field in fields(self)
        )
        return f"{type(self).__name__}({', '.join(shown)})"
