"""Own who goes first: the application, until the worker is too far behind."""

from collections.abc import Callable

from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter._delivery.clock import Clock

__all__ = ["SLICE", "Turns"]

SLICE = 20
"""Events dealt with in one go, so that other threads are not kept waiting."""
_PATIENCE = 0.5
"""Seconds for which the application goes first; then the worker has to catch up."""
_TURN = 50e-6
"""Seconds in which another thread gets its turn."""


class Turns:
    """Says when the worker may take its time, and lets others run then. Used by the worker alone.

    The interpreter takes its lock away from a busy thread only after five milliseconds, which is
    how late an event loop would be. A thread that sleeps gives it up at once.

    Args:
        queue: What the worker has yet to take.
        ledger: Who waits for delivery.
        clock: Measures, and sleeps.
        stopping: Returns whether the worker is about to end.
    """

    def __init__(
        self, queue: EventQueue, ledger: Ledger, clock: Clock, stopping: Callable[[], bool]
    ) -> None:
        self._queue = queue
        self._ledger = ledger
        self._clock = clock
        self._stopping = stopping
        self._behind_since: float | None = None

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for delivery, or too much does, or for too long."""
        queue, since = self._queue, self._behind_since
        return (
            self._stopping()
            or self._ledger.flushing
            or 2 * len(queue.items) > queue.room
            or 2 * queue.fresh_bytes > queue.byte_room
            or (since is not None and self._clock.monotonic() - since > _PATIENCE)
        )

    def note_intake(self) -> None:
        """Note that the worker took what it takes at a time: it is behind with what is left."""
        if len(self._queue.items) <= SLICE:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._clock.monotonic()

    def give(self) -> None:
        """Let the application's threads run, unless it is urgent."""
        if not self.urgent:
            self._clock.pause(_TURN)
