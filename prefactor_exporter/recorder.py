"""Own the record calls and the exporter's life: what is recorded is delivered or counted.

Every method may be called from any thread and from inside any event loop. None of the record calls
waits for anything, and none raises for what the network, the API or a payload does.
"""

import dataclasses
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from numbers import Real
from types import FrameType
from typing import Any, Final, NoReturn

import msgspec

from prefactor_exporter._core.events import (
    ENVELOPE,
    FINISH,
    FINISH_INSTANCE,
    QUALITY,
    RECORD,
    REGISTER,
    SENSITIVE,
    START,
    START_INSTANCE,
    Event,
)
from prefactor_exporter._core.ids import Mint, as_pfid, extract_partition, is_pfid, keystream
from prefactor_exporter._core.snapshot import (
    COUNT_THREADS,
    ENCODE,
    FALLBACK,
    HARMLESS,
    JOIN,
    NOTHING,
    OPENING,
    REFUSE_ALL_BUT_PLAIN,
    as_object,
    slow_snapshot,
    snapshot,
)
from prefactor_exporter._core.values import nanoseconds, shown, text
from prefactor_exporter._delivery.clock import Clock, SystemClock
from prefactor_exporter._delivery.lifecycle import guard, guard_signals, uncaught
from prefactor_exporter._delivery.pipeline import Pipeline
from prefactor_exporter.config import ExporterConfig, problem_of_token
from prefactor_exporter.context import CURRENT, Current, Scope, current_scope
from prefactor_exporter.exceptions import InvalidEventError
from prefactor_exporter.registration import PURPOSES, SDK_HEADER, registration_details
from prefactor_exporter.stats import ExporterHealth, ExporterStats, FlushReport, TerminationSignal
from prefactor_http._log import get_logger
from prefactor_http.config import HttpClientConfig

__all__ = ["FinishStatus", "Recorder", "Timestamp", "seconds"]

Timestamp = datetime | int
"""An aware datetime, or nanoseconds since the epoch."""
FinishStatus = str
"""``complete``, ``failed`` or ``cancelled``."""

_COMPLETE: Final = "complete"
_FINAL: Final = frozenset({"complete", "failed", "cancelled"})
_MAX_REMEMBERED: Final = 10_000
_FLUSH_WITHIN: Final = 10.0
_SEED: Final = 32
"""Random bytes that all ids of a process follow from."""


