"""Own what the exporter tells about its events: the counts, the flush report, the stop signal."""

from typing import Literal

import msgspec

__all__ = ["ExporterHealth", "ExporterState", "ExporterStats", "FlushReport", "TerminationSignal"]

ExporterState = Literal["idle", "delivering", "retrying", "suspended", "closed", "disabled"]


class ExporterStats(msgspec.Struct, frozen=True, kw_only=True):
    """A consistent snapshot of where every recorded event is.

    At every moment ``recorded == delivered + queued + in_flight + spooled + dead + dropped``; each
    event is in exactly one of the six. A span that was started and finished counts as two events,
    also when both travel as one item.

    Attributes:
        recorded: Events that record calls handed over, dropped ones included, and adopted ones.
        delivered: Events the API confirmed.
        queued: Events waiting in memory, those waiting for another try included.
        in_flight: Events in a request that has not been answered yet.
        spooled: Events waiting on disk only.
        adopted: Events taken over from processes that died with the same ``spool_dir``.
        dead: Events that can never be delivered; see ``dead_reasons``.
        dropped: Events given up on this side; see ``dropped_reasons``.
        dead_reasons: Reason to count; the reason is the API's error code, or ``dependent``
            (the event it builds on was refused), ``instance_refused``, ``exhausted``, ``expired``,
            ``too_large``, ``unanswered``.
        dropped_reasons: Reason to count: ``queue_full``, ``create_dropped``, ``invalid``,
            ``shutdown``, ``spool_unreadable`` (damage on disk), ``internal`` (a defect of this
            package; please report it).
        queued_bytes: Payload bytes waiting in memory, in flight included.
        spooled_bytes: Bytes on disk, those of events that are also in memory included.
        spool_errors: Operations on the disk that failed.
        requests: Bulk requests sent, repeated ones included.
        retries: Bulk requests that repeated at least one event.
        merged: Finishes that travelled inside their create.
        fallbacks: Payloads that needed the slow encoding because they hold unusual objects.
        last_error: The latest delivery problem in words, None if there was none.
        state: What the exporter is doing now.
    """

    recorded: int = 0
    delivered: int = 0
    queued: int = 0
    in_flight: int = 0
    spooled: int = 0
    adopted: int = 0
    dead: int = 0
    dropped: int = 0
    dead_reasons: dict[str, int] = {}
    dropped_reasons: dict[str, int] = {}
    queued_bytes: int = 0
    spooled_bytes: int = 0
    spool_errors: int = 0
    requests: int = 0
    retries: int = 0
    merged: int = 0
    fallbacks: int = 0
    last_error: str | None = None
    state: ExporterState = "idle"


class ExporterHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether delivery works, in a form for a health check; true if nothing needs attention.

    Attributes:
        state: What the exporter is doing now.
        problems: What is wrong, a sentence each; empty if nothing is.
        failing_for: Seconds since delivery last worked, None while it does.
        pending: Events recorded and not settled yet.
        lost: Events that were dropped or refused for good so far; they make nothing
            unhealthy, since nothing can be done about them any more.
    """

    state: ExporterState = "idle"
    problems: tuple[str, ...] = ()
    failing_for: float | None = None
    pending: int = 0
    lost: int = 0

    def __bool__(self) -> bool:
        return not self.problems


class FlushReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of everything recorded before the call; true if all of it is delivered.

    Attributes:
        delivered: Events the API confirmed.
        pending: Events still on their way when the call returned.
        dead: Events refused for good.
        dropped: Events given up on this side.
        timed_out: Whether the call returned because its time was up.
    """

    delivered: int = 0
    pending: int = 0
    dead: int = 0
    dropped: int = 0
    timed_out: bool = False

    def __bool__(self) -> bool:
        return not (self.pending or self.dead or self.dropped)


class TerminationSignal(msgspec.Struct, frozen=True, kw_only=True):
    """An operator asked a run to stop.

    Attributes:
        instance_id: The run.
        reason: What the operator wrote, None if nothing.
    """

    instance_id: str
    reason: str | None = None
