"""Own the exporter's settings: one frozen value, checked where it is built."""

import os
import re
import signal
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from prefactor_exporter.exceptions import ConfigError
from prefactor_exporter.redaction import Redaction
from prefactor_http.config import HttpClientConfig

__all__ = ["AgentInfo", "DropCallback", "ExporterConfig", "OverflowPolicy"]

OverflowPolicy = Literal["drop_newest", "drop_oldest", "block"]
DropCallback = Callable[[Mapping[str, Any], str], None]
"""Called with the event (``kind``, ``id``, ``instance_id``, ``name``, ``bytes``, and a ``message``
that says more about the reason, or is empty) and the reason."""

DEFAULT_API_URL = "https://app.prefactorai.com"


class AgentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the process's own run, and any run that does not say otherwise, is registered with.

    Attributes:
        agent_id: The agent; None with a deployment token, which knows its agent.
        environment_id: The environment; needed with an account token only.
        name: Name of the agent, None to leave it as it is.
        version: Label of the agent's version, such as ``v1.2.0`` or a commit id.
        description: Description of the agent, None to leave it as it is.
        schema: The ``agent_schema_version`` object of the API (see ``SchemaRegistry.to_dict``);
            None declares the span types in use, permissively.
    """

    agent_id: str | None = None
    environment_id: str | None = None
    name: str | None = None
    version: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None


class ExporterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of an exporter.

    Attributes:
        http: Address, token and timeouts. Its retry fields are not used: the exporter retries on
            its own, where a shutdown can interrupt the wait.
        agent: What runs are registered with; None leaves it to the token.
        max_queue_items: Most events that wait in memory.
        max_queue_bytes: Most bytes of events that wait in memory.
        overflow: What happens when the queue is full: ``drop_newest``, ``drop_oldest``, or
            ``block`` (the caller waits, at most ``block_timeout``, then the event is dropped).
        block_timeout: Longest wait of a caller under ``block``, in seconds.
        max_batch_items: Most items in one request. A hundred do not wait for more; more than that
            travel together only while the API takes long to answer.
        max_batch_bytes: Most bytes in one request; a larger single item travels alone.
        linger: Longest time an event waits for company, in seconds; 0 sends at once.
        max_in_flight: Most requests in flight at a time, each for other runs.
        max_payload_bytes: Most bytes of one payload; beyond it the longest strings are cut.
        max_attempts: How often an item is tried while the API answers, but with an error for this
            item that may pass. Tries that got no answer, as in an outage, do not count.
        max_retry_age: How long an event is retried through an outage, in seconds since it was
            first tried; then it is given up as ``expired``. Does not hold with a ``spool_dir``.
        spool_dir: Directory that keeps events across the death of the process, and those that find
            no room in memory; made if need be. Processes that record for the same agent at the
            same address may share it. None keeps events in memory only.
        max_spool_bytes: Most bytes of events in that directory.
        max_spool_age: How long an event may wait there, in seconds since it happened, before it is
            given up as ``expired`` and kept as a dead letter; None for ever.
        spool_interval: Time between writes, in seconds: what was recorded in the last one is lost
            when the process is killed.
        strict: Whether illegal values raise :class:`InvalidEventError` instead of being dropped
            and counted.
        shutdown_timeout: Deadline of ``shutdown()`` and of the exit hooks, in seconds.
        flush_at_exit: Whether the end of the process waits for delivery.
        flush_on_signals: Signals that deliver first when the process dies of them; a handler of
            the application is never replaced.
        redact: What is removed from payloads before they leave; None switches it off.
        close_open: Whether spans and runs begun here and still open at an orderly end are finished
            as ``cancelled``; runs as ``failed`` if an exception ends the process.
        on_drop: Called by the worker, never inside a record call, for each lost event of every
            reason, with its description (``kind``, ``id``, ``instance_id``, ``name``, ``bytes``,
            ``message``; what is unknown is empty) and the reason. A span that was merged with its
            finish is two. Of losses at record calls between two rounds of the worker the latest
            10,000 are told, and what is lost after ``shutdown()`` is not. Delivery waits for it.
            None for nobody.
    """

    http: HttpClientConfig
    agent: AgentInfo | None = None
    max_queue_items: int = 100_000
    max_queue_bytes: int = 64 * 1024 * 1024
    overflow: OverflowPolicy = "drop_newest"
    block_timeout: float = 0.1
    max_batch_items: int = 400
    max_batch_bytes: int = 1024 * 1024
    linger: float = 0.5
    max_in_flight: int = 4
    max_payload_bytes: int = 256 * 1024
    max_attempts: int = 10
    max_retry_age: float = 900.0
    spool_dir: str | os.PathLike[str] | None = None
    max_spool_bytes: int = 1024 * 1024 * 1024
    max_spool_age: float | None = None
    spool_interval: float = 0.2
    strict: bool = False
    shutdown_timeout: float = 5.0
    flush_at_exit: bool = True
    flush_on_signals: tuple[int, ...] = (signal.SIGTERM,)
    redact: Redaction | None = msgspec.field(default_factory=Redaction)
    close_open: bool = True
    on_drop: DropCallback | None = None

    def __post_init__(self) -> None:
        _check_http(self.http)
        for name in _COUNTS:
            _check_number(name, getattr(self, name), int, at_least=1)
        for name in _SECONDS:
            _check_number(name, getattr(self, name), (int, float), at_least=0)
        if self.max_spool_age is not None:
            _check_number("max_spool_age", self.max_spool_age, (int, float), at_least=0)
        if self.spool_dir is not None and not (
            isinstance(self.spool_dir, str | os.PathLike) and os.fspath(self.spool_dir)
        ):
            raise ConfigError(f"spool_dir must be the path of a directory, got {self.spool_dir!r}")
        if not isinstance(self.flush_on_signals, tuple) or not all(
            isinstance(number, int) for number in self.flush_on_signals
        ):
            raise ConfigError(
                f"flush_on_signals must be a tuple of signals, got {self.flush_on_signals!r}"
            )
        if self.overflow not in _POLICIES:
            raise ConfigError(
                f"overflow must be one of {', '.join(_POLICIES)}, got {self.overflow!r}"
            )
        if self.agent is not None:
            _check_agent(self.agent)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "ExporterConfig | None":
        """Build a configuration from ``PREFACTOR_*`` variables.

        Args:
            environ: The variables; None for those of the process.

        Returns:
            None if ``PREFACTOR_API_TOKEN`` is missing or empty.

        Raises:
            ConfigError: A variable has a value that cannot be read; the text names it.
        """
        environ = os.environ if environ is None else environ
        token = environ.get("PREFACTOR_API_TOKEN")
        if not token:
            return None
        http = HttpClientConfig(environ.get("PREFACTOR_API_URL") or DEFAULT_API_URL, token)
        agent = AgentInfo(
            agent_id=environ.get("PREFACTOR_AGENT_ID") or None,
            environment_id=environ.get("PREFACTOR_ENVIRONMENT_ID") or None,
            name=environ.get("PREFACTOR_AGENT_NAME") or None,
            version=environ.get("PREFACTOR_AGENT_IDENTIFIER") or None,
        )
        settings: dict[str, Any] = {}
        for name, (read, readable) in _READERS.items():
            variable = f"PREFACTOR_EXPORTER_{name.upper()}"
            text = environ.get(variable)
            if not text:
                continue
            try:
                settings[name] = read(text)
            except (ValueError, KeyError):
                raise ConfigError(f"{variable}={text!r} cannot be read as {readable}") from None
        try:
            return cls(http=http, agent=agent, **settings)
        except ConfigError as error:
            name = str(error).partition(" ")[0]
            variable = f"PREFACTOR_EXPORTER_{name.upper()}"
            variable = _HTTP_VARIABLES.get(name, variable)
            raise ConfigError(f"{variable}: {error}") from None


