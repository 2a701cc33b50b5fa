"""Own the order of events: one lane per run, merging, and who may be sent next. Pure.

Within a lane events leave in the order they were recorded, and at most one request holds events of
a lane at a time. Lanes are independent: one that waits after an error holds nobody else back.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from prefactor_exporter._core.declaration import declare_used_types
from prefactor_exporter._core.events import (
    CREATES,
    ENVELOPE,
    FINISH,
    FINISH_INSTANCE,
    NO_ROW,
    RECORD,
    REGISTER,
    START,
    START_INSTANCE,
    Event,
)
from prefactor_exporter._core.gaps import Gaps
from prefactor_exporter._core.identity import Identity
from prefactor_exporter._core.settlement import (
    AGAIN,
    AUTH,
    DEAD,
    RESTATE,
    UNANSWERED,
    UNTRIED,
    WRONG_ID,
    Verdict,
)
from prefactor_exporter._core.wire import compose

__all__ = ["CONSEQUENCES", "INTERNAL", "Batch", "Buried", "Lanes", "Settled", "without_create"]

_Fact = TypeVar("_Fact")

INTERNAL = "internal"
"""Reason of a loss that is a defect of this package."""

_DEPENDENT = "dependent"
_INSTANCE_REFUSED = "instance_refused"
CONSEQUENCES = frozenset({_DEPENDENT, _INSTANCE_REFUSED})
"""Reasons of a loss that follows from another one."""

_REMEMBERED = 10_000
_ALONE_AFTER = 3
"""Failed requests in a row after which a lane no longer shares a batch with others."""


class Buried(NamedTuple):
    """An event that leaves undelivered.

    Attributes:
        event: The event.
        dead: True if the API refused it or what it builds on, False if this side gave it up.
        reason: The reason it is counted under.
        message: More in words, for the log and the drop callback.
    """

    event: Event
    dead: bool
    reason: str
    message: str = ""


class Batch(NamedTuple):
    """Events that travel in one request, grouped by lane.

    Attributes:
        events: In the order in which they travel.
        parts: How many recorded events they are.
        size: Their bytes on the wire.
        repeated: Whether some of them were sent before.
    """

    events: list[Event]
    parts: int
    size: int
    repeated: bool


class Settled(NamedTuple):
    """What became of a batch: each event is in exactly one list.

    Attributes:
        delivered: Confirmed.
        kept: Back at the head of their lanes.
        buried: Undelivered for good.
        suspended: Whether the API refused the token on the way.
        wrong_id: Whether it refused an id made on this side.
    """

    delivered: Sequence[Event]
    kept: Sequence[Event]
    buried: Sequence[Buried]
    suspended: bool = False
    wrong_id: bool = False


class _Lane:
    """The events of one run that wait, oldest first."""

    __slots__ = ("failures", "flying", "instance", "not_before", "unsent", "waiting")

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.waiting: deque[Event] = deque()
        self.unsent: dict[str, Event] = {}
        self.flying = False
        self.failures = 0
        self.not_before = 0.0


class Lanes:
    """All lanes of a process.

    Attributes:
        identity: Translates ids; replaced facts are applied with :meth:`restate`.
        merged: Finishes that were merged into their create.
        waiting_items: Items that wait in lanes; a create with its merged finish is one.
        waiting_bytes: About how many bytes they take.
        changed: Events on disk that a merge changed; whoever writes them there clears it.
    """

    def __init__(
        self, identity: Identity, *, delay: Callable[[int], float], max_judged: int, max_age: float
    ) -> None:
        self.identity = identity
        self.merged = 0
        self.waiting_items = 0
        self.waiting_bytes = 0
        self.changed: list[Event] = []
        self._delay = delay
        self._max_judged = max_judged
        self._max_age = max_age
        self._lanes: dict[str, _Lane] = {}
        # Lanes with something to send, in the order in which their turn comes.
        self._ready: dict[str, _Lane] = {}
        self._delayed: dict[str, _Lane] = {}
        # Spans that will never exist on the other side, and were here before.
        self._gaps = Gaps()
        self._refused: dict[str, None] = {}
        # Runs of which the API surely knows: registered here, or it has taken an event of theirs.
        self._known: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, event: Event) -> Buried | None:  # noqa: C901, PLR0912  # one branch for each kind
        """Put *event* at the end of its lane, or into its create if that was not sent yet.

        Returns:
            None if it is kept, else why it cannot be delivered.
        """
        instance, kind = event.instance, event.kind
        if self._refused and instance in self._refused:
            return _instance_refused(event)
        lane = self._lanes.get(instance)
        if lane is None:
            lane = self._lanes[instance] = _Lane(instance)
        waiting = lane.waiting
        if kind == RECORD:
            waiting.append(event)
        elif kind == FINISH:
            create = lane.unsent.pop(event.id, None)
            if create is not None:
                self._merge(create, event)
                return None
            if event.id in self._gaps.parents:
                if not waiting and not lane.flying:
                    del self._lanes[instance]
                return self._orphan(event)
            waiting.append(event)
        elif kind == START:
            if not event.attempts:
                lane.unsent[event.id] = event
            waiting.append(event)
        elif kind == REGISTER:
            waiting.appendleft(event)
        elif kind == START_INSTANCE:
            # Another thread may have recorded a span of the run a moment earlier.
            waiting.insert(int(bool(waiting) and waiting[0].kind == REGISTER), event)
        else:
            waiting.append(event)
        if self.identity.server_made and kind in CREATES:
            self.identity.expect(instance, event.id)
        self.waiting_items += 1
        self.waiting_bytes += event.size
        if len(waiting) == 1 and not lane.flying and instance not in self._delayed:
            self._ready[instance] = lane
        return None

    def _merge(self, create: Event, finish: Event) -> None:
        create.status = finish.status
        create.ended = max(create.at, finish.at)
        create.result = finish.result
        create.flags |= finish.flags
        create.merged_seq = finish.seq
        create.merged_row = finish.row
        finish.row = NO_ROW
        create.wire = None
        create.stale = True
        if create.row:
            self.changed.append(create)
        self.merged += 1
        more = finish.size - ENVELOPE
        create.size += more
        self.waiting_bytes += more

    def has_ready(self, now: float) -> bool:
        """Return whether some lane may send at *now* (monotonic seconds)."""
        self._wake(now)
        return bool(self._ready)

    def next_ready_at(self) -> float | None:
        """Return when the first waiting lane may send again, None if none waits for its time."""
        return min((lane.not_before for lane in self._delayed.values()), default=None)

    def hurry(self) -> None:
        """Let every lane try at once: the process is about to end."""
        for lane in self._delayed.values():
            lane.not_before = 0.0

    def _wake(self, now: float) -> None:
        if self._delayed:
            for lane in [lane for lane in self._delayed.values() if lane.not_before <= now]:
                del self._delayed[lane.instance]
                self._ready[lane.instance] = lane

    def take(  # noqa: C901, PLR0912, PLR0915  # the worker's inner loop: calls would double its cost
        self, now: float, *, max_items: int, max_bytes: int
    ) -> tuple[Batch | None, list[Buried]]:
        """Cut the next batch, oldest lane first.

        Args:
            now: Monotonic seconds.
            max_items: Most items in the batch.
            max_bytes: Most bytes; a single larger item still goes, alone.

        Returns:
            The batch, None if nothing can be sent; and what turned out to be undeliverable.
        """
        self._wake(now)
        events: list[Event] = []
        buried: list[Buried] = []
        passed: list[_Lane] = []
        size = parts = 0
        repeated = full = False
        gaps = self._gaps.parents
        for lane in self._ready.values():
            alone = lane.failures >= _ALONE_AFTER
            if alone and events:
                continue
            passed.append(lane)
            waiting = lane.waiting
            before = len(events)
            while waiting:
                event = waiting[0]
                try:
                    if event.wire is None or gaps:
                        obstacle = self._obstacle(event, waiting)
                        if obstacle is _NOT_YET:
                            break
                        if isinstance(obstacle, Buried):
                            self._remove_head(lane)
                            buried.append(obstacle)
                            continue
                    length = event.size
                    if events and (len(events) >= max_items or size + length > max_bytes):
                        full = True
                        break
                    if event.kind == START:
                        lane.unsent.pop(event.id, None)
                except Exception as error:  # noqa: BLE001  # it must not hold the others back
                    self._remove_head(lane)
                    buried.append(self._defective(event, error))
                    continue
                waiting.popleft()
                events.append(event)
                size += length
                parts += 2 if event.merged_seq else 1
                if event.attempts:
                    repeated = True
                event.attempts += 1
                if not event.first_try:
                    event.first_try = now
            lane.flying = len(events) > before
            if full or alone or len(events) >= max_items:
                break
        for lane in passed:
            del self._ready[lane.instance]
            if lane.flying:
                continue
            if lane.waiting:
                # Not its turn (no room left), or it waits for an id that is not assigned yet.
                self._ready[lane.instance] = lane
            else:
                self._lanes.pop(lane.instance, None)
        self.waiting_items -= len(events)
        self.waiting_bytes -= size
        return (Batch(events, parts, size, repeated) if events else None), buried

    def compose_ahead(self, most: int, size: int) -> None:
        """Compose, among the first *most* events and *size* bytes, those that are as they will be.

        Then a batch is cut at once when its time comes. A span whose end would still be merged
        into it is left for later, and so is whatever cannot be composed.
        """
        identity = self.identity
        if not identity.ready:
            return
        for lane in self._lanes.values():
            for event in islice(lane.waiting, most):
                if event.wire is None and (event.kind == RECORD or event.merged_seq):
                    estimate = event.size
                    try:
                        compose(event, identity)
                    except Exception:  # noqa: BLE001  # found again when it is taken, and given up
                        return
                    self.waiting_bytes += event.size - estimate
                most -= 1
                size -= event.size
                if most <= 0 or size <= 0:
                    return

    def _remove_head(self, lane: _Lane) -> None:
        event = lane.waiting.popleft()
        self.waiting_items -= 1
        self.waiting_bytes -= event.size
        if event.kind == START:
            with contextlib.suppress(Exception):  # see _defective
                lane.unsent.pop(event.id, None)

    def _defective(self, event: Event, error: Exception) -> Buried:
        """Give *event* up, which cannot be dealt with; its id itself may be what fails."""
        with contextlib.suppress(Exception):
            self._remember_gap(event, refused=False)
        return Buried(event, dead=False, reason=INTERNAL, message=repr(error))

    def _obstacle(self, event: Event, waiting: Iterable[Event]) -> "Buried | object | None":
        """Compose *event*, the head of a lane; return what is in its way, None if nothing is."""
        gaps = self._gaps
        if gaps.parents:
            if event.kind == FINISH and event.id in gaps.parents:
                return self._orphan(event)
            if event.parent is not None and event.parent in gaps.parents:
                event.parent = gaps.surviving(event.parent)
                event.restate()
        if event.wire is not None:
            return None
        estimate = event.size
        if event.kind == REGISTER:
            declare_used_types(event.details, _span_types(waiting))
            event.stale = True
        composed = compose(event, self.identity)
        self.waiting_bytes += event.size - estimate
        return None if composed else _NOT_YET

    def _orphan(self, finish: Event) -> Buried:
        """Give up the *finish* of a span that will never exist."""
        self._gaps.close(finish.id)
        return without_create(finish, refused=self._gaps.was_refused(finish.id))

    def settle(  # noqa: C901, PLR0912  # one branch for each fate, side by side
        self, events: Sequence[Event], verdicts: Sequence[Verdict] | None, now: float
    ) -> Settled:
        """Sort *events* of an answered request by their verdicts; what stays goes to the head.

        Args:
            events: The events of one batch, in order.
            verdicts: One for each, None if all are delivered.
            now: Monotonic seconds.
        """
        if verdicts is None:
            for event in events:
                if event.kind == FINISH_INSTANCE or self.identity.server_made:
                    self._note_end(event)
            for instance in _runs(events):
                lane = self._lanes[instance]
                lane.flying = False
                lane.failures = 0
            self._meet(events)
            self._reopen(events, [], now)
            return Settled(events, [], [])
        delivered: list[Event] = []
        kept: list[Event] = []
        buried: list[Buried] = []
        suspended = wrong_id = False
        waits: set[str] = set()
        for event, judged in zip(events, verdicts, strict=True):
            fate, verdict = judged.fate, judged
            if fate == AGAIN or (fate == DEAD and self._comes_too_early(event, judged)):
                fate, verdict = self._once_more(event, judged)
                if fate == AGAIN:
                    waits.add(event.instance)
            elif fate == WRONG_ID:
                event.judged += 1
                if event.judged >= self._max_judged:
                    fate = DEAD
                else:
                    event.restate()
            elif fate == RESTATE:
                event.status = "failed"
                event.restate()
            if fate == DEAD:
                self._remember_gap(event, refused=True)
                buried.append(
                    Buried(event, dead=True, reason=verdict.code, message=verdict.message)
                )
            elif fate in _KEEPS:
                kept.append(event)
                suspended = suspended or fate == AUTH
                wrong_id = wrong_id or fate == WRONG_ID
            else:
                delivered.append(event)
                self._note_end(event)
        for instance in _runs(events):
            lane = self._lanes[instance]
            lane.flying = False
            if instance in waits:
                lane.failures += 1
                lane.not_before = now + self._delay(lane.failures)
            else:
                lane.failures = 0
        self._meet(delivered)
        kept, lost = self._reopen(events, kept, now)
        return Settled(delivered, kept, buried + lost, suspended, wrong_id)

    def _once_more(self, event: Event, verdict: Verdict) -> tuple[str, Verdict]:
        """Return the fate of *event* that may be tried again, within its budget."""
        event.judged += 1
        if event.judged < self._max_judged:
            return AGAIN, verdict
        self._meet([event])  # whoever should have announced the run had the time
        return DEAD, _exhausted(verdict)

    def _meet(self, events: Iterable[Event]) -> None:
        for instance in _runs(events):
            if instance not in self._known:
                _remember(self._known, instance, None)

    def fail(
        self, events: Sequence[Event], now: float, *, applied: bool, blame: bool = False
    ) -> Settled:
        """Take *events* of a request back that failed as a whole.

        Args:
            events: The events of one batch, in order.
            now: Monotonic seconds.
            applied: Whether the API may have applied some of them.
            blame: Whether the lanes may be at fault, because the API was well before.
        """
        kept: list[Event] = []
        buried: list[Buried] = []
        for event in events:
            event.doubtful = event.doubtful or applied
            if now - event.first_try > self._max_age:
                self._remember_gap(event, refused=False)
                buried.append(
                    Buried(event, dead=True, reason="expired", message="retried for too long")
                )
            else:
                kept.append(event)
        for instance in _runs(events):
            lane = self._lanes[instance]
            lane.flying = False
            if blame:
                lane.failures += 1
                lane.not_before = now + self._delay(lane.failures)
        kept, lost = self._reopen(events, kept, now)
        return Settled([], kept, buried + lost)

    def bury(self, event: Event, reason: str, message: str, now: float) -> Settled:
        """Give a lone *event* of a failed request up for good, with what depends on it."""
        verdict = Verdict(DEAD, reason, message)
        return self.settle([event], [verdict], now)

    def _comes_too_early(self, event: Event, verdict: Verdict) -> bool:
        """Return whether a refused *event* may be of a run that another process is to announce.

        That is the parent of a forked child, or whoever handed the id of the run over: what it has
        registered and started may still wait there.
        """
        return (
            verdict.code in _NOT_THERE
            and event.kind != REGISTER
            and event.instance not in self._known
        )

    def _note_end(self, event: Event) -> None:
        """Let the ids of what *event* ends go."""
        if event.kind == FINISH_INSTANCE:
            self.identity.forget(event.instance)
            self._gaps.end(event.instance)
        elif self.identity.server_made and (event.ended or event.kind == FINISH):
            self.identity.end(event.instance, event.id)

    def _reopen(
        self, events: Sequence[Event], kept: list[Event], now: float
    ) -> tuple[list[Event], list[Buried]]:
        """Put *kept* back at the head of their lanes, and the lanes back into their turn.

        Returns:
            What of it stays, and what goes with a run that was refused.
        """
        for event in reversed(kept):
            self._lanes[event.instance].waiting.appendleft(event)
            self.waiting_items += 1
            self.waiting_bytes += event.size
            if self.identity.server_made and event.kind in CREATES:
                self.identity.expect(event.instance, event.id)
        lost: list[Buried] = []
        for instance in _runs(events):
            lane = self._lanes[instance]
            if instance in self._refused:
                self.identity.forget(instance)
                kept = [event for event in kept if event.instance != instance]
                while lane.waiting:
                    event = lane.waiting[0]
                    self._remove_head(lane)
                    lost.append(_instance_refused(event))
            if not lane.waiting:
                del self._lanes[instance]
            elif lane.not_before > now:
                self._delayed[instance] = lane
            else:
                self._ready[instance] = lane
        return kept, lost

    def _remember_gap(self, event: Event, *, refused: bool) -> None:
        """Note that what *event* creates will never exist on the other side."""
        if event.kind == REGISTER:
            _remember(self._refused, event.instance, None)
        elif event.kind in CREATES:
            # As many as wait may be children of those that come after it.
            self._gaps.add(event, most=_REMEMBERED + self.waiting_items, refused=refused)
            self.identity.abandon(event.instance, event.id)
        else:
            self._note_end(event)

    def shed(self, excess_items: int, excess_bytes: int) -> list[Buried]:
        """Drop the oldest spans that were surely not applied, until the excess is gone.

        Events of runs, and finishes of spans that are not dropped, stay: they are small and close
        what was accepted.
        """
        buried: list[Buried] = []
        items = self.waiting_items - excess_items
        size = self.waiting_bytes - excess_bytes
        for lane in list(self._lanes.values()):
            waiting = lane.waiting
            position = 0
            while position < len(waiting) and (
                self.waiting_items > items or self.waiting_bytes > size
            ):
                event = waiting[position]
                try:
                    entry = self._expendable(event)
                    if entry is not None and event.kind == START:
                        lane.unsent.pop(event.id, None)
                except Exception as error:  # noqa: BLE001  # as in take
                    entry = self._defective(event, error)
                if entry is None:
                    position += 1
                    continue
                del waiting[position]
                self.waiting_items -= 1
                self.waiting_bytes -= event.size
                buried.append(entry)
            if not waiting and not lane.flying:
                for lanes in (self._lanes, self._ready, self._delayed):
                    lanes.pop(lane.instance, None)
        return buried

    def _expendable(self, event: Event) -> Buried | None:
        """Return *event* given up for want of room, None if it has to stay."""
        if event.kind == FINISH and event.id in self._gaps.parents:
            return self._orphan(event)
        if event.kind not in {RECORD, START} or event.doubtful:
            return None
        self._remember_gap(event, refused=False)
        return Buried(event, dead=False, reason="queue_full")

    def waiting(self) -> Iterator[Event]:
        """Yield everything that waits, oldest lane first."""
        for lane in self._lanes.values():
            yield from lane.waiting

    def abandon(self) -> list[Event]:
        """Return everything that waits, oldest lane first, and forget it."""
        events = list(self.waiting())
        self._lanes.clear()
        self._ready.clear()
        self._delayed.clear()
        self.waiting_items = self.waiting_bytes = 0
        return events

    def use_server_ids(self) -> None:
        """Leave the making of ids to the API from now on."""
        self.identity.learning = self.identity.trying = False
        if not self.identity.server_made:
            self.identity.server_made = True
            self.restate()

    def use_own_ids(self) -> None:
        """Make ids on this side again; what was sent without one is still the API's to name."""
        self.identity.server_made = False
        for event in self.waiting():
            if event.wire is None or not event.attempts:
                event.wire = None
                if event.kind in CREATES:
                    self.identity.abandon(event.instance, event.id)

    def restate(self) -> None:
        """Compose everything that waits anew: the ids changed."""
        for lane in self._lanes.values():
            for event in lane.waiting:
                event.restate()
                if self.identity.server_made and event.kind in CREATES:
                    self.identity.expect(lane.instance, event.id)


