"""Own the books: where every event is, and which flushes wait for which of them.

The worker moves events between the columns; anybody may read a consistent sum. What was recorded
is not counted but derived: what the worker took, what still waits in the queue, and what was
dropped at the call. So a record call touches no shared counter.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prefactor_exporter._core.events import FINISH, FINISH_INSTANCE, RECORD, START, Event
from prefactor_exporter._core.gaps import Gaps
from prefactor_exporter._core.lanes import Buried, without_create
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter.stats import FlushReport

__all__ = ["Flush", "Ledger"]

_NOTED = 10_000
"""Refusals at record calls after which they are counted, if the lock is free."""
_REMEMBERED = 10_000
"""Dropped spans that are remembered for children that come late."""
_FORGOTTEN_AT_ONCE = 2_000
_SPANS = frozenset({RECORD, START})


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

    Attributes:
        gaps: Spans that were dropped before the worker took them.
        lock: Whoever holds it sees the books stand still, and the worker take nothing.
    """

    def __init__(self, queue: EventQueue) -> None:
        self.gaps = Gaps()
        self._queue = queue
        # An evicted span is older than its children in the queue, which is a quarter longer at most
        # than its room: they leave it before as many others were evicted.
        self._most_gaps = _REMEMBERED + queue.room + queue.room // 4
        # Events at the head of the queue that cannot be evicted.
        self._fixed = 0
        # Whether this thread, which holds the lock, is at the queue.
        self._busy = False
        self.lock = threading.RLock()
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
        # Of those, what was not told yet, and what of that nobody can describe.
        self._losses: Counter[str] = Counter()
        self._nameless: Counter[str] = Counter()

    @property
    def flushing(self) -> bool:
        """Whether somebody waits for delivery."""
        return bool(self._flushes)

    @property
    def lost(self) -> int:
        """How many events were lost so far, whether dead or dropped."""
        with self.lock:
            return self._dead.total() + self._dropped.total() + len(self._refusals)

    def take(self, most: int) -> tuple[list[Event], list[Buried]]:
        """Move at most so many events from the queue into the books.

        Returns:
            Those that can be delivered, in order, and finishes whose create was dropped.
        """
        with self.lock:
            self._busy = True
            try:
                events = self._queue.take(most)
                position = self._taken
                for event in events:
                    position += 1
                    event.seq = position
                self._taken = position
                self._queued += len(events)
                self._fixed = max(0, self._fixed - len(events))
            finally:
                self._busy = False
            if not self.gaps.parents:
                return events, []
            orphans = [without_create(event) for event in events if self._is_orphan(event)]
            if orphans:
                gone = {id(entry.event) for entry in orphans}
                events = [event for event in events if id(event) not in gone]
            if not self._queue.items:
                self.gaps.forget(_REMEMBERED, at_once=_FORGOTTEN_AT_ONCE)
        return events, orphans

    def _is_orphan(self, event: Event) -> bool:
        """Return whether *event* ends a span that was dropped; give others a parent that exists."""
        gaps, kind = self.gaps, event.kind
        try:
            if kind == FINISH and event.id in gaps.parents:
                gaps.close(event.id)
                return True
            event.parent = gaps.surviving(event.parent)
            if kind == FINISH_INSTANCE:
                gaps.end(event.instance)
        except Exception:  # noqa: BLE001  # an id that cannot be looked up is the lanes' matter
            return False
        return False

    def drop_at_call(self, reason: str) -> None:
        """Note that a record call could not hand an event over; whoever asks counts it."""
        self._refusals.append(reason)
        if len(self._refusals) > _NOTED and self.lock.acquire(blocking=False):
            try:
                self._count_refusals()
            finally:
                self.lock.release()

    def _count_refusals(self) -> None:
        for _ in range(len(self._refusals)):
            reason = self._refusals.popleft()
            self._dropped[reason] += 1
            self._losses[reason] += 1
            self._refused_at_call += 1

    def forget_span(self, span: Event) -> None:
        """Note that *span* was dropped at the call."""
        # Children that are in the queue already do not exist.
        self.gaps.add(span, most=_REMEMBERED)

    def evict_oldest(self) -> Buried | None:
        """Drop the oldest event in the queue that nothing accepted needs; None if there is none.

        That is a span, or the finish of one that was dropped.
        """
        with self.lock:
            if self._busy:
                return None  # a signal handler or a finalizer records in the middle of this
            self._busy = True
            try:
                evicted = self._evict()
            finally:
                self._busy = False
            if evicted is not None:
                self._settle([evicted])
        return evicted

    def _evict(self) -> Buried | None:
        items = self._queue.items
        end = len(items)
        for position in range(self._fixed, end):
            event = items[position]
            if event.kind in _SPANS:
                evicted = Buried(event, dead=False, reason="queue_full")
                # Before it is gone: from then on its finish must find it here.
                self.gaps.add(event, most=self._most_gaps)
            elif event.kind == FINISH and event.id in self.gaps.parents:
                evicted = without_create(event)
                self.gaps.close(event.id)
            else:
                continue
            del items[position]
            self._fixed = position
            self._queue.fresh_bytes -= event.size
            self._taken += 1
            event.seq = self._taken
            self._queued += 1
            return evicted
        self._fixed = end
        return None

    def depart(self, parts: int) -> None:
        """Note that so many recorded events left in a request."""
        with self.lock:
            self._queued -= parts
            self._in_flight += parts

    def come_back(self, events: Iterable[Event]) -> None:
        """Note that *events* wait again after a request."""
        with self.lock:
            count = sum(event.parts for event in events)
            self._in_flight -= count
            self._queued += count

    def spool(self, events: Iterable[Event]) -> None:
        """Note that waiting *events* left memory and are on disk only."""
        with self.lock:
            count = sum(event.parts for event in events)
            self._queued -= count
            self._spooled += count

    def unspool(self, events: Iterable[Event]) -> None:
        """Note that *events* came back from disk."""
        with self.lock:
            count = sum(event.parts for event in events)
            self._spooled -= count
            self._queued += count

    def adopt(self, parts: int) -> int:
        """Enter *parts* events found on disk as recorded; return the position of the first."""
        with self.lock:
            position = self._taken + 1
            for flush in self._flushes:
                if flush.upto > self._taken:
                    # What it waits for in the queue comes behind these.
                    flush.upto += parts
                    flush.remaining += parts
            self._taken += parts
            self._spooled += parts
        return position

    def lose(self, parts: int, reason: str, *, first: int | None = None) -> None:
        """Drop *parts* events that were on disk and cannot be read any more.

        Args:
            parts: How many they were.
            reason: The reason they are counted under.
            first: Position of the first, if they were adopted. None if that is unknown: then every
                flush under way that waits for as many counts them.
        """
        with self.lock:
            self._spooled -= parts
            self._dropped[reason] += parts
            self._losses[reason] += parts
            self._nameless[reason] += parts
            for flush in self._flushes:
                if first is not None and first > flush.upto:
                    continue
                lost = min(parts, flush.remaining)
                flush.remaining -= lost
                flush.dropped += lost
            self._complete()

    def deliver(self, events: Sequence[Event]) -> None:
        """Note that the API confirmed *events*, which were in flight."""
        with self.lock:
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
        with self.lock:
            self._settle(buried)

    def _settle(self, buried: Iterable[Buried]) -> None:
        for entry in buried:
            parts = entry.event.parts
            self._queued -= parts
            (self._dead if entry.dead else self._dropped)[entry.reason] += parts
            self._losses[entry.reason] += parts
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
        with self.lock:
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

    def news(self) -> tuple[Counter[str], Counter[str]]:
        """Return by reason what was lost since the last call, and what of it is not described."""
        with self.lock:
            self._count_refusals()
            news = self._losses, self._nameless
            self._losses, self._nameless = Counter(), Counter()
        return news

    def close_flush(self, flush: Flush) -> FlushReport:
        """Stop waiting; return what became of the events."""
        with self.lock:
            if flush in self._flushes:
                self._flushes.remove(flush)
            return flush.report()

    def counts(self) -> dict[str, Any]:
        """Return the columns of the books, taken at one moment."""
        with self.lock:
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
