"""The hand-over keeps its bounds, wakes the worker when it must, and loses nothing."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter._core.events import RECORD, Event
from prefactor_exporter._core.queue import EventQueue


def event(size=0, name=""):
    made = Event(RECORD, "run", name, 0, b"x" * size)
    made.measure()
    return made


def queue(*, room=100, byte_room=10**9, wake=lambda: None):
    return EventQueue(wake=wake, room=room, byte_room=byte_room)


def sizes(events):
    return sum(event.size for event in events)


actions = st.one_of(
    st.tuples(st.just("offer"), st.integers(0, 2_000)),
    st.tuples(st.just("take"), st.integers(1, 20)),
    st.tuples(st.just("settle"), st.integers(1, 20)),
)


@given(st.lists(actions, max_size=200), st.integers(1, 50), st.integers(500, 30_000))
def test_never_more_is_held_than_the_bounds_allow(history, items, size):
    """Whatever the worker has taken and not settled counts, also before it says so."""
    waiting = queue(room=items, byte_room=size)
    held, offered, taken = [], [], []
    for action, value in history:
        if action == "offer":
            new = event(value, str(len(offered)))
            if waiting.offer(new):
                offered.append(new.id)
        elif action == "take":
            events = waiting.take(value)
            held += events
            taken += [event.id for event in events]
        else:
            del held[:value]
            waiting.publish(items - len(held), size - sizes(held))
        everything = [*waiting.items, *held]
        assert len(everything) <= items
        assert sizes(everything) <= size
    assert taken + [event.id for event in waiting.items] == offered


def test_what_stays_behind_a_take_still_counts():
    waiting = queue(byte_room=5_000)
    while waiting.offer(event(600)):
        pass
    waiting.take(1)

    assert waiting.fresh_bytes == sizes(waiting.items) > 0
    waiting.take(100)
    assert waiting.fresh_bytes == 0


def test_the_worker_is_woken_once_until_it_sleeps_again():
    calls = []
    waiting = queue(wake=lambda: calls.append(None))
    for _ in range(10):
        waiting.offer(event())
    assert len(calls) == 1
    waiting.take(100)
    waiting.alarm = 3
    for _ in range(10):
        waiting.offer(event())
    assert len(calls) == 2


def test_nothing_is_taken_after_the_end_whatever_is_published():
    waiting = queue()
    waiting.close()
    waiting.publish(100, 10**9)

    assert not waiting.offer(event())
    assert waiting.closed


def test_many_threads_hand_over_everything_once_and_in_their_order():
    waiting = queue(room=10**6)
    found = []
    stop = threading.Event()

    def offers(name):
        for n in range(2_000):
            assert waiting.offer(event(10, f"{name}.{n}"))

    def takes():
        while not stop.is_set() or waiting.items:
            found.extend(event.id for event in waiting.take(50))
            waiting.publish(10**6, 10**9)

    threads = [threading.Thread(target=offers, args=(name,)) for name in range(4)]
    taker = threading.Thread(target=takes)
    for thread in [taker, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    taker.join()

    assert len(found) == len(set(found)) == 8_000
    for name in range(4):
        assert [f for f in found if f.startswith(f"{name}.")] == [
            f"{name}.{n}" for n in range(2000)
        ]
    assert waiting.fresh_bytes == 0