_ADDRESS = "http.api_url"
_TOKEN = "http.api_token"  # noqa: S105  # its name
_HTTP_VARIABLES = {_ADDRESS: "PREFACTOR_API_URL", _TOKEN: "PREFACTOR_API_TOKEN"}
_has_control_characters = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_POLICIES = ("drop_newest", "drop_oldest", "block")
_COUNTS = (
    "max_queue_items",
    "max_queue_bytes",
    "max_batch_items",
    "max_batch_bytes",
    "max_in_flight",
    "max_payload_bytes",
    "max_attempts",
    "max_spool_bytes",
)
_SECONDS = ("block_timeout", "linger", "max_retry_age", "shutdown_timeout", "spool_interval")


def address_problem(url: str) -> str:
    """Return why *url* is no address of a web server, empty if it is one."""
    try:
        address = urlsplit(url)
        port = address.port
    except ValueError as error:
        return str(error)
    if address.scheme not in {"http", "https"}:
        return "it must begin with https:// or http://"
    if not address.hostname or port == 0:
        return "it names no host" if not address.hostname else "its port is 0"
    if address.query or address.fragment or address.username is not None:
        return "it must end with the host or a path"
    return ""


def _check_agent(agent: AgentInfo) -> None:
    for name in ("agent_id", "environment_id", "name", "version", "description"):
        value = getattr(agent, name)
        if value is not None and type(value) is not str:
            raise ConfigError(f"agent.{name} must be a plain str, got {type(value).__name__}")
    if agent.agent_id == "":
        raise ConfigError("agent.agent_id is empty; leave it out for a deployment token")


