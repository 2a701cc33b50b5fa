"""Own the hand-over from callers to the worker: bounded in items and bytes, without a lock.

Callers append to a deque, which is atomic and may be interrupted by a signal handler or a finalizer
that records as well. All exact book-keeping happens on the worker's side; callers only compare
against two limits that the worker publishes (``room`` and ``byte_room``).
"""

import sys
from collections import deque
from collections.abc import Callable

from prefactor_exporter._core.events import Event

__all__ = ["EventQueue"]

_NEVER = sys.maxsize


class EventQueue:
    """What was recorded and not yet taken by the worker.

    ``fresh_bytes`` counts what waits here. Two threads may disturb each other's addition; whenever
    the worker has taken everything it is zero again, so the error does not last.

    Attributes:
        items: The events, oldest first. Appending and popping single events is atomic.
        room: How many events may wait here before the overflow policy applies.
        byte_room: The same in bytes.
        closed: Whether nothing is taken any more.
        alarm: Appending beyond this length wakes the worker; the worker sets it before it sleeps.
        offer: Appends an event unless that would pass the bounds; returns whether it was taken.
    """

    __slots__ = (
        "alarm",
        "append",
        "byte_room",
        "closed",
        "fresh_bytes",
        "items",
        "offer",
        "room",
        "wake",
    )

    def __init__(self, *, wake: Callable[[], object], room: int, byte_room: int) -> None:
        self.items: deque[Event] = deque()
        self.append = self.items.append
        self.wake = wake
        self.room = room
        self.byte_room = byte_room
        self.fresh_bytes = 0
        self.alarm = 0
        self.closed = False
        self.offer = _offer(self)

    def publish(self, room: int, byte_room: int) -> None:
        """Set how much may wait here. Called by the worker alone."""
        if not self.closed:
            self.room = room
            self.byte_room = byte_room

    def close(self) -> None:
        """Take nothing any more."""
        self.closed = True
        self.room = -1

    def ring(self) -> None:
        """Wake the worker, once until it sleeps again."""
        self.alarm = _NEVER
        self.wake()

    def take(self, most: int) -> list[Event]:
        """Return what waits, oldest first, at most so many events. Called by the worker alone.

        What was taken counts against the room until the worker publishes another one.
        """
        pop = self.items.popleft
        events = [pop() for _ in range(min(most, len(self.items)))]
        size = sum([event.size for event in events])
        self.room -= len(events)
        self.byte_room -= size
        self.fresh_bytes = max(0, self.fresh_bytes - size) if self.items else 0
        return events


def _offer(queue: EventQueue) -> Callable[[Event], bool]:
    """Return what `EventQueue.offer` is: a closure, because every record call goes through it."""
    items, append = queue.items, queue.append

    def offer(event: Event) -> bool:
        fresh = queue.fresh_bytes + event.size
        if len(items) >= queue.room or fresh > queue.byte_room:
            return False
        queue.fresh_bytes = fresh
        append(event)
        # Only after appending: a worker about to sleep either sees the event or gets the call.
        if len(items) > queue.alarm:
            queue.ring()
        return True

    return offer
