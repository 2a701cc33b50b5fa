"""Own the reading of clocks, so that tests can bring their own."""

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Two clocks: one for waits, which never jumps, and one for timestamps, which may."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        ...

    def time_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        ...

    def pause(self, seconds: float) -> None:
        """Block the calling thread for that long."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    monotonic = staticmethod(time.monotonic)
    time_ns = staticmethod(time.time_ns)

    def pause(self, seconds: float) -> None:
        """Block the calling thread for that long."""
        time.sleep(seconds)  # noqa: TID251  # the one place that wraps it
