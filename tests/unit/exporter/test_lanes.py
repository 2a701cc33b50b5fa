"""The laws of queue, lanes, merging, batching and settlement, whatever happens in whatever order.

A machine plays the agent, the worker and an API that keeps its contract: items are applied in
order, processing stops at the first one that fails, and a key that was applied is answered again.
The API checks what reaches it; the books are checked after every step.
"""

import itertools
from collections import Counter
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

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

RUNS = 3


class Outcome(NamedTuple):
    """One answer of the API."""

    status: str
    code: str | None = None
    message: str | None = None
    errors: object = None


class Api:
    """An API that keeps its contract, and remembers what it applied.

    ``broken`` are ids of runs and spans it has refused or that were given up on the way.
    """

    def __init__(self):
        self.bodies = {}
        self.applied = []
        self.spans = {}
        self.finished = set()
        self.runs = Counter()
        self.refused = {}

    def post(self, events, failing):
        """Apply *events*; *failing* is the code of the one at each position that shall fail."""
        outputs = {}
        for position, event in enumerate(events):
            assert 8 <= len(event.key) <= 64
            body = self.bodies.setdefault(event.key, event.wire)
            assert body == event.wire, f"{event.key} came again with another body"
            if event.key in self.refused:
                code = self.refused[event.key]
            elif event.key in self.applied:
                code = None
            else:
                code = failing.get(position)
                if code == "validation_errors":
                    self.refused[event.key] = code
            if code is not None:
                outputs[event.key] = Outcome("error", code, "because")
                break
            if event.key not in self.applied:
                self._apply(event)
            outputs[event.key] = Outcome("success")
        return outputs

    def _apply(self, event):
        item = msgspec.json.decode(event.wire)
        self.applied.append(event.key)
        if event.kind == REGISTER:
            assert not self.runs[event.id], "registered twice"
            self.runs[event.id] = 1
        elif event.kind == START_INSTANCE:
            self.runs[event.id] = 2
        elif event.kind == FINISH_INSTANCE:
            self.runs[event.id] = 3
        elif event.kind == FINISH:
            assert event.id in self.spans, "a finish came before its create"
            assert event.id not in self.finished
            self.finished.add(event.id)
        else:
            details = item["details"]
            assert event.id not in self.spans, "a span was created twice"
            assert self.runs[event.instance] < 3, "a span came after the end of its run"
            parent = details.get("parent_span_id")
            assert parent is None or parent in self.spans, "a child came before its parent"
            self.spans[event.id] = details
            if details["status"] != "active":
                self.finished.add(event.id)