class Recorder:
    """Takes what an agent does and hands it to a background worker.

    Attributes:
        era: Another object in each process: what was begun in another one is not this one's to end.

    Args:
        config: The settings; None makes a disabled recorder, whose calls do nothing.
        clock: Where the time comes from; None for the system's clocks.
    """

    def __init__(self, config: ExporterConfig | None, *, clock: Clock | None = None) -> None:
        self.config = config
        self._off = config is None
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._callbacks: list[Callable[[str, str | None], None]] = []
        self._owner = object()
        self._partition: int | None = None
        self._http: HttpClientConfig | None = None
        if config is not None:
            # The exporter retries on its own: two layers would multiply attempts.
            self._http = dataclasses.replace(config.http, max_retries=0)
            # An agent's id carries the account's partition, so nothing needs to be asked for it.
            agent_id = config.agent.agent_id if config.agent is not None else None
            self._partition = extract_partition(agent_id) if is_pfid(agent_id) else None
        self._begin()
        if config is not None:
            guard(self, at_exit=config.flush_at_exit)
            if config.flush_at_exit:
                guard_signals(config.flush_on_signals)

    def _begin(self) -> None:
        """Build everything that a forked child must not share with its parent."""
        self.era = object()
        self._lock = threading.RLock()
        self._mint = Mint(random=keystream(os.urandom(_SEED)), partition=self._partition)
        self._time_ns = self._clock.time_ns
        self._warned: set[str] = set()
        self._fallbacks = itertools.count(1)
        self._fallbacks_seen = 0
        self._own: str | None = None
        self._own_pending: str | None = None
        self._names: set[str] = set()
        self._known_instances: set[str] = set()
        # Span to its run and its begin, in the order in which they began.
        self._open: dict[str, tuple[str, int]] = {}
        # Run to its begin.
        self._open_instances: dict[str, int] = {}
        self._signals: dict[str, TerminationSignal] = {}
        # Held for an instant only, since the worker takes it; signal handlers may be inside, too.
        self._hearing = threading.RLock()
        self._final: FlushReport | None = None
        self._closing = False
        self._pipeline: Pipeline | None = None
        config, http = self.config, self._http
        if config is not None and http is not None:
            pipeline = self._pipeline_type()(
                config,
                http,
                sdk_header=SDK_HEADER,
                partition=self._partition,
                clock=self._clock,
                partition_learned=self._learn_partition,
                terminated=self._note_terminated,
                forget=lambda span_id: self._open.pop(span_id, None),
            )
            self._pipeline = pipeline
            # What the record calls touch, one attribute away.
            self._queue = pipeline.queue
            self._enqueue = pipeline.queue.offer
            self._admission = pipeline.admission
            self._lost = pipeline.admission.lost

    def _pipeline_type(self) -> type[Pipeline]:
        """Return what stands behind the record calls; the test kit puts another one there."""
        return Pipeline

    # -- spans -------------------------------------------------------------------------------

    def record_span(  # noqa: C901, PLR0911, PLR0912, PLR0915  # the hot path: a call per question costs more
        self,
        schema_name: str,
        payload: object = None,
        *,
        result_payload: object = None,
        status: FinishStatus = "complete",
        instance_id: str | None = None,
        parent_span_id: str | Current | None = CURRENT,
        span_id: str | None = None,
        started_at: Timestamp | None = None,
        finished_at: Timestamp | None = None,
        sensitive_encoding: bool | None = None,
    ) -> str:
        """Record a span that is already over.

        Args:
            schema_name: Type of the span, such as ``agent:llm``.
            payload: What went in: a mapping, or anything else, which is wrapped. Encoded now, so
                later changes do not matter. None is the empty object.
            result_payload: What came out; None for nothing.
            status: ``complete``, ``failed`` or ``cancelled``.
            instance_id: The run; None for the enclosing one, else the process's own.
            parent_span_id: The parent; left out, the current span of the same run; None for a root.
            span_id: Id of the span; None mints one.
            started_at: Begin; None for the moment it finished.
            finished_at: End; None for now. Never before the begin.
            sensitive_encoding: Whether values in the payloads are wrapped as sensitive; None finds
                out by itself.

        Returns:
            The id of the span, also if the event had to be dropped.

        Raises:
            InvalidEventError: A value is illegal and the configuration is ``strict``.
        """
        now = self._time_ns()
        given = span_id
        if span_id is None:
            span_id = self._mint.mint(now)
        if self._off:
            return span_id
        scope = current_scope.get()
        if scope is not None and scope.owner is not self._owner:
            scope = None
        if instance_id is None:
            instance_id = scope.instance if scope is not None else self._own or self._own_instance()
        if parent_span_id is CURRENT:
            parent = scope.span if scope is not None and scope.instance == instance_id else None
        else:
            parent = parent_span_id
            if parent is not None and (type(parent) is not str or parent not in self._open):
                parent = as_pfid(parent)
                if parent is None:
                    return self._reject(span_id, "parent_span_id", parent_span_id, _AN_ID)
        if status is not _COMPLETE:  # others may be equal, and are looked at
            final = _final(status)
            if final is None:
                return self._reject(span_id, "status", status, _A_FINAL_STATUS)
            status = final
        if type(schema_name) is not str or schema_name not in self._names:
            name = self._name(schema_name)
            if name is None:
                return self._reject(span_id, "schema_name", schema_name, _A_NAME)
            schema_name = name
        if type(instance_id) is not str or instance_id not in self._known_instances:
            instance = self._instance(instance_id)
            if instance is None:
                return self._reject(span_id, "instance_id", instance_id, _AN_ID)
            instance_id = instance
        if given is not None:
            plain = as_pfid(given)
            if plain is None:
                return self._reject(span_id, "span_id", given, _AN_ID)
            span_id = plain
        ended = now
        if finished_at is not None:
            read = nanoseconds(finished_at)
            if read is None:
                return self._reject(span_id, "finished_at", finished_at, _A_TIME)
            ended = read
        began = ended
        if started_at is not None:
            read = nanoseconds(started_at)
            if read is None:
                return self._reject(span_id, "started_at", started_at, _A_TIME)
            began = read
            ended = max(ended, began)
        try:
            if COUNT_THREADS() > HARMLESS[0]:
                REFUSE_ALL_BUT_PLAIN(payload)
            data, flags = JOIN((ENCODE(payload), NOTHING)), 0
            if data[0] != OPENING:
                data = as_object(data)
        except Exception:  # noqa: BLE001  # whatever it is, the walk copes with it
            data, flags = slow_snapshot(payload)
        result = None
        if result_payload is not None:
            try:
                if COUNT_THREADS() > HARMLESS[0]:
                    REFUSE_ALL_BUT_PLAIN(result_payload)
                result = JOIN((ENCODE(result_payload), NOTHING))
                if result[0] != OPENING:
                    result = as_object(result)
            except Exception:  # noqa: BLE001  # likewise
                result, more = slow_snapshot(result_payload)
                flags |= more
        if flags or sensitive_encoding is not None:
            flags = self._flag(flags, sensitive_encoding)
        if self._lost and parent in self._lost:
            parent = self._admission.surviving(parent)
        event = Event(
            RECORD,
            instance_id,
            span_id,
            began,
            data,
            parent,
            schema_name,
            status,
            ended,
            result,
            flags,
            len(data) + ENVELOPE if result is None else len(data) + len(result) + ENVELOPE,
        )
        if not self._enqueue(event):
            self._admission.overflowed(event)
        return span_id

    def start_span(  # noqa: C901, PLR0911, PLR0912, PLR0915  # the hot path: a call per question costs more
        self,
        schema_name: str,
        payload: object = None,
        *,
        instance_id: str | None = None,
        parent_span_id: str | Current | None = CURRENT,
        span_id: str | None = None,
        started_at: Timestamp | None = None,
        sensitive_encoding: bool | None = None,
    ) -> str:
        """Record that a span begins; :meth:`finish_span` ends it.

        Arguments as for :meth:`record_span`; ``started_at`` left out is now.

        Returns:
            The id of the span, also if the event had to be dropped.

        Raises:
            InvalidEventError: A value is illegal and the configuration is ``strict``.
        """
        now = self._time_ns()
        given = span_id
        if span_id is None:
            span_id = self._mint.mint(now)
        if self._off:
            return span_id
        scope = current_scope.get()
        if scope is not None and scope.owner is not self._owner:
            scope = None
        if instance_id is None:
            instance_id = scope.instance if scope is not None else self._own or self._own_instance()
        if parent_span_id is CURRENT:
            parent = scope.span if scope is not None and scope.instance == instance_id else None
        else:
            parent = parent_span_id
            if parent is not None and (type(parent) is not str or parent not in self._open):
                parent = as_pfid(parent)
                if parent is None:
                    return self._reject(span_id, "parent_span_id", parent_span_id, _AN_ID)
        if type(schema_name) is not str or schema_name not in self._names:
            name = self._name(schema_name)
            if name is None:
                return self._reject(span_id, "schema_name", schema_name, _A_NAME)
            schema_name = name
        if type(instance_id) is not str or instance_id not in self._known_instances:
            instance = self._instance(instance_id)
            if instance is None:
                return self._reject(span_id, "instance_id", instance_id, _AN_ID)
            instance_id = instance
        if given is not None:
            plain = as_pfid(given)
            if plain is None:
                return self._reject(span_id, "span_id", given, _AN_ID)
            span_id = plain
        began = now
        if started_at is not None:
            read = nanoseconds(started_at)
            if read is None:
                return self._reject(span_id, "started_at", started_at, _A_TIME)
            began = read
        try:
            if COUNT_THREADS() > HARMLESS[0]:
                REFUSE_ALL_BUT_PLAIN(payload)
            data, flags = JOIN((ENCODE(payload), NOTHING)), 0
            if data[0] != OPENING:
                data = as_object(data)
        except Exception:  # noqa: BLE001  # whatever it is, the walk copes with it
            data, flags = slow_snapshot(payload)
        if flags or sensitive_encoding is not None:
            flags = self._flag(flags, sensitive_encoding)
        if self._lost and parent in self._lost:
            parent = self._admission.surviving(parent)
        event = Event(
            START,
            instance_id,
            span_id,
            began,
            data,
            parent,
            schema_name,
            "active",
            0,
            None,
            flags,
            len(data) + ENVELOPE,
        )
        # Before the hand-over: another thread may finish the span as soon as it has the id.
        self._open[span_id] = (instance_id, began)
        if not self._enqueue(event):
            self._admission.overflowed(event)
        return span_id

    def finish_span(  # noqa: C901, PLR0912  # as above
        self,
        span_id: str,
        *,
        status: FinishStatus = "complete",
        result_payload: object = None,
        timestamp: Timestamp | None = None,
        instance_id: str | None = None,
    ) -> None:
        """Record that a span ended.

        Args:
            span_id: What :meth:`start_span` returned.
            status: ``complete``, ``failed`` or ``cancelled``.
            result_payload: What came out; None for nothing.
            timestamp: The moment; None for now.
            instance_id: The run; needed only for a span that was started in another process.

        Raises:
            InvalidEventError: A value is illegal, or the span is not open here and no run was
                given, and the configuration is ``strict``.
        """
        now = self._time_ns()
        if self._off:
            return
        if status is not _COMPLETE:  # others may be equal, and are looked at
            final = _final(status)
            if final is None:
                self._reject("", "status", status, _A_FINAL_STATUS)
                return
            status = final
        if timestamp is not None:
            read = nanoseconds(timestamp)
            if read is None:
                self._reject("", "timestamp", timestamp, _A_TIME)
                return
            now = read
        result, flags, size = None, 0, ENVELOPE
        if result_payload is not None:
            try:
                if COUNT_THREADS() > HARMLESS[0]:
                    REFUSE_ALL_BUT_PLAIN(result_payload)
                result = JOIN((ENCODE(result_payload), NOTHING))
                if result[0] != OPENING:
                    result = as_object(result)
            except Exception:  # noqa: BLE001  # whatever it is, the walk copes with it
                result, flags = slow_snapshot(result_payload)
                flags = self._flag(flags, None)
            size += len(result)
        if type(span_id) is not str:
            plain = as_pfid(span_id)
            if plain is None:
                self._reject("", "span_id", span_id, _AN_ID)
                return
            span_id = plain
        # Whoever takes it out of the table ends it, so that it ends once.
        begun = self._open.pop(span_id, None)
        if begun is not None:
            instance, began = begun
            now = max(now, began)
        else:
            known = self._instance_of_unknown(span_id, instance_id)
            if known is None:
                return
            instance = known
        event = Event(FINISH, instance, span_id, now, b"", None, "", status, 0, result, flags, size)
        if not self._enqueue(event):
            self._admission.overflowed(event)

    # -- runs --------------------------------------------------------------------------------

    def register_instance(
        self,
        *,
        agent_version: object = None,
        agent_schema_version: object = None,
        agent_id: str | None = None,
        environment_id: str | None = None,
        instance_id: str | None = None,
        external_identifier: str | None = None,
        purpose: str | None = None,
        update_current_version: bool = True,
    ) -> str:
        """Record that a run exists; :meth:`start_instance` begins it.

        What is left out comes from ``config.agent``.

        Args:
            agent_version: The API's object (``external_identifier``, ``name``, ...).
            agent_schema_version: The API's object, or a :class:`SchemaRegistry`. None declares the
                span types in use when the run is registered, permissively.
            agent_id: The agent; leave it out with a deployment token.
            environment_id: The environment; needed with an account token only.
            instance_id: Id of the run; None mints one.
            external_identifier: The application's own name of the run, unique per agent.
            purpose: ``live``, ``smoke_test`` or ``eval``; None leaves it to the API (``live``).
            update_current_version: Whether the version becomes the released one.

        Returns:
            The id of the run, also if the event had to be dropped.

        Raises:
            InvalidEventError: A value is illegal and the configuration is ``strict``.
        """
        now = self._time_ns()
        given = instance_id
        if instance_id is None:
            instance_id = self._mint.mint(now)
        config = self.config
        if config is None:
            return instance_id
        if given is not None:
            plain = as_pfid(given)
            if plain is None:
                return self._reject(instance_id, "instance_id", given, _AN_ID)
            instance_id = plain
        if purpose is not None and text(purpose) not in PURPOSES:
            return self._reject(instance_id, "purpose", purpose, "'live', 'smoke_test' or 'eval'")
        names = {
            "agent_id": agent_id,
            "environment_id": environment_id,
            "external_identifier": external_identifier,
        }
        for what, value in names.items():
            names[what] = text(value)
            if value is not None and names[what] is None:
                return self._reject(instance_id, what, value, _A_NAME)
        details = registration_details(
            config.agent,
            agent_version=agent_version,
            agent_schema_version=agent_schema_version,
            **names,
            purpose=text(purpose),
            update_current_version=update_current_version,
        )
        size = len(msgspec.json.encode(details)) + ENVELOPE
        self._offer(Event(REGISTER, instance_id, instance_id, now, size=size, details=details))
        return instance_id

    def start_instance(self, instance_id: str, *, timestamp: Timestamp | None = None) -> None:
        """Record that a run begins.

        Args:
            instance_id: The run.
            timestamp: The moment; None for now.

        Raises:
            InvalidEventError: A value is illegal and the configuration is ``strict``.
        """
        event = self._instance_event(START_INSTANCE, instance_id, timestamp)
        if event is not None:
            self._open_instances[event.id] = event.at
            self._offer(event)

    def finish_instance(
        self,
        instance_id: str,
        *,
        status: FinishStatus = "complete",
        timestamp: Timestamp | None = None,
    ) -> None:
        """Record that a run ended; it takes no spans after that.

        Spans of it that are still open here are finished first, as ``cancelled``, if the
        configuration says ``close_open``.

        Args:
            instance_id: The run.
            status: ``complete``, ``failed`` or ``cancelled``.
            timestamp: The moment; None for now.

        Raises:
            InvalidEventError: A value is illegal and the configuration is ``strict``.
        """
        final = _final(status)
        if final is None:
            self._reject("", "status", status, _A_FINAL_STATUS)
            return
        event = self._instance_event(FINISH_INSTANCE, instance_id, timestamp)
        if event is not None:
            event.status = final
            self._close_spans(event.id)
            event.at = max(event.at, self._open_instances.pop(event.id, 0))
            self._offer(event)

    def record_quality(self, name: str, payload: object, *, instance_id: str | None = None) -> None:
        """Record a quality of a run, also after it has ended.

        Args:
            name: A name from the schema version's ``quality_schemas``.
            payload: The value; None removes what was recorded under the name.
            instance_id: The run; None for the enclosing one, else the process's own.

        Raises:
            InvalidEventError: A value is illegal and the configuration is ``strict``.
        """
        if self._off:
            return
        plain = self._name(name)
        if plain is None:
            self._reject("", "name", name, _A_NAME)
            return
        instance = self.current_instance(instance_id)
        event = self._instance_event(QUALITY, instance, None) if instance is not None else None
        if event is not None:
            event.id = self._mint.mint(event.at)
            event.name = plain
            event.payload, flags = snapshot(payload) if payload is not None else (b"null", 0)
            if flags:
                self._flag(flags, None)
            event.measure()
            self._offer(event)

    def _offer(self, event: Event) -> None:
        if not self._enqueue(event):
            self._admission.overflowed(event)

    def _instance_event(
        self, kind: int, instance_id: str, timestamp: Timestamp | None
    ) -> Event | None:
        now = self._time_ns()
        if self._off:
            return None
        plain = as_pfid(instance_id)
        if plain is None:
            self._reject("", "instance_id", instance_id, _AN_ID)
            return None
        if timestamp is not None:
            read = nanoseconds(timestamp)
            if read is None:
                self._reject("", "timestamp", timestamp, _A_TIME)
                return None
            now = read
        return Event(kind, plain, plain, now)

    def _own_instance(self) -> str:
        """Return the process's own run; register and start it the first time."""
        with self._lock:
            if self._own is not None:
                return self._own
            if self._own_pending is not None:
                return self._own_pending  # a signal handler records while we are in here
            instance = self._own_pending = self._mint.mint(self._time_ns())
            try:
                self.register_instance(instance_id=instance)
                self.start_instance(instance)
                self._own = instance
            finally:
                self._own_pending = None
            return instance

    # -- stop signals ------------------------------------------------------------------------

    def terminated(self, instance_id: str) -> TerminationSignal | None:
        """Return the signal if an operator asked the run to stop, else None."""
        plain = instance_id if type(instance_id) is str else as_pfid(instance_id)
        return self._signals.get(plain) if plain is not None else None

    def on_terminate(self, callback: Callable[[str, str | None], None]) -> None:
        """Have ``callback(instance_id, reason)`` called by the worker when a run should stop.

        For runs that were asked to stop before, it is called at once, in this thread.
        """
        with self._hearing:  # a signal is heard here or from the worker, and not twice
            self._callbacks.append(callback)
            earlier = list(self._signals.values())
        for signal in earlier:
            try:
                callback(signal.instance_id, signal.reason)
            except Exception:  # noqa: BLE001  # the same as in the worker
                get_logger("prefactor_exporter").exception("on_terminate_failed")

    def _note_terminated(self, instance_id: str, reason: str | None) -> None:
        with self._hearing:
            if instance_id in self._signals:
                return
            self._signals[instance_id] = TerminationSignal(instance_id=instance_id, reason=reason)
            if len(self._signals) > _MAX_REMEMBERED:
                del self._signals[next(iter(self._signals))]
            callbacks = list(self._callbacks)
        for callback in callbacks:
            try:
                callback(instance_id, reason)
            except BaseException:  # noqa: BLE001  # a callback that exits must not end delivery
                get_logger("prefactor_exporter").exception("on_terminate_failed")

    # -- waiting for delivery ----------------------------------------------------------------

    def flush(self, timeout: float | None = 10.0) -> FlushReport:
        """Wait until everything recorded before the call is settled.

        Inside an event loop use :meth:`flush_async`. Called from one of the exporter's own
        callbacks it does not wait.

        Args:
            timeout: Longest wait, in seconds; None for the 10 seconds of the default. Zero or less
                looks and does not wait.

        Returns:
            What became of the events; true if all of them are delivered.

        Raises:
            TypeError: *timeout* is no number.
            ValueError: It is NaN.
        """
        pipeline, wait = self._pipeline, seconds("timeout", timeout, _FLUSH_WITHIN)
        return pipeline.flush(wait) if pipeline is not None else FlushReport()

    async def flush_async(
        self,
        timeout: float | None = 10.0,  # noqa: ASYNC109  # as flush
    ) -> FlushReport:
        """Wait like :meth:`flush`, without blocking the caller's event loop."""
        pipeline, wait = self._pipeline, seconds("timeout", timeout, _FLUSH_WITHIN)
        return await pipeline.flush_async(wait) if pipeline is not None else FlushReport()

    def shutdown(self, timeout: float | None = None) -> FlushReport:
        """Deliver what time allows, then stop. Later record calls are counted as dropped.

        Args:
            timeout: Deadline in seconds; None for the configured ``shutdown_timeout``.

        Returns:
            What became of everything recorded; the same report for every later call.

        Raises:
            TypeError: *timeout* is no number.
            ValueError: It is NaN.
        """
        return self._shutdown(timeout, "complete")

    async def shutdown_async(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  # as shutdown
    ) -> FlushReport:
        """Stop like :meth:`shutdown`, without blocking the caller's event loop."""
        return await self._shutdown_async(timeout, "complete")

    def _shutdown(self, timeout: float | None, status: FinishStatus) -> FlushReport:
        config, pipeline = self.config, self._pipeline
        wait = seconds("timeout", timeout, config.shutdown_timeout if config is not None else 0.0)
        if pipeline is None:
            return FlushReport()
        self._close_work(status)
        report = pipeline.stop(wait)
        return self._first_report(report)

    async def _shutdown_async(
        self,
        timeout: float | None,  # noqa: ASYNC109  # as shutdown
        status: FinishStatus,
    ) -> FlushReport:
        config, pipeline = self.config, self._pipeline
        wait = seconds("timeout", timeout, config.shutdown_timeout if config is not None else 0.0)
        if pipeline is None:
            return FlushReport()
        self._close_work(status)
        report = await pipeline.stop_async(wait)
        return self._first_report(report)

    def _close_work(self, status: FinishStatus) -> None:
        """Record, the first time, what ends the work that is still open."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._close_spans(None)
            if self._own is not None and self._own in self._open_instances:
                self.finish_instance(self._own, status=status)
            if self.config is not None and self.config.close_open:
                for instance_id in list(self._open_instances):
                    self.finish_instance(
                        instance_id, status="cancelled" if status == "complete" else status
                    )

    def _close_spans(self, instance_id: str | None) -> None:
        """Finish the open spans of a run, or of all runs, as cancelled."""
        if self.config is None or not self.config.close_open:
            return
        # Children began after their parents, so the other way round they end first.
        for span_id, (instance, _) in reversed(list(self._open.items())):
            if instance_id is None or instance == instance_id:
                self.finish_span(span_id, status="cancelled")

    def _first_report(self, report: FlushReport) -> FlushReport:
        with self._lock:
            if self._final is None:
                self._final = report
            return self._final

    # -- looking on --------------------------------------------------------------------------

    def stats(self) -> ExporterStats:
        """Return where every recorded event is, at one moment."""
        pipeline = self._pipeline
        if pipeline is None:
            return ExporterStats(state="disabled")
        return ExporterStats(fallbacks=self._fallbacks_seen, **pipeline.figures())

    def health(self) -> ExporterHealth:
        """Return whether delivery works, and what is wrong if it does not."""
        pipeline = self._pipeline
        return pipeline.health() if pipeline is not None else ExporterHealth(state="disabled")

    def set_token(self, token: str) -> None:
        """Use another token, from the next request on.

        Raises:
            TypeError: *token* is no text.
            ValueError: *token* is empty, or has a control character in it such as a line break.
        """
        if not isinstance(token, str):
            raise TypeError(f"token {problem_of_token(token)}")
        if not token:
            raise ValueError("token is empty; pass the API token that requests should carry")
        if (problem := problem_of_token(token)) is not None:
            raise ValueError(f"token {problem}")
        if self._pipeline is not None:
            self._pipeline.set_token(token)

    # -- the slow paths ----------------------------------------------------------------------

    def scope(self, instance_id: str, span_id: str | None) -> Scope:
        """Return the scope of a piece of code that belongs to that run and span."""
        return Scope(self._owner, instance_id, span_id)

    def current_instance(self, instance_id: str | None) -> str | None:
        """Return the run an event belongs to that names *instance_id*; None while disabled."""
        if instance_id is not None or self._off:
            return instance_id
        scope = self._scope()
        return scope.instance if scope is not None else self._own or self._own_instance()

    def _scope(self) -> Scope | None:
        scope = current_scope.get()
        return scope if scope is not None and scope.owner is self._owner else None

    def _flag(self, flags: int, sensitive_encoding: bool | None) -> int:
        if flags & FALLBACK:
            self._fallbacks_seen = next(self._fallbacks)
        if sensitive_encoding is None:
            return flags & SENSITIVE
        return SENSITIVE if sensitive_encoding else 0

    def _reject(self, event_id: str, name: str, value: object, wanted: str) -> str:
        """Drop an event with an illegal value; return its id."""
        problem = f"{name} must be {wanted}, got {shown(value)}"
        if self.config is not None and self.config.strict:
            self._raise(problem)
        self._count_drop("invalid", id=event_id, message=problem)
        if name not in self._warned:
            self._warned.add(name)
            get_logger("prefactor_exporter").warning(
                "event_invalid", problem=problem, advice="the event was dropped"
            )
        return event_id

    def _count_drop(self, reason: str, **known: str) -> None:
        if self._pipeline is not None:
            self._admission.refuse(reason, **known)

    @staticmethod
    def _raise(text: str) -> NoReturn:
        raise InvalidEventError(text)

    def _instance(self, instance_id: object) -> str | None:
        """Return the id of a run as a plain string, None if it is none.

        Looking at its form is what takes time, so it is remembered.
        """
        plain = as_pfid(instance_id)
        if plain is not None:
            known = self._known_instances
            if len(known) >= _MAX_REMEMBERED:
                known.clear()
            known.add(plain)
        return plain

    def _name(self, name: object) -> str | None:
        """Return *name* as a plain string that can be sent, None if it is none; remember it."""
        plain = text(name)
        if plain is not None and len(self._names) < _MAX_REMEMBERED:
            self._names.add(plain)
        return plain

    def _instance_of_unknown(self, span_id: str, instance_id: str | None) -> str | None:
        """Return the run of a span that is not open here; None if the finish cannot be sent."""
        if not is_pfid(span_id):
            self._reject("", "span_id", span_id, _AN_ID)
            return None
        if span_id in self._lost:
            self._admission.refuse_finish(span_id)
            return None
        if instance_id is None:
            self._reject(
                "",
                "span_id",
                span_id,
                "open in this process (it is over already, or was started elsewhere: then pass "
                "instance_id)",
            )
            return None
        instance = as_pfid(instance_id)
        if instance is None:
            self._reject("", "instance_id", instance_id, _AN_ID)
        return instance

    # -- the worker's side -------------------------------------------------------------------

    def _learn_partition(self, partition: int) -> None:
        self._partition = partition
        self._mint.set_partition(partition)

    # -- the process's side ------------------------------------------------------------------

    def end_of_process(self) -> None:
        """Deliver what time allows; called by the exit hooks."""
        if self.config is None or not self.config.flush_at_exit:
            return
        self._shutdown(None, "failed" if uncaught() is not None else "complete")

    def end_of_grace(self) -> None:
        """Deliver what time allows and go on; called by a signal that cannot end the process."""
        if self.config is not None:
            self.flush(self.config.shutdown_timeout)

    def is_recording(self, frame: FrameType) -> bool:
        """Return whether *frame* is one of a record call; asked when a signal interrupts it."""
        return frame.f_code in _RECORD_CALLS

    def restart_in_child(self) -> None:
        """Begin afresh after a fork; the parent keeps its events and delivers them itself."""
        if self._pipeline is not None:
            # Its sockets and its database are the parent's: they must not be closed.
            _inherited.append(self._pipeline)
            self._pipeline.disown()
        self._begin()


_inherited: deque[Pipeline] = deque()
_RECORD_CALLS: Final = frozenset(
    call.__code__
    for call in (
        Recorder.record_span,
        Recorder.start_span,
        Recorder.finish_span,
        Recorder.register_instance,
        Recorder.start_instance,
        Recorder.finish_instance,
        Recorder.record_quality,
    )
)

_AN_ID: Final = "an id as the exporter returns it (32 characters)"
_A_FINAL_STATUS: Final = "'complete', 'failed' or 'cancelled'"
_A_NAME: Final = "a text that is not empty"
_A_TIME: Final = "an aware datetime, or nanoseconds since the epoch"


def seconds(name: str, given: object, default: float | None = None) -> float:
    """Return how long a call may wait; a negative number is a deadline that has passed, so zero.

    Args:
        name: Name of the argument, for the error.
        given: What the caller passed.
        default: What None stands for; None if it stands for nothing.

    Raises:
        TypeError: *given* is no number.
        ValueError: It is NaN.
    """
    if given is None and default is not None:
        return default
    if isinstance(given, bool) or not isinstance(given, Real):
        raise TypeError(f"{name} must be a number of seconds, got {shown(given)}")
    number: Any = given
    if number != number:  # noqa: PLR0124  # NaN, and nothing else
        raise ValueError(f"{name} must be a number of seconds, got {shown(given)}")
    return float(min(max(number, 0), threading.TIMEOUT_MAX))


def _final(status: object) -> str | None:
    """Return *status* as a plain string if something can end with it, else None."""
    plain = text(status)
    return plain if plain in _FINAL else None
