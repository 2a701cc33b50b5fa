"""The application goes first, unless somebody waits for delivery or the worker falls behind."""

import pytest

from prefactor_exporter._core.events import RECORD, Event
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter._delivery.turns import SLICE, Turns


class StillClock:
    """A clock that stands still but where it is told to move; it counts pauses."""

    def __init__(self):
        self.now = 1_000.0
        self.pauses = 0

    def monotonic(self):
        return self.now

    def time_ns(self):
        return 0

    def pause(self, seconds):
        assert 0 < seconds < 0.001
        self.pauses += 1


class Worker:
    """What turns are given between, without the rest of it."""

    def __init__(self, *, room=10_000, byte_room=10**9):
        self.queue = EventQueue(wake=lambda: None, room=room, byte_room=byte_room)
        self.ledger = Ledger(self.queue)
        self.clock = StillClock()
        self.stopping = False
        self.turns = Turns(self.queue, self.ledger, self.clock, lambda: self.stopping)

    def record(self, count, *, size=100):
        for _ in range(count):
            assert self.queue.offer(Event(RECORD, "run", "span", 0, size=size))

    def gives(self):
        before = self.clock.pauses
        self.turns.give()
        return self.clock.pauses > before


def test_the_application_goes_first():
    worker = Worker()
    assert worker.gives()
    worker.record(1_000)
    assert worker.gives()


def test_it_does_not_while_somebody_waits():
    worker = Worker()
    worker.record(1)
    flush = worker.ledger.open_flush()
    assert not worker.gives()
    worker.ledger.close_flush(flush)
    assert worker.gives()


def test_it_does_not_at_the_end():
    worker = Worker()
    worker.stopping = True
    assert not worker.gives()


@pytest.mark.parametrize("bounds", [{"room": 100}, {"byte_room": 10_000}])
def test_it_does_not_once_half_of_the_queue_is_used(bounds):
    worker = Worker(**bounds)
    worker.record(50)
    assert worker.gives()
    worker.record(1)
    assert not worker.gives()


def test_it_does_not_once_the_worker_was_behind_for_half_a_second_until_it_has_caught_up():
    worker = Worker()
    worker.record(SLICE + 1)
    worker.turns.note_intake()
    worker.clock.now += 0.4
    worker.turns.note_intake()
    assert worker.gives()
    worker.clock.now += 0.2
    assert not worker.gives()
    worker.queue.take(1)
    worker.turns.note_intake()
    assert worker.gives()


def test_an_idle_worker_is_never_behind():
    worker = Worker()
    worker.turns.note_intake()
    worker.clock.now += 3_600
    worker.record(SLICE + 1)
    assert worker.gives()