class Journey(RuleBasedStateMachine):
    """Everything between a record call and the API, without threads and sockets."""

    def __init__(self):
        super().__init__()
        self.queue = EventQueue(wake=lambda: None, room=10**6, byte_room=10**9)
        self.ledger = Ledger(self.queue)
        self.lanes = Lanes(
            Identity("3nqk8n"), delay=lambda failures: 1.0, max_judged=3, max_age=50.0
        )
        self.api = Api()
        self.now = 100.0
        self.numbers = itertools.count(1)
        self.recorded = []
        self.fates = {}
        self.flying = []
        self.flushes = []
        self.open = {}
        self.runs = [self.begin_run() for _ in range(RUNS)]
        self.over = set()

    # -- the agent ---------------------------------------------------------------------------

    def new_id(self):
        return f"{next(self.numbers):010d}3nqk8n{'0' * 16}"

    def record(self, kind, run, id_, **fields):
        event = Event(kind, run, id_, 1_000_000_000, **fields)
        self.recorded.append(event)
        assert self.queue.offer(event)
        return event

    def begin_run(self):
        run = self.new_id()
        self.record(REGISTER, run, run, details={"agent_id": "a"})
        self.record(START_INSTANCE, run, run)
        return run

    def parents(self, run):
        return [None, *(id_ for id_, owner in self.open.items() if owner == run)]

    @rule(run=st.integers(0, RUNS - 1), data=st.data())
    def record_span(self, run, data):
        run = self.runs[run]
        parent = data.draw(st.sampled_from(self.parents(run)))
        self.record(RECORD, run, self.new_id(), parent=parent, name="a", status="complete", ended=1)

    @rule(run=st.integers(0, RUNS - 1), data=st.data())
    def start_span(self, run, data):
        run, id_ = self.runs[run], self.new_id()
        parent = data.draw(st.sampled_from(self.parents(run)))
        self.record(START, run, id_, parent=parent, name="a", status="active")
        self.open[id_] = run

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def finish_span(self, data):
        id_ = data.draw(st.sampled_from(sorted(self.open)))
        self.record(FINISH, self.open.pop(id_), id_, status="complete", result=b"{}")

    @rule(run=st.integers(0, RUNS - 1))
    def end_a_run_and_begin_another(self, run):
        old = self.runs[run]
        for id_ in [id_ for id_, owner in self.open.items() if owner == old]:
            self.record(FINISH, self.open.pop(id_), id_, status="complete")
        self.record(FINISH_INSTANCE, old, old, status="complete")
        self.runs[run] = self.begin_run()

    # -- the worker --------------------------------------------------------------------------

    @rule(most=st.integers(1, 20))
    def take(self, most):
        events, orphans = self.ledger.take(most)
        self.bury(orphans)
        for event in events:
            bad = self.lanes.add(event)
            if bad is not None:
                self.bury([bad])

    @rule(most=st.integers(1, 12), size=st.sampled_from([1, 900, 10**6]))
    def send(self, most, size):
        batch, buried = self.lanes.take(self.now, max_items=most, max_bytes=size)
        self.bury(buried)
        if batch is not None:
            assert 0 < len(batch.events) <= most
            assert len(batch.events) == 1 or batch.size <= size
            self.ledger.depart(batch.parts)
            self.flying.append(batch.events)

    @rule(most=st.integers(1, 12), size=st.sampled_from([1, 900, 10**6]))
    def compose_ahead(self, most, size):
        self.lanes.compose_ahead(most, size)

    @precondition(lambda self: self.flying)
    @rule(
        failing=st.dictionaries(
            st.integers(0, 6),
            st.sampled_from(["validation_errors", "internal_server_error", "bad_authtoken"]),
            max_size=2,
        ),
        data=st.data(),
    )
    def answer(self, failing, data):
        events = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        outputs = self.api.post(events, failing)
        self.enter(events, self.lanes.settle(events, judge(events, outputs), self.now))

    @precondition(lambda self: self.flying)
    @rule(applied=st.booleans(), blame=st.booleans(), data=st.data())
    def lose_the_answer(self, applied, blame, data):
        events = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        if applied:
            self.api.post(events, {})
        self.enter(events, self.lanes.fail(events, self.now, applied=applied, blame=blame))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def refuse_the_whole(self, data):
        events = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        if len(events) > 1:
            settled = self.lanes.fail(events, self.now, applied=False)
        else:
            settled = self.lanes.bury(events[0], "bad_request", "because", self.now)
        self.enter(events, settled)

    def enter(self, events, settled):
        parts = sorted(
            map(id, [*settled.delivered, *settled.kept, *(b.event for b in settled.buried)])
        )
        assert len(parts) == len(set(parts)), "an event has two fates"
        assert set(map(id, events)) <= set(parts), "an event of the request has no fate"
        for event in settled.delivered:
            self.note(event, "delivered")
        self.ledger.deliver(settled.delivered)
        done = set(map(id, settled.delivered))
        self.ledger.come_back(event for event in events if id(event) not in done)
        self.bury(settled.buried)

    def bury(self, buried):
        buried = list(buried)
        for entry in buried:
            self.note(entry.event, "dead" if entry.dead else "dropped")
        self.ledger.bury(buried)

    def note(self, event, fate):
        for position in (event.seq, event.merged_seq):
            if position:
                assert position not in self.fates, "an event was settled twice"
                self.fates[position] = fate

    @rule(items=st.integers(0, 3))
    def shed(self, items):
        self.bury(self.lanes.shed(items, 0))

    @rule()
    def evict(self):
        evicted = self.ledger.evict_oldest()
        if evicted is not None:
            self.note(evicted.event, "dropped")

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0]))
    def wait(self, seconds):
        self.now += seconds

    # -- who waits for it --------------------------------------------------------------------

    @rule()
    def open_flush(self):
        self.flushes.append((self.ledger.open_flush(), len(self.recorded)))

    @precondition(lambda self: self.flushes)
    @rule(data=st.data())
    def close_flush(self, data):
        flush, upto = self.flushes.pop(data.draw(st.integers(0, len(self.flushes) - 1)))
        self.check_flush(flush, upto)
        self.ledger.close_flush(flush)

    def check_flush(self, flush, upto):
        report = flush.report()
        settled = Counter(fate for position, fate in self.fates.items() if position <= upto)
        assert report.pending == upto - settled.total()
        assert report.timed_out == (report.pending > 0)
        if report.pending:
            assert (report.dead, report.dropped) >= (0, 0)
        assert bool(report) == (not (report.pending or report.dead or report.dropped))

    # -- what always holds -------------------------------------------------------------------

    @invariant()
    def the_books_balance(self):
        counts = self.ledger.counts()
        fates = Counter(self.fates.values())
        assert counts["recorded"] == len(self.recorded)
        for column in ("delivered", "dead", "dropped"):
            assert counts[column] == fates[column]
        assert counts["recorded"] == sum(
            counts[c] for c in ("delivered", "queued", "in_flight", "spooled", "dead", "dropped")
        )
        flying = sum(event.parts for events in self.flying for event in events)
        assert counts["in_flight"] == flying

    @invariant()
    def a_lane_has_one_request_in_flight_at_most(self):
        lanes = [{event.instance for event in events} for events in self.flying]
        assert sum(map(len, lanes)) == len(set().union(*lanes))

    @invariant()
    def the_lanes_know_their_size(self):
        waiting = list(self.lanes.waiting())
        assert self.lanes.waiting_items == len(waiting)
        assert self.lanes.waiting_bytes == sum(event.size for event in waiting)

    @invariant()
    def flushes_are_exact(self):
        for flush, upto in self.flushes:
            self.check_flush(flush, upto)

    def teardown(self):
        """Once the API behaves, everything is settled, and what it has is what was delivered."""
        for _ in range(10_000):
            while self.flying:
                events = self.flying.pop()
                outputs = self.api.post(events, {})
                self.enter(events, self.lanes.settle(events, judge(events, outputs), self.now))
            if not (self.queue.items or self.lanes.waiting_items):
                break
            self.now += 1.0
            self.take(1000)
            self.send(100, 10**6)
        assert not (self.queue.items or self.lanes.waiting_items or self.flying)
        assert sorted(self.fates) == list(range(1, len(self.recorded) + 1))
        self.the_books_balance()
        for flush, _ in self.flushes:
            assert flush.report().pending == 0
        self.check_what_arrived()
        assert not self.lanes._lanes and not self.lanes._delayed and not self.lanes._ready

    def check_what_arrived(self):
        applied = set(self.api.applied)
        for event in self.recorded:
            fate = self.fates[event.seq]
            if fate == "delivered" and event.kind in CREATES and not event.merged_seq:
                assert event.key in applied or event.doubtful
            if fate == "dropped" and event.kind in SPAN_KINDS and not event.doubtful:
                assert event.key not in applied
        for event in self.recorded:
            if event.kind == FINISH and self.fates[event.seq] == "delivered":
                assert event.id in self.api.finished


