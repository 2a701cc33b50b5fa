"""The books balance after every step, and every flush learns what became of its events."""

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prefactor_exporter._core.events import FINISH, RECORD, START, Event
from prefactor_exporter._core.lanes import Buried
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.queue import EventQueue


def columns(counts):
    names = ("delivered", "queued", "in_flight", "spooled", "dead", "dropped")
    return {name: counts[name] for name in names}


class Books(RuleBasedStateMachine):
    """Moves events between the columns as the worker does, beside a plain model of it."""

    def __init__(self):
        super().__init__()
        self.queue = EventQueue(wake=lambda: None, room=10**6, byte_room=10**9)
        self.ledger = Ledger(self.queue)
        self.at = {}  # event number to its column
        self.parts = {}  # event id to its numbers: two of a merged one
        self.waiting, self.flying, self.disk = [], [], []
        self.unread = 0  # recorded events found on disk
        self.adopted = []  # their positions
        self.flushes = []
        self.told = []

    def put(self, events, column):
        for event in events:
            for number in self.parts[event.id]:
                self.at[number] = column

    @rule()
    def record(self):
        number = len(self.at)
        event = Event(START if number % 2 else RECORD, "run", str(number), 0)
        assert self.queue.offer(event)
        self.parts[event.id] = [number]
        self.at[number] = "queued"

    @rule()
    def refuse_at_the_call(self):
        self.ledger.drop_at_call("queue_full")
        self.at[len(self.at)] = "dropped"

    @rule(most=st.integers(1, 5))
    def take(self, most):
        self.waiting += self.ledger.take(most)[0]

    @precondition(lambda self: len(self.waiting) >= 2)
    @rule()
    def merge(self):
        create, finish = self.waiting[0], self.waiting[1]
        if create.merged_seq or finish.merged_seq:
            return
        create.merged_seq = finish.seq
        self.parts[create.id] += self.parts[finish.id]
        self.waiting.remove(finish)

    @precondition(lambda self: self.queue.items)
    @rule()
    def evict(self):
        evicted = self.ledger.evict_oldest()
        self.put([evicted.event], "dropped")

    @precondition(lambda self: self.waiting)
    @rule(count=st.integers(1, 4))
    def depart(self, count):
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        self.ledger.depart(sum(event.parts for event in batch))
        self.flying += batch
        self.put(batch, "in_flight")

    @precondition(lambda self: self.flying)
    @rule(count=st.integers(1, 4), how=st.sampled_from(["deliver", "back", "dead", "dropped"]))
    def answer(self, count, how):
        batch, self.flying = self.flying[:count], self.flying[count:]
        if how == "deliver":
            self.ledger.deliver(batch)
            self.put(batch, "delivered")
            return
        self.ledger.come_back(batch)
        self.put(batch, "queued")
        if how == "back":
            self.waiting = batch + self.waiting
            return
        self.ledger.bury([Buried(event, dead=how == "dead", reason="why") for event in batch])
        self.put(batch, how)

    @precondition(lambda self: self.waiting)
    @rule()
    def spool(self):
        event = self.waiting.pop()
        self.ledger.spool([event])
        self.disk.append(event)
        self.put([event], "spooled")

    @precondition(lambda self: self.disk)
    @rule()
    def unspool(self):
        event = self.disk.pop()
        self.ledger.unspool([event])
        self.waiting.append(event)
        self.put([event], "queued")

    @rule(count=st.integers(1, 3))
    def adopt(self, count):
        first = self.ledger.adopt(count)
        self.adopted += range(first, first + count)
        self.unread += count

    @precondition(lambda self: self.unread)
    @rule()
    def lose(self):
        self.ledger.lose(1, "spool_unreadable", first=self.adopted.pop(0))
        self.unread -= 1
        self.at[len(self.at)] = "dropped"

    @rule()
    def flush(self):
        told = []
        self.flushes.append((self.ledger.open_flush(lambda: told.append(None)), set(self.at), told))

    @precondition(lambda self: self.flushes)
    @rule(which=st.integers(0, 10))
    def stop_waiting(self, which):
        flush, _, _ = self.flushes.pop(which % len(self.flushes))
        report = self.ledger.close_flush(flush)
        assert report.timed_out == (report.pending > 0)
        assert bool(report) == (report.pending == report.dead == report.dropped == 0)

    @invariant()
    def balanced(self):
        counts = self.ledger.counts()
        found = columns(counts)
        assert counts["recorded"] == sum(found.values()) == len(self.at) + self.unread
        expected = dict.fromkeys(found, 0)
        expected["spooled"] = self.unread
        for column in self.at.values():
            expected[column] += 1
        assert found == expected
        assert sum(counts["dead_reasons"].values()) == counts["dead"]
        assert sum(counts["dropped_reasons"].values()) == counts["dropped"]

    @invariant()
    def flushes_know(self):
        settled = {"delivered", "dead", "dropped"}
        for flush, mine, told in self.flushes:
            # What is lost on disk may be anybody's.
            open_ones = sum(self.at[number] not in settled for number in mine)
            assert flush.remaining >= 0
            if not open_ones and not self.unread:
                assert flush.remaining == 0
            assert bool(told) == (flush.remaining == 0)
            assert len(told) <= 1


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def ledger():
    return Ledger(EventQueue(wake=lambda: None, room=100, byte_room=10**9))


