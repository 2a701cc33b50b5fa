"""Own the worker: one thread with its own event loop that takes, batches, sends and settles.

It asks the core what may be sent and until when it may sleep, does that, and reports back. It
decides nothing about order, outcomes or waits itself.
"""

import asyncio
import contextlib
import importlib
import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prefactor_exporter._core.events import FINISH, Event, describe
from prefactor_exporter._core.identity import Identity
from prefactor_exporter._core.lanes import (
    CONSEQUENCES,
    INTERNAL,
    Batch,
    Buried,
    Lanes,
    Settled,
)
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.oversize import shrink
from prefactor_exporter._core.pace import BatchLimits, Pace, backoff_delay
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter._core.settlement import (
    AGAIN,
    AUTH,
    DEAD,
    SPLIT,
    SPLIT_BY_SIZE,
    Verdict,
    judge,
    judge_request,
)
from prefactor_exporter._core.snapshot import note_own_thread
from prefactor_exporter._delivery.barrier import no_fork
from prefactor_exporter._delivery.clock import Clock
from prefactor_exporter._delivery.discovery import Discovery
from prefactor_exporter._delivery.herald import SUSPENDED, Herald
from prefactor_exporter._delivery.loop import new_event_loop
from prefactor_exporter._delivery.spool import Spool
from prefactor_exporter._delivery.termination import TerminationWatch
from prefactor_exporter._delivery.turns import SLICE, Turns
from prefactor_exporter.config import ExporterConfig
from prefactor_exporter.stats import ExporterState
from prefactor_http.config import HttpClientConfig
from prefactor_http.exceptions import PrefactorApiError, PrefactorAuthError, was_never_sent
from prefactor_http.retry import full_jitter

if TYPE_CHECKING:
    from prefactor_http.client import PrefactorHttpClient

__all__ = ["NAMELESS", "Hooks", "Worker"]

# It hooks into the interpreter's end; where a worker starts there, that is too late.
importlib.import_module("concurrent.futures.thread")

_STEPS_OF_A_REQUEST = 3
"""Turns of the event loop until a request on an open connection is written."""
_LEAST_INTAKE = 100
"""Events taken in at a time, however small batches are."""
_MOMENT = 0.005
"""Seconds in which most answers come."""
_SHORTEST_LINGER = 0.02
"""Seconds between two looks for what other runs recorded while a request is under way."""
_REQUEST = 2 * 1024 * 1024
"""Bytes of a large request and its answer."""
_PROBE_AFTER = 3
"""Failures in a row after which a probe is a single item."""
_CLOSE_WITHIN = 0.5
_REST_AFTER_DEATH = 0.1
"""Seconds between a bug that ends the event loop and the next one."""
_LONGEST_REST = 3600.0
"""Seconds; event loops do not take every number, such as infinity."""
_LAST_TRIES = 0.25
"""Longest backoff while shutting down, in seconds."""
_REMEMBERED = 10_000
"""Losses that wait to be told one by one; older ones are only counted."""
NAMELESS: dict[str, Any] = {
    "kind": "",
    "id": "",
    "instance_id": "",
    "name": "",
    "bytes": 0,
    "message": "",
}
"""The description of an event of which nothing is known."""
_SPLITS = frozenset({SPLIT, SPLIT_BY_SIZE})


class Hooks:
    """What the worker calls back into the exporter.

    Attributes:
        prepare: Redacts and trims the payloads of events in place.
        partition_learned: Called with the partition number.
        terminated: Called with the run and the reason when an operator asked it to stop.
        dropped: Called for each undelivered event with its description and the reason; None for
            nobody.
    """

    def __init__(
        self,
        *,
        prepare: Callable[[Sequence[Event]], None],
        partition_learned: Callable[[int], None],
        terminated: Callable[[str, str | None], None],
        dropped: Callable[[Mapping[str, Any], str], None] | None,
    ) -> None:
        self.prepare = prepare
        self.partition_learned = partition_learned
        self.terminated = terminated
        self.dropped = dropped


