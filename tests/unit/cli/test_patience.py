"""Waiting goes on while something is delivered, and ends when nothing is."""

from prefactor_exporter import ExporterConfig, ExporterStats, FlushReport, HttpClientConfig
from prefactor_exporter.cli.patience import Patience

CONFIG = ExporterConfig(http=HttpClientConfig("http://api", "a token"), max_queue_items=10)


class FakeExporter:
    """Shows one state after the other; a flush moves on to the next."""

    def __init__(self, *states):
        self.states = list(states)

    def stats(self):
        return self.states[0]

    def flush(self, timeout):
        if len(self.states) > 1:
            self.states.pop(0)
        return FlushReport(pending=self.states[0].queued)


def waiting(exporter, seconds):
    shown = []
    return Patience(exporter, CONFIG, seconds=seconds, show=shown.append), shown


def state(queued, delivered, queued_bytes=0):
    return ExporterStats(queued=queued, delivered=delivered, queued_bytes=queued_bytes)


def test_room_is_waited_for_while_events_are_delivered():
    """A queue that empties has room in the end; what is seen on the way is shown."""
    patience, shown = waiting(FakeExporter(state(9, 0), state(6, 3), state(5, 4)), 60.0)

    assert patience.room()
    assert [stats.queued for stats in shown] == [9, 6]


def test_bytes_fill_the_queue_as_well():
    """A queue of few but large events has no room either."""
    full = CONFIG.max_queue_bytes
    patience, shown = waiting(FakeExporter(state(1, 0, full), state(0, 1)), 60.0)

    assert patience.room()
    assert len(shown) == 1


def test_waiting_ends_when_nothing_moves():
    """Without a delivery within the given time, waiting is over."""
    stuck = FakeExporter(state(9, 0))

    assert not waiting(stuck, 0.0)[0].room()
    assert not waiting(stuck, 0.0)[0].delivered()


def test_delivered_waits_for_the_last_event():
    """All is delivered once nothing is pending."""
    patience, shown = waiting(FakeExporter(state(9, 0), state(3, 6), state(0, 9)), 60.0)

    assert patience.delivered()
    assert [stats.queued for stats in shown] == [3]
