"""Tell people about changes of state: once each, repeats summed up at most once a minute."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from prefactor_exporter._delivery.barrier import no_fork
from prefactor_http._log import get_logger

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

__all__ = ["SUSPENDED", "Herald"]

_QUIET = 60.0


class Herald:
    """Writes the exporter's log lines. Never a payload, never the token.

    Called by the worker alone.

    Attributes:
        trouble_since: When delivery began to fail, in monotonic seconds; None while it works.
    """

    def __init__(self) -> None:
        self.trouble_since: float | None = None
        self._announced = False
        self._suspended = False
        self._episodes = 0
        self._next_trouble = 0.0
        self._losses: Counter[str] = Counter()
        self._example = ""
        self._next_summary = 0.0
        self._next_bug = 0.0

    @property
    def _log(self) -> "BoundLogger":
        with no_fork:  # the first line imports structlog
            return get_logger("prefactor_exporter")

    def trouble(self, now: float, error: str, *, suspended: bool) -> None:
        """Report that delivery fails, unless that is known already or was said a moment ago."""
        if self.trouble_since is None:
            self.trouble_since = now
            self._episodes += 1
        if suspended:
            if not self._suspended:
                self._suspended = self._announced = True
                self._log.error("delivery_suspended", error=error, advice=SUSPENDED)
        elif not self._announced and now >= self._next_trouble:
            self._announced = True
            self._next_trouble = now + _QUIET
            self._log.warning(
                "delivery_degraded", error=error, episodes=self._episodes, advice=_DEGRADED
            )
            self._episodes = 0

    def recovered(self, now: float, *, lost: int) -> None:
        """Report that delivery works again, if it was said that it did not."""
        if self.trouble_since is None:
            return
        if self._announced:
            after = round(now - self.trouble_since, 1)
            self._log.warning("delivery_recovered", after_seconds=after, lost=lost)
        self.trouble_since = None
        self._announced = self._suspended = False

    def lost(self, reason: str, count: int, example: str = "") -> None:
        """Note undelivered events, to be reported with the next :meth:`tick` that is due.

        Args:
            reason: The reason they are counted under.
            count: How many they are.
            example: More in words; the first is told, since others may follow from it.
        """
        self._losses[reason] += count
        self._example = self._example or example

    @property
    def due(self) -> float | None:
        """When there is a loss to report, in monotonic seconds; None if there is none."""
        return self._next_summary if self._losses else None

    def tick(self, now: float) -> None:
        """Report what was lost: the first at once, then sums."""
        if now >= self._next_summary:
            self.summarise(now)

    def summarise(self, now: float) -> None:
        """Report what was lost since the last summary."""
        if self._losses:
            self._log.warning("events_lost", reasons=dict(self._losses), example=self._example)
            self._losses.clear()
            self._example = ""
            self._next_summary = now + _QUIET

    def notice(self, event: str, **fields: Any) -> None:
        """Report something that happens once."""
        self._log.warning(event, **fields)

    def bug(self, now: float, event: str) -> None:
        """Report the exception at hand, which nobody expected, with its traceback."""
        if now >= self._next_bug:
            self._next_bug = now + _QUIET
            self._log.exception(event)


_DEGRADED = "events wait in memory and are sent when the API answers again"
SUSPENDED = "the API refuses the token; check it, or replace it with exporter.set_token()"
