"""Under which key a dead letter is sent again: a refusal needs a new one, a doubt the old one."""

import pytest

from prefactor_exporter._core.events import FINISH, RECORD, START, Event
from prefactor_exporter._core.identity import Identity
from prefactor_exporter._core.stored import pack
from prefactor_exporter._core.wire import compose
from prefactor_exporter._delivery.dead_letters import DeadLetter, LetterHead
from prefactor_exporter._delivery.resending import Resent, _portions, _restated

IDENTITY = Identity("000001")
ID = "0" * 10 + "000001" + "0" * 16


def event(**fields):
    return Event(RECORD, ID, ID, 1, name="a", status="complete", ended=1, **fields)


def letter(code, event):
    return DeadLetter(1, 2, code, "", pack(event))


def key_of(event):
    assert compose(event, IDENTITY)
    return event.key


@pytest.mark.parametrize("code", ["validation_errors", "not_found", "too_large", "exhausted"])
def test_what_was_refused_goes_under_a_new_key(code):
    """The API may answer the old key with the same refusal for ever."""
    again = _restated(letter(code, event(attempts=1)))
    once_more = _restated(letter(code, again))

    assert (key_of(again), key_of(once_more)) == (ID + ".1", ID + ".2")
    assert not again.doubtful


@pytest.mark.parametrize("code", ["expired", "unanswered"])
def test_what_may_have_been_applied_keeps_its_key_and_bytes(code):
    """The same key stands for the same bytes, and an answer that it is there already is good."""
    first = event(attempts=3, revision=2)
    assert compose(first, IDENTITY)
    again = _restated(letter(code, first))
    assert compose(again, IDENTITY)

    assert (again.key, again.wire) == (first.key, first.wire)
    assert again.doubtful


@pytest.mark.parametrize("code", ["dependent", "instance_refused", "expired"])
def test_what_was_never_sent_keeps_its_key(code):
    """Nobody has seen it."""
    again = _restated(letter(code, event()))

    assert key_of(again) == ID
    assert not again.doubtful


@pytest.mark.parametrize("kind", [START, FINISH])
def test_nothing_is_merged_into_a_letter(kind):
    """Its tries begin anew, and it counts as the one event it is."""
    merged = Event(kind, ID, ID, 1, attempts=0, judged=9, seq=3, merged_seq=4)
    again = _restated(letter("dependent", merged))

    assert (again.attempts, again.judged, again.parts) == (1, 0, 1)


def test_portions_are_small_in_number_and_bytes():
    """A letter larger than a portion is one by itself."""
    sizes = [1, 9_000_000, 1, 1] + [1] * 600
    heads = [LetterHead(number, 0, "", "", size) for number, size in enumerate(sizes)]
    portions = list(_portions(heads))

    assert [number for portion in portions for number in portion] == list(range(len(sizes)))
    assert [len(portion) for portion in portions] == [1, 1, 500, 102]


def test_sums_add_up():
    """What became of one portion is added to the others."""
    sums = Resent(delivered=1, reasons={"a": 1}, last_error="first")
    sums.add(Resent(refused=2, left=3, reasons={"a": 1, "b": 1}, interrupted=True))

    assert sums == Resent(
        delivered=1,
        refused=2,
        left=3,
        reasons={"a": 2, "b": 1},
        last_error="first",
        interrupted=True,
    )