_NOT_YET = object()
"""In the way of an event: an id it refers to is not assigned yet."""
_NOT_THERE = frozenset({"not_found", "invalid_action"})
"""How the API refuses what belongs to a run that is not registered, or not started."""
_KEEPS = frozenset({AGAIN, AUTH, RESTATE, UNTRIED, WRONG_ID})


def _remember(facts: dict[str, _Fact], key: str, fact: _Fact) -> None:
    """Add a *fact*, and forget the oldest beyond the bound."""
    facts[key] = fact
    if len(facts) > _REMEMBERED:
        del facts[next(iter(facts))]


def _instance_refused(event: Event) -> Buried:
    return Buried(event, dead=True, reason=_INSTANCE_REFUSED, message="its run was refused")


def _exhausted(verdict: Verdict) -> Verdict:
    if verdict.code == UNANSWERED or verdict.fate == DEAD:
        return verdict
    return Verdict(DEAD, "exhausted", f"{verdict.code}: {verdict.message}")


def without_create(event: Event, *, refused: bool = False) -> Buried:
    """Give up *event*, which builds on a create that was dropped or *refused*."""
    if refused:
        return Buried(event, dead=True, reason=_DEPENDENT, message="its create was refused")
    return Buried(event, dead=False, reason="create_dropped", message="its create was dropped")


def _runs(events: Iterable[Event]) -> list[str]:
    """Return the runs of *events*, in order."""
    return list(dict.fromkeys([event.instance for event in events]))


def _span_types(events: Iterable[Event]) -> list[str]:
    return list(dict.fromkeys(e.name for e in events if e.kind in {RECORD, START}))
