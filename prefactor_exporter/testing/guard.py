"""Own the guard that keeps tests from sending real telemetry."""

import ipaddress
import os
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from prefactor_exporter._delivery.worker import Worker
from prefactor_exporter.exceptions import ExporterError

__all__ = ["TelemetryGuard", "TelemetryRefusedError", "is_loopback"]

_TOKEN: Final = "PREFACTOR_API_TOKEN"  # noqa: S105  # the name of a variable


class TelemetryRefusedError(ExporterError, RuntimeError):
    """A test was about to send telemetry to something other than this machine."""


class TelemetryGuard:
    """Refuses, between entering and leaving, every exporter that would send beyond this machine.

    The record call that would begin to send raises :class:`TelemetryRefusedError`, and what it
    recorded is never sent, not even at the end of the process. ``PREFACTOR_API_TOKEN`` is taken out
    of the environment meanwhile. The plugin for pytest does this by itself; use it with ``with``
    in other frameworks.
    """

    def __init__(self) -> None:
        self._allowed = False
        self._start = Worker.start
        self._refused: weakref.WeakSet[Worker] = weakref.WeakSet()
        self._token: str | None = None

    def __enter__(self) -> Self:
        guard, self._start = self, Worker.start

        def start(worker: Worker) -> bool:
            __tracebackhide__ = True  # pytest shows the line of the test instead
            guard._check(worker)
            return guard._start(worker)

        setattr(Worker, "start", start)  # noqa: B010  # type checkers know it as a method
        self._token = os.environ.pop(_TOKEN, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        setattr(Worker, "start", self._start)  # noqa: B010  # as above
        for worker in self._refused:
            # What a test recorded by mistake must not be sent by an exit hook either.
            vars(worker)["start"] = lambda: False
        if self._token is not None:
            os.environ[_TOKEN] = self._token

    @contextmanager
    def allow(self, *, allowed: bool = True) -> Generator[None]:
        """Let telemetry through for a while, with the token back in the environment.

        Args:
            allowed: False refuses it again, within a block that lets it through.
        """
        before = self._allowed
        self._set(allowed=allowed)
        try:
            yield
        finally:
            self._set(allowed=before)

    def _set(self, *, allowed: bool) -> None:
        if allowed == self._allowed:
            return
        self._allowed = allowed
        if allowed and self._token is not None:
            os.environ.setdefault(_TOKEN, self._token)
        elif not allowed and os.environ.get(_TOKEN) == self._token:
            os.environ.pop(_TOKEN, None)

    def _check(self, worker: Worker) -> None:
        """Refuse *worker* if it would send beyond this machine."""
        __tracebackhide__ = True
        address = worker._http.api_url  # noqa: SLF001  # what it was built with
        if self._allowed or is_loopback(address):
            return
        self._refused.add(worker)
        # The next event is to be refused as loudly, not queued without a word.
        worker._queue.alarm = 0  # noqa: SLF001
        raise TelemetryRefusedError(
            f"a test was about to send telemetry to {address}. Record in memory with the fixture "
            "'recorded_spans', or send to a development server with the fixture "
            "'prefactor_server'. If it has to be the real thing, mark the test with "
            "@pytest.mark.prefactor_telemetry('real')."
        )


def is_loopback(url: str) -> bool:
    """Return whether *url* points at this machine, as far as that is certain without asking DNS."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
