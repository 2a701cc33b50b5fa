"""What is new in a run is told once, in order, and nothing is missed."""

from prefactor_exporter.cli.tail import Follower
from tests.unit.cli.test_outline import span

AT = "2026-01-01T00:00:0{}Z"


def told(follower, spans):
    return [(news.happened, news.span.id, news.depth) for news in follower.look(spans)]


def active(name, parent=None, second=0):
    return span(name, parent, started=AT.format(second), status="active")


def over(name, parent=None, second=0, end=9):
    return span(name, parent, started=AT.format(second), finished=AT.format(end))


def test_each_begin_and_each_end_is_told_once():
    """A span that goes on is no news."""
    follower = Follower()

    assert told(follower, [active("a"), active("b", "a", 1)]) == [
        ("began", "a", 0),
        ("began", "b", 1),
    ]
    assert told(follower, [active("a"), active("b", "a", 1)]) == []
    assert told(follower, [active("a"), over("b", "a", 1)]) == [("ended", "b", 1)]
    assert told(follower, [over("a"), over("b", "a", 1)]) == [("ended", "a", 0)]


def test_a_span_that_was_over_at_once_stands_before_its_children():
    """Children end first; read from top to bottom the tree is right all the same."""
    news = told(Follower(), [over("b", "a", 1, 2), over("c", "b", 1, 2), over("a", None, 0, 3)])

    assert news == [("ended", "a", 0), ("ended", "b", 1), ("ended", "c", 2)]


def test_rows_that_cannot_change_are_not_asked_for_again():
    """The beginning of the list is settled as far as it is over."""
    follower = Follower()
    list(follower.look([over("a"), over("b"), active("c"), over("d")]))
    assert follower.settled == 2
    list(follower.look([over("c"), over("d"), active("e")]))

    assert follower.settled == 4


def test_a_gap_is_noticed():
    """Fewer spans than there are means that the list is in another order."""
    follower = Follower()
    list(follower.look([over("a"), active("b")]))

    assert follower.complete([active("b")], 2)
    assert not follower.complete([active("b")], 3)


def test_a_circle_of_parents_has_an_end():
    """Strange data must not hang the terminal."""
    assert [depth for *_, depth in told(Follower(), [active("a", "b"), active("b", "a")])] == [1, 1]


def test_spans_without_times_are_told_too():
    """A pending span has not begun; it is told all the same."""
    assert told(Follower(), [span("a", started=None, status="pending")]) == [("began", "a", 0)]