def test_a_flush_of_nothing_is_over_at_once():
    told = []
    flush = ledger().open_flush(lambda: told.append(None))

    assert told == [None]
    assert flush.report()


def test_a_flush_forgets_what_came_after_it():
    books = ledger()
    queue = books._queue
    first, second = Event(RECORD, "r", "1", 0), Event(RECORD, "r", "2", 0)
    queue.offer(first)
    flush = books.open_flush()
    queue.offer(second)
    events, _ = books.take(10)
    books.depart(sum(event.parts for event in events))
    books.deliver([second])
    assert flush.remaining == 1
    books.deliver([first])

    assert flush.report().delivered == 1
    assert not books.flushing


@pytest.mark.parametrize("dead", [True, False])
def test_a_flush_says_what_was_lost(dead):
    books = ledger()
    books._queue.offer(Event(RECORD, "r", "1", 0))
    flush = books.open_flush()
    books.bury([Buried(books.take(1)[0][0], dead=dead, reason="why")])
    report = books.close_flush(flush)

    assert not report
    assert (report.dead, report.dropped) == ((1, 0) if dead else (0, 1))
    assert not report.timed_out


def test_a_flush_waits_for_what_was_in_the_queue_when_others_were_adopted_before_it():
    books = ledger()
    books._queue.offer(Event(RECORD, "r", "mine", 0))
    flush = books.open_flush()
    first = books.adopt(1)
    adopted = Event(RECORD, "r", "adopted", 0)
    adopted.seq = first
    books.unspool([adopted])
    books.depart(1)
    books.deliver([adopted])
    before = flush.report()
    events, _ = books.take(1)
    books.depart(1)
    books.deliver(events)

    assert (before.pending, before.timed_out) == (1, True)
    assert books.close_flush(flush)


def test_a_flush_has_nothing_to_do_with_the_loss_of_what_was_adopted_later():
    books = ledger()
    books._queue.offer(Event(RECORD, "r", "mine", 0))
    events, _ = books.take(1)
    flush = books.open_flush()
    books.depart(1)
    books.lose(2, "spool_unreadable", first=books.adopt(2))
    before = flush.report()
    books.deliver(events)

    assert (before.pending, before.dropped) == (1, 0)
    assert books.close_flush(flush)


def test_whoever_waits_is_woken_by_another_thread():
    books = ledger()
    books._queue.offer(Event(RECORD, "r", "1", 0))
    flush = books.open_flush()
    events, _ = books.take(1)
    books.depart(sum(event.parts for event in events))
    threading.Timer(0.01, books.deliver, (events,)).start()
    flush.wait(30)

    assert flush.report().delivered == 1


def test_dropping_at_a_call_may_interrupt_the_books():
    """A finalizer or a signal handler records while this thread holds the lock."""
    books = ledger()
    with books.lock:
        books.drop_at_call("shutdown")
        assert books.counts()["dropped"] == 1


class Hostile(str):
    """An id that cannot be looked up."""

    __slots__ = ()

    def __hash__(self):
        raise TypeError("unhashable")


def test_an_id_that_fails_is_taken_like_any_other():
    books = ledger()
    books.forget_span(Event(RECORD, "r", "dropped", 0))
    books._queue.offer(Event(FINISH, "r", Hostile("1"), 0))
    books._queue.offer(Event(RECORD, "r", "2", 0, parent=Hostile("1")))
    books._queue.offer(Event(RECORD, "r", "3", 0, parent="dropped"))
    events, orphans = books.take(10)

    assert [str(event.id) for event in events] == ["1", "2", "3"]
    assert events[2].parent is None
    assert orphans == []


def test_what_must_stay_is_passed_over_once():
    """Thousands of finishes of accepted spans may be at the head of the queue."""
    books = ledger()
    queue = books._queue
    for n in range(50):
        queue.append(Event(FINISH, "r", f"accepted {n}", 0))
    for n in range(4):
        queue.append(Event(RECORD, "r", str(n), 0))
    assert [books.evict_oldest().event.id for _ in range(2)] == ["0", "1"]
    assert books._fixed == 50
    books.take(30)
    assert books._fixed == 20
    assert [books.evict_oldest().event.id for _ in range(2)] == ["2", "3"]
    assert books.evict_oldest() is None
    books.take(100)
    assert books._fixed == 0
