"""Own the books: where every event is, and which flushes wait for which of them.

The worker moves events between the columns; anybody may read a consistent sum. What was recorded
is not counted but derived: what the worker took, what still waits in the queue, and what was
dropped at the call. So a record call touches no shared counter.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from prefactor_exporter._core.events import Event
from prefactor_exporter._core.lanes import Buried
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter.stats import FlushReport

__all__ = ["Flush", "Ledger"]

_NOTED = 10_000
"""Refusals at record calls after which they are counted, if the lock is free."""


class Flush:
    """One wait for everything recorded before a moment.

    Attributes:
        upto: Position of the last event it waits for.
        remaining: Events among those that are not settled yet.
    """

    __slots__ = ("_done", "_when_done", "dead", "delivered", "dropped", "remaining", "upto")

    def __init__(
        self,
        upto: int,
        *,
        delivered: int,
        dead: int,
        dropped: int,
        remaining: int,
        when_done: Callable[[], None] | None = None,
    ) -> None:
        self.upto = upto
        self.delivered = delivered
        self.dead = dead
        self.dropped = dropped
        self.remaining = remaining
        self._done = threading.Event()
        self._when_done = when_done

    def wait(self, timeout: float) -> None:
        """Block until everything is settled, at most *timeout* seconds."""
        self._done.wait(timeout)

    def complete(self) -> None:
        """Wake everybody who waits."""
        self._done.set()
        if self._when_done is not None:
            self._when_done()

    def report(self) -> FlushReport:
        """Return the counts as they are now."""
        return FlushReport(
            delivered=self.delivered,
            pending=self.remaining,
            dead=self.dead,
            dropped=self.dropped,
            timed_out=self.remaining > 0,
        )


class Ledger:
    """The counts of one exporter.

    The lock is re-entrant (a finalizer may drop an event while the same thread holds it) and is
    never held during I/O; no record call waits for it, but for those that evict an older event.
    """

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue
        self._lock = threading.RLock()
        self._taken = 0
        self._queued = 0
        self._in_flight = 0
        self._spooled = 0
        self._delivered = 0
        self._refused_at_call = 0
        # Reasons of refusals that are not counted yet.
        self._refusals: deque[str] = deque()
        self._flushes: list[Flush] = []
        self._dead: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    @property
    def flushing(self) -> bool:
        """Whether somebody waits for delivery."""
        return bool(self._flushes)

    def take(self, most: int) -> list[Event]:
        """Move at most so many events from the queue into the books; return them in order."""
        with self._lock:
            events = self._queue.take(most)
            position = self._taken
            for event in events:
                position += 1
                event.seq = position
            self._taken = position
            self._queued += len(events)
        return events

    def drop_at_call(self, reason: str) -> None:
        """Note that a record call could not hand an event over; whoever asks counts it."""
        self._refusals.append(reason)
        if len(self._refusals) > _NOTED and self._lock.acquire(blocking=False):
            try:
                self._count_refusals()
            finally:
                self._lock.release()

    def _count_refusals(self) -> None:
        for _ in range(len(self._refusals)):
            self._dropped[self._refusals.popleft()] += 1
            self._refused_at_call += 1

    def evict_oldest(self, kinds: Container[int]) -> Event | None:
        """Drop the oldest event of *kinds* in the queue to make room; None if there is none."""
        with self._lock:
            items = self._queue.items
            for position in range(len(items)):
                event = items[position]
                if event.kind in kinds:
                    del items[position]
                    self._queue.fresh_bytes -= event.size
                    self._taken += 1
                    event.seq = self._taken
                    self._queued += 1
                    self._settle([Buried(event, dead=False, reason="queue_full")])
                    return event
        return None

    def depart(self, parts: int) -> None:
        """Note that so many recorded events left in a request."""
        with self._lock:
            self._queued -= parts
            self._in_flight += parts

    def come_back(self, events: Iterable[Event]) -> None:
        """Note that *events* wait again after a request."""
        with self._lock:
            count = sum(event.parts for event in events)
            self._in_flight -= count
            self._queued += count

    def spool(self, events: Iterable[Event]) -> None:
        """Note that waiting *events* left memory and are on disk only."""
        with self._lock:
            count = sum(event.parts for event in events)
            self._queued -= count
            self._spooled += count

    def unspool(self, events: Iterable[Event]) -> None:
        """Note that *events* came back from disk."""
        with self._lock:
            count = sum(event.parts for event in events)
            self._spooled -= count
            self._queued += count

    def adopt(self, parts: int) -> int:
        """Enter *parts* events found on disk as recorded; return the position of the first."""
        with self._lock:
            position = self._taken + 1
            self._taken += parts
            self._spooled += parts
        return position

    def lose(self, parts: int, reason: str) -> None:
        """Drop *parts* events that were on disk and cannot be read any more.

        Which they were is unknown, so every flush under way that waits for as many counts them.
        """
        with self._lock:
            self._spooled -= parts
            self._dropped[reason] += parts
            for flush in self._flushes:
                lost = min(parts, flush.remaining)
                flush.remaining -= lost
                flush.dropped += lost
            self._complete()

    def deliver(self, events: Sequence[Event]) -> None:
        """Note that the API confirmed *events*, which were in flight."""
        with self._lock:
            count = sum([2 if event.merged_seq else 1 for event in events])
            self._in_flight -= count
            self._delivered += count
            for flush in self._flushes:
                upto, parts = flush.upto, 0
                for event in events:
                    if event.seq <= upto:
                        parts += 1
                    if 0 < event.merged_seq <= upto:
                        parts += 1
                flush.remaining -= parts
                flush.delivered += parts
            self._complete()

    def bury(self, buried: Iterable[Buried]) -> None:
        """Note that waiting events leave undelivered."""
        with self._lock:
            self._settle(buried)

    def _settle(self, buried: Iterable[Buried]) -> None:
        for entry in buried:
            parts = entry.event.parts
            self._queued -= parts
            (self._dead if entry.dead else self._dropped)[entry.reason] += parts
            self._tell(entry.event, "dead" if entry.dead else "dropped")
        self._complete()

    def _tell(self, event: Event, column: str) -> None:
        for flush in self._flushes:
            parts = (event.seq <= flush.upto) + (0 < event.merged_seq <= flush.upto)
            if parts:
                flush.remaining -= parts
                setattr(flush, column, getattr(flush, column) + parts)

    def _complete(self) -> None:
        if any(flush.remaining <= 0 for flush in self._flushes):
            done = [flush for flush in self._flushes if flush.remaining <= 0]
            self._flushes = [flush for flush in self._flushes if flush.remaining > 0]
            for flush in done:
                flush.complete()

    def open_flush(self, when_done: Callable[[], None] | None = None) -> Flush:
        """Begin to wait for everything recorded before this call.

        Args:
            when_done: Called once everything is settled, from the thread that settles the last
                event, or at once; it must not block. None for nobody.
        """
        with self._lock:
            self._count_refusals()
            upto = self._taken + len(self._queue.items)
            dead = self._dead.total()
            dropped = self._dropped.total()
            settled = self._delivered + dead + dropped - self._refused_at_call
            flush = Flush(
                upto,
                delivered=self._delivered,
                dead=dead,
                dropped=dropped,
                remaining=upto - settled,
                when_done=when_done,
            )
            if flush.remaining <= 0:
                flush.complete()
            else:
                self._flushes.append(flush)
        return flush

    def close_flush(self, flush: Flush) -> FlushReport:
        """Stop waiting; return what became of the events."""
        with self._lock:
            if flush in self._flushes:
                self._flushes.remove(flush)
            return flush.report()

    def counts(self) -> dict[str, Any]:
        """Return the columns of the books, taken at one moment."""
        with self._lock:
            self._count_refusals()
            waiting = len(self._queue.items)
            dead = self._dead.total()
            dropped = self._dropped.total()
            return {
                "recorded": self._taken + waiting + self._refused_at_call,
                "delivered": self._delivered,
                "queued": self._queued + waiting,
                "in_flight": self._in_flight,
                "spooled": self._spooled,
                "dead": dead,
                "dropped": dropped,
                "dead_reasons": dict(self._dead),
                "dropped_reasons": dict(self._dropped),
            }
