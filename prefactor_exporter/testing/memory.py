"""Own the exporter that records into memory: the real one, with a worker that has no thread.

Everything up to a finished bulk item is the code that runs in production; only the request is
replaced, by handing the item to a recording.
"""

import sys
import threading
from typing import Any, Final

import msgspec

from prefactor_exporter._core.settlement import DEAD, DELIVERED, Verdict
from prefactor_exporter._delivery.clock import Clock
from prefactor_exporter._delivery.pipeline import Pipeline
from prefactor_exporter._delivery.turns import Turns
from prefactor_exporter._delivery.worker import Worker
from prefactor_exporter.config import ExporterConfig
from prefactor_exporter.exporter import Exporter
from prefactor_exporter.testing.recorded import RecordedRun
from prefactor_exporter.testing.recording import RecordedSpans, Recording
from prefactor_http.config import HttpClientConfig

__all__ = ["IN_MEMORY_URL", "InMemoryExporter", "into"]

IN_MEMORY_URL: Final = "http://in-memory.invalid"
"""An address that can never be reached."""


class _MemoryWorker(Worker):
    """Delivers into a recording, in the thread of whoever asks; it has none of its own."""

    recording: Recording

    def __init__(self, config: ExporterConfig, *args: Any, **kwargs: Any) -> None:
        # Nothing may be left behind on disk, and nothing of other processes adopted.
        super().__init__(msgspec.structs.replace(config, spool_dir=None), *args, **kwargs)
        # Re-entrant: a signal may come between taking it and saying so.
        self._turn = threading.RLock()
        self._deliverer: int | None = None
        # Always urgent: this is the application's thread.
        self.turns = Turns(self._queue, self._ledger, self._clock, lambda: True)
        self._patience = config.max_batch_items - 1
        self._queue.alarm = self._patience
        self.recording.connect(self)

    @property
    def running(self) -> bool:
        """Always: there is nothing to start."""
        return True

    def is_current_thread(self) -> bool:
        """Whether the caller is called by a delivery, which is to go on first."""
        return self._deliverer == threading.get_ident()

    def wake(self) -> None:
        """Deliver, unless another thread is about it: a record call must not wait for it."""
        self._deliver(blocking=False)

    def request_stop(self, deadline: float) -> None:
        """Deliver what waits, then end."""
        self.deliver()
        super().request_stop(deadline)

    def stop(self, deadline: float) -> None:
        """Deliver what waits, then end; there is no thread to wait for."""
        self.request_stop(deadline)

    def signal_termination(self, instance_id: str, reason: str | None) -> None:
        """Do what the answer of the API would do."""
        self._hooks.terminated(instance_id, reason)

    def deliver(self) -> None:
        """Deliver everything that waits; return when it is delivered, by whichever thread."""
        self._deliver(blocking=True)

    def _deliver(self, *, blocking: bool) -> None:
        if self.is_current_thread():
            return  # a callback, a finalizer or a signal handler; what it recorded is seen below
        while self._turn.acquire(blocking=blocking):
            self._deliverer = threading.get_ident()
            try:
                while self._deliver_some():
                    pass
            finally:
                self._deliverer = None
                self._queue.alarm = self._patience
                self._turn.release()
            # Somebody who could not have the turn a moment ago relies on this thread.
            if not self._queue.items:
                return

    def _deliver_some(self) -> bool:
        """Deliver a round; return whether there was anything to do."""
        now = self._clock.monotonic()
        self._intake()
        batch, buried = self.lanes.take(now, max_items=sys.maxsize, max_bytes=sys.maxsize)
        self._bury(buried)
        if batch is None:
            return bool(self._queue.items)
        self._ledger.depart(batch.parts)
        # Lanes come one after the other, and within one a create takes the place of its finish.
        problems = {
            event.seq: self.recording.take(event.wire, self)
            for event in sorted(batch.events, key=lambda event: event.seq)
            if event.wire is not None
        }
        verdicts = [_verdict(problems.get(event.seq, "")) for event in batch.events]
        self._enter(batch.events, self.lanes.settle(batch.events, verdicts, now))
        return True


def _verdict(problem: str) -> Verdict:
    return Verdict(DEAD, "validation_errors", problem) if problem else Verdict(DELIVERED)


def into(recording: Recording) -> type[Pipeline]:
    """Return the pipeline that ends in *recording*."""

    class BoundWorker(_MemoryWorker):
        pass

    BoundWorker.recording = recording

    class MemoryPipeline(Pipeline):
        _worker_type = BoundWorker

        def figures(self) -> dict[str, Any]:
            self.wake()
            return super().figures()

    return MemoryPipeline


class InMemoryExporter(Exporter):
    """An exporter that keeps what it records, for tests: no thread, no network, no disk.

    All calls are those of :class:`prefactor_exporter.Exporter`, and so is what happens to an event
    on its way: payloads are encoded, redacted and trimmed as in production, and what is recorded is
    read from the items that would have been sent. Everything is delivered as soon as somebody looks
    (at :attr:`spans`, ``flush()``, ``stats()``, ...), in the thread of whoever does.

    Args:
        config: The settings; None for the defaults with unlimited memory. ``spool_dir``,
            ``flush_at_exit`` and ``flush_on_signals`` have no effect.
        clock: Where the time comes from, such as a :class:`ManualClock`; None for the system's.
        strict: Whether illegal values raise, whatever *config* says.
    """

    def __init__(
        self,
        config: ExporterConfig | None = None,
        *,
        clock: Clock | None = None,
        strict: bool = True,
    ) -> None:
        given = config if config is not None else _default_config()
        super().__init__(
            msgspec.structs.replace(
                given, strict=strict, spool_dir=None, flush_at_exit=False, flush_on_signals=()
            ),
            clock=clock,
        )

    def _pipeline_type(self) -> type[Pipeline]:
        # A forked child begins with nothing recorded, as it begins with an empty queue.
        self._recording = Recording()
        return into(self._recording)

    @property
    def spans(self) -> RecordedSpans:
        """The recorded spans; the object follows what is recorded later."""
        return RecordedSpans(self._recording)

    @property
    def runs(self) -> tuple[RecordedRun, ...]:
        """The runs, each with its spans nested."""
        return self._recording.read().runs

    @property
    def items(self) -> tuple[dict[str, Any], ...]:
        """The bulk items that would have been sent, decoded, in the order of recording."""
        return self._recording.read().items

    def terminate(self, instance_id: str | None = None, reason: str | None = None) -> None:
        """Pretend that an operator terminated a run, and that the signal has arrived.

        When the call returns, ``terminated()`` and ``should_stop`` say so, and the callbacks of
        ``on_terminate()`` have been called, in this thread.

        Args:
            instance_id: The run; None for every run that is active.
            reason: What the operator wrote.

        Raises:
            ValueError: There is no such run or it is not active.
        """
        self._recording.terminate(instance_id, reason)

    def __repr__(self) -> str:
        return f"<InMemoryExporter {len(self.spans)} spans>"


def _default_config() -> ExporterConfig:
    return ExporterConfig(
        http=HttpClientConfig(IN_MEMORY_URL, "in-memory"), max_queue_bytes=sys.maxsize
    )
