"""Own a clock that stands still until a test moves it."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["ManualClock"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS: Final = 1_000_000_000


class ManualClock:
    """Both clocks of an exporter, moved by hand. Safe from any thread.

    With it an :class:`InMemoryExporter` records times that a test can spell out. An exporter that
    talks to a server waits by the same clock, so there nothing that waits happens by itself.

    Args:
        start: The moment at which it stands: an aware datetime, or nanoseconds since the epoch.
    """

    def __init__(self, start: datetime | int = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._lock = threading.Lock()
        self._elapsed = 0
        self._time = _as_nanoseconds(start)

    def monotonic(self) -> float:
        """Return the seconds by which the clock was advanced."""
        return self._elapsed / _NANOSECONDS

    def time_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return self._time

    def pause(self, seconds: float) -> None:
        """Advance by that much instead of waiting."""
        self.advance(seconds)

    def now(self) -> datetime:
        """Return the moment at which the clock stands, to the microsecond."""
        return _EPOCH + timedelta(microseconds=self._time // 1000)

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass.

        Raises:
            ValueError: *seconds* is negative; :meth:`jump` moves the wall clock back.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds must be at least 0, got {seconds!r}; use jump() to go back")
        step = round(seconds * _NANOSECONDS)
        with self._lock:
            self._elapsed += step
            self._time += step

    def jump(self, moment: datetime | int) -> None:
        """Set the wall clock to *moment*, as an administrator might; no time passes by that."""
        with self._lock:
            self._time = _as_nanoseconds(moment)

    def __repr__(self) -> str:
        return f"<ManualClock {self.now().isoformat()}>"


def _as_nanoseconds(moment: datetime | int) -> int:
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; give one, such as tzinfo=UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
