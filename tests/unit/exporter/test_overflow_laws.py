"""The laws of a queue that overflows, whatever happens in whatever order.

A machine plays the threads that record, the worker and the API. A thread may be interrupted between
the moment in which it looks and the one in which it hands over; the API checks what reaches it.
"""

import itertools
from collections import Counter
from types import SimpleNamespace
from unittest import mock

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prefactor_exporter import ExporterConfig, HttpClientConfig
from prefactor_exporter._core import lanes, ledger
from prefactor_exporter._core.events import (
    CREATES,
    FINISH,
    FINISH_INSTANCE,
    RECORD,
    REGISTER,
    SPAN_KINDS,
    START,
    START_INSTANCE,
    Event,
)
from prefactor_exporter._core.identity import Identity
from prefactor_exporter._core.lanes import Lanes
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter._core.settlement import judge
from prefactor_exporter._delivery.admission import Admission
from prefactor_exporter._delivery.clock import SystemClock
from tests.unit.exporter.test_lanes import Api

ROOM = 6
HEADROOM = 4
RUNS = 2
SPANS = frozenset({RECORD, START})


class Overflow(RuleBasedStateMachine):
    """Everything between a record call and the API, too small for what is recorded."""

    policy: str
    late = True
    """Whether spans may begin below such as are over, or such as are about to be."""

    def __init__(self):
        super().__init__()
        self.queue = EventQueue(wake=lambda: None, room=ROOM, byte_room=10**9)
        self.ledger = Ledger(self.queue)
        self.lanes = Lanes(
            Identity("3nqk8n"), delay=lambda failures: 1.0, max_judged=3, max_age=50.0
        )
        self.told = Counter()
        self.admission = Admission(
            ExporterConfig(
                http=HttpClientConfig("http://127.0.0.1:1", "token"),
                overflow=self.policy,
                block_timeout=0,
                max_queue_items=ROOM,
            ),
            queue=self.queue,
            ledger=self.ledger,
            worker=SimpleNamespace(drop=self.tell, is_current_thread=lambda: False),
            clock=SystemClock(),
            forget=lambda span: self.open.pop(span, None),
        )
        self.admission._headroom = HEADROOM
        self.api = Api()
        self.now = 100.0
        self.numbers = itertools.count(1)
        self.recorded = 0
        self.held, self.flying = [], []
        self.open, self.ended = {}, []
        self.broken = set()  # spans whose create was dropped or refused
        self.news = Counter()
        self.taken_over, self.over = set(), set()  # runs whose end was taken, and was delivered
        self.runs = [self.begin_run() for _ in range(RUNS)]

    # -- threads that record -----------------------------------------------------------------

    def new_id(self):
        return f"{next(self.numbers):010d}3nqk8n{'0' * 16}"

    def hand_over(self, event):
        self.recorded += 1
        if not self.queue.offer(event):
            self.admission.overflowed(event)
        if self.policy == "drop_oldest" and event.kind in SPANS and event.id in self.broken:
            for older in self.queue.items:
                assert older.kind not in SPANS, "a span was dropped, and an older one stayed"
                assert not self.admission._is_orphan(older), "an orphan stayed"

    def tell(self, description, reason):
        self.told[reason] += 1
        if description["kind"] == "span":
            self.broken.add(description["id"])

    def begin_run(self):
        run = self.new_id()
        self.hand_over(Event(REGISTER, run, run, 1, details={"agent_id": "a"}))
        self.hand_over(Event(START_INSTANCE, run, run, 1))
        return run

    def parent(self, run, data):
        begun = [*self.open.items(), *self.ledger.gaps._begun.items()]
        spans = [*begun, *self.ended] if self.late else begun
        own = [span for span, owner in spans if owner == run]
        lost = [span for span in self.admission.lost if span in self.broken]
        parent = data.draw(st.sampled_from([None, *own]))
        return self.admission.surviving(parent) if parent in lost else parent

    @rule(run=st.integers(0, RUNS - 1), held=st.booleans(), data=st.data())
    def record_span(self, run, held, data):
        run = self.runs[run]
        parent = self.parent(run, data)
        event = Event(
            RECORD, run, self.new_id(), 1, parent=parent, name="a", status="complete", ended=1
        )
        if held and self.late:
            self.held.append(event)
            return
        self.ended.append((event.id, run))
        self.hand_over(event)

    @rule(run=st.integers(0, RUNS - 1), data=st.data())
    def start_span(self, run, data):
        run, span = self.runs[run], self.new_id()
        event = Event(START, run, span, 1, parent=self.parent(run, data), name="a", status="active")
        self.open[span] = run
        self.hand_over(event)

    @precondition(lambda self: self.open or self.broken)
    @rule(held=st.booleans(), data=st.data())
    def finish_span(self, held, data):
        over = {span for span, _ in self.ended}
        begun = [*self.open, *(span for span in self.ledger.gaps._begun if span not in over)]
        if begun:
            self.finish(data.draw(st.sampled_from(begun)), held=held)

    def finish(self, span, *, held=False):
        run = self.open.pop(span, None)
        if run is None:
            if span in self.admission.lost:
                self.recorded += 1
                self.admission.refuse_finish(span)
            return
        self.ended.append((span, run))
        event = Event(FINISH, run, span, 2, status="complete", result=b"{}")
        if held:
            self.held.append(event)
        else:
            self.hand_over(event)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def go_on(self, data):
        event = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.hand_over(event)

    @rule(run=st.integers(0, RUNS - 1))
    def end_a_run_and_begin_another(self, run):
        old = self.runs[run]
        self.end_run(old)
        self.runs[run] = self.begin_run()

    def end_run(self, run):
        for event in [event for event in self.held if event.instance == run]:
            self.held.remove(event)
            self.hand_over(event)
        for span in [span for span, owner in self.open.items() if owner == run]:
            self.finish(span)
        self.hand_over(Event(FINISH_INSTANCE, run, run, 3, status="complete"))
        self.ended = [(span, owner) for span, owner in self.ended if owner != run]

    # -- the worker --------------------------------------------------------------------------

    @rule(most=st.integers(1, 20))
    def take(self, most):
        events, orphans = self.ledger.take(most)
        self.bury(orphans)
        self.taken_over |= {event.id for event in events if event.kind == FINISH_INSTANCE}
        for event in events:
            bad = self.lanes.add(event)
            if bad is not None:
                self.bury([bad])
        if self.policy == "drop_oldest" and self.room() < 0:
            self.bury(self.lanes.shed(-self.room(), 0))
        self.queue.publish(self.room(), 10**9)

    def room(self):
        flying = sum(map(len, self.flying)) if self.policy != "drop_oldest" else 0
        return ROOM - self.lanes.waiting_items - flying

    @rule(most=st.integers(1, 12))
    def send(self, most):
        batch, buried = self.lanes.take(self.now, max_items=most, max_bytes=10**6)
        self.bury(buried)
        if batch is None:
            return
        for event in batch.events:
            assert event.kind != FINISH or event.id not in self.broken, "an orphan is sent"
            parent = msgspec.json.decode(event.wire).get("details", {}).get("parent_span_id")
            assert parent not in self.broken, "a child of nobody is sent"
        self.ledger.depart(batch.parts)
        self.flying.append(batch.events)

    @precondition(lambda self: self.flying)
    @rule(
        code=st.sampled_from([None, "validation_errors", "internal_server_error"]), data=st.data()
    )
    def answer(self, code, data):
        events = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        # A run that is refused takes everything with it: that is another law's.
        places = [place for place, event in enumerate(events) if event.kind in SPAN_KINDS]
        failing = {data.draw(st.sampled_from(places)): code} if code and places else {}
        outputs = self.api.post(events, failing)
        self.enter(events, self.lanes.settle(events, judge(events, outputs), self.now))

    @precondition(lambda self: self.flying)
    @rule(applied=st.booleans(), known=st.booleans(), data=st.data())
    def lose_the_answer(self, applied, known, data):
        events = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        if applied:
            self.api.post(events, {})
        settled = self.lanes.fail(events, self.now, applied=applied or not known)
        self.enter(events, settled)

    def enter(self, events, settled):
        self.ledger.deliver(settled.delivered)
        self.over |= {e.id for e in settled.delivered if e.kind == FINISH_INSTANCE}
        done = set(map(id, settled.delivered))
        self.ledger.come_back(event for event in events if id(event) not in done)
        self.bury(settled.buried)

    def bury(self, buried):
        buried = list(buried)
        self.ledger.bury(buried)
        for entry in buried:
            self.told[entry.reason] += entry.event.parts
            if entry.event.kind in CREATES:
                self.broken.add(entry.event.id)
            if entry.event.kind == FINISH and entry.reason == "create_dropped":
                assert entry.event.id in self.broken, "a finish was dropped without need"

    @rule(seconds=st.sampled_from([1.0, 10.0]))
    def wait(self, seconds):
        self.now += seconds

    # -- what always holds -------------------------------------------------------------------

    @invariant()
    def the_books_balance_and_every_loss_is_told(self):
        counts = self.ledger.counts()
        losses, nameless = self.ledger.news()
        self.news += losses
        assert not nameless
        assert counts["recorded"] == self.recorded
        assert counts["recorded"] == sum(
            counts[c] for c in ("delivered", "queued", "in_flight", "spooled", "dead", "dropped")
        )
        lost = Counter(counts["dead_reasons"]) + Counter(counts["dropped_reasons"])
        assert lost == self.told == self.news
        assert lost.total() == self.ledger.lost

    @invariant()
    def no_more_waits_than_allowed(self):
        assert len(self.queue.items) <= ROOM + HEADROOM

    @invariant()
    def no_span_of_a_run_that_is_over_is_remembered_as_open(self):
        assert not self.taken_over & set(self.ledger.gaps._begun.values())
        assert not self.over & set(self.lanes._gaps._begun.values())

    def teardown(self):
        """Once all is over, everything is settled, and nothing is remembered as open."""
        for run in self.runs:
            self.end_run(run)
        for _ in range(1_000):
            while self.flying:
                events = self.flying.pop()
                outputs = self.api.post(events, {})
                self.enter(events, self.lanes.settle(events, judge(events, outputs), self.now))
            if not (self.queue.items or self.lanes.waiting_items):
                break
            self.now += 1.0
            self.take(1000)
            self.send(100)
        assert not (self.queue.items or self.lanes.waiting_items or self.flying)
        self.the_books_balance_and_every_loss_is_told()
        assert not self.lanes._lanes


class Forgetful(Overflow):
    """Nothing is remembered but what may still be asked for by what was recorded in order."""

    policy = "drop_oldest"
    late = False

    def __init__(self):
        self.patches = [mock.patch.object(module, "_REMEMBERED", 0) for module in (ledger, lanes)]
        for patch in self.patches:
            patch.start()
        super().__init__()
        self.ledger._most_gaps = ROOM + HEADROOM

    @invariant()
    def little_is_remembered(self):
        gaps = self.ledger.gaps
        assert len(gaps.parents) <= 2 * (ROOM + HEADROOM + len(gaps._begun)) + 2

    def teardown(self):
        try:
            super().teardown()
        finally:
            for patch in self.patches:
                patch.stop()


def laws(machine):
    case = machine.TestCase
    case.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
    return case


class DropOldest(Overflow):
    policy = "drop_oldest"


class DropNewest(Overflow):
    policy = "drop_newest"


class Block(Overflow):
    policy = "block"


TestDropOldest = laws(DropOldest)
TestDropNewest = laws(DropNewest)
TestBlock = laws(Block)
TestForgetful = laws(Forgetful)
