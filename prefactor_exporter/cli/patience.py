"""How long to wait for deliveries: as long as some arrive, and then a while."""

import time
from collections.abc import Callable
from typing import Final

from prefactor_exporter import Exporter, ExporterConfig, ExporterStats

__all__ = ["LOOK_EVERY", "Patience"]

LOOK_EVERY: Final = 0.2
"""Seconds between two looks at the figures while waiting."""

_ROOM = 0.5  # share of the queue


class Patience:
    """Waits for an exporter while it gets something done.

    Args:
        exporter: Whom to wait for.
        config: Its settings.
        seconds: How long nothing may be settled before the rest is given up.
        show: Called with the figures at every look.
    """

    def __init__(
        self,
        exporter: Exporter,
        config: ExporterConfig,
        *,
        seconds: float,
        show: Callable[[ExporterStats], None],
    ) -> None:
        self._exporter = exporter
        self._config = config
        self._seconds = seconds
        self._show = show
        self._settled = -1
        self._settled_at = 0.0

    def room(self) -> bool:
        """Wait until the queue is no more than half full; false if nothing gets done."""
        self._settled = -1
        while True:
            stats = self._exporter.stats()
            if (
                stats.queued + stats.in_flight <= _ROOM * self._config.max_queue_items
                and stats.queued_bytes <= _ROOM * self._config.max_queue_bytes
            ):
                return True
            if not self._moving(stats):
                return False
            self._exporter.flush(timeout=LOOK_EVERY)

    def delivered(self) -> bool:
        """Wait until nothing is on its way any more; false if nothing gets done."""
        self._settled = -1
        while self._exporter.flush(timeout=LOOK_EVERY).pending:
            if not self._moving(self._exporter.stats()):
                return False
        return True

    def _moving(self, stats: ExporterStats) -> bool:
        """Show the figures; say whether something was settled within the patience."""
        self._show(stats)
        now = time.monotonic()
        settled = stats.delivered + stats.dead + stats.dropped
        if settled != self._settled:
            self._settled, self._settled_at = settled, now
        return now - self._settled_at <= self._seconds
