"""When the next request may leave, and how large it may be, whatever happened before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter._core.pace import BatchLimits, Pace, backoff_delay


def full(ceiling):
    return ceiling


def none(ceiling):
    return 0.0


def test_waits_double_up_to_a_ceiling():
    waits = [backoff_delay(failures, full) for failures in range(1, 10)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize("failures", [10**3, 10**9])
def test_an_endless_outage_overflows_nothing(failures):
    assert backoff_delay(failures, full) == 30


def test_after_a_failure_one_probe_at_a_time_leaves():
    pace = Pace(width=4, jitter=none)
    assert pace.width == 4
    pace.failed(0.0)
    assert pace.width == 1
    pace.succeeded()
    assert pace.width == 4


def test_a_hint_is_a_minimum_within_bounds():
    pace = Pace(width=1, jitter=full)
    assert pace.failed(100.0, hint=10.0) == 10.0
    assert pace.ready_at == 110.0
    pace.succeeded()
    assert pace.failed(100.0, hint=0.001) == 0.5
    pace.succeeded()
    assert pace.failed(100.0, hint=1e9) == 300.0
    assert pace.ready_at == 400.0


@pytest.mark.parametrize("hint", [None, 0.0, -1.0, -1e9])
def test_a_hint_that_asks_for_nothing_changes_nothing(hint):
    pace = Pace(width=1, jitter=full)
    assert pace.failed(0.0, hint=hint) == 0.5


def test_a_later_failure_does_not_shorten_what_was_asked_for():
    pace = Pace(width=2, jitter=none)
    pace.failed(0.0, hint=60.0)
    pace.failed(1.0)
    assert pace.ready_at == 60.0


def test_haste_shortens_our_own_wait_only():
    pace = Pace(width=1, jitter=full)
    pace.failed(0.0)
    pace.hurry(0.1)
    assert pace.ready_at <= 0.1
    pace.failed(0.2, hint=50.0)
    pace.hurry(0.3)
    assert pace.ready_at == 50.2


def test_a_refused_token_is_probed_slowly_until_it_works():
    pace = Pace(width=4, jitter=full)
    waits = []
    for _ in range(8):
        pace.refused_token(0.0)
        waits.append(pace.ready_at)
    assert waits == [5, 10, 20, 40, 60, 60, 60, 60]
    assert pace.suspended and pace.width == 1
    pace.succeeded()
    assert not pace.suspended
    assert (pace.ready_at, pace.width) == (0.0, 4)


steps = st.one_of(
    st.tuples(st.just("failed"), st.none() | st.floats(-10, 1e12)),
    st.tuples(st.just("refused"), st.none()),
    st.tuples(st.just("succeeded"), st.none()),
    st.tuples(st.just("hurry"), st.floats(0, 10)),
)


@given(st.lists(st.tuples(steps, st.floats(0, 100)), max_size=30))
def test_no_wait_is_ever_longer_than_the_longest_hint(history):
    pace = Pace(width=4, jitter=full)
    now = 0.0
    for (step, value), later in history:
        now += later
        if step == "failed":
            pace.failed(now, hint=value)
        elif step == "refused":
            pace.refused_token(now)
        elif step == "succeeded":
            pace.succeeded()
        else:
            pace.hurry(now, within=value)
        assert pace.ready_at - now <= 300 + 1e-6
        assert pace.width == (4 if pace.failures == 0 else 1)
        assert pace.suspended <= (pace.failures > 0)


def batch_limits(*, items, size, room=100_000):
    return BatchLimits(items=items, size=size, room=room)


class Server:
    """Accepts batches up to a number of items and of bytes, unless they hold a culprit."""

    def __init__(self, items, size, culprits=()):
        self.items, self.size, self.culprits = items, size, set(culprits)

    def takes(self, batch):
        return (
            len(batch) <= self.items
            and sum(size for _, size in batch) <= self.size
            and not any(name in self.culprits for name, _ in batch)
        )


def deliver(limits, server, waiting):
    """Send everything in order as the worker does; return what arrived, was refused, and tries."""
    waiting = list(waiting)
    arrived, refused, requests = [], [], 0
    while waiting:
        batch, size = [], 0
        for name, length in waiting[: limits.items]:
            if batch and size + length > limits.size:
                break
            batch.append((name, length))
            size += length
        requests += 1
        assert requests < 10_000
        if server.takes(batch):
            limits.accepted(len(batch), seconds=1.0)
            arrived += [name for name, _ in batch]
        elif len(batch) > 1:
            limits.refused(len(batch), size, too_large=not server.culprits)
            continue
        else:
            limits.culprit_found()
            refused.append(batch[0][0])
        del waiting[: len(batch)]
    return arrived, refused, requests


def sizes_of_full_batches(limits, *, seconds):
    sizes = []
    for _ in range(4):
        sizes.append(limits.items)
        limits.accepted(limits.items, seconds=seconds)
    return sizes


def test_batches_grow_while_the_api_is_slow_and_takes_them():
    """Only larger ones get more through then; and never more than what is set."""
    limits = batch_limits(items=350, size=10**6)
    assert sizes_of_full_batches(limits, seconds=0.2) == [100, 200, 350, 350]
    assert limits.enough == 100
    assert sizes_of_full_batches(batch_limits(items=30, size=10**6), seconds=0.2) == [30] * 4


@pytest.mark.parametrize(("room", "most"), [(20, 100), (300, 150), (100_000, 400)])
def test_batches_leave_room_for_newer_events(room, most):
    limits = batch_limits(items=400, size=10**6, room=room)
    assert sizes_of_full_batches(limits, seconds=0.2)[-1] == most


def test_an_api_that_answers_soon_gets_small_batches():
    limits = batch_limits(items=400, size=10**6)
    assert sizes_of_full_batches(limits, seconds=0.01) == [100] * 4


def test_a_batch_that_was_not_full_says_nothing_about_larger_ones():
    limits = batch_limits(items=400, size=10**6)
    for items in range(100):
        limits.accepted(items, seconds=1.0)
    assert limits.items == 100


@given(st.integers(1, 400))
def test_growth_finds_a_limit_of_the_api_and_stays_below(most):
    limits = batch_limits(items=400, size=10**9)
    server = Server(most, 10**9)
    waiting = [(n, 10) for n in range(4_000)]
    deliver(limits, server, waiting)
    assert most / 2 < limits.items <= 2 * most  # which it is about to try again
    arrived, refused, requests = deliver(limits, server, waiting)
    assert (arrived, refused) == ([n for n, _ in waiting], [])
    # Twice the size is tried once in 64 requests, which costs one more.
    assert requests <= 2 * 4_000 / most * (1 + 1 / 64) + 3


@given(
    st.integers(1, 60),
    st.integers(100, 5_000),
    st.lists(st.integers(1, 100), min_size=1, max_size=300),
)
def test_any_limit_is_found_and_everything_arrives(items, size, lengths):
    limits = batch_limits(items=100, size=10_000)
    waiting = list(enumerate(lengths))
    arrived, refused, requests = deliver(limits, Server(items, size), waiting)

    assert arrived == list(range(len(lengths)))
    assert refused == []
    fewest = max(len(lengths) / items, sum(lengths) / size)
    # Halving leaves at least half of what would fit, and twice the size is tried now and then.
    assert requests <= 4 * fewest + 3 * 8 + 2


@given(st.sets(st.integers(0, 99), max_size=6))
def test_culprits_are_found_alone_and_the_size_comes_back(culprits):
    limits = batch_limits(items=100, size=10**6)
    waiting = [(n, 10) for n in range(100)]
    arrived, refused, _ = deliver(limits, Server(100, 10**6, culprits), waiting)

    assert refused == sorted(culprits)
    assert arrived == [n for n in range(100) if n not in culprits]
    if culprits:
        deliver(limits, Server(100, 10**6), [(n, 10) for n in range(64 * 8 * 100)])
        assert (limits.items, limits.size) == (100, 10**6)


def test_a_limit_is_remembered():
    limits = batch_limits(items=100, size=10**6)
    server = Server(10, 10**6)
    waiting = [(n, 10) for n in range(100)]
    first = deliver(limits, server, waiting)[2]
    second = deliver(limits, server, waiting)[2]

    assert second < first
    assert second <= 100 / 5