def _check_http(http: object) -> None:
    if not isinstance(http, HttpClientConfig):
        raise ConfigError(
            f"http must be an HttpClientConfig, got {type(http).__name__}; "
            "build one with HttpClientConfig(api_url, api_token)"
        )
    if problem := address_problem(http.api_url):
        raise ConfigError(
            f"{_ADDRESS} is not where requests can go, got {http.api_url!r}: {problem}"
        )
    problem_with_token = problem_of_token(http.api_token)
    if problem_with_token is not None:
        raise ConfigError(f"{_TOKEN} {problem_with_token}")


def problem_of_token(token: object) -> str | None:
    """Return why *token* cannot stand in a header of a request, None if it can; without it."""
    if not isinstance(token, str):
        return f"must be text, got {type(token).__name__}"
    if _has_control_characters(token):
        return "has a control character in it, such as a line break at its end; remove that"
    return None


def _check_number(
    name: str, value: object, kind: type | tuple[type, ...], *, at_least: float
) -> None:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ConfigError(f"{name} must be a number, got {value!r}")
    # The negated form also refuses NaN.
    if not value >= at_least:  # type: ignore[operator]  # checked to be a number above
        raise ConfigError(f"{name} must be at least {at_least}, got {value!r}")


def _read_switch(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ValueError(text)


def _read_signals(text: str) -> tuple[int, ...]:
    names = [name.strip().upper() for name in text.split(",")]
    return () if names == ["NONE"] else tuple(signal.Signals[name] for name in names)


def _read_redaction(text: str) -> Redaction | None:
    return Redaction() if _read_switch(text) else None


_Reader = tuple[Callable[[str], Any], str]

_NUMBER: _Reader = (int, "a whole number")
_DURATION: _Reader = (float, "a number of seconds")
_SWITCH: _Reader = (_read_switch, "true or false")
_READERS: dict[str, _Reader] = {
    **dict.fromkeys(_COUNTS, _NUMBER),
    **dict.fromkeys(_SECONDS, _DURATION),
    "max_spool_age": _DURATION,
    "spool_dir": (str, "a path"),
    "overflow": (str, "text"),
    "strict": _SWITCH,
    "flush_at_exit": _SWITCH,
    "flush_on_signals": (_read_signals, "names of signals such as SIGTERM,SIGHUP, or none"),
    "close_open": _SWITCH,
    "redact": (_read_redaction, "true or false"),
}
"""How each field that a variable can set is read, and what the text should have been."""
