"""Own the way from the queue to the API as one object, built anew in a forked child.

It joins queue, books, overflow policy and worker, and answers what a caller may ask of them: wait
for delivery, stop, and how it stands.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from prefactor_exporter._core.events import Event
from prefactor_exporter._core.identity import Identity
from prefactor_exporter._core.ids import partition_text
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter._core.redaction import Redactor
from prefactor_exporter._core.snapshot import trim
from prefactor_exporter._delivery.admission import Admission
from prefactor_exporter._delivery.clock import Clock
from prefactor_exporter._delivery.worker import Hooks, Worker
from prefactor_exporter.config import ExporterConfig
from prefactor_exporter.stats import ExporterHealth, FlushReport
from prefactor_http.config import HttpClientConfig

__all__ = ["Pipeline"]

_JOIN_STEP: Final = 0.005
_LONGEST_WAIT: Final = 30 * 86_400.0
"""Seconds; event loops do not take every number, such as infinity."""
_GRACE: Final = 1.0
"""Seconds the worker may need after the deadline to close its connections."""


class Pipeline:
    """Everything behind a record call. Safe from any thread.

    Args:
        config: The settings.
        http: The client's settings, with retries off; its token may be replaced while running.
        sdk_header: Value of ``X-Prefactor-SDK``.
        partition: The account's partition, None while it is not known.
        clock: Where the time comes from.
        partition_learned: Called by the worker with the partition.
        terminated: Called by the worker with the run and the reason of a stop signal.
        forget: Called with the id of a span whose create was dropped at the call.

    Attributes:
        queue: Where record calls hand events over.
        ledger: Where every event is.
        admission: What happens to events that find no room.
        worker: The background half.
    """

    _worker_type: ClassVar[type[Worker]] = Worker

    def __init__(
        self,
        config: ExporterConfig,
        http: HttpClientConfig,
        *,
        sdk_header: str,
        partition: int | None,
        clock: Clock,
        partition_learned: Callable[[int], None],
        terminated: Callable[[str, str | None], None],
        forget: Callable[[str], object],
    ) -> None:
        self._config = config
        self._http = http
        self._clock = clock
        self._lock = threading.RLock()
        self._redactor = Redactor(config.redact) if config.redact is not None else None
        self.queue = EventQueue(
            wake=self.wake, room=config.max_queue_items, byte_room=config.max_queue_bytes
        )
        self.ledger = Ledger(self.queue)
        self.worker = self._worker_type(
            config,
            http,
            sdk_header=sdk_header,
            queue=self.queue,
            ledger=self.ledger,
            identity=Identity(partition_text(partition) if partition is not None else None),
            hooks=Hooks(
                prepare=self._prepare,
                partition_learned=partition_learned,
                terminated=terminated,
                dropped=config.on_drop,
            ),
            clock=clock,
        )
        self.admission = Admission(
            config,
            queue=self.queue,
            ledger=self.ledger,
            worker=self.worker,
            clock=clock,
            forget=forget,
        )

    def wake(self) -> bool:
        """Wake the worker, start it if need be; return whether it runs."""
        worker = self.worker
        if not worker.running:
            with self._lock:
                if not worker.running and not worker.start():
                    self.queue.alarm = 0  # the next event tries again
                    return False
        worker.wake()
        return not worker.ended

    def flush(self, timeout: float) -> FlushReport:
        """Wait at most *timeout* seconds until everything recorded before is settled."""
        flush = self.ledger.open_flush()
        try:
            if flush.remaining and not self.worker.is_current_thread() and self.wake():
                flush.wait(min(timeout, threading.TIMEOUT_MAX))
        finally:
            report = self.ledger.close_flush(flush)
        return report

    async def flush_async(self, timeout: float) -> FlushReport:  # noqa: ASYNC109  # as flush
        """Wait like :meth:`flush`, without blocking the caller's event loop."""
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop is closed
                loop.call_soon_threadsafe(settled.set)

        flush = self.ledger.open_flush(tell)
        try:
            if flush.remaining and self.wake():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(settled.wait(), min(timeout, _LONGEST_WAIT))
        finally:
            report = self.ledger.close_flush(flush)
        return report

    def stop(self, timeout: float) -> FlushReport:
        """Deliver what *timeout* seconds allow, then end; return what became of everything."""
        self.queue.close()
        try:
            self.worker.stop(self._clock.monotonic() + max(0.0, timeout))
        except BaseException:
            # Whoever interrupts the wait, by a second Ctrl-C for instance, wants no other one.
            self.worker.request_stop(self._clock.monotonic())
            raise
        return self._report()

    async def stop_async(self, timeout: float) -> FlushReport:  # noqa: ASYNC109  # as stop
        """Stop like :meth:`stop`, without blocking the caller's event loop."""
        self.queue.close()
        deadline = self._clock.monotonic() + max(0.0, timeout)
        self.worker.request_stop(deadline)
        # The end of a thread can only be polled.
        while not self.worker.ended and self._clock.monotonic() < deadline + _GRACE:  # noqa: ASYNC110
            await asyncio.sleep(_JOIN_STEP)
        return self._report()

    def disown(self) -> None:
        """Let go, in a forked child, of what the parent goes on to use."""
        self.worker.spool.disown()

    def _report(self) -> FlushReport:
        self._sweep()
        report = self.ledger.close_flush(self.ledger.open_flush())
        return msgspec.structs.replace(report, timed_out=report.timed_out or self.worker.gave_up)

    def set_token(self, token: str) -> None:
        """Use another token, from the next request on, which leaves at once."""
        self._http.api_token = token
        self.worker.resume()

    def figures(self) -> dict[str, Any]:
        """Return the fields of ``ExporterStats`` that are known here, taken at one moment."""
        worker = self.worker
        self._sweep()
        counts = self.ledger.counts()
        waiting: int = counts["queued"] + counts["in_flight"]
        busy = waiting + counts["spooled"] > 0
        return {
            **counts,
            "adopted": worker.spool.adopted,
            "spooled_bytes": worker.spool.size,
            "spool_errors": worker.spool.errors,
            "queued_bytes": worker.held_bytes + self.queue.fresh_bytes if waiting else 0,
            "requests": worker.requests,
            "retries": worker.retries,
            "merged": worker.lanes.merged,
            "last_error": worker.last_error,
            "state": "closed" if self.queue.closed else worker.state(busy=busy),
        }

    def health(self) -> ExporterHealth:
        """Return whether delivery works, and what is wrong if it does not."""
        figures = self.figures()
        return ExporterHealth(
            state=figures["state"],
            problems=tuple(self.worker.problems()),
            failing_for=self.worker.failing_for(),
            pending=figures["queued"] + figures["in_flight"] + figures["spooled"],
            lost=figures["dead"] + figures["dropped"],
        )

    def _sweep(self) -> None:
        """Count what a record call handed over while the worker was ending."""
        if self.queue.items and self.worker.ended:
            with self._lock:
                self.worker.sweep()

    def _prepare(self, events: Sequence[Event]) -> None:
        """Redact and trim the payloads of *events* before anything else sees them.

        In this order: half of a token that was cut no longer looks like one.
        """
        if self._redactor is not None:
            self._redactor.redact_events(events)
        limit = self._config.max_payload_bytes
        for event in events:
            if event.size > limit:
                event.payload = trim(event.payload, limit)
                if event.result is not None:
                    event.result = trim(event.result, limit)
                event.measure()