TestJourney = Journey.TestCase
TestJourney.settings = settings(max_examples=150, stateful_step_count=60)


class Hostile(str):
    """An id that cannot be looked up."""

    __slots__ = ()

    def __hash__(self):
        raise TypeError("unhashable")

    def __eq__(self, other):
        return str.__eq__(self, other)


RUN, OTHER = f"{1:010d}3nqk8n{'0' * 16}", f"{2:010d}3nqk8n{'0' * 16}"
SPAN = f"{3:010d}3nqk8n{'0' * 16}"


def lanes_after_a_loss():
    """Return lanes that have to look every id up, because they gave a span up."""
    lanes = Lanes(Identity("3nqk8n"), delay=lambda failures: 1.0, max_judged=3, max_age=50.0)
    lanes.add(Event(RECORD, OTHER, SPAN, 1, name="a", status="complete", ended=1))
    assert [entry.reason for entry in lanes.shed(1, 0)] == ["queue_full"]
    return lanes


def test_an_id_that_fails_costs_its_event_and_no_other():
    lanes = lanes_after_a_loss()
    good = [f"{n:010d}3nqk8n{'0' * 16}" for n in range(10, 15)]
    for span in good[:3]:
        lanes.add(Event(RECORD, RUN, span, 1, name="a", status="complete", ended=1))
    bad = Event(RECORD, RUN, SPAN, 1, parent=Hostile(SPAN), name="a", status="complete", ended=1)
    lanes.add(bad)
    for span in good[3:]:
        lanes.add(Event(RECORD, RUN, span, 1, name="a", status="complete", ended=1))
    batch, buried = lanes.take(1.0, max_items=100, max_bytes=10**6)

    assert [event.id for event in batch.events] == good
    assert [(entry.event, entry.reason, entry.dead) for entry in buried] == [
        (bad, "internal", False)
    ]
    assert lanes.waiting_items == lanes.waiting_bytes == 0


@pytest.mark.parametrize("kind", [RECORD, FINISH])
def test_an_id_that_fails_does_not_keep_the_room(kind):
    lanes = lanes_after_a_loss()
    lanes.add(Event(RECORD, RUN, SPAN, 1, name="a", status="complete", ended=1))
    bad = Event(kind, RUN, OTHER, 1, name="a", status="complete", ended=1)
    lanes.add(bad)
    bad.id = Hostile(SPAN)
    buried = lanes.shed(2, 0)

    assert [entry.reason for entry in buried] == ["queue_full", "internal"]
    assert lanes.waiting_items == lanes.waiting_bytes == len(lanes) == 0
