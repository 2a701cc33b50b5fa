"""Decide when and how widely to send: backoff after failures, hints, suspension. Pure."""

from collections.abc import Callable

__all__ = ["BatchLimits", "Pace", "backoff_delay"]

_BASE = 0.5
_CEILING = 30.0
_LAST_DOUBLING = 32
_MAX_HINT = 300.0
_SUSPENDED_BASE = 5.0
_SUSPENDED_CEILING = 60.0
_FIRST = 100
"""Items in a batch beyond which larger ones save no CPU."""
_SLOW = 0.02
"""Seconds for an answer, from which on larger batches get more through."""
_ACCEPTED_BEFORE_GROWTH = 64
"""Batches after which a limit that the API turned out to have is tried again."""

Jitter = Callable[[float], float]


def backoff_delay(
    failures: int, jitter: Jitter, *, base: float = _BASE, ceiling: float = _CEILING
) -> float:
    """Return the seconds to wait after that many *failures* in a row (at least 1).

    ``jitter(min(ceiling, base * 2 ** (failures - 1)))``; the exponent is bounded, so that a long
    outage cannot overflow a float.
    """
    return jitter(min(ceiling, base * 2 ** min(failures - 1, _LAST_DOUBLING)))


class Pace:
    """How the destination is doing, and so when the next request may leave.

    After a failure one request at a time goes out, as a probe, until one succeeds. A hint of the
    API is a minimum, capped at 300 seconds. A refused token suspends sending: slow probes go on, so
    that delivery resumes by itself when the token works again.

    Attributes:
        failures: Failures in a row, 0 while all is well.
        suspended: Whether the API refuses the token.
        ready_at: Monotonic seconds before which nothing may be sent.
    """

    def __init__(self, *, width: int, jitter: Jitter) -> None:
        self._width = width
        self._jitter = jitter
        self._hinted_until = 0.0
        self.failures = 0
        self.suspended = False
        self.ready_at = 0.0

    @property
    def width(self) -> int:
        """How many requests may be in flight."""
        return 1 if self.failures else self._width

    def failed(self, now: float, *, hint: float | None = None) -> float:
        """Note a failed request; return the seconds until the next may leave."""
        self.failures += 1
        wait = backoff_delay(self.failures, self._jitter)
        if hint is not None and hint > 0:
            hint = min(hint, _MAX_HINT)
            self._hinted_until = max(self._hinted_until, now + hint)
            wait = max(wait, hint)
        self.ready_at = max(self.ready_at, now + wait)
        return wait

    def refused_token(self, now: float) -> None:
        """Note that the API refused the token."""
        self.failures += 1
        self.suspended = True
        self.ready_at = now + backoff_delay(
            self.failures, self._jitter, base=_SUSPENDED_BASE, ceiling=_SUSPENDED_CEILING
        )

    def succeeded(self) -> None:
        """Note that the API answered properly."""
        self.failures = 0
        self.suspended = False
        self.ready_at = 0.0

    def hurry(self, now: float, *, within: float = 0.0) -> None:
        """Shorten our own wait to *within* seconds; what the API asked for still holds."""
        self.ready_at = max(min(self.ready_at, now + within), self._hinted_until)


class BatchLimits:
    """How large a batch may be: as large as is of use and the API accepts, up to what is set.

    An API that answers soon gets small batches, since larger ones cost as much CPU and hold the
    interpreter for longer. Of one that takes its time only larger batches get more through: each
    full one that is accepted doubles the next.

    How much the API accepts is not published. A refused batch is halved until it is accepted or a
    single item stands alone. Whether the size or one of the items was at fault shows only later:
    if a lone item is the culprit, the limits return; if all of the refused items pass in smaller
    batches, the limit was the API's and is remembered. Every now and then twice the size is tried,
    because a passing fault of a proxy must not slow delivery down for ever.

    Args:
        items: Most items, as set.
        size: Most bytes, as set.
        room: How many events wait at most. Batches do not grow beyond half of that: what is under
            way can make no room for newer events.
    """

    def __init__(self, *, items: int, size: int, room: int) -> None:
        self._most = (min(items, max(_FIRST, room // 2)), size)
        self._wanted = min(items, _FIRST)
        # What the API is not known to refuse, and what that was before a refusal not yet explained.
        self._allowed = self._before = self._most
        # Items of that refusal whose fate is open.
        self._suspect = 0
        self._accepted = 0

    @property
    def items(self) -> int:
        """Most items in the next batch."""
        return min(self._wanted, self._allowed[0])

    @property
    def size(self) -> int:
        """Most bytes in the next batch."""
        return self._allowed[1]

    @property
    def enough(self) -> int:
        """How many items need not wait for more."""
        return min(_FIRST, self.items)

    def refused(self, items: int, size: int, *, too_large: bool) -> None:
        """Note that a batch of *items* with *size* bytes was refused as a whole."""
        if not self._suspect:
            self._suspect = items
            self._before = self._allowed
        allowed_items, allowed_size = self._allowed
        self._allowed = (
            min(allowed_items, max(1, items // 2)),
            min(allowed_size, max(1, size // 2)) if too_large else allowed_size,
        )
        self._accepted = 0

    def accepted(self, items: int, *, seconds: float) -> None:
        """Note that a batch of *items* was accepted, *seconds* after it was sent."""
        if self._suspect:
            self._suspect = max(0, self._suspect - items)
        elif self._allowed != self._most:
            self._accepted += 1
            if self._accepted >= _ACCEPTED_BEFORE_GROWTH:
                self._accepted = 0
                (most_items, most_size), (allowed_items, allowed_size) = self._most, self._allowed
                self._allowed = min(most_items, 2 * allowed_items), min(most_size, 2 * allowed_size)
        if seconds >= _SLOW and items >= self.items:
            self._wanted = min(self._most[0], 2 * self._wanted)

    def culprit_found(self) -> None:
        """Note that a lone item was refused: the size was not at fault."""
        if self._suspect:
            self._suspect = 0
            self._allowed = self._before
