"""Own what happens to an event that finds no room in the queue: the overflow policy.

None of this runs while there is room.
"""

from collections.abc import Callable
from typing import Any, Final

from prefactor_exporter._core.events import FINISH, RECORD, START, Event, describe
from prefactor_exporter._core.lanes import Buried
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter._delivery.clock import Clock
from prefactor_exporter._delivery.worker import NAMELESS, Worker
from prefactor_exporter.config import ExporterConfig

__all__ = ["Admission"]

_BLOCK_STEP: Final = 0.002
_LEAST_HEADROOM: Final = 100
_SPANS: Final = frozenset({RECORD, START})


class Admission:
    """Finds room for events, or drops and counts them.

    Attributes:
        lost: Spans whose create was dropped, to the parents that have their children.
    """

    def __init__(
        self,
        config: ExporterConfig,
        *,
        queue: EventQueue,
        ledger: Ledger,
        worker: Worker,
        clock: Clock,
        forget: Callable[[str], object],
    ) -> None:
        self.lost = ledger.gaps.parents
        self._config = config
        self._queue = queue
        self._ledger = ledger
        self._worker = worker
        self._clock = clock
        self._forget = forget
        # Small events that close what was accepted get in when spans no longer do.
        self._headroom = max(_LEAST_HEADROOM, config.max_queue_items // 10)
        self._byte_headroom = config.max_queue_bytes // 10

    def overflowed(self, event: Event) -> None:
        """Apply the policy to *event*, which the queue refused."""
        queue, policy = self._queue, self._config.overflow
        if queue.closed:
            self._drop(event, "shutdown")
            return
        if not self._is_orphan(event):
            pressing = policy == "drop_oldest" or event.kind not in _SPANS
            if pressing and self._squeeze_in(event):
                return
            if policy == "block" and self._wait_for_room(event):
                return
        self._drop(event, "create_dropped" if self._is_orphan(event) else "queue_full")

    def surviving(self, parent: str | None) -> str | None:
        """Return the nearest ancestor, *parent* included, that was not dropped."""
        return self._ledger.gaps.surviving(parent)

    def refuse(self, reason: str, **known: Any) -> None:
        """Drop an event that was never made; *known* is what its description says of it."""
        self._ledger.drop_at_call(reason)
        self._worker.drop(NAMELESS | known, reason)

    def refuse_finish(self, span: str) -> None:
        """Drop the finish of a *span* that was dropped."""
        gaps = self._ledger.gaps
        run = gaps.run_of(span)
        gaps.close(span)
        self.refuse("create_dropped", kind="span_finish", id=span, instance_id=run)

    def _is_orphan(self, event: Event) -> bool:
        return event.kind == FINISH and event.id in self.lost

    def _too_full(self, size: int) -> bool:
        """Return whether not even the headroom has place for *size* more bytes."""
        queue = self._queue
        room, byte_room = queue.room, queue.byte_room
        if self._config.overflow == "drop_oldest":
            # The worker sheds what it took before, rather than that the newest finds no place.
            room, byte_room = max(room, 0), max(byte_room, 0)
        return (
            len(queue.items) >= room + self._headroom
            or queue.fresh_bytes + size > byte_room + self._byte_headroom
        )

    def _squeeze_in(self, event: Event) -> bool:
        """Take *event* into the headroom, under ``drop_oldest`` at the cost of older ones."""
        placed = self._enter(event)
        if not placed and self._config.overflow == "drop_oldest":
            placed = self._displace(event)
        if placed:
            self._queue.ring()  # the worker makes room behind it
        return placed

    def _enter(self, event: Event) -> bool:
        queue = self._queue
        if self._too_full(event.size):
            return False
        queue.fresh_bytes += event.size
        queue.append(event)
        return True

    def _displace(self, event: Event) -> bool:
        """Drop the oldest events of the queue that may go, until there is a place for *event*.

        For that the worker lags too far behind. It takes nothing meanwhile: a queue that it empties
        in the wrong moment would look like one in which nothing may go.
        """
        if event.size > self._config.max_queue_bytes + self._byte_headroom:
            return False  # nothing that could be dropped makes room for it
        placed = False
        gone: list[Buried] = []
        with self._ledger.lock:
            # Its own create may be among the oldest.
            while not self._is_orphan(event) and not (placed := self._enter(event)):
                evicted = self._ledger.evict_oldest()
                if evicted is None:
                    break
                gone.append(evicted)
        for entry in gone:
            self._gone(entry.event, entry.reason)
        return placed

    def _wait_for_room(self, event: Event) -> bool:
        """Wait as long as ``block_timeout`` allows, without a lock that this thread may hold."""
        queue = self._queue
        if self._worker.is_current_thread():
            return False
        deadline = self._clock.monotonic() + self._config.block_timeout
        while not queue.closed and self._clock.monotonic() < deadline:
            queue.ring()
            self._clock.pause(_BLOCK_STEP)
            if queue.offer(event):
                return True
        return False

    def _drop(self, event: Event, reason: str) -> None:
        self._ledger.drop_at_call(reason)
        if event.kind in _SPANS:
            self._ledger.forget_span(event)
        elif event.kind == FINISH:
            self._ledger.gaps.close(event.id)
        self._gone(event, reason)

    def _gone(self, event: Event, reason: str) -> None:
        """Have *event*, which is counted, told; and its finish dropped at the call from now on."""
        if event.kind in _SPANS:
            self._forget(event.id)
        self._worker.drop(describe(event) | {"message": ""}, reason)
