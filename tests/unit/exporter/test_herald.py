"""Each change of state is one line; what repeats is summed up, at most once a minute."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter._delivery.herald import Herald


@pytest.fixture
def herald():
    return Herald()


def lines(caplog):
    return [record.getMessage().split()[0] for record in caplog.records]


def test_an_outage_is_one_line_and_its_end_another(herald, caplog):
    for second in range(100):
        herald.trouble(second, "refused", suspended=False)
    assert herald.trouble_since == 0
    herald.recovered(100, lost=3)

    assert lines(caplog) == ["delivery_degraded", "delivery_recovered"]
    assert "after_seconds: 100" in caplog.text
    assert "lost: 3" in caplog.text
    assert herald.trouble_since is None


def test_an_end_without_a_beginning_is_no_news(herald, caplog):
    herald.recovered(0, lost=0)
    assert lines(caplog) == []


def test_short_outages_are_summed_up(herald, caplog):
    for second in range(0, 130, 2):
        herald.trouble(second, "refused", suspended=False)
        herald.recovered(second + 1, lost=0)

    assert lines(caplog) == ["delivery_degraded", "delivery_recovered"] * 3
    assert "episodes: 30" in caplog.text


def test_a_refused_token_is_said_aloud_once_also_in_the_middle_of_an_outage(herald, caplog):
    herald.trouble(0, "refused", suspended=False)
    for second in range(1, 50):
        herald.trouble(second, "401", suspended=True)
        herald.trouble(second, "refused", suspended=False)
    herald.recovered(50, lost=0)
    herald.trouble(51, "401", suspended=True)

    assert lines(caplog) == [
        *["delivery_degraded", "delivery_suspended", "delivery_recovered", "delivery_suspended"]
    ]
    assert [r.levelname for r in caplog.records] == ["WARNING", "ERROR", "WARNING", "ERROR"]
    assert "set_token" in caplog.records[1].getMessage()


def test_losses_are_told_at_once_and_then_by_the_minute(herald, caplog):
    assert herald.due is None
    herald.lost("queue_full", 2, "an example")
    assert herald.due is not None
    herald.tick(10)
    for second in range(11, 70):
        herald.lost("queue_full", 1)
        herald.lost("expired", 1)
        herald.tick(second)
    assert herald.due == 70
    herald.tick(70)

    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert "{'queue_full': 2}" in texts[0] and "an example" in texts[0]
    assert "{'queue_full': 59, 'expired': 59}" in texts[1]
    assert herald.due is None


def test_a_summary_of_nothing_is_no_line(herald, caplog):
    herald.tick(0)
    herald.summarise(1)
    assert lines(caplog) == []


def test_a_bug_has_its_traceback_and_is_told_once_a_minute(herald, caplog):
    for second in range(0, 100, 10):
        try:
            {}["ours"]
        except KeyError:
            herald.bug(second, "worker_died")

    assert lines(caplog) == ["worker_died"] * 2
    assert all(record.exc_info for record in caplog.records)


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(1, 5)), max_size=30))
def test_every_loss_is_told_exactly_once(losses):
    """Whenever it happens; by the next line that is due, or by the last."""
    told = []

    class Log:
        def warning(self, event, *, reasons, example):
            told.append((now, sum(reasons.values())))

    class Quiet(Herald):
        _log = Log()

    herald, now = Quiet(), 0
    for later, count in losses:
        now += later
        herald.lost("why", count)
        herald.tick(now)
    herald.summarise(now)

    assert sum(count for _, count in told) == sum(count for _, count in losses)
    moments = [moment for moment, _ in told]
    assert all(b - a >= 60 for a, b in itertools.pairwise(moments[:-1]))
