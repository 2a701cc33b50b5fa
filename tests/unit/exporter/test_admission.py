"""What finds no room is dropped as the policy says, and nobody is left waiting for it."""

from types import SimpleNamespace

import pytest

from prefactor_exporter import ExporterConfig, HttpClientConfig
from prefactor_exporter._core import ledger as books
from prefactor_exporter._core.events import (
    FINISH,
    FINISH_INSTANCE,
    QUALITY,
    RECORD,
    REGISTER,
    START,
    START_INSTANCE,
    Event,
)
from prefactor_exporter._core.ledger import Ledger
from prefactor_exporter._core.queue import EventQueue
from prefactor_exporter._delivery.admission import Admission

NOWHERE = HttpClientConfig("http://127.0.0.1:1", "token")
SMALL = [FINISH, REGISTER, START_INSTANCE, FINISH_INSTANCE, QUALITY]


class Clock:
    """Time passes only by waiting; *while_waiting* is what happens meanwhile."""

    def __init__(self, while_waiting=lambda: None):
        self.now = 0.0
        self.while_waiting = while_waiting

    def monotonic(self):
        return self.now

    def pause(self, seconds):
        self.now += seconds
        self.while_waiting()


class Door:
    """An admission with everything around it in reach."""

    def __init__(self, *, room=10, byte_room=10**6, clock=None, in_worker=False, **settings):
        config = ExporterConfig(http=NOWHERE, max_queue_items=room, **settings)
        self.dropped, self.forgotten, self.rung = [], [], []
        self.queue = EventQueue(wake=lambda: self.rung.append(None), room=room, byte_room=byte_room)
        self.ledger = Ledger(self.queue)
        worker = SimpleNamespace(
            drop=lambda description, reason: self.dropped.append((description["id"], reason)),
            is_current_thread=lambda: in_worker,
        )
        self.clock = clock or Clock()
        self.admission = Admission(
            config,
            queue=self.queue,
            ledger=self.ledger,
            worker=worker,
            clock=self.clock,
            forget=self.forgotten.append,
        )

    def offer(self, event):
        event.measure()
        if not self.queue.offer(event):
            self.admission.overflowed(event)

    def spans(self, count, first=0):
        for n in range(first, first + count):
            self.offer(Event(RECORD, "run", str(n), 0, parent=str(n - 1)))

    @property
    def kept(self):
        return [event.id for event in self.queue.items]


def test_one_too_many_is_counted_told_and_skipped():
    door = Door()
    door.spans(11)

    assert door.kept == [str(n) for n in range(10)]
    assert door.dropped == [("10", "queue_full")]
    assert door.admission.lost == {"10": "9"}
    assert door.forgotten == ["10"]
    assert door.ledger.counts()["dropped_reasons"] == {"queue_full": 1}
    assert door.ledger.counts()["recorded"] == 11


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest", "block"])
def test_what_closes_what_was_accepted_finds_room_within_bounds(kind, overflow):
    door = Door(overflow=overflow, block_timeout=0.0)
    door.spans(10)
    for n in range(1_000):
        door.offer(Event(kind, "run", f"small {n}", 0))
    accepted = [name for name in door.kept if name.startswith("small")]

    assert 100 <= len(accepted) <= 110
    assert len(door.kept) <= 110
    assert accepted == [f"small {n}" for n in range(len(accepted))]


@pytest.mark.parametrize("kind", [RECORD, START])
def test_spans_do_not_take_the_room_of_what_closes_them(kind):
    door = Door()
    door.spans(10)
    door.offer(Event(kind, "run", "late", 0))

    assert "late" not in door.kept


def test_the_oldest_spans_go_first_and_the_rest_stays():
    door = Door(overflow="drop_oldest")
    door.offer(Event(REGISTER, "run", "run", 0))
    door.spans(200)

    assert door.kept[0] == "run"
    assert door.kept[1:] == [str(n) for n in range(200 - len(door.kept) + 1, 200)]
    assert all(reason == "queue_full" for _, reason in door.dropped)
    assert door.ledger.counts()["recorded"] == 201


