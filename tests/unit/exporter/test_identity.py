"""Every id reaches the API in the form it knows, or waits until that is known."""

import pytest

from prefactor_exporter._core import identity as module
from prefactor_exporter._core.identity import Identity, makes_no_ids
from prefactor_exporter._core.ids import Mint, partition_text

NOW = 1_700_000_000 * 10**9
OURS, THEIRS = partition_text(7), partition_text(99)


def in_partition(local):
    """Return the id as an account in our partition has it."""
    return local[:10] + OURS + local[16:]


def minted(partition=None):
    return Mint(random=bytes, partition=partition).mint(NOW)


def test_an_id_made_before_the_partition_was_known_gets_it():
    identity, local = Identity(), minted()
    assert not identity.ready
    assert identity.translate(local, local) == local
    assert identity.learn(OURS) == "first"

    assert identity.ready and identity.confirmed
    assert identity.translate(local, local) == in_partition(local)
    other = minted(7)
    assert identity.translate(local, other) == other


def test_a_partition_from_the_configuration_is_used_until_the_api_contradicts():
    identity, local = Identity(OURS), minted(7)
    assert identity.ready and not identity.confirmed
    assert identity.translate(local, local) == local
    identity.doubt()
    assert not identity.ready
    assert identity.learn(THEIRS) == "another"

    assert identity.translate(local, local) == local[:10] + THEIRS + local[16:]


def test_a_doubted_partition_that_the_api_confirms_is_no_news():
    """Then it is not the partition that the API minds, but ids made by clients."""
    identity = Identity(OURS)
    identity.doubt()

    assert identity.learn(OURS) == "refused"
    assert identity.translate("r", minted(7)) == minted(7)


def test_an_assigned_id_is_awaited_and_then_used():
    identity = Identity()
    identity.server_made = True
    assert identity.ready
    identity.expect("run", "span")
    assert identity.translate("run", "span") is None
    identity.assign("run", "span", "theirs")
    identity.expect("run", "span")  # sent again after an answer that was lost

    assert identity.translate("run", "span") == "theirs"
    assert identity.translate("other run", "span") == "span"
    assert identity.assignments() == [("run", "span", "theirs")]


@pytest.mark.parametrize("how", ["abandon", "forget"])
def test_what_will_never_be_assigned_is_not_awaited(how):
    identity = Identity()
    identity.server_made = True
    identity.expect("run", "span")
    if how == "abandon":
        identity.abandon("run", "span")
    else:
        identity.forget("run")

    assert identity.translate("run", "span") == "span"
    assert identity.assignments() == []


def test_ids_of_spans_that_are_over_are_kept_for_a_while(monkeypatch):
    """A run may last for weeks, and have an open span from its first day."""
    monkeypatch.setattr(module, "_REMEMBERED", 10)
    identity = Identity()
    identity.server_made = True
    for n in range(100):
        identity.expect("run", f"{n}")
        identity.assign("run", f"{n}", f"theirs {n}")
        if n:
            identity.end("run", f"{n}")

    assert identity.translate("run", "0") == "theirs 0"
    assert identity.translate("run", "95") == "theirs 95"
    assert len(identity.assignments()) == 11


@pytest.mark.parametrize(
    ("status", "code", "strange", "final"),
    [
        (404, "not_found", 1, True),
        (405, "bad_request", 1, True),
        (422, "validation_errors", 1, True),
        (404, None, 1, False),
        (404, None, 2, False),
        (404, None, 3, True),
        (409, "invalid_action", 1, False),
        (None, None, 2, False),
        (None, None, 3, True),
    ],
)
def test_only_the_api_itself_or_a_repetition_says_that_no_ids_are_made(
    status, code, strange, final
):
    assert makes_no_ids(status, code, strange=strange) is final


def test_what_the_api_named_while_it_was_learned_from_keeps_that_name():
    identity, run, span = Identity(), minted(), minted()[:-1] + "1"
    identity.server_made = identity.learning = True
    assert identity.ready and not identity.settled
    identity.expect(run, run)
    identity.assign(run, run, "theirs")
    assert identity.learn(OURS) == "first"
    identity.server_made = False
    assert identity.ready and not identity.settled  # until the API accepts an id made from it
    identity.trying = False

    assert identity.settled and identity.translating
    assert identity.translate(run, run) == "theirs"
    assert identity.translate(run, span) == in_partition(span)
    assert identity.stamp(run) == in_partition(run)
    identity.forget(run)
    assert not identity.translating
