"""Own how a workload is recorded: span after span, at full speed or paced, timed from outside."""

import json
import threading
from array import array
from collections.abc import Sequence
from time import monotonic, perf_counter_ns
from typing import Any

from workload import Recorded

__all__ = ["Subject", "text"]


class Subject:
    """Something that spans are recorded with.

    A parent begins, its children are recorded while it is open, and it ends: that is how each of
    the exporters is used in an application. Where a project's calls are coroutines, `begin`,
    `record` and `end` return what must be awaited.
    """

    def begin(self, span: Recorded) -> Any:
        """Begin the parent *span*; return what its children and its end need."""
        raise NotImplementedError

    def record(self, span: Recorded, parent: Any) -> Any:
        """Record *span*, which is over, as a child of what `begin` returned."""
        raise NotImplementedError

    def end(self, span: Recorded, parent: Any) -> Any:
        """End the parent *span*."""
        raise NotImplementedError

    def flush(self) -> None:
        """Deliver everything, in the way and with the patience the project recommends."""

    def close(self) -> None:
        """Stop, in the way the project recommends."""

    def leave(self) -> None:
        """Do what the project says an application must do before it ends; most need nothing."""

    def warm_up(self, work: Sequence[Recorded]) -> None:
        """Record and deliver *work*, so that threads, connections and caches exist."""
        self.run(work, None)
        self.flush()

    def prepare(self, work: Sequence[Recorded]) -> None:
        """Do what is not measured."""

    @property
    def full(self) -> bool:
        """Whether nothing more is taken because too much waits."""
        return True

    def counts(self) -> dict[str, Any]:
        """Return what the subject itself knows about its work."""
        return {}

    def run(self, work: Sequence[Recorded], rate: float | None) -> "array[int]":
        """Record *work*; return the nanoseconds of each child's record call.

        Args:
            work: Families, the parent first.
            rate: Spans a second, in bursts of a family; None for as fast as it goes.
        """
        spent = array("q")
        note = spent.append
        record = self.record
        sleep = threading.Event().wait
        open_span: tuple[Recorded, Any] | None = None
        started = monotonic()
        for number, span in enumerate(work):
            if span.root or open_span is None:
                if open_span is not None:
                    self.end(*open_span)
                if rate is not None:
                    sleep(max(0.0, started + number / rate - monotonic()))
                open_span = (span, self.begin(span))
                continue
            parent = open_span[1]
            before = perf_counter_ns()
            record(span, parent)
            note(perf_counter_ns() - before)
        if open_span is not None:
            self.end(*open_span)
        return spent


def text(value: Any) -> str:
    """Return *value* as JSON text, for exporters whose spans carry only texts and numbers."""
    return json.dumps(value)