def test_a_blocked_caller_goes_on_as_soon_as_there_is_room():
    door = Door(overflow="block", block_timeout=60.0)
    door.spans(10)
    door.clock.while_waiting = lambda: door.clock.now > 0.1 and door.queue.publish(11, 10**6)
    door.offer(Event(RECORD, "run", "patient", 0))

    assert "patient" in door.kept
    assert door.clock.now < 1
    assert door.dropped == []


def test_a_blocked_caller_waits_no_longer_than_it_was_told():
    door = Door(overflow="block", block_timeout=0.1)
    door.spans(11)

    assert door.dropped == [("10", "queue_full")]
    assert 0.1 <= door.clock.now < 0.11


def test_the_worker_never_waits_for_itself():
    door = Door(overflow="block", block_timeout=60.0, in_worker=True)
    door.spans(11)

    assert door.dropped == [("10", "queue_full")]
    assert door.clock.now == 0


def test_a_blocked_caller_goes_on_when_the_exporter_ends():
    door = Door(overflow="block", block_timeout=60.0)
    door.spans(10)
    door.clock.while_waiting = door.queue.close
    door.offer(Event(RECORD, "run", "late", 0))

    assert len(door.dropped) == 1
    assert door.clock.now < 1


@pytest.mark.parametrize("kind", [RECORD, *SMALL])
def test_after_the_end_everything_is_counted_as_such(kind):
    door = Door(overflow="drop_oldest")
    door.queue.close()
    door.offer(Event(kind, "run", "late", 0))

    assert door.kept == []
    assert door.ledger.counts()["dropped_reasons"] == {"shutdown": 1}


def test_what_is_too_large_for_the_whole_queue_pushes_nothing_out():
    door = Door(overflow="drop_oldest", max_queue_bytes=10_000, byte_room=10_000)
    door.spans(5)
    door.offer(Event(RECORD, "run", "huge", 0, payload=b"x" * 20_000))

    assert door.kept == ["0", "1", "2", "3", "4"]
    assert door.dropped == [("huge", "queue_full")]


def test_a_child_belongs_to_the_nearest_ancestor_that_was_kept():
    door = Door()
    door.spans(30)

    assert door.admission.surviving("29") == "9"
    assert door.admission.surviving("9") == "9"
    assert door.admission.surviving("a stranger") == "a stranger"
    assert door.admission.surviving(None) is None


def test_only_so_many_losses_are_remembered(monkeypatch):
    monkeypatch.setattr(books, "_REMEMBERED", 5)
    door = Door()
    door.spans(100)

    assert list(door.admission.lost) == ["95", "96", "97", "98", "99"]


class Late:
    """A lock for which somebody waits while *meanwhile* happens."""

    def __init__(self, lock, meanwhile):
        self.lock = lock
        self.meanwhile = [meanwhile]

    def __enter__(self):
        if self.meanwhile:
            self.meanwhile.pop()()
        return self.lock.__enter__()

    def __exit__(self, *error):
        return self.lock.__exit__(*error)


@pytest.mark.parametrize("kind", [START, FINISH])
def test_what_waits_to_push_others_out_takes_the_place_that_the_worker_made(kind):
    """The queue was full a moment ago and is empty now: that is no reason to drop anything."""
    door = Door(overflow="drop_oldest")
    door.spans(110)
    lock = door.ledger.lock
    door.ledger.lock = Late(lock, lambda: door.queue.take(1_000))
    door.offer(Event(kind, "run", "patient", 0))

    assert door.kept == ["patient"]
    assert door.dropped == []


def test_a_place_that_others_take_is_made_once_more():
    door = Door(overflow="drop_oldest")
    door.spans(110)
    too_full = iter([True, True, True, False])
    door.admission._too_full = lambda size: next(too_full)
    door.offer(Event(RECORD, "run", "patient", 0))

    assert door.kept[-1] == "patient"
    assert [name for name, _ in door.dropped] == ["0", "1"]
    assert next(too_full, "once looked at, it was taken") == "once looked at, it was taken"