class Worker:
    """The background half of an exporter.

    :meth:`start`, :meth:`wake`, :meth:`press` and :meth:`stop` may be called from any thread;
    everything else runs in the worker's own.

    Attributes:
        requests: Bulk requests sent.
        retries: Those that repeated an event.
        last_error: The latest problem in words.
        gave_up: Whether it ended with events that were neither delivered nor saved.
        lanes: What waits to be sent.
        spool: What of it is on disk.
        turns: Who goes first.
    """

    def __init__(
        self,
        config: ExporterConfig,
        http: HttpClientConfig,
        *,
        sdk_header: str,
        queue: EventQueue,
        ledger: Ledger,
        identity: Identity,
        hooks: Hooks,
        clock: Clock,
    ) -> None:
        self.requests = 0
        self.retries = 0
        self.last_error: str | None = None
        self.gave_up = False
        self._config = config
        self._http = http
        self._sdk_header = sdk_header
        self._queue = queue
        self._ledger = ledger
        self._identity = identity
        self._hooks = hooks
        self._clock = clock
        self.lanes = Lanes(
            identity,
            delay=lambda failures: backoff_delay(failures, full_jitter),
            max_judged=config.max_attempts,
            max_age=config.max_retry_age if config.spool_dir is None else math.inf,
        )
        self._pace = Pace(width=config.max_in_flight, jitter=full_jitter)
        self._limits = BatchLimits(
            items=config.max_batch_items,
            size=config.max_batch_bytes,
            room=config.max_queue_items,
        )
        self._herald = Herald()
        self.spool = Spool(
            config, http, lanes=self.lanes, ledger=ledger, clock=clock, herald=self._herald
        )
        self._discovery = Discovery(
            identity, self.lanes, herald=self._herald, learned=hooks.partition_learned
        )
        self._thread: threading.Thread | None = None
        self._starting = False
        self._ident: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signal: asyncio.Event | None = None
        self._client: PrefactorHttpClient | None = None
        self._flying: dict[asyncio.Task[None], Batch | None] = {}
        self._flying_items = 0
        self._flying_bytes = 0
        self._launched_at = -math.inf
        self._due: float | None = None
        self._stop_at: float | None = None
        self._hurried = False
        self._drops: deque[tuple[Mapping[str, Any], str]] = deque(maxlen=_REMEMBERED)
        self._alerted = False
        self._example = ""
        self._failed_rounds = 0
        self._telling = False
        self.turns = Turns(queue, ledger, clock, lambda: self._stop_at is not None)
        self.termination = TerminationWatch(identity, hooks.terminated)

    # -- from any thread ---------------------------------------------------------------------

    def state(self, *, busy: bool) -> ExporterState:
        """Return what the worker is doing; *busy* says whether anything is undelivered."""
        if self._pace.suspended:
            return "suspended"
        if self._pace.failures:
            return "retrying"
        return "delivering" if busy else "idle"

    def failing_for(self) -> float | None:
        """Return the seconds since delivery last worked, None while it does."""
        since = self._herald.trouble_since
        return None if since is None else max(0.0, self._clock.monotonic() - since)

    def problems(self) -> Iterator[str]:
        """Yield what needs somebody's attention, a sentence each."""
        if self._pace.suspended:
            yield f"{SUSPENDED} ({self.last_error})"
        elif self._pace.failures:
            yield f"the API does not answer as it should ({self.last_error})"
        if self.spool.failing:
            yield f"the spool cannot be used ({self.spool.last_error})"
        if self._failed_rounds > 1:
            yield f"the exporter fails in every round; please report it ({self.last_error})"

    @property
    def _lost(self) -> int:
        return self._ledger.lost

    @property
    def held_bytes(self) -> int:
        """About how many bytes of events the worker holds, in flight included."""
        return self.lanes.waiting_bytes + self._flying_bytes + self.spool.tail_bytes

    @property
    def running(self) -> bool:
        """Whether there is a thread that delivers, or need not be one any more."""
        thread = self._thread
        alive = thread is not None and (self._starting or thread.is_alive())
        return alive or self._stop_at is not None

    def is_current_thread(self) -> bool:
        """Whether the caller runs in the worker's thread, where waiting for it would never end."""
        return self._ident == threading.get_ident()

    def start(self) -> bool:
        """Start the thread; return False if the interpreter does not allow that any more."""
        thread = threading.Thread(
            target=self._run_as_thread, name="prefactor-exporter", daemon=True
        )
        self._thread = thread
        # A signal handler that strikes before the thread runs must not start a second one.
        self._starting = True
        try:
            thread.start()
        except RuntimeError:
            self._thread = None
            return False
        finally:
            self._starting = False
        return True

    def wake(self) -> None:
        """Have the worker look at the queue."""
        loop, signal = self._loop, self._signal
        if loop is not None and signal is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed a moment ago
                loop.call_soon_threadsafe(signal.set)

    def press(self) -> None:
        """Have the worker send what waits without lingering."""
        self.wake()

    def drop(self, description: Mapping[str, Any], reason: str) -> None:
        """Have a loss, which is counted already, told in the next round."""
        # Told to the callback that recorded it, the next one would follow, and so on.
        if not (self._telling and self.is_current_thread()):
            self._drops.append((description, reason))
        if not self._alerted:
            self._alerted = True
            self._queue.wake()

    def resume(self) -> None:
        """Have the worker try again at once: the token was replaced."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._resume)

    @property
    def ended(self) -> bool:
        """Whether nothing will be delivered any more."""
        return self._stop_at is not None and (self._thread is None or not self._thread.is_alive())

    def request_stop(self, deadline: float) -> None:
        """Have the worker drain until *deadline* (monotonic seconds), then end."""
        if self._stop_at is None or deadline < self._stop_at:
            self._stop_at = deadline
        if self._thread is None:
            self.sweep()
        self.wake()

    def stop(self, deadline: float) -> None:
        """Drain until *deadline* (monotonic seconds), then end the thread and wait for it."""
        if self._thread is None and self._queue.items and not _is_in_loop():
            # The interpreter, about to end, starts no thread any more; this one does as well.
            self._stop_at = deadline
            self._run()
        self.request_stop(deadline)
        thread = self._thread
        if thread is not None and not self.is_current_thread():
            wait = max(0.0, deadline - self._clock.monotonic()) + 2 * _CLOSE_WITHIN
            thread.join(min(wait, threading.TIMEOUT_MAX))

    # -- the loop ----------------------------------------------------------------------------

    def _run(self) -> None:
        self._ident = threading.get_ident()
        try:
            while not self._run_once():
                self._clock.pause(_REST_AFTER_DEATH)
        finally:
            self._ident = None

    def _run_as_thread(self) -> None:
        note_own_thread(1)
        _keep_memory()
        try:
            self._run()
        finally:
            note_own_thread(-1)

    def _run_once(self) -> bool:
        """Work until the end, or until a bug; return whether it was the end."""
        try:
            loop = new_event_loop()
            main = loop.create_task(self._main(loop))
            try:
                loop.run_until_complete(main)
            finally:
                self._loop = None
                if not main.done():  # the loop itself was struck; let the work be put away
                    main.cancel()
                    loop.run_until_complete(asyncio.wait([main], timeout=2 * _CLOSE_WITHIN))
                loop.close()
        except KeyboardInterrupt:  # meant for the application, in whose thread this is
            raise
        except BaseException:  # noqa: BLE001  # nothing may end delivery but a shutdown
            self._herald.bug(self._clock.monotonic(), "worker_died")
            if not self._finished():
                return False
            self.sweep()
        return True

    async def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        # Imported here, in the worker's thread: aiohttp takes longer to import than all the rest.
        with no_fork:
            importlib.import_module("encodings.idna")  # the first connection would import it
            from prefactor_http.client import PrefactorHttpClient  # noqa: PLC0415

        self._signal = asyncio.Event()
        self._loop = loop
        self._client = PrefactorHttpClient(self._http, sdk_header=self._sdk_header)
        self._take_over()
        poll = loop.create_task(
            self.termination.poll(self._client, lambda: self._pace.failures > 0)
        )
        try:
            while not self._finished():
                try:
                    # A batch that is ready goes first, so that its answer is awaited meanwhile; not
                    # after a bug, which must not keep what was recorded from being taken in.
                    if self._full and not self._failed_rounds and self._launch():
                        await _let_go()
                    self._intake()
                    self._launch()
                    self._failed_rounds = 0
                except Exception as error:  # noqa: BLE001  # a bug must cost one round, never the worker
                    self._failed_rounds += 1
                    self.last_error = _describe(error)
                    self._herald.bug(self._clock.monotonic(), "worker_round_failed")
                await self._rest()
        finally:
            poll.cancel()
            await self._land_all()
            if self._finished():
                self.sweep()
            await self._disconnect()

    def _take_over(self) -> None:
        """Take back what a thread that died before had in flight."""
        now = self._clock.monotonic()
        for batch in self._flying.values():
            if batch is not None:
                self._enter(batch.events, self.lanes.fail(batch.events, now, applied=True))
        self._flying.clear()
        self._flying_items = self._flying_bytes = 0

    def _finished(self) -> bool:
        if self._stop_at is None:
            return False
        drained = self.spool.empty and not (
            self._flying or self._queue.items or self.lanes.waiting_items
        )
        # Nothing may be sent before the time is up: the API asked for a wait, or for another token.
        vain = self._hurried and not self._flying and self._pace.ready_at > self._stop_at
        return drained or vain or self._clock.monotonic() >= self._stop_at

    def _intake(self) -> None:
        """Sort what was recorded into lanes, and publish how much more may come."""
        self._take_in()
        now = self._clock.monotonic()
        if self.spool.commits_at(now):
            self._take(len(self._queue.items))  # what is not in the commit is not on disk
        self.spool.tick(now)
        events, expired = self.spool.pull(*self._held())
        if events or expired:
            self._sort(events)
            self._bury(expired)
        self._tell_drops()
        self._herald.tick(self._clock.monotonic())
        self._publish_room()

    def _tell_drops(self) -> None:
        """Tell what record calls lost, and enter into the log's sums what the books lost."""
        self._alerted = False  # before looking: what comes after wakes the worker again
        for _ in range(len(self._drops)):
            self._report_loss(*self._drops.popleft())
        losses, nameless = self._ledger.news()
        for reason, count in nameless.items():
            for _ in range(min(count, _REMEMBERED)):
                self._report_loss(NAMELESS.copy(), reason)
        for reason, count in losses.items():
            self._herald.lost(reason, count, self._example)
            self._example = ""

    def _take_in(self) -> None:
        """Take what was recorded, about a batch of it, so that answers are not kept waiting."""
        most = max(self._limits.items, _LEAST_INTAKE)
        for _ in range(0, most, SLICE):
            if self.turns.urgent:
                self._take(most)
                break
            if not self._take(SLICE):
                break
            self._compose_ahead()
            self.turns.give()
        if self._flying:
            self._compose_ahead()
        self.turns.note_intake()

    def _compose_ahead(self) -> None:
        self.lanes.compose_ahead(self._limits.items, self._limits.size)

    def _take(self, most: int) -> bool:
        """Take what was recorded, behind what is on disk; return whether there was anything."""
        recorded, orphans = self._ledger.take(most)
        self._bury(orphans)
        if not recorded:
            return bool(orphans)
        events = self._prepared(recorded)
        if self.spool.must_queue(*self._held()):
            self.spool.queue(events)
        else:
            self._sort(events)
        return True

    def _prepared(self, events: Sequence[Event]) -> Sequence[Event]:
        """Prepare *events* for what comes; return those that can be used."""
        try:
            self._hooks.prepare(events)
        except Exception:  # noqa: BLE001  # a bug must cost one event, never the others
            if len(events) == 1:
                self._unusable(events[0])
                return []
            return [event for single in events for event in self._prepared([single])]
        return events

    def _held(self) -> tuple[int, int]:
        """Return how many events wait in lanes or are in flight, and their bytes."""
        lanes = self.lanes
        return (
            lanes.waiting_items + self._flying_items,
            lanes.waiting_bytes + self._flying_bytes,
        )

    def _sort(self, events: Sequence[Event]) -> None:
        """Put *events* into lanes."""
        add = self.lanes.add
        for event in events:
            try:
                bad = add(event)
            except Exception:  # noqa: BLE001  # as above
                self._unusable(event)
            else:
                if bad is not None:
                    self._bury([bad])
        self.spool.entered(events)
        if events and self._due is None:
            self._due = self._clock.monotonic() + self._config.linger

    def _unusable(self, event: Event) -> None:
        self._herald.bug(self._clock.monotonic(), "event_unusable")
        self._bury([Buried(event, dead=False, reason=INTERNAL)])

    def _publish_room(self) -> None:
        items, size = self._room()
        if self._config.overflow == "drop_oldest" and (items < 0 or size < 0):
            self._bury(self.lanes.shed(max(0, -items), max(0, -size)))
            items, size = self._room()
        self._queue.publish(items, size)

    def _room(self) -> tuple[int, int]:
        """Return for how many more events and bytes there is room in memory."""
        config, lanes, spool = self._config, self.lanes, self.spool
        if config.overflow == "drop_oldest":
            # What is in flight is the oldest and cannot be shed; if it counted, it would push out
            # the newest. When it comes back undelivered it is shed first.
            items, size = lanes.waiting_items, lanes.waiting_bytes
        else:
            items, size = self._held()
        return (
            config.max_queue_items - items - spool.tail_items,
            config.max_queue_bytes - size - spool.tail_bytes,
        )

    def _launch(self) -> bool:
        """Send what may be sent; return whether anything was."""
        now, flying = self._clock.monotonic(), len(self._flying)
        if self._stop_at is not None and not self._hurried:
            self._hurried = True
            self._pace.hurry(now)
            self.lanes.hurry()
        if self._stop_at is not None or self._ledger.flushing:
            self._due = now
        loop = asyncio.get_running_loop()
        while (
            len(self._flying) < self._width
            and now >= self._pace.ready_at
            and self.lanes.has_ready(now)
        ):
            if not self._identity.ready:
                self._fly(loop, self._discover(), None)
                return True
            if not self._full and (self._due is None or now < self._due):
                break
            probing = self._pace.failures >= _PROBE_AFTER or self._identity.learning
            batch, buried = self.lanes.take(
                now,
                max_items=1 if probing else self._limits.items,
                max_bytes=self._limits.size,
            )
            if buried:
                self._bury(buried)
            if batch is None:
                break
            self.spool.before_send(batch.events)
            self._ledger.depart(batch.parts)
            self.turns.give()
            self._fly(loop, self._send(batch), batch)
        if not self.lanes.has_ready(now):
            self._due = now + self._config.linger if self.lanes.waiting_items else None
        return len(self._flying) > flying

    @property
    def _full(self) -> bool:
        """Whether what waits need not wait for company."""
        lanes, limits = self.lanes, self._limits
        return lanes.waiting_items >= limits.enough or lanes.waiting_bytes >= limits.size

    @property
    def _width(self) -> int:
        """How many requests may be in flight: one, as long as ids are not settled."""
        return self._pace.width if self._identity.settled else 1

    def _fly(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], batch: Batch | None
    ) -> None:
        self._launched_at = self._clock.monotonic()
        if batch is not None:
            self._flying_items += len(batch.events)
            self._flying_bytes += batch.size
        task = loop.create_task(work)
        self._flying[task] = batch
        task.add_done_callback(self._landed)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        del self._flying[task]
        if self._signal is not None:
            self._signal.set()
        if not task.cancelled() and task.exception() is not None:
            self._herald.notice("request_handling_failed", error=repr(task.exception()))

    async def _rest(self) -> None:
        """Sleep until something happens or is due."""
        signal = self._signal
        if signal is None:
            raise RuntimeError("the worker rests only inside its loop")
        if self._finished():
            return  # the last events were settled without a request
        now = self._clock.monotonic()
        wake_at = self._next_turn(now)
        lingering = self.lanes.waiting_items and not self._flying and not self._pace.failures
        if not self.lanes.waiting_items and not self._flying:
            self._queue.alarm = 0
        elif lingering:
            self._queue.alarm = max(0, self._limits.enough - self.lanes.waiting_items - 1)
        else:
            self._queue.alarm = self._limits.items
        self._queue.alarm = min(self._queue.alarm, self.spool.patience(self._queue.room))
        if len(self._queue.items) > self._queue.alarm:
            # More was recorded meanwhile; let answers in, then go on.
            answer_at = self._launched_at + _MOMENT
            if now >= answer_at or self.lanes.waiting_items < self._limits.items:
                await asyncio.sleep(0)
                return
            # What leaves next is ready. To sort in more would only keep the answer waiting.
            self._queue.alarm = sys.maxsize
            wake_at = _earlier(wake_at, answer_at)
        elif 0 < len(self._flying) < self._width:
            # What is recorded for other runs need not wait for the answer.
            wake_at = _earlier(wake_at, now + max(self._config.linger, _SHORTEST_LINGER))
        timer = None
        if wake_at is not None:
            wait = min(max(0.0, wake_at - now), _LONGEST_REST)
            timer = asyncio.get_running_loop().call_later(wait, signal.set)
        await signal.wait()
        signal.clear()
        if timer is not None:
            timer.cancel()

    def _next_turn(self, now: float) -> float | None:
        """Return when there will be something to do by itself, in monotonic seconds."""
        turns: list[float] = []
        spool_due = self.spool.due
        if spool_due is not None:
            turns.append(spool_due)
        if self._herald.due is not None:
            turns.append(self._herald.due)
        if self._stop_at is not None:
            turns.append(self._stop_at)
        if self._queue.items:
            turns.append(now + self._config.linger)
        if len(self._flying) < self._width:
            if self._due is not None and self.lanes.waiting_items and self.lanes.has_ready(now):
                turns.append(max(self._due, self._pace.ready_at))
            delayed = self.lanes.next_ready_at()
            if delayed is not None:
                turns.append(max(delayed, self._pace.ready_at))
        return min(turns, default=None)

    # -- requests ----------------------------------------------------------------------------

    def _connected(self) -> "PrefactorHttpClient":
        if self._client is None:
            raise RuntimeError("the worker sends only inside its loop")
        return self._client

    def _come_back(self, batch: Batch) -> None:
        """Note that *batch* is in flight no more; what becomes of it follows."""
        self._flying_items -= len(batch.events)
        self._flying_bytes -= batch.size

    async def _send(self, batch: Batch) -> None:
        self.requests += 1
        self.retries += batch.repeated
        events = batch.events
        items = [event.wire for event in events if event.wire is not None]
        with_ids = self._identity.translating
        began = self._clock.monotonic()
        try:
            outcomes = await self._connected().bulk.execute_encoded(
                items, with_ids=with_ids, answered=self.turns.give
            )
            self.turns.give()
            if with_ids:
                for assigned in self._discovery.note(events, outcomes):
                    self.spool.assigned(*assigned)
            self.termination.heed(events, outcomes)
            verdicts = judge(events, outcomes)
        except Exception as error:  # noqa: BLE001  # sorted below; whatever it is, nothing is lost
            self._come_back(batch)
            self._failed(batch, error)
        else:
            self._come_back(batch)
            self._answered(events, verdicts, began)

    def _answered(
        self, events: Sequence[Event], verdicts: Sequence[Verdict] | None, began: float
    ) -> None:
        now = self._clock.monotonic()
        settled = self.lanes.settle(events, verdicts, now)
        self._limits.accepted(len(events), seconds=now - began)
        if settled.suspended:
            self._enter(events, settled)
            self._suspend(now, "the API refused the token inside a bulk answer")
            return
        # Before the books: a flush that returns finds the state that its success means.
        self._succeeded(now)
        self._enter(events, settled)
        if settled.kept:
            self._due = now
        self._discovery.delivered(settled.delivered)
        if settled.wrong_id:
            self._discovery.refused()
        self.termination.note(settled.delivered)

    def _enter(self, events: Sequence[Event], settled: Settled) -> None:
        """Enter what became of a request into the books."""
        self.spool.delivered(settled.delivered)
        if len(settled.delivered) == len(events):
            self._ledger.deliver(events)
            return
        delivered = set(map(id, settled.delivered))
        self._ledger.deliver(settled.delivered)
        self._ledger.come_back(event for event in events if id(event) not in delivered)
        self._bury(settled.buried)

    def _failed(self, batch: Batch, error: Exception) -> None:
        """Deal with a request that failed as a whole."""
        events, now = batch.events, self._clock.monotonic()
        self.last_error = _describe(error)
        answer = error if isinstance(error, PrefactorApiError) else None
        fate = judge_request(
            answer.status_code if answer is not None else None,
            refused_token=isinstance(error, PrefactorAuthError),
            items=len(events),
        )
        if fate == AUTH:
            self._enter(events, self.lanes.fail(events, now, applied=False))
            self._suspend(now, self.last_error)
        elif fate == AGAIN or answer is None:
            self._try_again(events, error, now)
        else:
            self._refused(batch, fate, answer, now)

    def _try_again(self, events: Sequence[Event], error: Exception, now: float) -> None:
        """Send *events* again after a wait."""
        blame = not self._pace.failures
        applied = not was_never_sent(error)
        self._enter(events, self.lanes.fail(events, now, applied=applied, blame=blame))
        self._slow_down(error, now)

    def _refused(self, batch: Batch, fate: str, answer: PrefactorApiError, now: float) -> None:
        """Find what the API objects to, and cut it to size or give it up."""
        events = batch.events
        if fate in _SPLITS:
            too_large = fate == SPLIT_BY_SIZE
            self._limits.refused(len(events), batch.size, too_large=too_large)
            settled = self.lanes.fail(events, now, applied=False)
        else:
            self._limits.culprit_found()
            if fate == DEAD:
                settled = self.lanes.bury(events[0], answer.code, answer.message, now)
            elif shrink(events[0]):
                settled = self.lanes.fail(events, now, applied=False)
            else:
                settled = self.lanes.bury(events[0], fate, answer.message, now)
        self._enter(events, settled)
        self._due = now

    async def _discover(self) -> None:
        """Find out who makes the ids, before anything else is sent."""
        try:
            await self._discovery.ask(self._connected())
        except PrefactorAuthError as error:
            self._suspend(self._clock.monotonic(), _describe(error))
        except Exception as error:  # noqa: BLE001  # nothing is lost by waiting
            self._slow_down(error, self._clock.monotonic())
        else:
            self._succeeded(self._clock.monotonic())

    def _succeeded(self, now: float) -> None:
        self._pace.succeeded()
        self._herald.recovered(now, lost=self._lost)

    def _slow_down(self, error: Exception, now: float) -> None:
        """Wait before the next request, after one that failed in a way that may pass."""
        self.last_error = _describe(error)
        self._pace.failed(now, hint=getattr(error, "retry_after", None))
        if self._stop_at is not None:
            self._pace.hurry(now, within=_LAST_TRIES)
        self._herald.trouble(now, self.last_error, suspended=False)
        self._due = now

    def _suspend(self, now: float, error: str) -> None:
        self.last_error = error
        self._pace.refused_token(now)
        self._herald.trouble(now, error, suspended=True)
        self._due = now

    def _resume(self) -> None:
        self._pace.hurry(self._clock.monotonic())
        if self._signal is not None:
            self._signal.set()

    # -- the end -----------------------------------------------------------------------------

    async def _land_all(self) -> None:
        """Take back what is in flight."""
        flying = list(self._flying.items())
        for task, _ in flying:
            task.cancel()
        if flying:
            await asyncio.wait([task for task, _ in flying], timeout=_CLOSE_WITHIN)
        for task, batch in flying:
            # A request that was answered in the last moment is settled already.
            if batch is not None and (task.cancelled() or not task.done()):
                now = self._clock.monotonic()
                self._come_back(batch)
                self._enter(batch.events, self.lanes.fail(batch.events, now, applied=True))
            self._flying.pop(task, None)

    async def _disconnect(self) -> None:
        if self._client is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._client.close(), _CLOSE_WITHIN)

    def sweep(self) -> None:
        """Leave everything on disk, or drop it; only for a worker that has ended."""
        while self._take(self._limits.items):
            pass
        left = self.spool.close(self.lanes.abandon())
        self.gave_up = self.gave_up or bool(left)
        self._bury([_given_up(event) for event in left])
        self._tell_drops()
        self._herald.summarise(self._clock.monotonic())

    def _bury(self, buried: Iterable[Buried]) -> None:
        entries = list(buried)
        if not entries:
            return
        self._ledger.bury(entries)
        self.spool.buried(entries)
        for event, dead, reason, message in entries:
            if dead and reason not in CONSEQUENCES:
                self.last_error = f"{reason}: {message}"
            self.termination.over(event)
            self._report_loss(describe(event) | {"message": message}, reason)
            if event.merged_seq:
                finish = Event(FINISH, event.instance, event.id, event.ended, size=0)
                self._report_loss(describe(finish) | {"message": message}, reason)

    def _report_loss(self, description: Mapping[str, Any], reason: str) -> None:
        """Tell whoever wants to know of a lost event."""
        self._example = self._example or description["message"]
        if self._hooks.dropped is not None:
            self._telling = True
            try:
                self._hooks.dropped(description, reason)
            except BaseException:  # noqa: BLE001  # a callback that exits must not end delivery
                self._herald.bug(self._clock.monotonic(), "on_drop_failed")
            finally:
                self._telling = False


def _keep_memory() -> None:
    """Have the allocator keep what a request took for the next one.

    The GNU one keeps twice the largest block that was ever freed. Before that it returns the memory
    of each request to the system and fetches it again page by page, which takes longer than to
    compose the request. Nothing writes to this block, so it takes no memory itself.
    """
    bytearray(_REQUEST)


def _earlier(moment: float | None, other: float) -> float:
    return other if moment is None else min(moment, other)


async def _let_go() -> None:
    """Let requests that were begun leave, before anything else is done."""
    for _ in range(_STEPS_OF_A_REQUEST):
        await asyncio.sleep(0)


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _describe(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _given_up(event: Event) -> Buried:
    return Buried(event, dead=False, reason="shutdown", message="the deadline of shutdown passed")
